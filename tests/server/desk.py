"""Drives an engine by hand: callers who send lines, a clock to turn, no I/O.

The engine runs over a core that answers at once, or over a `LaterCore`; `settle` then lets
it answer until there is nothing left to answer, and every other method does so by itself,
unless told to hold on.
"""

import random
from collections import deque
from collections.abc import Callable

import msgspec

from later_core import LaterCore
from magicqueue.wire.limits import Limits
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import Core, CoreOptions
from magicqueue_cores.policies import PolicyOptions
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.columns import JobDefaults
from magicqueue_server.engine import Engine
from magicqueue_server.looks import ServerFacts
from magicqueue_server.session import Session
from magicqueue_server.turns import Turns

START_MS = 1_700_000_000_000
TIMES = b'"created_at":%d,"run_at":%d' % (START_MS, START_MS)


class StillClock:
    """A clock that its owner turns; only looking at it takes time, if `look_ns` is set."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.look_ns = 0
        self.ahead_ms = 0
        self._ns = 0

    def monotonic_ns(self) -> int:
        self._ns += self.look_ns
        return self._ns

    def follow_wall(self) -> int:
        return 0

    def not_before(self, _ms: int) -> int:
        raise NotImplementedError


class Caller:
    """One session, what it was told, and what it was asked to do."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._written: list[bytes] = []
        self.hang_ups = 0
        self.read_ons = 0
        self.session: Session = desk.engine.open(
            self._written.append, self._hang_up, self._read_on, desk.now
        )

    def send(self, *lines: bytes, settle: bool = True) -> "Caller":
        """Send lines, each without its end, in one piece."""
        return self.feed(b"".join(line + b"\n" for line in lines), settle=settle)

    def feed(self, lines: bytes, *, settle: bool = True) -> "Caller":
        """Send lines with their ends."""
        self._desk.engine.feed(self.session, lines, self._desk.now)
        if settle:
            self._desk.settle()
        return self

    def heard(self) -> list[bytes]:
        """The reply lines since the last call, ends taken off."""
        text = b"".join(self._written)
        self._written.clear()
        assert not text or text.endswith(b"\n")
        return text.split(b"\n")[:-1]

    def ask(self, *lines: bytes) -> list[bytes]:
        """Send lines and give the replies."""
        return self.send(*lines).heard()

    def close(self) -> None:
        """End the session."""
        self._desk.engine.close(self.session, self._desk.now)
        self._desk.settle()

    def _hang_up(self) -> None:
        self.hang_ups += 1

    def _read_on(self) -> None:
        self.read_ons += 1
        self.session.held = False


class Desk:
    """An engine, its time `now`, and its core `core` (which may be a LaterCore)."""

    def __init__(
        self,
        seed: int | None = None,
        *,
        core: type[PythonCore] | type[ArrayCore] = PythonCore,
        limits: Limits | None = None,
        defaults: JobDefaults | None = None,
        policy_options: PolicyOptions | None = None,
        **options: int,
    ) -> None:
        self.now = START_MS
        self._rng = random.Random(seed)
        self._woken: deque[Session | None] = deque()
        self.soon: deque[Callable[[], object]] = deque()
        """What the engine's turns have asked to be called."""
        self.clock = StillClock(lambda: self.now)
        self.turns = Turns(self.soon.append, self.clock)
        self.later: LaterCore | None = None
        self.settle_checks = True
        """Whether every `settle` has the core verify itself, which is O(jobs)."""

        def make(on_ready: Callable[[str], None]) -> Core:
            made = core(CoreOptions(**options), on_ready=on_ready)
            if seed is None:
                return made
            self.later = LaterCore(made, seed)
            return self.later

        self.engine = Engine(
            make,
            limits or Limits(),
            defaults or JobDefaults(),
            ServerFacts(version="1.2.3"),
            self._woken.append,
            self.turns,
            policy_options=policy_options or PolicyOptions(),
        )
        self.engine.advance(self.now)

    def caller(self) -> Caller:
        """Open a session."""
        return Caller(self)

    def tick(self, span_ms: int) -> None:
        """Turn the clock forward."""
        self.now += span_ms
        self.engine.advance(self.now)
        while not self.engine.end_leases(self.now, self.now):
            pass
        self.settle()

    def settle(self) -> None:
        """Let the core answer until it has nothing to answer."""
        later = self.later
        while self._woken or self.soon or (later is not None and later.busy):
            if self.soon and self._rng.random() < 0.5:
                self.soon.popleft()()
            elif later is not None and later.busy and self._rng.random() < 0.7:
                later.step()
            elif self._woken:
                session = self._woken.popleft()
                if session is None:
                    self.engine.advance(self.now)
                else:
                    self.engine.resume(session, self.now)
            if self.engine.next_deadline_ms <= self.now:
                self.engine.advance(self.now)
        if self.settle_checks:
            self.engine.core.check()


def job(
    job_id: int, data: bytes = b"1", *, queue: bytes = b"q", attempts: int = 1
) -> bytes:
    """A job as PULL gives it, pushed at the start with no more than its data."""
    return b'{"id":%d,"queue":"%b","data":%b,"priority":0,%b,"attempts":%d}' % (
        job_id,
        queue,
        data,
        TIMES,
        attempts,
    )


def one(job_object: bytes) -> bytes:
    """The reply of a PULL."""
    return b'{"ok":true,"job":%b}' % job_object


def many(*job_objects: bytes) -> bytes:
    """The reply of a PULLB."""
    return b'{"ok":true,"jobs":[%b]}' % b",".join(job_objects)


def code_of(reply: bytes) -> str:
    """The code of an error reply."""
    fields = msgspec.json.decode(reply)
    assert fields["ok"] is False
    assert fields["error"]
    code = fields["code"]
    assert isinstance(code, str)
    return code
