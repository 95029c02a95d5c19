"""The server over HTTP: only with `--http`, and imported by nothing without it.

`server` holds the connections, `connection` makes requests of bytes (by llhttp, the parser
of httptools) and responses of replies, `routes` says which path is which command, `guards`
who may ask, `streams` what
events are here, `metrics` and `process` what a scrape is told, `openapi` what it all is.

A request becomes a command line and goes through the engine as one of a session's: what
it means is the engine's to say, and nothing is said twice.
"""
