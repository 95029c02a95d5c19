"""Columns of jobs as they lie in scratch, one after another, a word each job.

What is told of jobs has their records first, then these; the first seven are enough for a
delivery. What is needed to put jobs back lies behind their rows.
"""

from typing import Final

ID: Final = 1
START: Final = 2
END: Final = 3
PRIORITY: Final = 4
CREATED: Final = 5
RUN_AT: Final = 6
ATTEMPTS: Final = 7
DELIVERY_COLUMNS: Final = 8

QUEUE: Final = 8
STATE: Final = 9
RETURNED: Final = 10
SEQUENCE: Final = 11
LOST: Final = 12
FAILURES: Final = 13
MAX_ATTEMPTS: Final = 14
BACKOFF: Final = 15
JITTER: Final = 16
SESSION: Final = 17
UNTIL: Final = 18
ALL_COLUMNS: Final = 19

BACK_ID: Final = 0
BACK_CREATED: Final = 1
BACK_ATTEMPTS: Final = 2
BACK_LOST: Final = 3
BACK_QUEUE: Final = 4
BACK_FLAGS: Final = 5
BACK_SEQUENCE: Final = 6
BACK_COLUMNS: Final = 7
