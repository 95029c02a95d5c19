"""The exchange: lines received, run and answered for many connections in one go.

Bytes get from a socket to the core and back in one of two ways. The *ordinary* way is the
event loop's: it reads one socket, `Connection` makes lines of it, the engine runs them,
and the reply is written. Between socket and core that is some 12 µs of Python a command,
where the core itself needs half of one. Where a core takes feeds (`contract.FeedCore`),
connections stand in an epoll set of this exchange instead, which the loop watches as one
descriptor. When some of them have something, one *round* is three calls of compiled code:
receive from all, run all, send to all; in between, a log takes all records of the round.

So the exchange reads every connection it has, and what compiled code cannot see to, it
hands to `Connection.take`, and from there it goes the ordinary way: a line that ends in a
later read, a command that is not for kernels, a pull that has to wait, a reply that the
peer does not take. While a connection is not free to run lines at once (`Connection.free`)
all that it brings goes that way.

The set is edge-triggered: a descriptor is told of once, and told of again when more comes
or when it is armed anew (`watch`).
"""

import asyncio
import contextlib
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from magicqueue_cores.line_contract import Feeds
from magicqueue_server.clock import Clock
from magicqueue_server.engine import Engine
from magicqueue_server.turns import Turns

if TYPE_CHECKING:
    from magicqueue_server.listener import Connection

_SILENT: Final = select.EPOLLET
_WATCHED: Final = select.EPOLLET | select.EPOLLIN | select.EPOLLRDHUP


class Exchange:
    """The connections that are received from here.

    after_round: called after each round, as the engine has run.
    """

    def __init__(
        self,
        feeds: Feeds,
        engine: Engine,
        clock: Clock,
        turns: Turns,
        after_round: Callable[[], None],
    ) -> None:
        self._feeds = feeds
        self._engine = engine
        self._clock = clock
        self._turns = turns
        self._after_round = after_round
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._run_round)

    def close(self) -> None:
        """Receive no more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def takes(self, descriptor: int) -> bool:
        """Whether a connection with this descriptor can be received from here."""
        return 0 <= descriptor < self._feeds.descriptors_max and not self._epoll.closed

    def add(self, connection: "Connection", descriptor: int, *, reading: bool) -> None:
        """Receive from a connection; the loop must not read it any more."""
        self._connections[descriptor] = connection
        self._epoll.register(descriptor, _WATCHED if reading else _SILENT)

    def remove(self, connection: "Connection", descriptor: int) -> None:
        """Receive from a connection no more: before its descriptor is closed.

        Where the system closed it first, the number may be another connection's by now.
        """
        if self._connections.get(descriptor) is not connection:
            return
        del self._connections[descriptor]
        self._feeds.forget(descriptor)
        with contextlib.suppress(OSError):  # closed already, which takes it out of the set
            self._epoll.unregister(descriptor)

    def watch(self, descriptor: int, *, reading: bool) -> None:
        """Read a connection on, from what it has now, or not until further notice."""
        self._epoll.modify(descriptor, _WATCHED if reading else _SILENT)

    def let_run(self, descriptor: int, session_id: int) -> None:
        """Say whose lines run at once; 0: lines of this descriptor go the ordinary way."""
        self._feeds.let_run(descriptor, session_id)

    def _run_round(self) -> None:
        feeds = self._feeds
        if not feeds.receive(self._epoll.fileno()):
            return
        if self._engine.run_feeds(feeds, self._clock.now_ms()):
            feeds.send()
        else:
            for descriptor, reply in feeds.replies():
                self._engine.feed_rounds.answer(
                    self._connections[descriptor].session, reply
                )
        for feed in feeds.unfinished():
            connection = self._connections.get(feed.descriptor)
            if connection is not None:
                connection.take(feed)
        if feeds.more:
            self._turns.more_to_read()
            self._loop.call_soon(self._run_round)
        self._after_round()
