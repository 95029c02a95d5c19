"""One process of a worker: its plan, its log, and the worker it runs.

A plan is plain data, so that a supervisor can hand it to a process that it spawns.
"""

import asyncio
import json
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TypeAlias

from magicqueue.cli.phrases import jobs
from magicqueue.errors import HandlerNotFound
from magicqueue.handlers import Handler, is_async, load_handler
from magicqueue.loop_signals import signals_in_loop
from magicqueue.stop_signals import StopSignal, watched_signals
from magicqueue.sync_worker import SyncWorker
from magicqueue.worker import Worker
from magicqueue.worker_options import TASKS, THREADS

logger: Final = logging.getLogger("magicqueue")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What one process of a worker is to do."""

    handler: str
    folder: str
    """Where modules are looked for first."""
    queue: str
    url: str | None
    concurrency: int | None
    inline: bool
    batch_size: int
    prefetch: int
    lease_s: float
    grace_s: float
    timeout_s: float
    log_level: str
    log_json: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """How the jobs of one process, or of all, came out."""

    completed: int = 0
    failed: int = 0
    lost: int = 0

    def plus(self, other: "Totals") -> "Totals":
        """Add those of another process."""
        return Totals(
            self.completed + other.completed,
            self.failed + other.failed,
            self.lost + other.lost,
        )

    def __str__(self) -> str:
        lost = f", {self.lost:,} lost" if self.lost else ""
        return f"{jobs(self.completed)} done, {self.failed:,} failed{lost}"


Report: TypeAlias = Callable[[Totals], object]


def work_here(plan: WorkerPlan) -> int:
    """Work in this process until a signal; gives the exit code.

    Raises HandlerNotFound, and what the server refuses for good.
    """
    set_up_log(plan)
    handler = load(plan)
    logger.info("running %s, %s", plan.handler, described(plan, handler))
    work(plan, handler, lambda totals: logger.info("stopped: %s", totals))
    return 0


def work(
    plan: WorkerPlan, handler: Handler, report: Report, *, is_child: bool = False
) -> None:
    """Run the worker until a signal. A child leaves it to its parent to lose patience.

    report: is told the totals while signals are still caught.
    """
    if is_async(handler):
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_work_async(plan, handler, report, is_child=is_child))
        return
    worker = SyncWorker(
        plan.queue,
        handler,
        url=plan.url,
        threads=1 if plan.inline else plan.concurrency or THREADS,
        batch_size=plan.batch_size,
        prefetch=plan.prefetch,
        lease=plan.lease_s,
        grace=plan.grace_s,
        timeout=plan.timeout_s,
    )
    with watched_signals(StopSignal(worker.request_stop, only_asks=is_child)):
        worker.run(signals=False)
        report(Totals(worker.completed, worker.failed, worker.lost))


async def _work_async(
    plan: WorkerPlan, handler: Handler, report: Report, *, is_child: bool
) -> None:
    worker = Worker(
        plan.queue,
        handler,
        url=plan.url,
        batch_size=plan.batch_size,
        concurrency=plan.concurrency,
        prefetch=plan.prefetch,
        lease=plan.lease_s,
        grace=plan.grace_s,
        timeout=plan.timeout_s,
    )
    async with signals_in_loop(StopSignal(worker.request_stop, only_asks=is_child)):
        await worker.run(signals=False)
        report(Totals(worker.completed, worker.failed, worker.lost))


def load(plan: WorkerPlan) -> Handler:
    """Import the handler. Raises HandlerNotFound that shows the line to blame."""
    if plan.folder not in sys.path:
        sys.path.insert(0, plan.folder)
    try:
        handler = load_handler(plan.handler)
    except HandlerNotFound as error:
        raise HandlerNotFound(f"{error}{_blamed_line(error.__cause__)}") from None
    if plan.inline and is_async(handler):
        raise HandlerNotFound(
            f"--inline is for plain handlers: {plan.handler} is an async def"
        )
    return handler


def described(plan: WorkerPlan, handler: Handler) -> str:
    """Say how a handler is run."""
    if is_async(handler):
        return f"async, up to {plan.concurrency or TASKS} at once"
    if plan.inline:
        return "one after the other"
    return f"in up to {plan.concurrency or THREADS} threads"


def set_up_log(plan: WorkerPlan) -> None:
    """Log to standard error, as lines for people or as JSON."""
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(_JsonLines() if plan.log_json else _PlainLines())
    root = logging.getLogger()
    root.handlers[:] = [to_stderr]
    root.setLevel(plan.log_level.upper())


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


class _PlainLines(logging.Formatter):
    """Like "12:03:04.123 warning  job 3 of emails failed…", and a traceback below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(level)-8s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.level = record.levelname.lower()
        return super().format(record)


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
