"""What the parts of the layer stand on: the core, what is known, and how it is told."""

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Final, TypeVar

from magicqueue_cores.contract import NEVER_MS, Core, RecordSink
from magicqueue_cores.pending import Answer, Pending
from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.course import Course
from magicqueue_cores.policies.cron_facts import CronShelf
from magicqueue_cores.policies.gates import Gate
from magicqueue_cores.policies.mark_texts import text_of
from magicqueue_cores.policies.marks import Marks
from magicqueue_cores.policies.moments import Clock, Tally
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.ruling import Ruling
from magicqueue_cores.policies.shelf import Shelf
from magicqueue_cores.policies.terms_shared import TermsShared
from magicqueue_cores.policies.wishes import GroupedMark, Mark
from magicqueue_cores.records import Gone, Kept, Marked, Record

T = TypeVar("T")

PAGE_BYTES_MAX: Final = 16 * 2**20
"""So much data is looked at in one step, at most, where the core is asked for jobs."""

WINDOW: Final = "window"
RESULT: Final = "result"
REQUEST: Final = "request"
CRON: Final = "cron"
CRON_STATE: Final = "cron_state"
LIMIT: Final = "limit"
THROTTLE: Final = "throttle"
GROUP_THROTTLE: Final = "group_throttle"


def at_once(answer: Answer[T]) -> T:
    """Return the answer of a core that answers at once."""
    if isinstance(answer, Pending):
        raise TypeError("policies need a core that answers at once; this one did not")
    return answer


class Ground:
    """Marks, facts and their clock, above a core.

    Facts of a queue have keys of their names: a queue's, then a key's, with a zero between,
    which neither can have.
    """

    def __init__(
        self, core: Core, options: PolicyOptions, record: RecordSink | None
    ) -> None:
        """Start empty."""
        self.core = core
        self.options = options
        self.clock = clock = Clock()
        self.terms = TermsShared()
        self.tally = tally = Tally()
        self.marks = Marks(clock, tally, options)
        self.terms.line_of = self.marks.seats.line_of
        self.windows = Shelf(clock, tally, options.windows_max, options.windows_bytes_max)
        self.results = Shelf(clock, tally, options.results_max, options.results_bytes_max)
        self.requests = Shelf(
            clock, tally, options.req_keys_max, options.req_keys_bytes_max
        )
        self.crons_changed: set[bytes] = set()
        """Keys of facts of crons that came or went."""
        self.shelves = {
            WINDOW: self.windows,
            RESULT: self.results,
            REQUEST: self.requests,
            CRON: CronShelf(tally, self.crons_changed),
            CRON_STATE: CronShelf(tally, self.crons_changed),
            LIMIT: Shelf(clock, tally, 0, 0),  # `Limits` refuses what is too much
            THROTTLE: Shelf(clock, tally, 0, 0),
            GROUP_THROTTLE: Shelf(clock, tally, 0, 0),
        }
        self.ruling = Ruling(core)
        self.gates: dict[str, Gate] = {}
        """Those of queues with limits, by name."""
        self.course = Course(self.marks, self.shelves, self.terms)
        self.step_jobs = options.step_jobs or NEVER_MS
        self._record = record

    @property
    def fact_bytes(self) -> int:
        """The bytes of the keys and values of all facts."""
        return sum(shelf.bytes for shelf in self.shelves.values())

    def weigh(self, more: int = 0) -> None:
        """Tell the core what is kept outside of it, and `more`, which is to come."""
        self.core.outside_bytes = self.tally.size + more

    def tell(self, record: Record) -> None:
        """Record something."""
        if self._record is not None:
            self._record(record)

    def mark(self, queue: str, ids: Sequence[int], marks: Sequence[Mark]) -> None:
        """Know, and record, something else than before of jobs of a queue."""
        if self._record is not None:
            self._record(Marked(queue, ids, list(map(text_of, marks))))
        put = self.marks.put
        for job_id, mark in zip(ids, marks, strict=True):
            put(job_id, mark)
        self.core.mark(ids, marked=True)

    def mark_new(self, first_id: int, kinds: Sequence[Alike]) -> None:
        """Know, and record, jobs of one queue that were pushed just now."""
        ids = [[first_id + place for place in alike.places] for alike in kinds]
        if self._record is not None:
            texts = [text for alike in kinds for text in alike.texts()]
            queue = kinds[0].terms.queue
            self._record(Marked(queue, list(chain.from_iterable(ids)), texts))
        grouped: list[tuple[int, GroupedMark]] = []
        for alike, of_alike in zip(kinds, ids, strict=True):
            marks = alike.marks()
            self.marks.put_new(alike, of_alike, marks)
            self.core.mark(of_alike, marked=True)
            if alike.terms.grouped:
                grouped += zip(of_alike, marks, strict=True)  # type: ignore[arg-type]
        if len(kinds) > 1:
            grouped.sort(key=itemgetter(0))
        if grouped:
            self.marks.seats.hook_new(grouped)

    def change(self, changed: Sequence[tuple[int, Mark]]) -> None:
        """Know, and record, something else than before of jobs of any queues."""
        by_queue: dict[str, tuple[list[int], list[Mark]]] = {}
        for job_id, mark in changed:
            ids, marks = by_queue.setdefault(mark.terms.queue, ([], []))
            ids.append(job_id)
            marks.append(mark)
        for queue, (ids, marks) in by_queue.items():
            self.mark(queue, ids, marks)

    def keep(self, space: str, facts: dict[bytes, tuple[int, bytes]]) -> None:
        """Store and record facts, each with its end and body; the oldest go if need be."""
        shelf = self.shelves[space]
        values = {key: shelf.value(*fact) for key, fact in facts.items()}
        self.tell(Kept(space, list(values), list(values.values())))
        for key, value in values.items():
            shelf.put(key, value)
        excess = shelf.overflow()
        if excess:
            self.tell(Gone(space, excess))
            shelf.dropped += len(excess)
            for key in excess:
                shelf.remove(key)

    def drop(self, space: str, keys: Sequence[bytes]) -> None:
        """Forget and record facts that are here."""
        self.tell(Gone(space, keys))
        for key in keys:
            self.shelves[space].remove(key)

    def end_facts(self, space: str, until_ms: int, most: int) -> list[bytes]:
        """Forget and record the facts that end by then; return their keys."""
        gone = self.shelves[space].ended(until_ms, most)
        if gone:
            self.tell(Gone(space, gone))
        return gone


def named(queue: str, key: str) -> bytes:
    """Return the key of a fact that a queue has under a key."""
    return f"{queue}\0{key}".encode(errors="surrogatepass")


def names_in(key: bytes) -> tuple[str, str]:
    """Return a queue and the name, of its own, that a fact's key is made of."""
    queue, _, name = key.decode(errors="surrogatepass").partition("\0")
    return queue, name
