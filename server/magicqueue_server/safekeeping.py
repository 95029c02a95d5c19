"""Whether and how this server keeps its jobs safe: what `app` has to know of the log."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from magicqueue_cores.contract import Core
from magicqueue_cores.line_contract import BytesSink
from magicqueue_cores.policies import Policies
from magicqueue_cores.records import Record
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.log_place import EXIT_CANNOT_START, CannotOpen, find_place
from magicqueue_server.logs import event
from magicqueue_server.wal.journal import Deposed, StoreFailed
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.persistence import Persistence
from magicqueue_server.wal.recovery import Recovered
from magicqueue_server.wal.verdict import Refused

EXIT_CORRUPT: Final = 3
EXIT_LOG_FAILED: Final = 4
EXIT_DEPOSED: Final = 5
_SHOW_AFTER_S: Final = 2.0
_SHOW_EVERY_S: Final = 0.5
_LOG_EVERY_S: Final = 5.0
_log = logging.getLogger("magicqueue.wal")


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
        self._as_json = config["log_format"] == "json"
        self._persistence: Persistence | None = None
        self.mode = "off"
        self._ended_by: BaseException | None = None
        self._place = place = find_place(config, clock)
        if place is not None:
            self.mode = config["fsync"]
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
    def end(self) -> tuple[str, int] | None:
        """Why the server had to end, and its exit code, if the log was the reason."""
        if self._ended_by is None:
            return None
        if isinstance(self._ended_by, Deposed):
            return str(self._ended_by), EXIT_DEPOSED
        return f"the log could not be written: {self._ended_by}", EXIT_LOG_FAILED

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
        persistence, place = self._persistence, self._place
        if persistence is None or place is None:
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
            raise CannotOpen(f"{place.name}: {error}", EXIT_CORRUPT) from None
        except Deposed as error:
            raise CannotOpen(str(error), EXIT_DEPOSED) from None
        except StoreFailed as error:
            raise CannotOpen(str(error), EXIT_CANNOT_START) from None
        except OSError as error:
            raise CannotOpen(
                f"the log in {place.name} cannot be read or written: {error.strerror}",
                EXIT_CORRUPT,
            ) from None
        finally:
            progress.end()
        self._tell(found, ahead_ms, progress.seconds)
        return found.session

    def about_jobs(self) -> list[str]:
        """Say what becomes of jobs, for whoever starts the server."""
        if self._place is None:
            return ["jobs are kept in memory only: a restart loses them"]
        if self.mode == "core":
            return ["jobs survive a restart: the core keeps them"]
        where = f"they are kept in {self._place.name}"
        return [f"jobs survive a restart: {where}, {self._place.promise}"]

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
        if self._ends or isinstance(error, Deposed):
            self._ended_by = error
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
