"""A whole server without sockets, threads or clocks, on a disk in memory.

Work for the disk is done when `pump` is called, timers when `tick` turns the clock; so a
run is a function of its script, its seed and its faults.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from magicqueue.wire.limits import Limits
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.policies import PolicyOptions
from magicqueue_server.columns import JobDefaults
from magicqueue_server.engine import Engine
from magicqueue_server.looks import ServerFacts
from magicqueue_server.session import Session
from magicqueue_server.turns import Turns
from magicqueue_server.wal.journal import Journal
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.place import Place, begin_journal
from magicqueue_server.wal.reclaim import Reclaimer
from magicqueue_server.wal.recovery import Recovered, recover
from server.desk import StillClock
from wal.memory_disk import Killed, MemoryFolder
from wal.stub_policies import StubPolicies

IDS_AHEAD = 8
START_MS = 1_700_000_000_000
Call = Callable[[], None]


class HeldTasks:
    """Tasks that run when they are told to."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: deque[Call] = deque()
        self.jobs: deque[tuple[Call, Callable[[BaseException | None], None]]] = deque()
        self.timers: list[tuple[int, int, Call]] = []
        self.serial = count()
        self.stalled = False
        """The thread is in the middle of a job, and stays there."""

    def soon(self, call: Call) -> None:
        self.calls.append(call)

    def later(self, delay_ms: int, call: Call) -> None:
        heapq.heappush(self.timers, (self.now + delay_ms, next(self.serial), call))

    def run(self, job: Call, done: Callable[[BaseException | None], None]) -> None:
        self.jobs.append((job, done))

    def pump(self) -> None:
        """Do all that is to be done now."""
        while self.calls or (self.jobs and not self.stalled):
            if self.calls:
                self.calls.popleft()()
                continue
            job, done = self.jobs.popleft()
            error: BaseException | None = None
            try:
                job()
            except Killed:
                raise
            except BaseException as caught:  # noqa: BLE001 - as the thread does
                error = caught
            done(error)

    def due(self, now: int) -> None:
        self.now = now
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()
            self.pump()


class Client:
    """One connection: replies as they came."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.replies: list[dict[str, Any]] = []
        self.hung_up = False
        self.session: Session = server.engine.open(
            self._write, self._hang_up, lambda: None, server.now
        )

    def _write(self, data: bytes) -> None:
        self.replies += [msgspec.json.decode(line) for line in data.splitlines()]

    def _hang_up(self) -> None:
        self.hung_up = True

    def send(self, *requests: dict[str, Any]) -> None:
        """Send request lines in one piece, and let nothing else happen yet.

        As a listener does, none is read any more from one that was hung up on.
        """
        if self.hung_up:
            return
        lines = b"".join(msgspec.json.encode(request) + b"\n" for request in requests)
        self.server.engine.feed(self.session, lines, self.server.now)

    def ask(self, **request: Any) -> dict[str, Any] | None:
        """Send one request and give its reply, None if there is none yet."""
        before = len(self.replies)
        self.send(request)
        self.server.pump()
        return self.replies[-1] if len(self.replies) > before else None

    def close(self) -> None:
        self.server.engine.close(self.session, self.server.now)
        self.server.pump()


class Server:
    """A running server. Making one opens the log in the folder, as a start does.

    with_policies: whether something stands above the core that marks jobs and keeps facts.
    place: where the log is, if not in the folder.
    """

    def __init__(
        self,
        folder: MemoryFolder,
        *,
        mode: str = "always",
        core: str = "python",
        now: int = START_MS,
        segment_bytes: int = 4096,
        options: CoreOptions | None = None,
        policy_options: PolicyOptions | None = None,
        with_policies: bool = False,
        place: Place | None = None,
    ) -> None:
        self.folder = folder
        self.place = place
        self.now = now
        self.tasks = HeldTasks()
        self.tasks.now = now
        self.failures: list[BaseException] = []
        self.log = Log(self.tasks, mode, lambda: self.now)
        self.log.on_failure = self.failures.append
        self.policies = StubPolicies(self.log.record)
        record = self.policies.see if with_policies else self.log.record
        record_bytes = None if with_policies else self.log.record_bytes
        self.engine = Engine(
            lambda on_ready: make_core(
                core,
                options or CoreOptions(),
                on_ready=on_ready,
                record=record,
                record_bytes=record_bytes,
            ),
            Limits(),
            JobDefaults(),
            ServerFacts(version="0"),
            lambda session: self.tasks.soon(lambda: self._resume(session)),
            Turns(self.tasks.soon, StillClock(lambda: self.now)),
            self.log,
            policy_options or PolicyOptions(),
        )
        self.policies.core = core_here = self.engine.core
        filled = self.policies if with_policies else self.engine.policies or core_here
        self.found: Recovered = (
            recover(folder, filled) if place is None else place.recover(filled)
        )
        self.now = max(now, self.found.last_ms)
        self.engine.sessions.begin_after(self.found.session)
        journal = (
            self._begun(segment_bytes, mode) if place is None else place.begin(self.found)
        )
        self.log.begin(journal, self.found.last_id, self.found.sequence)
        source = self.policies if with_policies else self.engine.policies
        self.reclaimer = self._reclaimer(segment_bytes, source)
        self.log.prepare()
        self.reclaimer.start()
        if place is not None:
            place.tend(self.tasks, self.log.fail)
        self.pump()

    def _reclaimer(self, segment_bytes: int, source: Any) -> Reclaimer:
        return Reclaimer(
            self.log,
            self.engine.core,
            self.tasks,
            self.found,
            segment_bytes=segment_bytes,
            now_ms=lambda: self.now,
            source=source,
        )

    def _begun(self, segment_bytes: int, mode: str) -> Journal:
        return begin_journal(
            self.folder,
            self.found,
            segment_bytes=segment_bytes,
            now_ms=lambda: self.now,
            mode=mode,
            ids_ahead=IDS_AHEAD,
        )

    def _resume(self, session: Session | None) -> None:
        if session is None:
            self.engine.advance(self.now)
        else:
            self.engine.resume(session, self.now)

    def client(self) -> Client:
        return Client(self)

    def pump(self) -> None:
        self.tasks.pump()

    def tick(self, span_ms: int) -> None:
        """Let time pass."""
        self.now += span_ms
        self.engine.advance(self.now)
        self.engine.end_leases(self.now, self.now)
        self.pump()
        self.tasks.due(self.now)

    def stop(self) -> None:
        """End in good order."""
        self.engine.stop(self.now)
        self.engine.sessions.keep_leases()
        self.log.when_safe(lambda: None)
        self.pump()
        self.log.journal.close(clean=True)
        if self.place is not None:
            self.place.close()


def after(folder: MemoryFolder, rng: random.Random, how: str) -> MemoryFolder:
    """The disk after a kill or a power cut."""
    return folder.after_kill() if how == "kill" else folder.after_power_cut(rng)
