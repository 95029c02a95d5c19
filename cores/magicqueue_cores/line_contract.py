"""What a core is asked beside the verbs if it runs request lines by itself."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import msgspec

from magicqueue_cores.contract import FAILURES_MAX, LEASE_MS, Core


class WireDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a `LineCore` is told of the protocol: the server's limits and defaults."""

    line_bytes_max: int = 64 * 2**20
    job_bytes_max: int = 2**20
    push_jobs_max: int = 100_000
    pull_jobs_max: int = 10_000
    reply_payload_bytes_max: int = 16 * 2**20
    reply_bytes_a_call: int = 2**20
    """After this many bytes of replies `execute` gives way."""
    error_chars_max: int = 4096
    lease_ms: int = LEASE_MS
    max_attempts: int = FAILURES_MAX
    backoff_ms: int = 0


class RecordBytes(msgspec.Struct, frozen=True, gc=False):
    """Records of what one call did, in the bytes of a log's frame.

    count: how many records. promised: those of them that tell of more than leases. last_id:
    the last id that was given, or 0. span: how many numbers of the sequence were given.
    """

    data: bytes
    count: int
    promised: int
    last_id: int
    span: int


BytesSink: TypeAlias = Callable[[RecordBytes], None]


class LineCore(Core, Protocol):
    """A core that can also run command lines itself (`Capabilities.executes_lines`).

    clock_ahead_ms: by how much `now_ms` is ahead of the wall clock, by which the moments in
    lines and replies are meant.
    """

    clock_ahead_ms: int

    @property
    def declined(self) -> dict[str, int]:
        """How many lines `execute` left to its caller since the start, by reason.

        A line counts when a call begins with it. The reasons are a fixed set of words.
        """
        ...

    def execute(
        self,
        lines: bytes,
        session: int,
        now_ms: int,
        start: int = 0,
        stop: int | None = None,
    ) -> tuple[int, bytes]:
        """Run whole request lines, `lines[start:stop]`, from the first as far as it can.

        Gives (consumed_bytes, replies). It stops *before* a line that is not for it: an
        error of any kind, a rare option, a pull that would wait, a push to a watched
        queue, or too many reply bytes. The caller takes that line through the verbs and
        calls again for the rest; the bytes sent must be the same either way.

        How long a call takes follows from how much it is given, so that is for the caller
        to bound. A core that copies lines keeps what it copied until it is given other
        lines: called again with the same object, a later `start` and the same `stop`, it
        copies nothing, and a line that was not for it costs no copy of those behind it.
        """
        ...


class Feed(msgspec.Struct, frozen=True, gc=False):
    """What is left to do of what a descriptor brought in one round.

    received: how many bytes it brought, 0 for its end, -1 for an error or nothing.
    rest: those of them that have not run. unsent: the end of its replies that it did not
    take. more: it may have more to tell at once (its end, an error, further bytes).
    """

    descriptor: int
    received: int
    rest: bytes
    unsent: bytes
    more: bool


class Feeds(Protocol):
    """Lines of many connections at once: received, run and answered in three calls.

    The caller owns the descriptors, and an epoll descriptor in which they stand
    edge-triggered. A round is `receive`, `run` or `skip`, `send` or `replies`, and then
    `unfinished`, in this order, with nothing else asked of the core in between.
    """

    descriptors_max: int
    """Descriptors from this on cannot be received from."""

    @property
    def more(self) -> bool:
        """Whether the round ended before everything that was ready was received."""
        ...

    def let_run(self, descriptor: int, session: int) -> None:
        """Say whose lines a descriptor brings, which run at once; 0: leave them alone."""
        ...

    def forget(self, descriptor: int) -> None:
        """Know no more of a descriptor that is being closed."""
        ...

    def receive(self, poller: int) -> int:
        """Receive what descriptors have ready, a bounded round; gives how many."""
        ...

    def run(self, now_ms: int) -> None:
        """Run all lines that `execute` would run, of those that may run at once."""
        ...

    def skip(self) -> None:
        """Run none: all that was received is `unfinished`."""
        ...

    def send(self) -> None:
        """Send the replies, as far as the connections take them without waiting."""
        ...

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """Give the replies by descriptor instead, for those that have to wait."""
        ...

    def unfinished(self) -> Iterator[Feed]:
        """Give the feeds of which something is left to do."""
        ...


class FeedCore(LineCore, Protocol):
    """A core that takes lines where they arrive (`Capabilities.takes_feeds`)."""

    feeds: Feeds
