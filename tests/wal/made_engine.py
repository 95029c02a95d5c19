"""An engine that is made up: a log in memory, and every way in which it may not answer.

`MadeUp` is what all servers share; `MadeEngine` is one server's way to it. Each call of it
is counted, and `fault(number, name)` says what goes wrong, if anything does:

- "lost": the call got lost on its way, and nobody says so;
- "done": it was done, and the answer got lost;
- "late": it got lost, and is done behind a later call (or never);
- "cancelled": it was done here, and somebody ended the wait for the quorum;
- "full": there is no room (as the engine says before it does anything);
- "deposed": before it another server takes the log over;
- "kill", "kill behind": the server ends before or behind it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from magicqueue_server.wal.journal import DiskFull
from magicqueue_server.wal.store import Claim, Contents, Held, LogStore, Row, Unsure
from magicqueue_server.wal.store_place import StorePlace
from wal.memory_disk import Killed, MemoryFolder
from wal.simulated import START_MS, Server

LEASE_MS = 3000
GIVE_UP_MS = 2000
FAULTS = (
    "lost",
    "done",
    "late",
    "cancelled",
    "full",
    "deposed",
    "kill",
    "kill behind",
)
Fault = Callable[[int, str], str | None]


def no_fault(_number: int, _name: str) -> None:
    return None


@dataclass
class MadeUp:
    """The engine itself. `epoch_checked`: whether it looks who writes, as it should."""

    now_ms: int = 0
    epoch: int = 0
    tail: int = 0
    owner: str = ""
    seen_ms: int = 0
    chunks: dict[int, Row] = field(default_factory=dict)
    epoch_checked: bool = True
    owners: "count[int]" = field(default_factory=lambda: count(1))

    def claim(self, me: str, lease_ms: int) -> Claim | str:
        if self.owner not in {"", me} and self.now_ms < self.seen_ms + lease_ms:
            return self.owner
        self.epoch, self.owner, self.seen_ms = self.epoch + 1, me, self.now_ms
        return Claim(self.epoch, self.tail)

    def append(self, claim: Claim, rows: Sequence[Row]) -> bool:
        if self.epoch_checked and (claim.epoch, claim.tail) != (self.epoch, self.tail):
            return False
        self.chunks.update(enumerate(rows, claim.tail + 1))
        self.tail, self.seen_ms = claim.tail + len(rows), self.now_ms
        return True

    def contents(self) -> Contents:
        found: dict[int, Held] = {}
        for number in sorted(self.chunks):
            segment, data = self.chunks[number]
            held = found.get(segment, Held(segment, number, 0, 0))
            found[segment] = Held(
                segment, held.first, held.chunks + 1, held.size_bytes + len(data)
            )
        return Contents(self.epoch, self.tail, list(found.values()))

    def trim(self, claim: Claim, first: int) -> None:
        if claim.epoch == self.epoch:
            for number in [number for number in self.chunks if number < first]:
                del self.chunks[number]

    def release(self, claim: Claim) -> None:
        if claim.epoch == self.epoch:
            self.owner = ""


class MadeEngine:
    """One server's way to it."""

    name = "the made-up engine"

    def __init__(self, shared: MadeUp, fault: Fault = no_fault) -> None:
        self.shared = shared
        self.fault = fault
        self.operations = 0
        self.names: list[str] = []
        self.late: list[Callable[[], object]] = []
        self.rng = random.Random(1)

    def _step(self, name: str, call: Callable[[], Any]) -> Any:
        self.operations += 1
        self.names.append(name)
        fault = self.fault(self.operations, name)
        if self.late and self.rng.random() < 0.5:
            self.late.pop()()
        if fault in {"lost", "late"}:
            if fault == "late":
                self.late.append(call)
            raise Unsure("the connection was lost")
        if fault == "kill":
            raise Killed
        if fault == "full" and name in {"append", "trim"}:
            raise DiskFull("No space left on device")
        if fault == "deposed" and name != "claim":
            shared = self.shared
            shared.seen_ms = -LEASE_MS
            shared.claim(f"server {next(shared.owners)}", LEASE_MS)
        answer = call()
        if fault == "kill behind":
            raise Killed
        if fault in {"done", "cancelled"}:
            raise Unsure("no answer came")
        return answer

    def connect(self) -> None:
        self._step("connect", lambda: None)

    def claim(self, me: str, lease_ms: int) -> Claim | str:
        answer = self._step("claim", lambda: self.shared.claim(me, lease_ms))
        assert isinstance(answer, Claim | str)
        return answer

    def append(self, claim: Claim, rows: Sequence[Row]) -> bool:
        return bool(self._step("append", lambda: self.shared.append(claim, rows)))

    def tail(self, epoch: int) -> int | None:
        shared = self.shared
        tail = self._step("tail", lambda: shared.tail if epoch == shared.epoch else None)
        assert tail is None or isinstance(tail, int)
        return tail

    def contents(self) -> Contents:
        found = self._step("contents", self.shared.contents)
        assert isinstance(found, Contents)
        return found

    def read(self, held: Held) -> bytes:
        def read() -> bytes:
            numbers = range(held.first, held.first + held.chunks)
            return b"".join(self.shared.chunks[number][1] for number in numbers)

        return bytes(self._step("read", read))

    def trim(self, claim: Claim, first: int) -> None:
        self._step("trim", lambda: self.shared.trim(claim, first))

    def release(self, claim: Claim) -> None:
        self._step("release", lambda: self.shared.release(claim))

    def close(self) -> None:
        pass


class StoreServer(Server):
    """A simulated server whose log is in a made-up engine."""

    def __init__(
        self, shared: MadeUp, fault: Fault = no_fault, *, segment_bytes: int, **more: Any
    ) -> None:
        self.shared = shared
        self.engine_there = MadeEngine(shared, fault)
        super().__init__(
            MemoryFolder(),
            segment_bytes=segment_bytes,
            place=place_of(self.engine_there, segment_bytes),
            **more,
        )

    def tick(self, span_ms: int) -> None:
        self.shared.now_ms += span_ms
        super().tick(span_ms)


def store_of(engine: MadeEngine) -> LogStore:
    shared = engine.shared

    def sleep(span_ms: int) -> None:
        shared.now_ms += span_ms

    return LogStore(
        engine,
        f"server {next(shared.owners)}",
        lease_ms=LEASE_MS,
        give_up_ms=GIVE_UP_MS,
        monotonic_ns=lambda: shared.now_ms * 1_000_000,
        sleep=sleep,
    )


def place_of(engine: MadeEngine, segment_bytes: int) -> StorePlace:
    shared = engine.shared

    def sleep(span_ms: int) -> None:
        shared.now_ms += span_ms

    return StorePlace(
        store_of(engine),
        lease_ms=LEASE_MS,
        segment_bytes=segment_bytes,
        now_ms=lambda: START_MS + shared.now_ms,
        sleep=sleep,
    )
