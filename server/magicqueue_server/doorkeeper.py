"""The doorkeeper: reads the tokens, and ends sessions whose token is gone or over.

The file is read at the start, and again on SIGHUP. A file that cannot be used then leaves
the tokens as they were, and the log says why.
"""

import asyncio
import logging
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol

from magicqueue.errors import RequestError, Unauthorized
from magicqueue_cores.contract import Core
from magicqueue_server.access import Access
from magicqueue_server.clock import Clock
from magicqueue_server.logs import event
from magicqueue_server.session import Session
from magicqueue_server.tokens import BadTokens, Tokens, read_tokens

_LOOK_S_MAX: Final = 60.0
"""The wall clock may be set, so it is looked at this often at least."""

_log = logging.getLogger("magicqueue")


class Guest(Protocol):
    """A connection, for what has to be done here."""

    @property
    def session(self) -> Session:
        """Its session."""

    def end_session(self, error: RequestError) -> None:
        """Say why, and close."""


class Doorkeeper:
    """Keeps an `Access` as the file says. Raises BadTokens."""

    def __init__(self, path: Path, core: Core, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._connections: tuple[Collection[Guest], ...] = ()
        self.access = Access(self._read(), core, self._wall_ms)

    def begin(self, *connections: Collection[Guest]) -> None:
        """Watch over the sessions of these."""
        self._connections = connections
        self._look()

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def reload(self) -> None:
        """Read the file again."""
        try:
            self.access.tokens = self._read()
        except BadTokens as error:
            event(_log, logging.ERROR, "the tokens stay as they were", why=str(error))
            return
        ended = self._look()
        event(
            _log,
            logging.INFO,
            "tokens read again",
            tokens=len(self.access.tokens),
            sessions_ended=ended,
        )

    def _read(self) -> Tokens:
        tokens = read_tokens(self._path)
        try:
            if self._path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                event(
                    _log,
                    logging.WARNING,
                    "others may write the tokens file: chmod go-w",
                    file=self._path,
                )
        except OSError as error:
            raise BadTokens(f"cannot look at {self._path}: {error.strerror}") from None
        return tokens

    def _look(self) -> int:
        """End the sessions whose token is no good any more; gives how many."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wall_ms, ended = self._wall_ms(), 0
        at_ms = self.access.tokens.next_expiry_ms(wall_ms)
        if at_ms is not None:  # first: whatever fails below, it is looked again
            self._look_in(max(0, at_ms - wall_ms) / 1000)
        for connection in [one for some in self._connections for one in some]:
            token = connection.session.token
            if token is not None and not self.access.still_holds(connection.session):
                error = Unauthorized(f"the token {token.name!r} is not valid any more")
                try:
                    connection.end_session(error)
                except Exception:  # noqa: BLE001 - the others end all the same
                    _log.exception("a session whose token is over could not be ended")
                    self._look_in(_LOOK_S_MAX)
                ended += 1
        return ended

    def _look_in(self, wait_s: float) -> None:
        """Look again after a while, or sooner if that was to be already."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + min(wait_s, _LOOK_S_MAX)
        if self._timer is not None:
            at_s = min(at_s, self._timer.when())
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._look)

    def _wall_ms(self) -> int:
        return self._clock.now_ms() - self._clock.ahead_ms
