"""A log in an engine beyond this machine: who owns it, and how chunks get into it.

An `Engine` (PostgreSQL: `store_postgres`) keeps *chunks* of bytes, numbered without a gap,
and one row that says which *epoch* owns the log and how many chunks there are, its *tail*.
What it does it does whole, and says so when a quorum of its copies has it on their disks.
Two rules make everything else:

- An append names the epoch and the tail that it goes behind, and does nothing where the
  row says something else. Taking over makes the epoch one more. So an owner that was
  paused, cut off or given up on can write nothing from then on, whatever its clock says.
- After anything but a clear answer (a lost connection, a wait that somebody cancelled) the
  outcome is *unknown*. Then the row is written once more, under the epoch, which waits for
  the quorum and for whatever is still under way; its tail tells whether the append is
  there. Nobody is answered before that. A tail that is neither means that the engine lost
  what it had promised: the log fails.

The *lease* decides only when another server may take over, never who may write: an owner
says in each append that it lives, or once a second when there is nothing to append, and
one that has said nothing for the length of the lease may be followed. Both moments are of
the engine's clock.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from magicqueue_server.wal.journal import Deposed, StoreFacts, StoreFailed
from magicqueue_server.wal.verdict import ChunksMissing

T = TypeVar("T")
Row = tuple[int, bytes]
"""The number of a segment, and a chunk of it."""

RETRY_MS: Final = 50


class Unsure(Exception):
    """The engine gave no clear answer: what was asked for was done, or not, or will be."""


class Owned(Exception):
    """Another server owns the log and lives; the text says which."""


class Claim(msgspec.Struct, frozen=True):
    """What an owner has of a log: its epoch, and the tail that it found."""

    epoch: int
    tail: int


class Held(msgspec.Struct, frozen=True):
    """A segment that an engine has: its chunks, from `first` on, and all their bytes."""

    number: int
    first: int
    chunks: int
    size_bytes: int


class Contents(msgspec.Struct, frozen=True):
    """All that an engine has, as of one moment."""

    epoch: int
    tail: int
    segments: list[Held]


class Engine(Protocol):
    """What keeps chunks. Every method may raise Unsure, or StoreFailed if it never can.

    `contents` and `read` have a connection of their own, so they may run beside others.
    """

    @property
    def name(self) -> str:
        """What it is and where, with no secret in it."""
        ...

    def connect(self) -> None:
        """Have a connection to write, a new one if the last is not good any more."""
        ...

    def claim(self, me: str, lease_ms: int) -> Claim | str:
        """Take the log over if nobody has it, or had until `lease_ms` ago; or say who."""
        ...

    def append(self, claim: Claim, rows: Sequence[Row]) -> bool:
        """Store rows behind the claim's tail, all or none, and say that its owner lives.

        False if the log is not at this epoch and tail. Raises DiskFull.
        """
        ...

    def tail(self, epoch: int) -> int | None:
        """Return the tail that a quorum knows, None if the epoch is not this one."""
        ...

    def contents(self) -> Contents:
        """Return what there is."""
        ...

    def read(self, held: Held) -> bytes:
        """Return the bytes of a segment."""
        ...

    def trim(self, claim: Claim, first: int) -> None:
        """Let all chunks before this one go, if the epoch still is the claim's."""
        ...

    def release(self, claim: Claim) -> None:
        """Own the log no more, so that the next server need not wait."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


class LogStore:
    """A log in an engine, as its owner has it. One thread at a time, but for `read`.

    me: names this server, and no other. give_up_ms: so long is tried what may be done
    later. sleep: waits for some milliseconds.
    """

    def __init__(
        self,
        engine: Engine,
        me: str,
        *,
        lease_ms: int,
        give_up_ms: int,
        monotonic_ns: Callable[[], int],
        sleep: Callable[[int], None],
    ) -> None:
        self._engine = engine
        self._me = me
        self._lease_ms = lease_ms
        self._give_up_ms = give_up_ms
        self._monotonic_ns = monotonic_ns
        self._sleep = sleep
        self._claim: Claim | None = None
        self._firsts: dict[int, int] = {}
        """The first chunk of each segment."""
        self._told_ns = 0
        self._unclear = 0
        self._appended_bytes = 0
        self._failure: StoreFailed | None = None

    @property
    def name(self) -> str:
        """What it is and where, with no secret in it."""
        return self._engine.name

    @property
    def quiet_ms(self) -> int:
        """How long ago the engine last heard that this owner lives."""
        return (self._monotonic_ns() - self._told_ns) // 1_000_000

    def facts(self) -> StoreFacts | None:
        """Return what is known of the log, None before it is taken over."""
        claim = self._claim
        if claim is None:
            return None
        return StoreFacts(
            place=self.name,
            owner=self._me,
            epoch=claim.epoch,
            chunks=claim.tail,
            quiet_ms=self.quiet_ms,
            unclear=self._unclear,
            appended_bytes=self._appended_bytes,
        )

    def take_over(self) -> list[Held]:
        """Become the owner; gives what the log has. Raises Owned, Refused or StoreFailed.

        A claim whose outcome is unknown is made again: it comes from the same owner.
        """
        claim = self._surely(self._claimed)
        if isinstance(claim, str):
            raise Owned(claim)
        self._claim = claim
        self._told_ns = self._monotonic_ns()
        there = self._surely(self._engine.contents)
        if there.epoch > claim.epoch:
            raise self._deposed()
        if there.epoch < claim.epoch or there.tail != claim.tail:
            raise StoreFailed(
                f"{self.name} answers from a copy that has not what was just written to it:"
                " give the address of the primary, and of servers that may become it"
            )
        check_whole(there, self.name)
        self._firsts = {held.number: held.first for held in there.segments}
        return there.segments

    def read(self, held: Held) -> bytes:
        """Return the bytes of a segment. Raises StoreFailed."""
        return self._surely(lambda: self._engine.read(held))

    def _claimed(self) -> Claim | str:
        self._engine.connect()
        return self._engine.claim(self._me, self._lease_ms)

    def append(self, rows: Sequence[Row] = ()) -> None:
        """Store chunks, and return when a quorum has them; none only says: I live.

        Raises DiskFull, which leaves all as it was; or Deposed or StoreFailed, after which
        nothing may be appended any more.
        """
        claim = self._owned()
        after = Claim(claim.epoch, claim.tail + len(rows))
        try:
            self._append(claim, after, rows)
        except StoreFailed as error:
            self._failure = error
            raise
        self._claim, self._told_ns = after, self._monotonic_ns()
        self._appended_bytes += sum(len(body) for _, body in rows)
        for index, (number, _) in enumerate(rows, claim.tail + 1):
            self._firsts.setdefault(number, index)

    def _append(self, claim: Claim, after: Claim, rows: Sequence[Row]) -> None:
        deadline_ns = self._deadline_ns()
        sent = doubt = False
        while True:
            try:
                self._engine.connect()
                if doubt and self._is_there(claim, after, sent=sent):
                    return
                sent = True
                if self._engine.append(claim, rows):
                    return
                doubt = True
            except Unsure as error:
                doubt = True
                self._wait(deadline_ns, error)

    def _is_there(self, claim: Claim, after: Claim, *, sent: bool) -> bool:
        """Whether what was appended is. Raises Unsure, Deposed or StoreFailed."""
        tail = self._engine.tail(claim.epoch)
        if tail is None:
            raise self._deposed()
        if tail == after.tail and sent:
            return tail != claim.tail
        if tail != claim.tail:
            raise StoreFailed(
                f"{self.name} has {tail:,} chunks of the log, and had acknowledged"
                f" {claim.tail:,}: it lost what it had promised (a copy that was behind"
                " became the primary?), so nothing more is promised here"
            )
        return False

    def trim(self, number: int) -> None:
        """Let all segments before this one go. Raises Deposed or StoreFailed."""
        claim, first = self._owned(), self._firsts[number]

        def trim() -> None:
            self._engine.connect()
            self._engine.trim(claim, first)

        self._surely(trim)
        self._firsts = {known: at for known, at in self._firsts.items() if known >= number}

    def close(self) -> None:
        """End, and let the next server take over at once, unless something failed."""
        try:
            if self._claim is not None and self._failure is None:
                self._engine.connect()
                self._engine.release(self._claim)
        except (Unsure, StoreFailed):
            pass  # the lease ends by itself
        finally:
            self._claim = None
            self._engine.close()

    def _owned(self) -> Claim:
        if self._failure is not None:
            raise self._failure
        assert self._claim is not None, "the log is not taken over, or was closed"
        return self._claim

    def _deposed(self) -> Deposed:
        return Deposed(
            f"another server has taken over the log in {self.name}; what this one had not"
            " acknowledged may not have been kept"
        )

    def _surely(self, call: Callable[[], T]) -> T:
        """Do what may be done twice until it is done. Raises StoreFailed."""
        deadline_ns = self._deadline_ns()
        while True:
            try:
                return call()
            except Unsure as error:
                self._wait(deadline_ns, error)

    def _deadline_ns(self) -> int:
        return self._monotonic_ns() + self._give_up_ms * 1_000_000

    def _wait(self, deadline_ns: int, error: Unsure) -> None:
        """Wait a little, or raise StoreFailed if that has been done long enough."""
        self._unclear += 1
        if self._monotonic_ns() >= deadline_ns:
            raise StoreFailed(
                f"{self.name} gave no answer for {self._give_up_ms / 1000:g} s ({error})"
            ) from None
        self._sleep(RETRY_MS)


def check_whole(there: Contents, name: str) -> None:
    """Look whether chunks are missing. Raises ChunksMissing."""
    at = there.segments[0].first if there.segments else there.tail + 1
    for index, held in enumerate(there.segments):
        before = there.segments[index - 1].number if index else held.number - 1
        if held.first != at or held.number != before + 1:
            break
        at += held.chunks
    else:
        if at == there.tail + 1 and (there.segments or not there.tail):
            return
    raise ChunksMissing(
        f"chunks of the log in {name} are missing: chunk {at:,} of {there.tail:,} is not"
        " where it should be. Something else than MagicQueue changed its tables: bring"
        " them back from a backup"
    )
