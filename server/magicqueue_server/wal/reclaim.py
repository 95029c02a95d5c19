"""Leaving the past out: the oldest segment goes when its live jobs have been moved on.

A segment is the *home* of the jobs pushed in it (their ids are a range that its header and
the next one's tell) and of those moved to it. To free the oldest one, the core is asked,
some ids at a time, for the state of those that are still here; that is recorded as
`Moved`, like any other record. When all of it is on the disk, so that every live job has
its home in a later segment, the oldest is dropped. Only the oldest ever is: a segment in
the middle may hold the end of a job whose beginning is older.

So nothing is counted while jobs come and go, and each id is looked up once for each time
its home is freed. It starts when the log takes more than three times what the live jobs
would take, less what is needed to get there; in steps that take a few milliseconds each.

What the live jobs would take is what the core says of their payloads, and the error texts
that were moved of late, and the names of paused queues. And it comes to an end
whatever that estimate is worth: a *pass* has freed every segment there was when it began,
so all that is left is alive, or is newer. The next one begins when enough is newer, or
enough jobs have left.
"""

import logging
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from magicqueue_cores import records
from magicqueue_cores.contract import Core
from magicqueue_cores.pending import Pending
from magicqueue_server.logs import event
from magicqueue_server.wal.journal import DiskFull, Group, Segment
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
_PAUSE_BYTES: Final = 40

_log = logging.getLogger("magicqueue.wal")


class Reclaimer:
    """Follows where jobs are in the log, and frees its oldest segment when that pays."""

    def __init__(
        self,
        log: Log,
        core: Core,
        tasks: Tasks,
        found: Recovered,
        *,
        segment_bytes: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._log = log
        self._core = core
        self._tasks = tasks
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms
        self._moved = dict(found.moved)
        self._paused = dict(found.paused)
        self._newest = 0
        self._ids: deque[Sequence[int]] = deque()
        self._at = 0
        self._step_ids = IDS_A_STEP_MIN
        self._working = False
        self._passes = Passes()
        self.freed = 0
        """Segments that were dropped."""
        self.moved_jobs = 0
        log.on_written = self.written

    def written(self, group: Group) -> None:
        """Be told that a group has its segment."""
        if group.moved:
            self._moved.setdefault(group.segment, array("q")).extend(group.moved)
        self._passes.others_wrote(group.body_bytes - group.moved_bytes)
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
            self._step_ids = IDS_A_STEP_MIN
            self._ids = deque(self._home_ids())
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
            or used > SPREAD_MAX * self._live_bytes() + self._segment_bytes
        )
        return pays and self._passes.may_go_on(segments[0].number, used, self._jobs()[0])

    def _live_bytes(self) -> int:
        """What the log would take if all in it were alive and written once."""
        jobs, content_bytes = self._jobs()
        pauses = sum(_PAUSE_BYTES + len(name.encode()) for name in self._paused)
        return content_bytes + jobs * JOB_BYTES + pauses

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
        """Move some jobs; then go on, or end when all have been looked at."""
        if self._log.failure is not None:
            return
        while self._ids and self._at >= len(self._ids[0]):
            self._ids.popleft()
            self._at = 0
        if not self._ids:
            self._move_pauses()
            self._log.when_safe(self._drop)
            return
        moved = self._core.export(self._ids[0][self._at : self._at + self._step_ids])
        self._at += self._step_ids
        if moved.ids:
            self._log.record(moved)
            self.moved_jobs += len(moved.ids)
        few = 8 * len(moved.ids) < self._step_ids
        self._step_ids = min(2 * self._step_ids, IDS_A_STEP_MAX) if few else IDS_A_STEP_MIN
        if self._log.behind:
            self._tasks.later(1, self._step)
        else:
            self._tasks.soon(self._step)

    def _move_pauses(self) -> None:
        number = self._log.journal.segments[0].number
        for queue, segment in list(self._paused.items()):
            if segment <= number:
                self._log.record(records.Paused(queue, paused=True))
                self._passes.others_wrote(-_PAUSE_BYTES - len(queue.encode()))

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
            self._working = False
            self.freed += 1
            event(_log, logging.DEBUG, "freed a segment", number=number)
            self._log.prepare()
            self.start()

        self._tasks.run(self._log.journal.drop, dropped)
