"""Feeds: what arrived on many connections, received, run and answered in three calls.

A feed is a row of the memory that the kernels `receive`, `execute_feeds` and `send` fill
in turn; Python looks only at those that need it: that have no session, end within a line,
hold a line that is not for kernels, or whose reply did not go out whole.
"""

from collections.abc import Callable, Iterator
from weakref import WeakMethod

from magicqueue_cores.array_core.store import Store
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import execute_feeds, receive, send
from magicqueue_cores.line_contract import Feed


class Feeds:
    """`line_contract.Feeds` on kernels.

    before: makes the core ready for lines that run at a time. after: reports what ran.
    """

    descriptors_max = 1 << lo.DESCRIPTOR_BITS

    def __init__(
        self, store: Store, before: Callable[[int], None], after: Callable[[], None]
    ) -> None:
        """Start without feeds."""
        self._store = store
        self._flat, self._words = store.memory.flat, store.memory.words
        self._bytes = store.memory.bytes
        # Weak, as the core has its feeds: the memory has to go with the core, at once.
        self._before, self._after = WeakMethod(before), WeakMethod(after)
        self._count = 0
        self._to_do = False

    def let_run(self, descriptor: int, session: int) -> None:
        """Say whose lines a descriptor brings, which run at once; 0: leave them alone."""
        index = self._store.session(session) if session else 0
        self._words[lo.PEERS_W + descriptor] = index

    def forget(self, descriptor: int) -> None:
        """A descriptor is closed: what was polled of it is of another that may follow."""
        words, halves = self._words, self._store.memory.halves
        words[lo.PEERS_W + descriptor] = 0
        state = self._store.memory.state
        for event in range(state[lo.S_POLLED_AT], state[lo.S_POLLED]):
            place = lo.POLLED_H + 3 * event + 1
            if halves[place] == descriptor:
                halves[place] = lo.NO_DESCRIPTOR

    def receive(self, poller: int) -> int:
        """Receive one round from what an epoll descriptor has ready; gives how many."""
        received = receive(self._flat, poller)
        self._count = received & 0xFFFFFFFF
        self._to_do = received >> 32 != 0
        return self._count

    @property
    def more(self) -> bool:
        """Whether the round ended before everything that was ready was received."""
        state = self._store.memory.state
        return state[lo.S_POLLED_AT] < state[lo.S_POLLED]

    def run(self, now_ms: int) -> None:
        """Run the lines of all feeds, as far as kernels can."""
        before, after = self._before(), self._after()
        assert before is not None, "the core is there"
        assert after is not None, "the core is there"
        before(now_ms)
        if execute_feeds(self._flat, self._count, now_ms):
            self._to_do = True
        after()

    def skip(self) -> None:
        """Run none: all that was received is `unfinished`."""
        self._to_do = True

    def send(self) -> None:
        """Send all replies, as far as the connections take them."""
        if send(self._flat, self._count):
            self._to_do = True

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """Give the replies by descriptor instead, for those that have to wait."""
        words, view = self._words, self._bytes
        for at in self._rows():
            size, reply = words[at + lo.F_REPLY_BYTES], words[at + lo.F_REPLY_AT]
            if size:
                words[at + lo.F_SENT] = size
                yield words[at + lo.F_DESCRIPTOR], bytes(view[reply : reply + size])

    def unfinished(self) -> Iterator[Feed]:
        """Give the feeds of which something is left to do."""
        if not self._to_do:
            return
        words, view = self._words, self._bytes
        for at in self._rows():
            row = words[at : at + lo.FEED_WORDS].tolist()
            ran_to, end = row[lo.F_AT] + row[lo.F_RAN], row[lo.F_AT] + row[lo.F_BYTES]
            sent_to = row[lo.F_REPLY_AT] + row[lo.F_SENT]
            replies_end = row[lo.F_REPLY_AT] + row[lo.F_REPLY_BYTES]
            if row[lo.F_MARKED] or ran_to < end or sent_to < replies_end:
                yield Feed(
                    row[lo.F_DESCRIPTOR],
                    row[lo.F_BYTES],
                    bytes(view[ran_to:end]),
                    bytes(view[sent_to:replies_end]),
                    row[lo.F_MARKED] != 0,
                )

    def _rows(self) -> range:
        end = lo.FEEDS_W + self._count * lo.FEED_WORDS
        return range(lo.FEEDS_W, end, lo.FEED_WORDS)
