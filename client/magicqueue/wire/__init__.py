"""The protocol's codec, shared by client and server; it does no I/O.

`framing` makes lines of bytes, `requests` and `decode` requests of lines, `fields` and
`payload` check what is in them, `replies` writes and reads the answers, `limits` has the
sizes. docs/protocol.md describes what these do.
"""
