"""The sizes that both sides keep to. All are the server's to configure."""

import msgspec

PORT_MAX = 65_535
"""Highest TCP port."""

ID_MAX = 2**53 - 1
"""Ids and times stay exact in every JSON reader, also those that only know doubles."""

NESTING_MAX = 512
"""Deepest nesting of arrays and objects in a job's data."""

NUMBER_CHARS_MAX = 4300
"""Longest number in a job's data: Python's own JSON reader refuses longer ones."""

ERROR_CHARS_MAX = 4096
"""A failure's message is cut to this."""

KEY_BYTES_MAX = 255
"""Longest unique key or request key in UTF-8."""

NOTE_BYTES_MAX = 1024
"""Longest note of a PROGRESS in UTF-8."""

CONTAINS_BYTES_MAX = 255
"""Longest part of jobs' data that JOBS and BULK search for, in UTF-8."""

JOBS_PAGE_MAX = 1000
"""Most jobs of one reply to JOBS; asking for more is fine."""

JOBS_PAGE = 50
"""Jobs of one reply to JOBS that says no `count`."""

JOBS_DATA_MAX = 4096
"""Data of more bytes is left out of JOBS that says no `data_max`."""

BULK_JOBS_MAX = 1000
"""Most jobs that one BULK does something to."""

SCANNED_JOBS_MAX = 10_000
SCANNED_BYTES_MAX = 16 * 2**20
"""Most jobs that one JOBS or BULK looks at, and the bytes of their data."""

DEAD_PAGE = 100
"""Letters of one reply to DEAD that says no `count`."""

LIST_PAGE = 100
"""Crons or groups of one reply that says no `count`."""

CRON_RUNS_MAX = 20
"""Next runs that are told of one cron."""

EVERY_MS_MIN = 100
"""Least time between two events of counts."""

PRIORITY_MAX = 2**31 - 1
"""Priorities are from -1 less than that negated to this, and attempts at most this."""

WAIT_JOBS_MAX = 1000
"""Most jobs that one WAIT waits for."""

DEPENDS_ON_MAX = 1000
"""Most jobs that one may depend on."""

CHILDREN_MAX = 100
"""So many of the jobs that wait for one are told of it, the first by id."""

FLOW_JOBS_MAX = 10_000
"""Jobs in a PUSHF."""

FLOW_LINKS_MAX = 100_000
"""What the jobs of a PUSHF, or of a PUSHB, depend on, all together."""

PULL_QUEUES_MAX = 64
"""Most queues that one pull may name."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the server accepts and sends, in bytes and jobs."""

    line_bytes_max: int = 64 * 2**20
    """One request line, without its line end."""
    job_bytes_max: int = 2**20
    """One job's data."""
    queue_name_bytes_max: int = 255
    """One queue's name in UTF-8."""
    push_jobs_max: int = 100_000
    """Jobs in a PUSHB."""
    pull_jobs_max: int = 10_000
    """Jobs in a PULLB's or DEAD's reply; asking for more is fine."""
    reply_payload_bytes_max: int = 16 * 2**20
    """Data in a PULLB's or DEAD's reply; one job is always sent, whatever its size."""
    result_bytes_max: int = 64 * 2**10
    """What came of one job, if that is kept."""
