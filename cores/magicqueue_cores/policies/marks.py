"""Everything that is known of marked jobs, and the one way out of it.

Each method is one thing that befalls a job. What a live server has to do about it, besides,
is noted in `notes` and done later: nothing here calls the core.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from magicqueue_cores.contract import TIME_MAX_MS
from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.doomed import Doomed
from magicqueue_cores.policies.keys import Keys
from magicqueue_cores.policies.moments import Clock, Moments, Tally
from magicqueue_cores.policies.notebook import Notebook
from magicqueue_cores.policies.notes import Notes
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.seats import Seats
from magicqueue_cores.policies.wishes import (
    ACTIVE,
    CANCELLED,
    DEAD,
    HOLDS,
    KEY_BYTES,
    TIMED,
    GroupedMark,
    Mark,
    TimedMark,
    weight_of,
)

CRON_BYTES: Final = 90
"""What the name and the tick of a job's cron take beside the characters."""
TEXT_BYTES: Final = 24
"""About what a text of a mark takes beside its key."""
DIED: Final = "dead"
"""How a job ended that is a dead letter now: its mark stays, for when it is revived."""


class Marks:
    """Marks by job, and what is found by them: keys, moments, cancelled jobs."""

    def __init__(self, clock: Clock, tally: Tally, options: PolicyOptions) -> None:
        """Start empty."""
        self.by_id: dict[int, Mark] = {}
        self.keys = Keys()
        self.doomed = Doomed()
        self.notebook = Notebook(tally, options)
        self._tally = tally
        self.notes = Notes()
        self.seats = Seats(self.by_id, self.notes, tally)
        self.expiries: Moments[int] = Moments(clock, self._expires_at)
        self.attempt_ends: Moments[int] = Moments(clock, self._attempt_ends_at)
        self.timed: dict[str, int] = {}
        """Jobs that have an entry in `expiries`, by queue."""
        self.dead_keyed: dict[str, int] = {}
        """Dead letters that would take a key again, by queue."""
        self.links = 0
        """Jobs that depend, or depended, on others, dead or not."""
        self.key_chars = 0
        """Of all keys, held or not, and of the names of jobs' crons."""
        self.cron_jobs: dict[str, int] = {}
        """Jobs of crons that are not dead, by cron."""
        self.cron_marks = 0
        """Jobs of crons, dead or not."""
        self.telling: dict[str, int] = {}
        """Jobs that are not dead of which a pull tells more than the core, by queue."""

    @property
    def text_bytes(self) -> int:
        """About what the texts of all marks take."""
        return len(self.by_id) * TEXT_BYTES + self.key_chars

    def put(self, job_id: int, mark: Mark) -> None:
        """Know this of a job, in place of what was known. O(log n)."""
        old = self.by_id.get(job_id)
        if old is not None:
            self._unhook([(job_id, old)])
        self.by_id[job_id] = mark
        if isinstance(mark, GroupedMark):
            self.seats.put(job_id, old, mark)
        self._tally.size += weight_of(mark.terms, mark.key)
        flags = mark.flags
        if mark.key is not None:
            self._put_key(mark.key, job_id, mark)
        if mark.cron is not None:
            self._count_cron(mark.cron, mark, 1)
        if mark.expires_at_ms and not flags & DEAD:
            self.time(job_id, mark)
        if mark.terms.link is not None:
            self._count_link(mark, 1)
        if mark.attempt_until_ms:
            self.attempt_ends.add(mark.attempt_until_ms, job_id)
        if flags & CANCELLED:
            self.doomed.add(job_id)

    def _put_key(self, key: str, job_id: int, mark: Mark) -> None:
        self.key_chars += len(key)
        if mark.flags & HOLDS:
            self.keys.take(mark.terms.queue, key, job_id)
        elif mark.flags & DEAD and mark.takes_key:
            _count(self.dead_keyed, mark.terms.queue, 1)

    def put_new(self, alike: Alike, ids: Sequence[int], marks: Sequence[Mark]) -> None:
        """Know this of jobs of which nothing was known: as `put`, all at once."""
        queue = alike.terms.queue
        self.by_id.update(zip(ids, marks, strict=True))
        self.key_chars += alike.key_chars
        if alike.flags & HOLDS:
            self.keys.take_all(queue, dict(zip(alike.keys, ids, strict=True)))
        self._tally.size += alike.weight
        if alike.expires_at_ms:
            self.expiries.add_all(alike.expires_at_ms, ids)
            _count(self.timed, queue, len(ids))
        if alike.terms.link is not None:
            self.links += len(ids)
            self._count_telling(queue, len(ids))

    def leave(self, ids: Iterable[int], how: str) -> None:
        """Let go of all that these jobs have: every end of every job goes this way.

        how: a cause of `records.Removed`, `done`, or DIED.
        """
        found = self.among(ids)
        self._unhook(found)
        if self.seats.rounds:
            self.seats.unhook_all(found)
        by_id, notes, noted = self.by_id, self.notes, len(self.notebook)
        died = how == DIED
        for job_id, mark in found:
            del by_id[job_id]
            if noted:
                self.notebook.drop(job_id)
            flags = mark.flags
            if died and not mark.is_bare:
                mark.flags = DEAD | (flags & CANCELLED)
                self.put(job_id, mark)
            if died and flags & CANCELLED:
                notes.note_back(job_id)
            elif mark.terms.keep_result_ms and flags & (DEAD | CANCELLED) != DEAD:
                notes.note_end(job_id, mark, how)

    def forget(self, job_id: int) -> None:
        """Know nothing of a job any more, which goes on."""
        mark = self.by_id.get(job_id)
        if mark is not None:
            self._unhook([(job_id, mark)])
            self.seats.unhook_all([(job_id, mark)])
            del self.by_id[job_id]

    def hand_out(self, found: Iterable[tuple[int, Mark]]) -> None:
        """Jobs were handed out."""
        took_turns, live = self.seats.taking, self.notes.live
        for job_id, mark in found:
            if not took_turns and isinstance(mark, GroupedMark):
                self.seats.hand_out(job_id, mark)
            mark.flags |= ACTIVE
            mark.attempts += 1
            terms = mark.terms
            if terms.until_start and mark.flags & HOLDS:
                assert mark.key is not None, "what is held is a key"
                self.keys.release(terms.queue, mark.key)
                mark.flags &= ~HOLDS
            if terms.timeout_ms and live:
                self.notes.handed.append(job_id)
                self.notes.pending = True

    def come_back(self, job_id: int, mark: Mark, *, stays: bool) -> None:
        """A job's attempt ended, and it may run again. stays: at its old place."""
        mark.flags &= ~ACTIVE
        if isinstance(mark, GroupedMark):
            self.seats.come_back(job_id, mark, stays=stays)
        if isinstance(mark, TimedMark) and mark.attempt_until_ms:
            mark.attempt_until_ms = 0
            self.attempt_ends.lose()
        untimed = mark.expires_at_ms and not mark.flags & TIMED
        if untimed or mark.flags & CANCELLED:
            self.notes.note_back(job_id)

    def revive(self, job_id: int, mark: Mark, at_ms: int) -> None:
        """A dead letter is as if pushed anew."""
        terms = mark.terms
        self._unhook([(job_id, mark)])
        mark.flags = HOLDS if mark.takes_key else 0
        mark.attempts = 0
        if isinstance(mark, TimedMark) and terms.ttl_ms:
            mark.expires_at_ms = min(at_ms + terms.ttl_ms, TIME_MAX_MS)
        del self.by_id[job_id]
        self.put(job_id, mark)

    def time(self, job_id: int, mark: Mark) -> None:
        """Wait for a job's expiry. O(log n)."""
        mark.flags |= TIMED
        self.expiries.add(mark.expires_at_ms, job_id)
        _count(self.timed, mark.terms.queue, 1)

    def expired(self, until_ms: int, most: int) -> list[int]:
        """Take out jobs that may not run from `until_ms` on, those at work left alone."""
        ids = self.expiries.due(until_ms, most)
        for job_id in ids:
            mark = self.by_id[job_id]
            mark.flags &= ~TIMED
            _count(self.timed, mark.terms.queue, -1)
        return ids

    def timed_out(self, until_ms: int, most: int) -> list[int]:
        """Take out jobs whose attempt ends by then."""
        ids = self.attempt_ends.due(until_ms, most)
        for job_id in ids:
            mark = self.by_id[job_id]
            assert isinstance(mark, TimedMark), "only those have ends of attempts"
            mark.attempt_until_ms = 0
        return ids

    def among(self, ids: Iterable[int]) -> list[tuple[int, Mark]]:
        """Return those of the jobs that are marked, in order."""
        by_id = self.by_id
        if not by_id:
            return []
        if not isinstance(ids, list):
            ids = list(map(int, ids))  # a column may hold numbers of another kind
        found = zip(ids, map(by_id.get, ids), strict=True)
        return [(job_id, mark) for job_id, mark in found if mark is not None]

    def _unhook(self, found: Sequence[tuple[int, Mark]]) -> None:
        """Let nothing lead to these marks but their ids, nor to a time of theirs."""
        size = chars = 0
        for job_id, mark in found:
            flags, terms, key = mark.flags, mark.terms, mark.key
            size += terms.mark_bytes
            if key is not None:
                chars += len(key)
                size += KEY_BYTES
                if flags & HOLDS:
                    self.keys.release(terms.queue, key)
                elif flags & DEAD and mark.takes_key:
                    _count(self.dead_keyed, terms.queue, -1)
            if flags & CANCELLED:
                self.doomed.discard(job_id)
        self._tally.size -= size + chars
        self.key_chars -= chars
        self._untime(found)
        if self.cron_marks or self.links:
            self._uncount(found)

    def _untime(self, found: Sequence[tuple[int, Mark]]) -> None:
        """Wait for no time of these marks."""
        timed = [mark for _, mark in found if mark.flags & TIMED or mark.attempt_until_ms]
        expiries = attempt_ends = 0
        for mark in timed:
            if mark.flags & TIMED:
                mark.flags &= ~TIMED
                expiries += 1
                _count(self.timed, mark.terms.queue, -1)
            if mark.attempt_until_ms:
                assert isinstance(mark, TimedMark), "only those have ends of attempts"
                mark.attempt_until_ms = 0
                attempt_ends += 1
        if expiries:
            self.expiries.lose(expiries)
        if attempt_ends:
            self.attempt_ends.lose(attempt_ends)

    def _uncount(self, found: Sequence[tuple[int, Mark]]) -> None:
        """Count jobs of crons, and those that depend on others, no more."""
        for _, mark in found:
            if mark.cron is not None:
                self._count_cron(mark.cron, mark, -1)
            if mark.terms.link is not None:
                self._count_link(mark, -1)

    def _count_cron(self, cron: str, mark: Mark, by: int) -> None:
        self.cron_marks += by
        self.key_chars += by * len(cron)
        self._tally.size += by * (CRON_BYTES + len(cron))
        if not mark.flags & DEAD:
            _count(self.cron_jobs, cron, by)
            self._count_telling(mark.terms.queue, by)

    def _count_link(self, mark: Mark, by: int) -> None:
        self.links += by
        if not mark.flags & DEAD:
            self._count_telling(mark.terms.queue, by)

    def _count_telling(self, queue: str, by: int) -> None:
        """Count jobs of which a pull tells more; the first and the last are noted."""
        before = self.telling.get(queue, 0)
        _count(self.telling, queue, by)
        if not before or queue not in self.telling:
            self.notes.telling.add(queue)
            self.notes.pending = self.notes.pending or self.notes.live

    def _expires_at(self, at_ms: int, job_id: int) -> bool:
        mark = self.by_id.get(job_id)
        return mark is not None and mark.expires_at_ms == at_ms and bool(mark.flags & TIMED)

    def _attempt_ends_at(self, at_ms: int, job_id: int) -> bool:
        mark = self.by_id.get(job_id)
        return mark is not None and mark.attempt_until_ms == at_ms


def _count(counts: dict[str, int], queue: str, by: int) -> None:
    count = counts.get(queue, 0) + by
    if count:
        counts[queue] = count
    else:
        del counts[queue]
