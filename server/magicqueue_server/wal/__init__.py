"""The write-ahead log: what happened, on disk before anybody is told.

From the inside out: `format` (bytes on disk), `encode` and `decode` (records in them),
`disk` (every file operation), `segments` (files in use), `journal` (the end that is written
to), `scan` (reading, torn or corrupt), `recovery` (from files to a core), `gate` (replies
that wait), `log` (one server's log as a whole), `reclaim` (leaving the past out), `tools`.
"""
