"""When a failed job may run again: exponential backoff with deterministic full jitter.

A core has no randomness, so the jitter is a hash of the job and its failure count: spread
over jobs and over failures as a random number would be, yet the same in every core.
"""

from typing import Final

_MASK: Final = 2**64 - 1
_DOUBLINGS_MAX: Final = 62


def splitmix64(x: int) -> int:
    """Mix 64 bits into 64 well-spread bits (Steele, Lea and Flood, OOPSLA 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def retry_delay_ms(
    *, job_id: int, failures: int, backoff_ms: int, jitter: bool, backoff_ms_max: int
) -> int:
    """Milliseconds from the `failures`-th failure (from 1) of a job to its retry.

    Without jitter `backoff_ms * 2**(failures - 1)`, at most `backoff_ms_max`; with it, a
    number from 0 to that, both included.
    """
    doublings = min(failures - 1, _DOUBLINGS_MAX)
    delay_ms = min(backoff_ms << doublings, backoff_ms_max)
    if jitter and delay_ms:
        return splitmix64(job_id ^ (failures << 53)) % (delay_ms + 1)
    return delay_ms
