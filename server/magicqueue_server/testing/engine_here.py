"""The server's engine with a python core, driven by calls instead of a network.

Time stands still but for `advance`. What the engine wants done soon is done before each
call returns, so whoever has sent a line has its reply, unless it waits for jobs.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from magicqueue.wire.framing import LineBuffer
from magicqueue_cores import make_core
from magicqueue_server.about import version
from magicqueue_server.clock import SystemClock
from magicqueue_server.config import load
from magicqueue_server.engine import Engine
from magicqueue_server.looks import ServerFacts
from magicqueue_server.session import Session
from magicqueue_server.turns import Turns


class StillClock:
    """A clock that only its owner turns."""

    ahead_ms: Final = 0

    def __init__(self) -> None:
        self.ms = SystemClock().now_ms()

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self.ms

    def monotonic_ns(self) -> int:
        """Nanoseconds: none pass, so nobody's turn is ever over."""
        return 0

    def follow_wall(self) -> int:
        """Follow nothing."""
        return 0

    def not_before(self, ms: int) -> int:
        """Go on from this time if it is later than now; gives by how much it was."""
        ahead = max(0, ms - self.ms)
        self.ms += ahead
        return ahead


class EngineHere:
    """An engine, its clock, and those who are connected. From any thread, one at a time.

    on_lines: is told the lines that somebody sends, before they are run.
    """

    def __init__(self, on_lines: Callable[[bytes], None]) -> None:
        config = load({}, {}, None)
        self.clock = StillClock()
        self.on_lines = on_lines
        self._line_bytes_max = config.limits.line_bytes_max
        self._soon: deque[Callable[[], object]] = deque()
        self._lock = threading.RLock()
        self._settling = False
        self._lines: list[LineHere] = []
        self._engine = Engine(
            lambda on_ready: make_core("python", config.core_options, on_ready=on_ready),
            config.limits,
            config.job_defaults,
            ServerFacts(version=version()),
            self._wake,
            Turns(self._soon.append, self.clock),
        )
        self._engine.advance(self.clock.ms)

    def connect(
        self, deliver: Callable[[bytes], None], hang_up: Callable[[], None]
    ) -> "LineHere":
        """Begin a connection; see `in_process.Server`."""
        with self._lock:
            line = LineHere(self, hang_up, LineBuffer(self._line_bytes_max))
            line.session = self._engine.open(
                deliver, line.hang_up_soon, _nothing, self.clock.ms
            )
            self._lines.append(line)
        return line

    def feed(self, line: "LineHere", data: bytes) -> None:
        """Run what was sent."""
        with self._lock:
            lines = line.buffer.feed(memoryview(data))
            if lines and line.session is not None:
                self.on_lines(lines)
                self._engine.feed(line.session, lines, self.clock.ms)
                self._settle()

    def end(self, line: "LineHere") -> None:
        """Forget a connection: its jobs go back."""
        with self._lock:
            if line in self._lines and line.session is not None:
                self._lines.remove(line)
                self._engine.close(line.session, self.clock.ms)
                self._settle()

    def advance(self, by_ms: int) -> None:
        """Let time pass: what is due on the way happens when it is due, in order."""
        with self._lock:
            until_ms = self.clock.ms + by_ms
            while (due_ms := self._engine.next_deadline_ms) <= until_ms:
                self.clock.ms = max(due_ms, self.clock.ms)
                self._let_happen()
                if self._engine.next_deadline_ms == due_ms:
                    break
            self.clock.ms = until_ms
            self._let_happen()

    def close(self) -> None:
        """Hang up on all."""
        for line in list(self._lines):
            line.hang_up()

    def _let_happen(self) -> None:
        self._engine.advance(self.clock.ms)
        while not self._engine.end_leases(self.clock.ms, self.clock.ms):
            self._settle()
        self._settle()

    def _settle(self) -> None:
        """Do what is to be done soon, unless that goes on already further out."""
        if self._settling:
            return
        self._settling = True
        try:
            while self._soon:
                self._soon.popleft()()
                if self._engine.next_deadline_ms <= self.clock.ms:
                    self._engine.advance(self.clock.ms)
        finally:
            self._settling = False

    def _wake(self, session: Session | None) -> None:
        if session is None:
            self._soon.append(lambda: self._engine.advance(self.clock.ms))
        else:
            self._soon.append(lambda: self._engine.resume(session, self.clock.ms))

    def soon(self, step: Callable[[], object]) -> None:
        """Have something done before the call under way returns."""
        self._soon.append(step)


class LineHere:
    """One connection; see `in_process.Line`."""

    session: Session | None = None

    def __init__(
        self, engine: EngineHere, hang_up: Callable[[], None], buffer: LineBuffer
    ) -> None:
        self.hang_up = hang_up
        self.buffer = buffer
        self._engine = engine

    def send(self, data: bytes) -> None:
        """Run what was sent."""
        self._engine.feed(self, data)

    def close(self) -> None:
        """End it."""
        self._engine.end(self)

    def hang_up_soon(self) -> None:
        """End it from the server's side, once what was written has been taken."""
        self._engine.soon(self.hang_up)


def _nothing() -> None:
    """Read on: here nobody reads, lines come by themselves."""
