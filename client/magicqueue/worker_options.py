"""A worker's settings, checked in one place."""

from dataclasses import dataclass
from typing import Final

from magicqueue.address import AccessOptions, Address, parse_address
from magicqueue.durations import Duration, duration_ms
from magicqueue.sources import Names, Source, source_of
from magicqueue.wire.values import Order

LEASE_S: Final = 30.0
GRACE_S: Final = 30.0
LAST_WORD_S: Final = 2.0
"""For so long a worker that ends waits for the server to take back what was cut off."""
LATE_S: Final = 0.05
LATE_LOOKS: Final = 5
"""What is given back may come again at once, to the worker's own pull that still waits at
the server: so often, and so far apart, a worker that ends looks for that."""
BATCH_SIZE: Final = 50
TASKS: Final = 50
"""Async handlers under way at once, unless told otherwise."""
THREADS: Final = 8
"""Plain handlers under way at once, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker is told once, in the units it works with."""

    queue: Source
    address: Address
    batch_size: int
    concurrency: int
    prefetch: int | None
    """None: by measure."""
    lease_ms: int
    grace_s: float
    time_limit_s: float | None
    timeout_s: float


def worker_options(  # noqa: PLR0913 - a worker has as many
    queue: Names,
    url: str | None,
    *,
    order: Order,
    batch_size: int,
    concurrency: int,
    prefetch: int | None,
    lease: Duration,
    grace: Duration,
    time_limit: Duration | None,
    timeout: Duration,
    access: AccessOptions,
) -> WorkerOptions:
    """Check the settings. Raises TypeError, ValueError, BadAddress or BadRequest."""
    return WorkerOptions(
        queue=source_of(queue, order),
        address=parse_address(url, access),
        batch_size=_count(batch_size, "batch_size", 1),
        concurrency=_count(concurrency, "concurrency", 1),
        prefetch=None if prefetch is None else _count(prefetch, "prefetch", 0),
        lease_ms=duration_ms(lease, "lease", least_ms=1),
        grace_s=duration_ms(grace, "grace") / 1000,
        time_limit_s=None
        if time_limit is None
        else duration_ms(time_limit, "time_limit", least_ms=1) / 1000,
        timeout_s=duration_ms(timeout, "timeout", least_ms=1) / 1000,
    )


def _count(value: object, name: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} is {value}: it must be {least} or more")
    return value
