"""Gates: how many jobs may be handed out now, of a queue or (later) of a single group.

A gate has a bound on jobs at work, a bucket of tokens, and a time until which it is shut.
It knows neither queues nor jobs: whoever asks says how many are at work, and tells what was
handed out. So whatever has `Bounds` has a gate of its own: a queue by its `Rule`, and each
group of it by `Rule.group`.

**The bucket** is one integer, exact for every rate: the moment at which it is full, in
parts of a millisecond, of which one has as many as the rate has jobs. So a token takes
`per_ms` parts, whatever the rate is: nothing is rounded, and nothing drifts.
"""

from typing import Final

from magicqueue_cores.contract import COUNT_MAX, NEVER_MS, TIME_MAX_MS
from magicqueue_cores.policies.rules import Bounds, Rate

GATE_BYTES: Final = 640
"""About what a gate takes with its bucket, its bounds and its places in tables."""


class Bucket:
    """Tokens that come evenly. It is full when it is made."""

    __slots__ = ("_full_at", "rate")

    def __init__(self, rate: Rate) -> None:
        """Start full."""
        self.rate = rate
        self._full_at = 0

    def tokens(self, now_ms: int) -> int:
        """Count the whole tokens that are there. O(1)."""
        rate = self.rate
        missing = self._full_at - now_ms * rate.jobs
        if missing <= 0:
            return rate.burst
        return max(rate.burst - -(-missing // rate.per_ms), 0)

    def spend(self, count: int, now_ms: int) -> None:
        """Take tokens that are there. O(1)."""
        now = now_ms * self.rate.jobs
        self._full_at = max(self._full_at, now) + count * self.rate.per_ms

    def next_ms(self) -> int:
        """Return the first moment at which a token is there. O(1)."""
        rate = self.rate
        first = self._full_at - (rate.burst - 1) * rate.per_ms
        return min(-(-first // rate.jobs), TIME_MAX_MS)

    def full_ms(self) -> int:
        """Return the first moment at which it is full. O(1)."""
        return min(-(-self._full_at // self.rate.jobs), TIME_MAX_MS)

    def shut(self) -> None:
        """Have no token until `empty`: it is not known yet how late it is."""
        self._full_at = NEVER_MS * self.rate.jobs

    def empty(self, now_ms: int) -> None:
        """Have no token now, and the first one after its time."""
        rate = self.rate
        self._full_at = now_ms * rate.jobs + rate.burst * rate.per_ms

    def postpone(self, by_ms: int) -> None:
        """Let a span of time that has passed not count."""
        self._full_at += by_ms * self.rate.jobs

    def change(self, rate: Rate, now_ms: int) -> None:
        """Go by another rate, with the tokens that are there, as far as there is room."""
        old, self.rate = self.rate, rate
        missing = max(self._full_at - now_ms * old.jobs, 0)
        # As tokens, times the old price: what is missing, and what there is new room for.
        missing = max(missing + (rate.burst - old.burst) * old.per_ms, 0)
        parts = -(-missing * rate.per_ms // old.per_ms)
        self._full_at = now_ms * rate.jobs + parts


class Gate:
    """What may be handed out now."""

    __slots__ = ("bucket", "concurrency", "shut_until_ms")

    def __init__(self) -> None:
        """Start without bounds, and open."""
        self.concurrency: int | None = None
        self.bucket: Bucket | None = None
        self.shut_until_ms = 0
        """Nothing is handed out before this, whatever else it says."""

    def bound(self, bounds: Bounds, now_ms: int | None) -> None:
        """Have bounds; a new bucket is full, or shut where the time is not known."""
        self.concurrency = bounds.concurrency
        rate, bucket = bounds.rate, self.bucket
        if rate is None:
            self.bucket = None
        elif bucket is None or now_ms is None:
            self.bucket = Bucket(rate)
            if now_ms is None:
                self.bucket.shut()
        elif rate != bucket.rate:
            bucket.change(rate, now_ms)

    def room(self, active: int, now_ms: int) -> int:
        """Count the jobs that may be handed out now, beside those at work. O(1)."""
        if now_ms < self.shut_until_ms:
            return 0
        room = COUNT_MAX if self.concurrency is None else self.concurrency - active
        if self.bucket is not None and room > 0:
            room = min(room, self.bucket.tokens(now_ms))
        return max(room, 0)

    def spend(self, count: int, now_ms: int) -> None:
        """Be told that jobs were handed out. O(1)."""
        if self.bucket is not None:
            self.bucket.spend(count, now_ms)

    def opens_ms(self) -> int:
        """Return when a token is there, at the earliest: no other bound ends by time. O(1).

        The time until which it is shut is a fact of its own, whose end is heard of.
        """
        return 0 if self.bucket is None else self.bucket.next_ms()
