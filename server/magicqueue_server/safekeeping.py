"""Whether and how this server keeps its jobs safe: what `app` has to know of the log."""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from magicqueue_cores.contract import Core
from magicqueue_cores.line_contract import BytesSink
from magicqueue_cores.policies import Policies
from magicqueue_cores.records import Record
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.logs import event
from magicqueue_server.wal.disk import Locked
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.persistence import Persistence
from magicqueue_server.wal.place import LocalPlace
from magicqueue_server.wal.recovery import Recovered
from magicqueue_server.wal.verdict import Refused

EXIT_CORRUPT: Final = 3
_SHOW_AFTER_S: Final = 2.0
_SHOW_EVERY_S: Final = 0.5
_LOG_EVERY_S: Final = 5.0
_PROMISES: Final = {
    "always": "a reply means that it is on the disk",
    "everysec": "a power cut costs the last second (two while the disk stalls), a crash"
    " nothing",
    "never": "a power cut costs what the system had not written, a crash nothing",
}

_log = logging.getLogger("magicqueue.wal")


class CannotOpen(Exception):
    """The data folder cannot be used; the text says why and what to do."""

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class Safekeeping:
    """The log of a server, or nothing: then every method does nothing.

    on_failure: called when the log has failed and the server is to end.
    """

    def __init__(
        self, config: Config, clock: Clock, on_failure: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._ends = config["on_disk_error"] == "exit"
        self._path = Path(config["data_dir"])
        self._as_json = config["log_format"] == "json"
        self._persistence: Persistence | None = None
        self.mode: str = config["fsync"] if config["persist"] else "off"
        self.ended_by: BaseException | None = None
        """Why the server had to end, if the log was the reason."""
        if config["persist"]:
            try:
                place = LocalPlace(
                    self._path,
                    mode=self.mode,
                    segment_bytes=config["segment_size"],
                    now_ms=clock.now_ms,
                )
            except Locked as error:
                raise CannotOpen(str(error), 1) from None
            except OSError as error:
                raise CannotOpen(
                    f"cannot use the data folder {self._path}: {error.strerror}", 1
                ) from None
            self._persistence = Persistence(
                place,
                mode=self.mode,
                segment_bytes=config["segment_size"],
                now_ms=clock.now_ms,
            )
            self._persistence.log.on_failure = self._failed

    @property
    def log(self) -> Log | None:
        """Where records go, if anywhere."""
        return None if self._persistence is None else self._persistence.log

    @property
    def is_broken(self) -> bool:
        """Whether the log could not be written, and takes nothing more."""
        return self.log is not None and self.log.failure is not None

    @property
    def record(self) -> Callable[[Record], None] | None:
        """What a core is to report to."""
        return None if self._persistence is None else self._persistence.log.record

    @property
    def record_bytes(self) -> BytesSink | None:
        """What a core is to report to that writes records as bytes."""
        return None if self._persistence is None else self._persistence.log.record_bytes

    def recover(self, core: Core, policies: Policies | None) -> int:
        """Fill the core, and the policies above it if there are any. Raises CannotOpen.

        Gives the highest session that has leases.
        """
        persistence = self._persistence
        if persistence is None:
            return 0
        if core.capabilities.durable:
            self.mode = "core"
            return 0
        progress = _Progress(as_json=self._as_json)
        try:
            found = persistence.recover(policies or core, progress)
            ahead_ms = self._clock.not_before(found.last_ms)
            persistence.begin(core, found, policies)
        except Refused as error:
            raise CannotOpen(f"{self._path}: {error}", EXIT_CORRUPT) from None
        except OSError as error:
            raise CannotOpen(
                f"the log in {self._path} cannot be read or written: {error.strerror}",
                EXIT_CORRUPT,
            ) from None
        finally:
            progress.end()
        self._tell(found, ahead_ms, progress.seconds)
        return found.session

    def about_jobs(self) -> list[str]:
        """Say what becomes of jobs, for whoever starts the server."""
        if self.mode == "off":
            return ["jobs are kept in memory only: a restart loses them"]
        if self.mode == "core":
            return ["jobs survive a restart: the core keeps them"]
        where = f"they are kept in {self._path}, with --fsync {self.mode}"
        return [f"jobs survive a restart: {where}: {_PROMISES[self.mode]}"]

    async def flushed(self) -> None:
        """Wait until all is on the disk."""
        if self._persistence is not None and self.mode != "core":
            await self._persistence.flushed()

    async def close(self) -> None:
        """End in good order."""
        if self._persistence is not None:
            try:
                await self._persistence.close()
            except OSError as error:
                self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if self._ends:
            self.ended_by = error
            self._on_failure()

    def _tell(self, found: Recovered, ahead_ms: int, seconds: float) -> None:
        event(
            _log,
            logging.INFO,
            "the log was read",
            segments=len(found.segments),
            jobs=found.jobs,
            seconds=round(seconds, 2),
            stopped="cleanly" if found.clean or not found.lsn else "without a word",
        )
        if found.torn is not None:
            event(
                _log,
                logging.WARNING,
                f"the log ended in the middle of a write, which was cut off;"
                f" {found.torn.promise}",
                file=found.torn.name,
                byte=found.torn.at,
                frame=found.torn.lsn,
            )
        for name in found.damaged_headers:
            event(_log, logging.WARNING, "one copy of a header is damaged", file=name)
        if ahead_ms:
            event(
                _log,
                logging.WARNING,
                "the clock is behind the log, which time goes on from",
                ahead_ms=ahead_ms,
            )


class _Progress:
    """Shows how far the reading of a long log is: a terminal in place, a log in lines."""

    def __init__(self, *, as_json: bool) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty() and not as_json
        self._every_s = _SHOW_EVERY_S if self._terminal else _LOG_EVERY_S
        self._shown = self._began + _SHOW_AFTER_S - self._every_s
        self._showing = False

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._began

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown >= self._every_s:
            self._shown = now
            share = min(1.0, done / max(1, total))
            if not self._terminal:
                mib = round(total / 2**20)
                event(
                    _log, logging.INFO, "reading the log", of_mib=mib, share=f"{share:.0%}"
                )
                return
            self._showing = True
            text = f"\rreading the log: {share:4.0%} of {total / 2**20:,.0f} MiB"
            print(text, end="", file=sys.stderr, flush=True)  # noqa: T201 - for people

    def end(self) -> None:
        """Leave the line."""
        if self._showing:
            print(file=sys.stderr)  # noqa: T201 - for people
