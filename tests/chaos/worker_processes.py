"""Worker processes as users start them, that are killed, held up, and started anew."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.handlers import LEASE_S, VARIABLE
from patience import PATIENCE_S
from server.process import ROOT, environment

_SYNC: Final = f"""
import sys
from chaos.handlers import in_turn
from magicqueue import SyncWorker
SyncWorker(
    "chaos", in_turn, url=sys.argv[1], concurrency=3, prefetch=5, lease={LEASE_S}
).run()
"""
_INLINE: Final = f"""
import asyncio, sys
from chaos.handlers import in_turn
from patience import PATIENCE_S
from magicqueue import Worker
asyncio.run(
    Worker("chaos", in_turn, url=sys.argv[1], inline=True, lease={LEASE_S}).run()
)
"""
_CLI: Final = ["-m", "magicqueue", "worker", "-q", "chaos", "--lease", f"{LEASE_S}s"]
COMMANDS: Final = (
    [*_CLI, "chaos.handlers:in_turn", "--inline", "--url"],
    [*_CLI, "chaos.handlers:in_turn", "-c", "4", "--url"],
    [*_CLI, "chaos.handlers:in_loop", "-c", "20", "--url"],
    ["-c", _SYNC],
    ["-c", _INLINE],
)


class WorkerProcess:
    """A place for a worker process; each one started there has a record of its own."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self._name = name
        self._arguments = arguments
        self._folder = folder
        self._count = 0
        self._url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.record = folder / "none"
        self.killed: list[Path] = []
        """The records of those that were killed."""

    @property
    def works(self) -> bool:
        """Whether the process that runs here has begun a job."""
        return self.record.exists()

    @property
    def log(self) -> Path:
        """What they wrote to standard error."""
        return self._folder / f"{self._name}.log"

    def start(self, url: str = "") -> None:
        """Start one, on the server at `url` or that of the one before."""
        self._count += 1
        self._url = url or self._url
        self.record = self._folder / f"{self._name}-{self._count}.record"
        env = environment({VARIABLE: str(self.record)})
        env["PYTHONPATH"] += os.pathsep + str(ROOT / "tests")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments, self._url],
                env=env,
                stderr=log,
                cwd=self._folder,
            )

    def kill(self) -> None:
        """End it without warning. The handlers of what it held end where they are."""
        assert self._process is not None
        self._process.kill()
        code = self._process.wait(PATIENCE_S)
        assert code == -signal.SIGKILL, f"it had ended before: {code}"
        self.killed.append(self.record)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """Let it finish; gives its exit code."""
        self.send(signal.SIGTERM)
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
