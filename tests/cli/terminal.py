"""The command line as a user meets it: processes, what they print, and their exit codes."""

import contextlib
import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
MAGICQUEUE = [sys.executable, "-m", "magicqueue"]
SERVER = [sys.executable, "-m", "magicqueue_server", "serve"]


def environment(**more: str) -> dict[str, str]:
    """Give an environment with the package in it and no settings of the developer's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAGICQUEUE_")
        and name
        not in {"PERSIST", "PORT", "UNIX_SOCKET", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    }
    roots = [str(ROOT / room) for room in ("client", "cores", "server")]
    path = os.pathsep.join([*roots, kept.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


_IGNORED = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
_HEARS_SIGHUP = ["env", "--default-signal=HUP"] if _IGNORED else []
"""Under nohup a process would inherit that SIGHUP is ignored, and rightly leave it so."""


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Decode the one document that was printed."""
        return orjson.loads(self.out)

    def lines(self) -> list[Any]:
        """Decode NDJSON."""
        return [orjson.loads(line) for line in self.out.splitlines()]


Here = Callable[..., Outcome]
"""Runs a command in this process, which is quicker; what it raises is not caught."""


def no_traceback(text: str) -> None:
    """Check that nobody was shown a traceback."""
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; it fails after a while."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.005)


class Running:
    """A process that runs, with what it has printed so far."""

    def __init__(
        self, command: list[str], *, cwd: Path | None = None, env: dict[str, str]
    ) -> None:
        self.process = subprocess.Popen(
            [*_HEARS_SIGHUP, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or tempfile.gettempdir(),
            env=env,
            text=True,
            start_new_session=True,
        )
        self.out = ""
        self.err = ""
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        for line in stream:
            with self._changed:
                if name == "stdout":
                    self.out += line
                else:
                    self.err += line
                self._changed.notify_all()
        stream.close()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has printed a text, on either stream."""

        def there() -> bool:
            return (self.out + self.err).count(text) >= times

        with self._changed:
            came = self._changed.wait_for(there, PATIENCE_S)
        assert came, f"{text!r} never came:\n{self.out}\n{self.err}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self.process.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> Outcome:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return Outcome(code, self.out, self.err)

    def kill(self) -> None:
        """End it and its children at once, whatever it does."""
        if self.process.poll() is None:
            self.send_to_group(signal.SIGKILL)
        self.end()


class Terminal:
    """Runs commands against one server, in one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self._running: list[Running] = []

    def run(
        self, *arguments: str, stdin: str | bytes = b"", url: str | None = None
    ) -> Outcome:
        """Run a command to its end."""
        done = subprocess.run(
            [*MAGICQUEUE, *arguments],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=environment(MAGICQUEUE_URL=url or self.url),
            timeout=PATIENCE_S,
        )
        no_traceback(done.stderr.decode())
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def run_in_shell(self, line: str) -> Outcome:
        """Run a command with the shell's redirections."""
        done = subprocess.run(
            ["/bin/sh", "-c", f"{shlex.join(MAGICQUEUE)} {line}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=environment(MAGICQUEUE_URL=self.url),
            text=True,
            timeout=PATIENCE_S,
        )
        no_traceback(done.stderr)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str | bytes = b"") -> Outcome:
        """Run a command that is to succeed."""
        outcome = self.run(*arguments, stdin=stdin)
        assert outcome.code == 0, outcome
        return outcome

    def shown(
        self, *arguments: str, columns: int = 80, more: Sequence[tuple[str, str]] = ()
    ) -> str:
        """Give what a command writes to a terminal of so many columns."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with subprocess.Popen(
            [*MAGICQUEUE, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.folder,
            env=environment(**{"MAGICQUEUE_URL": self.url, "TERM": "xterm"} | dict(more)),
            start_new_session=True,
        ) as command:
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 65_536):
                    seen += piece
            command.wait(PATIENCE_S)
        os.close(ours)
        no_traceback(seen.decode())
        return seen.decode().replace("\r\n", "\n")

    def start(self, *arguments: str, url: str | None = None) -> Running:
        """Start a command and leave it running."""
        running = Running(
            [*MAGICQUEUE, *arguments],
            cwd=self.folder,
            env=environment(MAGICQUEUE_URL=url or self.url),
        )
        self._running.append(running)
        return running

    def close(self) -> None:
        """End what still runs."""
        for running in self._running:
            running.kill()
