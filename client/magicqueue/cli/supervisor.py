"""A worker of several processes: start them, start anew those that die, stop them all.

The processes are spawned, not forked, so nothing of the parent's state leaks into them.
They have SIGINT blocked from birth: a Ctrl-C in a terminal reaches the whole group, and it
is the parent that decides what it means. SIGTERM may reach a child more than once, from
the parent and from whoever stops the whole group, and means the same each time. A child
whose parent is gone stops by itself. (multiprocessing's own helper process is started
first, since starting it unblocks those signals.)

    parent ──SIGTERM──▶ child: finish what is held, tell the totals, exit 0
           ──SIGKILL──▶ at the second signal
           ◀── pipe ── ("alive",)  ("worn", why)  ("failed", exit code, sentence)
                       ("done", totals)

A process that is worn out stops by itself and is replaced at once. With --reload, all are
stopped and started when a file has changed; what cannot be imported waits for that.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final

from magicqueue import systemd
from magicqueue.backoff import next_wait_s
from magicqueue.cli.phrases import said_here
from magicqueue.cli.process_watch import ALIVE_S, Health, ProcessWatch
from magicqueue.cli.run import exit_code_of
from magicqueue.cli.screen import note
from magicqueue.cli.source_watch import SourceWatch
from magicqueue.cli.worker_process import (
    EXIT_HUNG,
    Totals,
    WorkerPlan,
    load,
    set_up_log,
    work,
)
from magicqueue.errors import MagicQueueError
from magicqueue.stop_signals import SAME_SIGNAL_S, STOP_SIGNALS, ignore

_HEALTHY_S: Final = 10.0
"""A process that lived for so long is started anew with the shortest wait."""

_LOOK_S: Final = 0.5
"""So often files are looked at, with --reload."""

_REMIND_S: Final = 0.2
"""SIGTERM is repeated so often, lest it came before a child could take it."""

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


@dataclass(slots=True)
class _Slot:
    """The place of one process, and how often it has died of late."""

    number: int
    process: SpawnProcess | None = None
    pipe: Connection | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_at: float = 0.0
    alive_at: float = 0.0
    """When it last said so."""
    replaced: bool = False
    """It ends to be started anew, through no fault."""
    broken: bool = False
    """It could not import its code, which is to be changed first."""


class Supervisor:
    """Runs `processes` processes of one plan."""

    def __init__(self, plan: WorkerPlan, processes: int) -> None:
        self._plan = plan
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._slots = [_Slot(number) for number in range(1, processes + 1)]
        self._totals = Totals()
        self._first_signal_at = 0.0
        self._stopping = False
        self._exit_code = 0
        self._said_why = False
        self._sources = SourceWatch(plan.folder) if plan.reload else None
        self._health = Health(plan.health_file)
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def run(self) -> int:
        """Supervise until a signal, or until a child cannot work; gives the exit code."""
        set_up_log(self._plan)
        before = {number: signal.signal(number, ignore) for number in STOP_SIGNALS}
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        resource_tracker.ensure_running()
        count = len(self._slots)
        how = "a process of its own" if count == 1 else f"{count} processes"
        logger.info("running %s in %s", self._plan.handler, how)
        try:
            while True:
                self._start_due()
                if self._stopping and not any(slot.process for slot in self._slots):
                    break
                self._wait()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wake)
            self._health.end()
        if not self._exit_code:
            logger.info("stopped: %s", self._totals)
        return self._exit_code

    def _on_signal(self, number: int) -> None:
        now = time.monotonic()
        if not self._first_signal_at:
            self._first_signal_at = now
            logger.info("%s: finishing what is held", signal.Signals(number).name)
            self._stop()
        elif now - self._first_signal_at > SAME_SIGNAL_S:
            for slot in self._slots:
                if slot.process is not None:
                    slot.process.kill()
            os._exit(128 + number)

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            is_due = slot.process is None and slot.start_at <= now
            if is_due and not (self._stopping or slot.broken):
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        pipe, childs_end = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=run_child,
            args=(self._plan, childs_end),
            name=f"magicqueue-worker-{slot.number}",
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        childs_end.close()
        slot.process, slot.pipe, slot.started_at = process, pipe, time.monotonic()
        if slot.deaths:
            logger.info("process %d is started anew (pid %d)", slot.number, process.pid)

    def _wait(self) -> None:
        """Wait until something happens, and deal with it."""
        watched: list[Any] = [self._woken]
        for slot in self._slots:
            if slot.process is not None:
                watched.append(slot.process.sentinel)
            if slot.pipe is not None:
                watched.append(slot.pipe)
        ready = wait(watched, self._patience_s())
        if self._woken in ready:
            self._on_signal(os.read(self._woken, 1)[0])
        elif self._stopping and not ready:
            self._stop()
        if self._sources is not None and not self._stopping:
            self._reload_if_changed(self._sources)
        for slot in self._slots:
            if slot.pipe is not None and slot.pipe in ready:
                self._listen(slot)
            if slot.process is not None and slot.process.sentinel in ready:
                self._bury(slot, slot.process)

    def _patience_s(self) -> float | None:
        """Give how long nothing may happen before there is something to do."""
        if self._stopping:
            return _REMIND_S
        due = [s.start_at for s in self._slots if s.process is None and not s.broken]
        if self._sources is not None:
            due.append(time.monotonic() + _LOOK_S)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _reload_if_changed(self, sources: SourceWatch) -> None:
        changed = sources.changed()
        if not changed:
            return
        logger.info("%s has changed: starting anew", changed)
        for slot in self._slots:
            slot.broken = False
            slot.start_at = 0.0
            if slot.process is not None:
                slot.replaced = True
                slot.process.terminate()

    def _follow_health(self) -> None:
        """Tell who asks while every process says that it is alive."""
        oldest = min(slot.alive_at for slot in self._slots)
        if oldest and time.monotonic() - oldest < 3 * ALIVE_S:
            self._health.tell()

    def _listen(self, slot: _Slot) -> None:
        """Take what a child says. It says nothing after its end."""
        assert slot.pipe is not None
        try:
            while slot.pipe.poll():
                match slot.pipe.recv():
                    case ("alive",):
                        slot.alive_at = time.monotonic()
                        self._follow_health()
                    case ("worn", why):
                        slot.replaced = True
                        logger.info("process %d %s: it is replaced", slot.number, why)
                    case ("failed", _, sentence) if self._sources is not None:
                        slot.broken = True
                        note(f"magicqueue: {sentence}")
                    case ("failed", code, sentence):
                        self._give_up(code, sentence)
                    case ("done", Totals() as totals):
                        self._totals = self._totals.plus(totals)
        except (EOFError, OSError):
            slot.pipe.close()
            slot.pipe = None

    def _give_up(self, code: int, sentence: str) -> None:
        if not self._said_why:
            self._said_why = True
            self._exit_code = code
            note(f"magicqueue: {sentence}")
        self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            systemd.stopping()
        self._stopping = True
        for slot in self._slots:
            if slot.process is not None:
                slot.process.terminate()

    def _bury(self, slot: _Slot, process: SpawnProcess) -> None:
        if slot.pipe is not None:
            self._listen(slot)
        if slot.pipe is not None:
            slot.pipe.close()
        slot.process = slot.pipe = None
        process.join()
        code, pid = process.exitcode or 0, process.pid
        process.close()
        replaced, slot.replaced = slot.replaced, False
        if self._stopping or slot.broken:
            return
        if replaced:
            slot.start_at, slot.deaths = 0.0, 0
            return
        lived_s = time.monotonic() - slot.started_at
        is_well = lived_s >= _HEALTHY_S or code == EXIT_HUNG
        slot.deaths = 1 if is_well else slot.deaths + 1
        wait_s = next_wait_s(slot.deaths - 1)
        slot.start_at = time.monotonic() + wait_s
        logger.error(
            "process %d (pid %d) %s: another is started in %.1f s",
            slot.number,
            pid,
            _cause(code),
            wait_s,
        )


def _cause(code: int) -> str:
    if code == EXIT_HUNG:
        return "was ended with a handler that hangs"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended by itself with exit code {code}"


def run_child(plan: WorkerPlan, pipe: Connection) -> None:
    """Work in a spawned process, until SIGTERM or the parent's end."""
    set_up_log(plan)
    threading.Thread(target=_follow_parent, daemon=True).start()
    sending = threading.Lock()

    def say(*words: Any) -> None:
        with sending, contextlib.suppress(OSError):  # the parent may be gone
            pipe.send(words)

    watch = ProcessWatch(
        plan.max_jobs,
        plan.max_memory,
        lambda why: say("worn", why),
        (lambda: say("alive")) if plan.tells_alive else None,
    )
    try:
        handler = load(plan)
        work(plan, handler, lambda totals: say("done", totals), watch.begin, is_child=True)
    except MagicQueueError as error:
        say("failed", exit_code_of(error), said_here(error))
    watch.end()
    with sending:
        pipe.close()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    logger.warning("the parent process is gone")
    os.kill(os.getpid(), signal.SIGTERM)
