"""What a core is told once, at its start; for others it is a part of `contract`."""

import msgspec


class CoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a core is told once, at its start. A bound of 0 means no bound."""

    jobs_max: int = 0
    """Ready, delayed and active jobs together; over it `push` raises `Full`."""
    memory_bytes_max: int = 0
    """Over it `push` raises `Full`: `CoreStats.memory_bytes` plus what the new jobs take,
    their payloads and `Capabilities.job_overhead_bytes` each."""
    queues_max: int = 100_000
    """Distinct queue names. At the bound, idle empty queues are forgotten first."""
    lost_max: int = 3
    """A job lost more often than this is dead, with reason `worker_lost`."""
    backoff_ms_max: int = 3_600_000
    """No retry waits longer."""
    dead_jobs_max: int = 100_000
    """Dead letters a queue keeps; beyond it the oldest is dropped and counted."""
    dead_bytes_max: int = 256 * 2**20
    """The same, for the bytes of a queue's dead payloads and their error texts."""
    step_jobs: int = 0
    """Where time moves more jobs than this, a session that ends holds more, or a verb is
    about more, one call does so many and leaves the rest to the next: see the rules of
    `contract`."""
    hash_seed: int = 0
    """Secret of 63 bits, a new one at each start, for tables whose keys clients choose.
    Nothing that a core answers, records or replays depends on it."""
