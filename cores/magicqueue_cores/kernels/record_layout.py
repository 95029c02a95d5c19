"""The bytes of those records that kernels write: what a log's reader and they agree on.

`wal.layouts` in the server shows each byte, and takes these numbers from here.
"""

from typing import Final

PUSHED: Final = 1
LEASED: Final = 3
EXTENDED: Final = 4
ACKED: Final = 5
FAILED: Final = 6

RUN_ATS: Final = 1
PRIORITIES: Final = 2
MAX_ATTEMPTS: Final = 4
BACKOFFS: Final = 8
JITTER: Final = 16
JITTERS: Final = 32
"""Flags of PUSHED: which fields are columns, one value a job; and a jitter of all jobs."""
