"""Leaving the past out: the oldest segment goes when its live jobs have been moved on.

A segment is the *home* of the jobs pushed in it (their ids are a range that its header and
the next one's tell) and of those moved to it. To free the oldest one, the core is asked,
some ids at a time, for the state of those that are still here; that is recorded as
`Moved`, like any other record. When all of it is on the disk, so that every live job has
its home in a later segment, the oldest is dropped. Only the oldest ever is: a segment in
the middle may hold the end of a job whose beginning is older.

So nothing is counted while jobs come and go, and each id is looked up once for each time
its home is freed.

A job's *mark* has no home of its own. It goes with the job: `Moved` is followed by the mark
as it is then, in the same frame. Where a segment holds but a later mark of a job, the job's
home was an older segment, which went before; so the home is in a later one by then, and the
mark that went there says all that this one does.

*Facts* belong to no job. `Facts` knows which segment holds the last word on each; those of
the segment that goes are asked for, and written again if they still hold.

It starts when the log takes more than three times what all that is alive would take, less
what is needed to get there; in steps that take a few milliseconds each.

What it would take is what the core says of payloads and error texts, what marks and facts
are said to take, and the names of paused queues. And it comes to an end whatever that
estimate is worth: a *pass* has freed every segment there was when it began,
so all that is left is alive, or is newer. The next one begins when enough is newer, or
enough jobs have left.
"""

import logging
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from magicqueue_cores import records
from magicqueue_cores.contract import Core
from magicqueue_cores.pending import Pending
from magicqueue_server.logs import event
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.journal import DiskFull, Segment
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.passes import Passes
from magicqueue_server.wal.recovery import Recovered
from magicqueue_server.wal.room import RETRY_MS
from magicqueue_server.wal.tasks import Tasks

JOB_BYTES: Final = 160
"""What a live job takes in the log beside its payload."""
SPREAD_MAX: Final = 2.5
SEGMENTS_MAX: Final = 64
"""So many may be small: a server that starts often makes as many."""
IDS_A_STEP_MIN: Final = 256
IDS_A_STEP_MAX: Final = 16_384
FACTS_A_STEP: Final = 64
"""Fewer, since a fact may be long."""
_PAUSE_BYTES: Final = 40

_log = logging.getLogger("magicqueue.wal")


class Source(Protocol):
    """What is asked for all that is alive: policies, or a core by itself (`OfCore`)."""

    @property
    def fact_bytes(self) -> int:
        """Bytes of the facts that are alive, their keys included."""
        ...

    @property
    def mark_bytes(self) -> int:
        """About the bytes of the marks of jobs that are alive."""
        ...

    def export(self, ids: Sequence[int]) -> Sequence[records.Record]:
        """Tell all about those of `ids` that are here: `Moved`, then `Marked`."""
        ...

    def export_facts(self, space: str, keys: Sequence[bytes]) -> records.Kept:
        """Tell those facts again that still hold."""
        ...


class OfCore:
    """A core that has no policies above it: there are no marks and no facts."""

    fact_bytes = mark_bytes = 0

    def __init__(self, core: Core) -> None:
        self._core = core

    def export(self, ids: Sequence[int]) -> Sequence[records.Record]:
        """Tell all about those of `ids` that are here."""
        return [self._core.export(ids)]

    def export_facts(self, space: str, keys: Sequence[bytes]) -> records.Kept:
        """Tell that none holds."""
        del keys
        return records.Kept(space, [], [])


class Reclaimer:
    """Follows where jobs are in the log, and frees its oldest segment when that pays.

    core: is asked how many jobs there are. source: None is the core, by itself.
    """

    def __init__(  # noqa: PLR0913 - what surrounds it comes from outside
        self,
        log: Log,
        core: Core,
        tasks: Tasks,
        found: Recovered,
        *,
        segment_bytes: int,
        now_ms: Callable[[], int],
        source: Source | None = None,
    ) -> None:
        self._log = log
        self._core = core
        self._source = OfCore(core) if source is None else source
        self._tasks = tasks
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms
        self._moved = dict(found.moved)
        self._paused = dict(found.paused)
        self._facts = found.facts
        self._newest = 0
        self._work: Iterator[None] = iter(())
        self._working = False
        self._passes = Passes()
        self.freed = 0
        """Segments that were dropped."""
        self.moved_jobs = 0
        self.moved_facts = 0
        log.on_written = self.written

    def written(self, group: Group) -> None:
        """Be told that a group has its segment."""
        if group.moved:
            self._moved.setdefault(group.segment, array("q")).extend(group.moved)
        for space, keys, kept in group.facts:
            if kept:
                self._facts.kept(space, keys, group.segment)
            else:
                self._facts.gone(space, keys)
        self._passes.others_wrote(group.body_bytes - group.again_bytes)
        for queue, paused in group.paused.items():
            self._paused.pop(queue, None)
            if paused:
                self._paused[queue] = group.segment
        if group.segment != self._newest:
            self._newest = group.segment
            self.start()

    def start(self) -> None:
        """Free the oldest segment, if that pays and is not being done."""
        if not self._working and self._pays():
            self._working = True
            oldest, newest = self._log.journal.segments[0], self._log.journal.current
            self._passes.go_on(oldest.number, newest.number, self._jobs()[0])
            self._work = self._write_again()
            self._tasks.soon(self._step)

    def _pays(self) -> bool:
        journal = self._log.journal
        segments = journal.segments
        if self._log.failure is not None or len(segments) < 2:  # noqa: PLR2004 - one stays
            return False
        used = journal.used_bytes
        small = used < len(segments) * self._segment_bytes / 2
        pays = (
            (self._log.room.full and segments[0].used_bytes < 2 * journal.room)
            or (len(segments) > SEGMENTS_MAX and small)
            or used > SPREAD_MAX * self.live_bytes() + self._segment_bytes
        )
        return pays and self._passes.may_go_on(segments[0].number, used, self._jobs()[0])

    def live_bytes(self) -> int:
        """What the log would take if all in it were alive and written once."""
        jobs, content_bytes = self._jobs()
        pauses = sum(_PAUSE_BYTES + len(name.encode()) for name in self._paused)
        known_bytes = self._source.fact_bytes + self._source.mark_bytes
        return content_bytes + jobs * JOB_BYTES + pauses + known_bytes

    def _jobs(self) -> tuple[int, int]:
        """How many jobs there are, and the bytes of their payloads and error texts."""
        stats = self._core.stats(self._now_ms())
        assert not isinstance(stats, Pending), "a core that needs a log answers at once"
        jobs = stats.queued + stats.processing + stats.delayed + stats.dead
        return jobs, stats.content_bytes

    def _home_ids(self) -> Iterator[Sequence[int]]:
        """The ids whose home the oldest segment is, as they were pushed, then moved."""
        oldest, following = self._oldest_two()
        yield range(oldest.header.last_id + 1, following.header.last_id + 1)
        yield self._moved.get(oldest.number, ())

    def _oldest_two(self) -> tuple[Segment, Segment]:
        segments = self._log.journal.segments
        return segments[0], segments[1]

    def _step(self) -> None:
        """Write some of it again; then go on, or end when all has been looked at."""
        if self._log.failure is not None:
            return
        for _ in self._work:
            if self._log.behind:
                self._tasks.later(1, self._step)
            else:
                self._tasks.soon(self._step)
            return
        self._log.when_safe(self._drop)

    def _write_again(self) -> Iterator[None]:
        """Write again what lives and has its home in the oldest segment, in steps."""
        step = IDS_A_STEP_MIN
        for ids in self._home_ids():
            at = 0
            while at < len(ids):
                jobs = self._move_jobs(ids[at : at + step])
                at += step
                few = 8 * jobs < step
                step = min(2 * step, IDS_A_STEP_MAX) if few else IDS_A_STEP_MIN
                yield
        number = self._log.journal.segments[0].number
        for space, keys in self._facts.of(number):
            for at in range(0, len(keys), FACTS_A_STEP):
                self._move_facts(space, keys[at : at + FACTS_A_STEP], number)
                yield
        self._move_pauses(number)

    def _move_jobs(self, ids: Sequence[int]) -> int:
        """Write those that are here again, with their marks in the same frame."""
        told: Sequence[Any] = self._source.export(ids)
        jobs = sum(len(one.ids) for one in told if isinstance(one, records.Moved))
        if jobs:
            self._log.record_again(told)
            self.moved_jobs += jobs
        return jobs

    def _move_facts(self, space: str, keys: Sequence[bytes], number: int) -> None:
        keys = [key for key in keys if self._facts.segment(space, key) == number]
        kept = self._source.export_facts(space, keys) if keys else None
        if kept is not None and kept.keys:
            self._log.record_again((kept,))
            self.moved_facts += len(kept.keys)

    def _move_pauses(self, number: int) -> None:
        here = [queue for queue, segment in self._paused.items() if segment <= number]
        self._log.record_again(records.Paused(queue, paused=True) for queue in here)

    def _drop(self) -> None:
        if self._log.failure is not None:
            return
        number = self._log.journal.segments[0].number

        def dropped(error: BaseException | None) -> None:
            if isinstance(error, DiskFull):  # nothing has changed; it may do later
                self._tasks.later(RETRY_MS, self._drop)
                return
            if error is not None:
                self._log.fail(error)
                return
            self._moved.pop(number, None)
            self._facts.forget(number)
            self._working = False
            self.freed += 1
            event(_log, logging.DEBUG, "freed a segment", number=number)
            self._log.prepare()
            self.start()

        self._tasks.run(self._log.journal.drop, dropped)
