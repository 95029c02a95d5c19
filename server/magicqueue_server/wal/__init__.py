"""The write-ahead log: what happened, on disk before anybody is told.

From the inside out: `format` (bytes on disk), `manifest` (what the log knows of itself),
`layouts` with `encode` and `decode` (records in frames), `disk` (every file operation),
`spares` (files that are ready), `groups` and `journal` (the end that is written to), `scan`
with `verdict` and `losses` (reading, torn or corrupt), `ending` (cutting a torn end off),
`facts` (where they are), `recovery` (from files to a core), `gate` (replies that wait),
`room` (full or not), `log` (a server's log as a whole), `reclaim` and `passes` (leaving the
past out), `tools` and `repair`.
"""
