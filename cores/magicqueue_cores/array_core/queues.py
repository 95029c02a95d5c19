"""The queues by name: what Python knows of each, and forgetting the idle ones.

Counts live in the core's memory, where kernels keep them; names, dead letters and the
totals of all queues that are no business of kernels live here.
"""

from collections import Counter
from typing import Final

from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.contract import CoreOptions, QueueStats
from magicqueue_cores.dead_letters import DeadLetters
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import act
from magicqueue_cores.name_order import NameOrder

COUNTED: Final = ("released", "expired", "cancelled", "duplicates", "dropped")
"""What Python counts, in all and of a queue, by the names of statistics."""
_TEXT_HEAD: Final = b',"queue":"%b","data":'
_ESCAPED: Final = frozenset((*range(32), *b'"\\'))
"""What a name in JSON has an escape for; kernels compare bytes and know no such name."""


class Queue:
    """One queue. `at` is where its words are, `number` what kernels call it."""

    __slots__ = ("at", "dead", "name", "number", *COUNTED)

    def __init__(self, name: str, number: int, options: CoreOptions) -> None:
        """Start empty."""
        self.name = name
        self.number = number
        self.at = lo.QUEUES_W + number * lo.QUEUE_WORDS
        self.released = self.expired = self.cancelled = 0
        self.duplicates = self.dropped = 0
        self.dead = DeadLetters(name, options.dead_jobs_max, options.dead_bytes_max)


class Queues:
    """All queues that have been named and not forgotten."""

    __slots__ = (
        "_free",
        "_memory",
        "_options",
        "by_name",
        "by_number",
        "counts",
        "name_bytes",
        "names",
        "paused",
        "ruled",
        "watched",
    )

    def __init__(self, memory: Memory, options: CoreOptions) -> None:
        """Start with none."""
        self._memory = memory
        self._options = options
        self._free: list[int] = []
        self.by_name: dict[str, Queue] = {}
        self.names = NameOrder()
        self.by_number: list[Queue | None] = [None]
        self.paused = 0
        """How many are paused now."""
        self.counts = Counter[str]()
        """Totals over all queues, forgotten ones included; see `COUNTED`."""
        self.name_bytes = 0
        self.watched: set[str] = set()
        self.ruled: set[str] = set()

    def of(self, name: str) -> Queue:
        """The queue, made if it is new. The bound on queues is the caller's business."""
        queue = self.by_name.get(name)
        if queue is not None:
            return queue
        number = self._free.pop() if self._free else len(self.by_number)
        queue = Queue(name, number, self._options)
        if number == len(self.by_number):
            self.by_number.append(queue)
        else:
            self.by_number[number] = queue
        self.by_name[name] = queue
        self.names.add(name)
        self.name_bytes += len(name.encode(errors="surrogatepass"))
        self._write_names(queue)
        act(self._memory.flat, lo.V_ADD_QUEUE, number, 0, 0)
        self._tell_kernels(queue)
        return queue

    def numbered(self, number: int) -> Queue:
        """The queue that kernels call so."""
        queue = self.by_number[number]
        assert queue is not None, f"no queue has the number {number}"
        return queue

    def watch(self, name: str, *, watching: bool) -> Queue | None:
        """Note that somebody waits for a queue's jobs; gives the queue if it exists."""
        if watching:
            self.watched.add(name)
        else:
            self.watched.discard(name)
        queue = self.by_name.get(name)
        if queue is not None:
            self._tell_kernels(queue)
        return queue

    def rule(self, queue: Queue, *, ruled: bool) -> None:
        """Note that jobs of a queue are pulled under rules, or no longer."""
        if ruled:
            self.ruled.add(queue.name)
        else:
            self.ruled.discard(queue.name)
        self._tell_kernels(queue)

    def is_roomy(self, queue: Queue) -> bool:
        """Whether somebody waits for jobs of a queue who may wait for others to leave."""
        return self._memory.words[queue.at + lo.Q_WATCHED] == lo.WATCHED | lo.RULED

    def _tell_kernels(self, queue: Queue) -> None:
        watched, ruled = queue.name in self.watched, queue.name in self.ruled
        bits = (lo.WATCHED if watched else 0) | (lo.RULED if ruled else 0)
        self._memory.words[queue.at + lo.Q_WATCHED] = bits

    def set_paused(self, queue: Queue, *, paused: bool) -> None:
        """Stop or resume handing out jobs of a queue."""
        at = queue.at + lo.Q_PAUSED
        self.paused += paused - int(self._memory.words[at])
        self._memory.words[at] = paused

    def count(self, what: str, queue: Queue | None, count: int = 1) -> None:
        """Count what befell jobs of a queue (None: one that is not known), of `COUNTED`."""
        self.counts[what] += count
        if queue is not None:
            setattr(queue, what, getattr(queue, what) + count)

    def forget_idle(self) -> None:
        """Forget queues that hold nothing and that nobody watches; totals stay."""
        for queue in list(self.by_name.values()):
            if self._is_idle(queue) and queue.name not in self.watched:
                self._forget(queue)

    def forget_unused(self, queue: Queue) -> None:
        """Forget an idle queue of which no worker ever had a job; its `pushed` stays."""
        at = queue.at + lo.Q_COMPLETED
        left = queue.released or queue.expired or queue.cancelled or queue.dropped
        used = any(self._memory.words[at : at + 3]) or left  # duplicates are in no log
        if not used and self._is_idle(queue):
            self._forget(queue)

    def _is_idle(self, queue: Queue) -> bool:
        at = queue.at + lo.Q_QUEUED
        held = any(self._memory.words[at : at + 4]) or queue.dead
        return not (held or queue.name in self.ruled)

    def _forget(self, queue: Queue) -> None:
        act(self._memory.flat, lo.V_DROP_QUEUE, queue.number, 0, 0)
        self.name_bytes -= len(queue.name.encode(errors="surrogatepass"))
        del self.by_name[queue.name]
        self.names.remove(queue.name)
        self.by_number[queue.number] = None
        self._free.append(queue.number)

    def count_from_here(self) -> None:
        """Set all totals to zero; queues that hold nothing have nothing left to tell."""
        self.counts.clear()
        for total in (lo.S_PUSHED, lo.S_COMPLETED, lo.S_FAILED, lo.S_LOST):
            self._memory.state[total] = 0
        for queue in self.by_name.values():
            for what in COUNTED:
                setattr(queue, what, 0)
            for total in (lo.Q_PUSHED, lo.Q_COMPLETED, lo.Q_FAILED, lo.Q_LOST):
                self._memory.words[queue.at + total] = 0
        for queue in list(self.by_name.values()):
            self.forget_unused(queue)

    def stats(self, queue: Queue, now_ms: int) -> QueueStats:
        """Counts of one queue. O(1), amortised over levels that changed."""
        words, at = self._memory.words, queue.at
        counts = words[at : at + lo.Q_TOP].tolist()
        oldest_ms = 0
        if counts[lo.Q_QUEUED]:
            oldest_ms = now_ms - act(self._memory.flat, lo.V_OLDEST, queue.number, 0, 0)
        return QueueStats(
            name=queue.name,
            queued=counts[lo.Q_QUEUED],
            processing=counts[lo.Q_PROCESSING],
            delayed=counts[lo.Q_DELAYED],
            dead=len(queue.dead),
            paused=bool(counts[lo.Q_PAUSED]),
            pushed=counts[lo.Q_PUSHED],
            completed=counts[lo.Q_COMPLETED],
            failed=counts[lo.Q_FAILED],
            lost=counts[lo.Q_LOST],
            **{what: getattr(queue, what) for what in COUNTED},
            oldest_ready_ms=oldest_ms,
        )

    def _write_names(self, queue: Queue) -> None:
        memory, name = self._memory, queue.name.encode(errors="surrogatepass")
        text = _TEXT_HEAD % name
        base = 8 * queue.at
        plain = len(name) < lo.Q_TEXT_AT - lo.Q_NAME_AT and not _ESCAPED & set(name)
        kept = name if plain else b""
        memory.bytes[base + lo.Q_NAME_AT : base + lo.Q_NAME_AT + len(kept)] = kept
        memory.words[queue.at + lo.Q_NAME_BYTES] = len(kept)
        if kept:
            memory.bytes[base + lo.Q_TEXT_AT : base + lo.Q_TEXT_AT + len(text)] = text
            memory.words[queue.at + lo.Q_TEXT_BYTES] = len(text)
