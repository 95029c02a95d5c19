"""What a core counts, of one queue and of all; for others it is a part of `contract`."""

import msgspec


class QueueStats(msgspec.Struct):
    """Counts of one queue now, and totals since the core's start.

    blocked: held jobs that wait for others; policies know which these are, and say so.
    """

    name: str
    queued: int = 0
    processing: int = 0
    delayed: int = 0
    dead: int = 0
    paused: bool = False
    pushed: int = 0
    completed: int = 0
    failed: int = 0
    lost: int = 0
    released: int = 0
    expired: int = 0
    cancelled: int = 0
    duplicates: int = 0
    dropped: int = 0
    oldest_ready_ms: int = 0
    blocked: int = 0


class CoreStats(msgspec.Struct):
    """The same over all queues, forgotten ones included; `paused` counts queues.

    content_bytes: the bytes of payloads and error texts (in UTF-8) of all jobs.
    memory_bytes: what the jobs and queues that are here take, within a tenth or so, texts
    and all; memory kept for later use is not in it.
    """

    queued: int
    processing: int
    delayed: int
    dead: int
    paused: int
    pushed: int
    completed: int
    failed: int
    lost: int
    released: int
    expired: int
    cancelled: int
    duplicates: int
    dropped: int
    oldest_ready_ms: int
    queues: int
    content_bytes: int
    memory_bytes: int
    blocked: int = 0
