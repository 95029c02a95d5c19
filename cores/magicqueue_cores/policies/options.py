"""What policies are told once, at their start. A bound of 0 means no bound."""

import msgspec

MIB = 2**20


class PolicyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what is kept beside jobs; over one of them the oldest goes first."""

    req_key_ttl_ms: int = 86_400_000
    """How long the ids that a push with a request key was answered with are known."""
    req_keys_max: int = 100_000
    """Request keys known at a time."""
    req_keys_bytes_max: int = 64 * MIB
    """The same, for the bytes of the keys and of what was answered."""
    windows_max: int = 100_000
    """Keys that a push holds for a time of its own (`Wishes.unique_for_ms`)."""
    windows_bytes_max: int = 64 * MIB
    """The same, for the bytes of queue names and keys."""
    result_bytes_max: int = 65_536
    """A larger result is refused with `TooLarge`."""
    results_max: int = 100_000
    """Ends of jobs that are kept."""
    results_bytes_max: int = 64 * MIB
    """The same, for their bytes."""
    progress_max: int = 100_000
    """Active jobs of which it is known how far they are."""
    progress_bytes_max: int = 64 * MIB
    """The same, for the bytes of their notes."""
    crons_max: int = 10_000
    """Crons: one more is refused with `Full`."""
    crons_bytes_max: int = 64 * MIB
    """The same, for the bytes of what they are: queues, schedules, data."""
    limits_max: int = 100_000
    """Queues that have limits, or are throttled: one more is refused with `Full`."""
    step_jobs: int = 0
    """What time ends in one call at most, as in `CoreOptions.step_jobs`; 0: all."""
