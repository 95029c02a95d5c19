"""`python -m magicqueue.demo`: a server, two workers and real work, in under a minute.

It measures the Python files that this Python came with, one job a file. Files of small
packages go first (priorities), some of the largest wait a while (delays), and files that
are no Python at all fail, are tried again, and end as dead letters: the standard library's
tests have a few of those, and the demo adds one that it mends. Server and workers are
processes of their own, over real sockets. At the end all are stopped and nothing is left.
"""

import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from magicqueue.cli.interrupts import EXIT_INTERRUPTED
from magicqueue.cli.phrases import count, jobs, rate, span
from magicqueue.cli.screen import note, say
from magicqueue.demo_processes import WORKERS, DemoFailed, be_alive, server, workers
from magicqueue.demo_report import (
    Result,
    heading,
    progress,
    write_dead,
    write_findings,
)
from magicqueue.demo_work import FILES, RESULTS
from magicqueue.errors import MagicQueueError
from magicqueue.job import NewJob
from magicqueue.sync_queue import SyncQueue

_SKIPPED: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
_FILES_MAX: Final = 2000
_LATE: Final = 40
_LATE_S: Final = 3.0
_URGENT: Final = 10
_LOOK_S: Final = 0.2
_ATTEMPTS: Final = 3
_BACKOFF_S: Final = 0.5
_LETTERS_SHOWN: Final = 6
_PATIENCE_S: Final = 60.0
_BROKEN: Final = "def answer(:\n    return 42\n"
_MENDED: Final = "def answer():\n    return 42\n"


@dataclass(frozen=True, slots=True)
class Task:
    """A file to measure."""

    path: Path
    name: str
    package: str


def main() -> None:
    """Run the demo and exit."""
    try:
        with tempfile.TemporaryDirectory(prefix="magicqueue-demo-") as name:
            _run(Path(name))
    except KeyboardInterrupt:
        note("")
        note("interrupted: everything is stopped")
        sys.exit(EXIT_INTERRUPTED)
    except MagicQueueError as error:
        note(f"the demo failed: {error}")
        sys.exit(1)


def _run(folder: Path) -> None:
    broken = folder / "broken.py"
    broken.write_text(_BROKEN)
    tasks = [*_find_files(), Task(broken, "broken.py (the demo's own)", "demo")]
    began = time.monotonic()
    with server(folder) as address:
        say(f"a server listens on {address}")
        with SyncQueue(FILES, address) as files, SyncQueue(RESULTS, address) as results:
            _push(files, tasks)
            with workers(folder, address) as worker:
                say(f"{WORKERS} worker processes are started")
                demo = Demo(files, results, lambda: be_alive(worker, folder))
                demo.run(len(tasks))
                demo.report()
                demo.bury(broken)
    took = span(time.monotonic() - began)
    say("")
    say(f"workers and server are stopped, all after {took}; nothing is left behind")


class Demo:
    """What goes on while the workers run. check: raises when they do not run any more."""

    def __init__(
        self, files: SyncQueue, results: SyncQueue, check: Callable[[], None]
    ) -> None:
        self._files = files
        self._queue_of_results = results
        self._check = check
        self._results: dict[str, Result] = {}
        """By file, in the order in which they came."""
        self._took_s = 0.0
        self._came_at = time.monotonic()

    def run(self, total: int) -> None:
        """Collect results until every file is measured or dead."""
        began = time.monotonic()
        with progress(total) as show:
            while True:
                counts = self._files.stats()
                seconds = time.monotonic() - began
                done = len(self._results)
                show(
                    done + counts.dead,
                    f"{rate(done / max(seconds, 0.001))}, {count(counts.delayed)} delayed,"
                    f" {count(counts.failed)} failed attempts, {count(counts.dead)} dead",
                )
                if done + counts.dead >= total:
                    break
                self._collect()
        self._took_s = time.monotonic() - began

    def report(self) -> None:
        """Say what was found, and that order and delays were kept."""
        results = list(self._results.values())
        heading("What the jobs found")
        write_findings(results)
        heading("How they went")
        each = Counter(result["process"] for result in results)
        shares = " and ".join(count(number) for number in each.values())
        speed = rate(len(results) / self._took_s)
        say(f"  {jobs(len(results))} done in {span(self._took_s)} ({speed}):")
        say(f"  {shares} by the worker processes")
        late = [result["waited_s"] for result in results if result["late"]]
        if late:
            say(
                f"  the {jobs(len(late))} delayed by {_LATE_S:g} s began"
                f" {min(late):.2f} s after their push, at the earliest"
            )
        at_once = [result["package"] for result in results if not result["late"]]
        say(f"  first came {at_once[0]}, by its priority, and last {at_once[-1]}")

    def bury(self, broken: Path) -> None:
        """Show the dead letters, mend and retry one, and purge the others."""
        letters = list(self._files.all_dead())
        heading(f"{jobs(len(letters))} failed {_ATTEMPTS} times, and are dead letters now")
        own = next(job for job in letters if job.data["path"] == str(broken))
        others = [job for job in letters if job is not own]
        write_dead([*others[: _LETTERS_SHOWN - 1], own])
        if len(letters) > _LETTERS_SHOWN:
            say(f"  and {len(letters) - _LETTERS_SHOWN} more")
        broken.write_text(_MENDED)
        self._files.retry_dead(own.id)
        while own.data["name"] not in self._results:
            self._collect()
        say("")
        say(f"  broken.py was mended and job {own.id} retried: it is done now")
        if others:
            removed = self._files.purge_dead()
            say(f"  {jobs(removed)} of the standard library, meant to be broken: purged")

    def _collect(self) -> None:
        """Take results that have come, or come soon; raises when none come any more."""
        came = self._queue_of_results.pull_batch(200, _LOOK_S)
        for job in came:
            result = job.data
            self._results.setdefault(result["name"], result)
        self._queue_of_results.ack_batch(came)
        self._check()
        now = time.monotonic()
        if came:
            self._came_at = now
        elif now - self._came_at > _PATIENCE_S:
            raise DemoFailed(f"no result came for {_PATIENCE_S:g} s")


def _find_files() -> list[Task]:
    """Find the Python files that ship with this Python."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = sorted(
        path for path in root.rglob("*.py") if not _SKIPPED.intersection(path.parts)
    )
    if not found:
        root = Path(__file__).parent
        found = sorted(root.rglob("*.py"))
    return [
        Task(path, str(path.relative_to(root)), path.relative_to(root).parts[0])
        for path in islice(found, _FILES_MAX)
    ]


def _push(files: SyncQueue, tasks: Sequence[Task]) -> None:
    """Push a job a file: small packages first, some of the largest later but urgent."""
    sizes = Counter(task.package for task in tasks)
    largest = sizes.most_common(1)[0][0]
    late = set(islice((task for task in tasks if task.package == largest), _LATE))
    items = [
        NewJob(
            _data(task, late=task in late),
            priority=_URGENT if task in late else -sizes[task.package],
            delay=_LATE_S if task in late else None,
            max_attempts=_ATTEMPTS,
            backoff=_BACKOFF_S,
        )
        for task in tasks
    ]
    before = time.perf_counter()
    files.push_many(items)
    took = span(time.perf_counter() - before)
    say(f"pushed {jobs(len(items))} in {took}, one for each Python file of this Python:")
    say(
        f"  those of small packages go first; {len(late)} of {largest} wait for"
        f" {_LATE_S:g} s, and then jump the queue"
    )


def _data(task: Task, *, late: bool) -> dict[str, Any]:
    return {
        "path": str(task.path),
        "name": task.name,
        "package": task.package,
        "late": late,
    }


if __name__ == "__main__":
    main()
