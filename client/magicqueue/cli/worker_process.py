"""One process of a worker: its plan, its log, and the worker it runs.

A plan is plain data, so that a supervisor can hand it to a process that it spawns.
"""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias

from magicqueue import systemd
from magicqueue.cli.discovery import found_by
from magicqueue.cli.log_lines import JsonLines, PlainLines
from magicqueue.cli.phrases import jobs
from magicqueue.cli.process_watch import Health, ProcessWatch
from magicqueue.commands import message_of
from magicqueue.errors import HandlerNotFound
from magicqueue.handlers import Handler, is_async, wraps_async
from magicqueue.job_log import JobLogFilter
from magicqueue.loop_signals import signals_in_loop
from magicqueue.stop_signals import StopSignal, watched_signals
from magicqueue.sync_worker import SyncWorker
from magicqueue.tasks.registry import Tasks
from magicqueue.tasks.service import TaskWorker
from magicqueue.tasks.task import Task
from magicqueue.worker import Worker
from magicqueue.worker_options import TASKS, THREADS

EXIT_HUNG: Final = 70
"""A process ended because a handler inline was over its time limit."""

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What one process of a worker is to do."""

    handler: str
    folder: str
    """Where modules are looked for first."""
    queues: tuple[str, ...]
    turns: bool
    url: str | None
    concurrency: int | None
    inline: bool
    pool: int | None
    batch_size: int
    prefetch: int | None
    lease_s: float
    time_limit_s: float | None
    grace_s: float
    timeout_s: float
    log_level: str
    log_json: bool
    max_jobs: int | None
    max_memory: int | None
    reload: bool
    health_file: str | None

    @property
    def tells_alive(self) -> bool:
        """Whether anybody wants to know that its processes are alive."""
        return self.health_file is not None or systemd.is_wanted()

    @property
    def replaces_processes(self) -> bool:
        """Whether its processes end now and then, for a supervisor to start others.

        What hangs in a thread that cannot be spared ends with its process, too.
        """
        hangs = self.inline and self.time_limit_s is not None
        return hangs or self.reload or bool(self.max_jobs or self.max_memory)


@dataclass(frozen=True, slots=True)
class Totals:
    """How the jobs of one process, or of all, came out."""

    completed: int = 0
    failed: int = 0
    released: int = 0
    lost: int = 0

    @classmethod
    def of(cls, worker: Worker | SyncWorker | TaskWorker) -> "Totals":
        """Count those of a worker, so far."""
        return cls(worker.completed, worker.failed, worker.released, worker.lost)

    def plus(self, other: "Totals") -> "Totals":
        """Add those of another process."""
        return Totals(
            self.completed + other.completed,
            self.failed + other.failed,
            self.released + other.released,
            self.lost + other.lost,
        )

    def __str__(self) -> str:
        back = f", {self.released:,} given back" if self.released else ""
        lost = f", {self.lost:,} lost" if self.lost else ""
        return f"{jobs(self.completed)} done, {self.failed:,} failed{back}{lost}"


Runs: TypeAlias = Handler | tuple[Tasks, ...]
"""What a process works with."""


Report: TypeAlias = Callable[[Totals], object]


Watch: TypeAlias = Callable[[Worker | SyncWorker | TaskWorker], object]
"""Told of the worker when it begins, in its event loop if it has one."""


def work_here(plan: WorkerPlan) -> int:
    """Work in this process until a signal; gives the exit code.

    Raises HandlerNotFound, and what the server refuses for good.
    """
    set_up_log(plan)
    handler = load(plan)
    logger.info("running %s, %s", plan.handler, described(plan, handler))
    health = Health(plan.health_file)
    watch = ProcessWatch(on_alive=health.tell if plan.tells_alive else None)
    try:
        work(plan, handler, lambda totals: logger.info("stopped: %s", totals), watch.begin)
    finally:
        watch.end()
        health.end()
    return 0


def work(
    plan: WorkerPlan,
    handler: Runs,
    report: Report,
    watch: Watch,
    *,
    is_child: bool = False,
) -> None:
    """Run the worker until a signal. A child leaves it to its parent to lose patience.

    report: is told the totals while signals are still caught. A process whose handler
    runs inline and does not end, within its time limit or the grace, ends with it.
    """
    if isinstance(handler, tuple):
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_work_on_tasks(plan, handler, report, watch, is_child=is_child))
        return
    if is_async(handler) or (wraps_async(handler) and not plan.inline):
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_work_async(plan, handler, report, watch, is_child=is_child))
        return
    worker = SyncWorker(
        plan.queues,
        handler,
        order="turns" if plan.turns else "strict",
        url=plan.url,
        concurrency=1 if plan.inline else plan.concurrency or THREADS,
        batch_size=plan.batch_size,
        prefetch=plan.prefetch,
        lease=plan.lease_s,
        time_limit=plan.time_limit_s,
        grace=plan.grace_s,
        timeout=plan.timeout_s,
    )

    def end(code: int) -> None:
        report(Totals.of(worker))
        logging.shutdown()
        os._exit(code)

    if is_child:
        worker.on_hung = lambda _: end(EXIT_HUNG)
    worker.on_cut_off = lambda: end(0)
    with watched_signals(_stop_signal(worker, is_child=is_child)):
        watch(worker)
        worker.run(signals=False)
        report(Totals.of(worker))


async def _work_async(
    plan: WorkerPlan, handler: Handler, report: Report, watch: Watch, *, is_child: bool
) -> None:
    worker = Worker(
        plan.queues,
        handler,
        order="turns" if plan.turns else "strict",
        url=plan.url,
        batch_size=plan.batch_size,
        concurrency=plan.concurrency,
        prefetch=plan.prefetch,
        lease=plan.lease_s,
        time_limit=plan.time_limit_s,
        grace=plan.grace_s,
        timeout=plan.timeout_s,
    )
    async with signals_in_loop(_stop_signal(worker, is_child=is_child)):
        watch(worker)
        await worker.run(signals=False)
        report(Totals.of(worker))


async def _work_on_tasks(
    plan: WorkerPlan,
    tasks: tuple[Tasks, ...],
    report: Report,
    watch: Watch,
    *,
    is_child: bool,
) -> None:
    worker = TaskWorker(
        *tasks,
        queues=plan.queues or None,
        url=plan.url,
        batch_size=plan.batch_size,
        concurrency=plan.concurrency,
        processes=plan.pool,
        process_set_up=partial(set_up_log, plan),
        prefetch=plan.prefetch,
        lease=plan.lease_s,
        time_limit=plan.time_limit_s,
        grace=plan.grace_s,
        timeout=plan.timeout_s,
    )
    async with signals_in_loop(_stop_signal(worker, is_child=is_child)):
        watch(worker)
        await worker.run(signals=False)
        report(Totals.of(worker))


def _stop_signal(worker: Worker | SyncWorker | TaskWorker, *, is_child: bool) -> StopSignal:
    """Have signals stop a worker; of a process alone, systemd is told."""

    def stop() -> None:
        if not is_child:
            systemd.stopping()
        worker.request_stop()

    return StopSignal(stop, only_asks=is_child)


def load(plan: WorkerPlan) -> Runs:
    """Import the handler. Raises HandlerNotFound that shows the line to blame."""
    if plan.folder not in sys.path:
        sys.path.insert(0, plan.folder)
    try:
        handler: Any = found_by(plan.handler)
    except HandlerNotFound as error:
        raise HandlerNotFound(f"{error}{_blamed_line(error.__cause__)}") from None
    if isinstance(handler, tuple) and handler and isinstance(handler[0], Tasks):
        _check_tasks(plan, handler)
        return handler
    return _check_handler(plan, handler)


def _check_tasks(plan: WorkerPlan, tasks: tuple[Tasks, ...]) -> None:
    """Refuse what cannot be worked on. Raises HandlerNotFound."""
    if plan.inline:
        raise HandlerNotFound(f"--inline is for a plain handler: {plan.handler} are Tasks")
    try:
        for one in tasks:
            one.load()
    except Exception as error:
        raise HandlerNotFound(
            f"the modules of {plan.handler} cannot be imported:"
            f" {message_of(error)}{_blamed_line(error)}"
        ) from error
    try:
        for one in tasks:
            for task in one:
                task.signature.prepare()
        TaskWorker(*tasks, queues=plan.queues or None)
    except (TypeError, ValueError) as error:
        raise HandlerNotFound(f"{plan.handler}: {error}") from None


def _check_handler(plan: WorkerPlan, handler: Handler) -> Handler:
    """Give a handler that can be run so. Raises HandlerNotFound."""
    if not callable(handler):
        kind = type(handler).__name__
        raise HandlerNotFound(
            f"the handler {plan.handler!r} is no function but of type {kind}"
        )
    if isinstance(handler, Task):
        raise HandlerNotFound(
            f"{plan.handler} is one task: name the Tasks that it is declared with"
        )
    if not plan.queues:
        raise HandlerNotFound(
            f"{plan.handler} is a handler, which works on the queues that it is given: give"
            " one by --queue"
        )
    if plan.inline and is_async(handler):
        raise HandlerNotFound(
            f"--inline is for plain handlers: {plan.handler} is an async def"
        )
    return handler


def described(plan: WorkerPlan, handler: Runs) -> str:
    """Say how a handler is run."""
    if isinstance(handler, tuple):
        every = {queue for one in handler for queue in one.queues}
        queues = ", ".join(plan.queues or sorted(every))
        return f"tasks of {queues}, up to {plan.concurrency or TASKS} of each at once"
    if is_async(handler) or wraps_async(handler):
        return f"async, up to {plan.concurrency or TASKS} at once"
    if plan.inline:
        return "one after the other"
    return f"in up to {plan.concurrency or THREADS} threads"


def set_up_log(plan: WorkerPlan) -> None:
    """Log to standard error, as lines for people or as JSON.

    The level is that of this package and of the handler's own; others are to warn only.
    """
    level = logging.getLevelNamesMapping()[plan.log_level.upper()]
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(JsonLines() if plan.log_json else PlainLines())
    to_stderr.addFilter(JobLogFilter())
    root = logging.getLogger()
    root.handlers[:] = [to_stderr]
    root.setLevel(max(level, logging.WARNING))
    for package in (logger.name, plan.handler.partition(":")[0].partition(".")[0]):
        if package:
            logging.getLogger(package).setLevel(level)
    for queue in plan.queues:
        if "," in queue:
            logger.warning("%s is taken as the name of one queue", queue)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        return None
    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory


def _blamed_line(error: BaseException | None) -> str:
    """Show the line of the user's code that an import failed at."""
    if isinstance(error, SyntaxError):
        text = (error.text or "").strip()
        return f"\n  {error.filename}, line {error.lineno}: {text}"
    frames = traceback.extract_tb(_users_part(error.__traceback__ if error else None))
    if not frames:
        return ""
    frame = frames[-1]
    return f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}"


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Skip this package and the import machinery, as far as the user's first line."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        is_ours = trace.tb_frame.f_globals.get("__name__", "").startswith("magicqueue.")
        if not (is_ours or name.startswith("<frozen") or "importlib" in name):
            return trace
        trace = trace.tb_next
    return None
