"""What an operator has to know: deaths of jobs, and refusals since the server is full.

A fault in a handler may kill a hundred thousand jobs in a second, and a full server refuses
each push of every client. So of a kind of event a few are logged at once, and the rest of a
span is counted and told in one line at its end.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from magicqueue.errors import Full, ReadOnly, Unauthorized
from magicqueue_cores import contract
from magicqueue_cores.contract import JobView
from magicqueue_server.logs import event
from magicqueue_server.session import Session

_SPAN_S: Final = 10.0
_DEATHS_A_SPAN: Final = 10
_REFUSALS_A_SPAN: Final = 1
_ERROR_CHARS_MAX: Final = 160
_TOLD: Final[dict[type[Exception], str]] = {
    Full: Full.code,
    contract.Full: Full.code,
    ReadOnly: ReadOnly.code,
    Unauthorized: Unauthorized.code,
}
"""Refusals that whoever runs the server should know of: by what is raised."""

_REASONS: Final = ("failed", "timeout", "worker_lost", "expired", "parent_failed")
"""What jobs die of: counted from 0, so that the first death is seen to be one more."""

_log = logging.getLogger("magicqueue")


class Bounded:
    """Logs `most` events of a kind a span, and at its end how many more there were."""

    def __init__(
        self,
        message: str,
        more: str,
        most: int,
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._message = message
        self._more = more
        self._most = most
        self._later = later
        self._in_span = False
        self._shown = self._untold = 0

    def note(self, **facts: Any) -> None:
        """One event happened."""
        if not self._in_span:
            self._in_span = True
            self._shown = self._untold = 0
            self._later(_SPAN_S, self.end_span)
        if self._shown < self._most:
            self._shown += 1
            event(_log, logging.WARNING, self._message, **facts)
        else:
            self._untold += 1

    def count(self, number: int) -> None:
        """More happened, together with what was noted just now."""
        self._untold += number

    def end_span(self) -> None:
        """Tell how many were not told."""
        self._in_span = False
        if self._untold:
            event(
                _log,
                logging.WARNING,
                self._more,
                more=self._untold,
                seconds=round(_SPAN_S),
            )
        self._untold = 0


class Incidents:
    """The kinds. It says nothing until `begin`: what a log replays is no news."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._began = False
        self.deaths_by_reason = dict.fromkeys(_REASONS, 0)
        """How many jobs died since it began, by what of."""
        self._deaths = Bounded(
            "a job is dead", "more jobs died", _DEATHS_A_SPAN, loop.call_later
        )
        self._refusals = {
            code: Bounded(
                f"refused with {code}",
                f"more was refused with {code}",
                _REFUSALS_A_SPAN,
                loop.call_later,
            )
            for code in _TOLD.values()
        }

    def begin(self) -> None:
        """Tell from now on."""
        self._began = True

    def died(self, first: list[JobView], count: int) -> None:
        """Jobs became dead letters (a core calls this)."""
        if not self._began:
            return
        if first:  # those of one call have one reason
            reason = first[0].reason or ""
            died = self.deaths_by_reason
            died[reason] = died.get(reason, 0) + count
        for view in first:
            self._deaths.note(
                job=view.id,
                queue=view.queue,
                reason=view.reason,
                attempts=view.attempts,
                failures=view.failures,
                lost=view.lost,
                error=_first_line(view.error),
            )
        self._deaths.count(count - len(first))

    def refused(self, session: Session, error: Exception) -> None:
        """A request was refused."""
        for told, code in _TOLD.items():
            if isinstance(error, told):
                self._refusals[code].note(session=session.id, why=error)
                return

    def end(self) -> None:
        """Tell what is untold, before the server ends."""
        for kind in (self._deaths, *self._refusals.values()):
            kind.end_span()


def _first_line(error: str | None) -> str | None:
    if error is None:
        return None
    lines = error.strip().splitlines() or [""]
    return (
        lines[0] if len(lines[0]) <= _ERROR_CHARS_MAX else lines[0][:_ERROR_CHARS_MAX] + "…"
    )
