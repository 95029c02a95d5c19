"""The demo's processes: a server and a worker, as a user starts them, in a temp folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from magicqueue.demo_work import FILES
from magicqueue.errors import MagicQueueError

WORKERS: Final = 2
_LISTENS: Final = re.compile(r" listens on (?P<address>\S+)")
_STOP_S: Final = 10.0
_OTHERS: Final = ("PERSIST", "UNIX_SOCKET", "PORT")
_LOG_CHARS: Final = 2000


class DemoFailed(MagicQueueError):
    """A process of the demo did not do its part; the text says which and why."""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server on a port that is free; gives its address, and stops it at the end."""
    command = [sys.executable, "-m", "magicqueue_server", "serve"]
    options = ["--host", "127.0.0.1", "--port", "0", "--unix-socket", "0", "--no-persist"]
    with (
        _log(folder, "server") as log,
        _running(
            subprocess.Popen(  # noqa: S603 - this package's own command
                [*command, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment({"PYTHONUNBUFFERED": "1"}),
                text=True,
            )
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if match := _LISTENS.search(line):
                reader = threading.Thread(target=process.stdout.read, daemon=True)
                reader.start()
                yield match["address"]
                return
        raise DemoFailed(f"the server did not start:\n{_end_of(folder, 'server')}")


@contextlib.contextmanager
def workers(folder: Path, address: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `magicqueue worker` with two processes; stops them at the end."""
    command = [sys.executable, "-m", "magicqueue", "worker", "magicqueue.demo_work:measure"]
    options = ["--queue", FILES, "--processes", str(WORKERS), "--inline"]
    with (
        _log(folder, "worker") as log,
        _running(
            subprocess.Popen(  # noqa: S603 - this package's own command
                [*command, *options, "--batch-size", "16"],
                stdout=log,
                stderr=log,
                env=_environment({"MAGICQUEUE_URL": address}),
                text=True,
            )
        ) as process,
    ):
        yield process


def be_alive(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Raise DemoFailed if the worker has ended."""
    if process.poll() is not None:
        raise DemoFailed(f"the worker ended:\n{_end_of(folder, 'worker')}")


@contextlib.contextmanager
def _running(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Stop a process at the end: kindly, then not so kindly."""
    try:
        yield process
    finally:
        try:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment without settings for other servers."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAGICQUEUE_") and name not in _OTHERS
    }
    return {**kept, **more}


def _log(folder: Path, name: str) -> IO[str]:
    return (folder / f"{name}.log").open("w", encoding="utf-8")


def _end_of(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text("utf-8")[-_LOG_CHARS:].strip()
