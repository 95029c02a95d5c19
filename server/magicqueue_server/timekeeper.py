"""Time that passes: the timer for the engine's next deadline, leases that end, clocks.

**Leases.** When one is over, its worker's heartbeat may have arrived and lie unread, since
the server was busy or stopped. So a lease that is over at a time `t` ends only when
everything that had arrived by then has had its turn; a heartbeat among it extends the lease
from the moment at which it is read.

**Time that does not count.** A lease is a span in which the server could be reached. If the
wall clock jumped, or the server did not run for a while (it was stopped, or one command
took very long), all leases are postponed by that. A *pulse* once a second notices both,
also when nothing else happens; and each timer looks at the wall clock first, so leases are
postponed before they are ended. A command costs nothing for that.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from magicqueue_cores.contract import NEVER_MS
from magicqueue_server.clock import Clock
from magicqueue_server.engine import Engine
from magicqueue_server.logs import event
from magicqueue_server.turns import Turns

PULSE_S: Final = 1.0
STALL_MS: Final = 1000
"""A pulse that comes later than this was not late by chance."""

_log = logging.getLogger("magicqueue")


class Timekeeper:
    """Tells an engine of the time. `start` begins the pulse, `close` ends everything."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, engine: Engine, turns: Turns
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._engine = engine
        self._turns = turns
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = NEVER_MS
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._pulse_due_s = 0.0
        self._ending = False
        self._closed = False
        self.on_pulse: Callable[[], None] = lambda: None
        """Called once a second."""

    def start(self) -> None:
        """Let what is due by now happen, and keep the time from here on."""
        self._engine.clock_ahead(self._clock.ahead_ms)
        self._beat_again()
        self._on_timer()

    def close(self) -> None:
        """Stop."""
        self._closed = True
        for timer in (self._timer, self._pulse_timer):
            if timer is not None:
                timer.cancel()

    def follow_deadline(self) -> None:
        """Let the timer go off at the engine's next deadline, if that is sooner now."""
        deadline_ms = self._engine.next_deadline_ms
        if deadline_ms < self._timer_ms and not self._ending:
            self._set_timer(deadline_ms)

    def _set_timer(self, deadline_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ms = deadline_ms
        if deadline_ms < NEVER_MS and not self._closed:
            wait_ms = min(max(deadline_ms - self._clock.now_ms(), 0), PULSE_S * 1000)
            self._timer = self._loop.call_later(wait_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        # If something fails below, the next pulse sets the timer.
        self._timer, self._timer_ms = None, NEVER_MS
        self._follow_wall()
        now_ms = self._clock.now_ms()
        self._engine.advance(now_ms)
        if self._engine.core.next_deadline_ms <= now_ms and not self._ending:
            self._ending = True
            self._turns.when_all_had_a_turn(lambda: self._end_leases(now_ms))
        self.follow_deadline()

    def _end_leases(self, until_ms: int) -> None:
        self._ending = False  # also where ending them fails: the next timer tries again
        if not self._closed:
            if self._engine.end_leases(until_ms, self._clock.now_ms()):
                self.follow_deadline()
            else:
                self._ending = True
                self._loop.call_soon(self._end_leases, until_ms)

    def _follow_wall(self) -> None:
        """Let time be what the machine's clock says, unless that runs backwards."""
        clock = self._clock
        ahead_ms = clock.ahead_ms
        jump_ms = clock.follow_wall()
        if jump_ms:
            event(_log, logging.WARNING, "the clock was put forward", by_ms=jump_ms)
            self._engine.postpone(jump_ms, clock.now_ms())
        if clock.ahead_ms != ahead_ms:
            if clock.ahead_ms >= ahead_ms + STALL_MS:
                event(
                    _log,
                    logging.WARNING,
                    "the clock was put back: time goes on, and is ahead of it",
                    ahead_ms=clock.ahead_ms,
                )
            self._engine.clock_ahead(clock.ahead_ms)

    def _beat(self) -> None:
        stall_ms = int((self._loop.time() - self._pulse_due_s) * 1000)
        self._beat_again()  # first: whatever fails below, time goes on
        self._follow_wall()
        if stall_ms >= STALL_MS:
            self._engine.postpone(stall_ms, self._clock.now_ms())
        if not self._ending:
            self._set_timer(self._engine.next_deadline_ms)
        self.on_pulse()

    def _beat_again(self) -> None:
        self._pulse_due_s = self._loop.time() + PULSE_S
        self._pulse_timer = self._loop.call_later(PULSE_S, self._beat)
