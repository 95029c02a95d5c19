"""Everything that is known of marked jobs, and the one way out of it.

Each method is one thing that befalls a job. What a live server has to do about it, besides,
is noted in `notes` and done later: nothing here calls the core.
"""

from collections.abc import Iterable
from typing import Final

from magicqueue_cores.contract import TIME_MAX_MS
from magicqueue_cores.policies.doomed import Doomed
from magicqueue_cores.policies.keys import Keys
from magicqueue_cores.policies.links import EDGE_BYTES, LINK_BYTES
from magicqueue_cores.policies.moments import ENTRY_BYTES, Clock, Moments, Tally
from magicqueue_cores.policies.notebook import Notebook
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.wishes import (
    ACTIVE,
    CANCELLED,
    DEAD,
    HOLDS,
    TIMED,
    Mark,
    TimedMark,
)

MARK_BYTES: Final = 150
"""What a mark takes: itself, the job's id and their place in the table."""
KEY_BYTES: Final = 90
"""What a key takes beside its characters: a string and its place in its queue's table."""
TEXT_BYTES: Final = 24
"""About what a text of a mark takes beside its key."""
DIED: Final = "dead"
"""How a job ended that is a dead letter now: its mark stays, for when it is revived."""


class Notes:
    """What has to follow from what befell marked jobs, in order."""

    __slots__ = ("back", "ended", "handed", "live", "pending")

    def __init__(self) -> None:
        """Start empty."""
        self.live = True
        """Nothing follows from what is replayed: that was recorded, too."""
        self._start()

    def take(self) -> tuple[list[int], list[int], list[tuple[int, Mark, str]]]:
        """Return what is noted, and start anew: handed out, back again, and ended jobs."""
        taken = self.handed, self.back, self.ended
        self._start()
        return taken

    def _start(self) -> None:
        self.handed: list[int] = []
        self.back: list[int] = []
        self.ended: list[tuple[int, Mark, str]] = []
        self.pending = False


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
        self.expiries: Moments[int] = Moments(clock, self._expires_at)
        self.attempt_ends: Moments[int] = Moments(clock, self._attempt_ends_at)
        self.timed: dict[str, int] = {}
        """Jobs that have an entry in `expiries`, by queue."""
        self.dead_keyed: dict[str, int] = {}
        """Dead letters that would take a key again, by queue."""
        self.linked: dict[str, int] = {}
        """Jobs that depend, or depended, on others, by queue."""
        self.key_chars = 0
        """Of all keys, held or not."""

    @property
    def text_bytes(self) -> int:
        """About what the texts of all marks take."""
        return len(self.by_id) * TEXT_BYTES + self.key_chars

    def put(self, job_id: int, mark: Mark) -> None:
        """Know this of a job, in place of what was known. O(log n)."""
        if job_id in self.by_id:
            self._unhook(job_id, self.by_id[job_id])
        self.by_id[job_id] = mark
        self._tally.size += weight_of(mark)
        flags = mark.flags
        if mark.key is not None:
            self.key_chars += len(mark.key)
            if flags & HOLDS:
                self.keys.take(mark.terms.queue, mark.key, job_id)
            elif flags & DEAD and mark.takes_key:
                _count(self.dead_keyed, mark.terms.queue, 1)
        if mark.expires_at_ms and not flags & DEAD:
            self.time(job_id, mark)
        if mark.link is not None:
            _count(self.linked, mark.terms.queue, 1)
        if mark.attempt_until_ms:
            self.attempt_ends.add(mark.attempt_until_ms, job_id)
        if flags & CANCELLED:
            self.doomed.add(job_id)

    def leave(self, job_id: int, mark: Mark, how: str) -> None:
        """Let go of all that a job has: every end of every job goes this way.

        how: a cause of `records.Removed`, `done`, or DIED.
        """
        flags = mark.flags
        self._unhook(job_id, mark)
        del self.by_id[job_id]
        self.notebook.drop(job_id)
        if how == DIED and not mark.is_bare:
            mark.flags = DEAD | (flags & CANCELLED)
            if isinstance(mark, TimedMark):
                mark.attempt_until_ms = 0
            self.put(job_id, mark)
        notes = self.notes
        if not notes.live:
            return
        if how == DIED and flags & CANCELLED:
            notes.back.append(job_id)
            notes.pending = True
        elif mark.terms.keep_result_ms and flags & (DEAD | CANCELLED) != DEAD:
            notes.ended.append((job_id, mark, how))
            notes.pending = True

    def forget(self, job_id: int) -> None:
        """Know nothing of a job any more, which goes on."""
        mark = self.by_id.pop(job_id, None)
        if mark is not None:
            self._unhook(job_id, mark)

    def hand_out(self, job_id: int, mark: Mark) -> None:
        """A job was handed out."""
        mark.flags |= ACTIVE
        mark.attempts += 1
        if mark.terms.until_start and mark.flags & HOLDS:
            assert mark.key is not None, "what is held is a key"
            self.keys.release(mark.terms.queue, mark.key)
            mark.flags &= ~HOLDS
        if mark.terms.timeout_ms and self.notes.live:
            self.notes.handed.append(job_id)
            self.notes.pending = True

    def come_back(self, job_id: int, mark: Mark) -> None:
        """A job's attempt ended, and it may run again."""
        mark.flags &= ~ACTIVE
        if isinstance(mark, TimedMark) and mark.attempt_until_ms:
            mark.attempt_until_ms = 0
            self.attempt_ends.lose()
        untimed = mark.expires_at_ms and not mark.flags & TIMED
        if (untimed or mark.flags & CANCELLED) and self.notes.live:
            self.notes.back.append(job_id)
            self.notes.pending = True

    def revive(self, job_id: int, mark: Mark, at_ms: int) -> None:
        """A dead letter is as if pushed anew."""
        terms = mark.terms
        self._unhook(job_id, mark)
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
        found = [(job_id, by_id.get(job_id)) for job_id in ids]
        # A column may hold numbers of another kind than int.
        return [(int(job_id), mark) for job_id, mark in found if mark is not None]

    def _unhook(self, job_id: int, mark: Mark) -> None:
        """Let nothing lead to a mark but its id."""
        flags, queue = mark.flags, mark.terms.queue
        self._tally.size -= weight_of(mark)
        if mark.key is not None:
            self.key_chars -= len(mark.key)
            if flags & HOLDS:
                self.keys.release(queue, mark.key)
            elif flags & DEAD and mark.takes_key:
                _count(self.dead_keyed, queue, -1)
        if mark.link is not None:
            _count(self.linked, queue, -1)
        if flags & TIMED:
            mark.flags = flags & ~TIMED
            self.expiries.lose()
            _count(self.timed, queue, -1)
        if isinstance(mark, TimedMark) and mark.attempt_until_ms:
            until_ms, mark.attempt_until_ms = mark.attempt_until_ms, 0
            self.attempt_ends.lose()  # which may look whether entries hold
            mark.attempt_until_ms = until_ms
        if flags & CANCELLED:
            self.doomed.discard(job_id)

    def _expires_at(self, at_ms: int, job_id: int) -> bool:
        mark = self.by_id.get(job_id)
        return mark is not None and mark.expires_at_ms == at_ms and bool(mark.flags & TIMED)

    def _attempt_ends_at(self, at_ms: int, job_id: int) -> bool:
        mark = self.by_id.get(job_id)
        return mark is not None and mark.attempt_until_ms == at_ms


def weight_of(mark: Mark) -> int:
    """Return about what a mark takes while its job is here, moments and all."""
    terms, size = mark.terms, MARK_BYTES
    if mark.key is not None:
        size += KEY_BYTES + len(mark.key)
    if terms.ttl_ms:
        size += ENTRY_BYTES
    if terms.timeout_ms:
        size += ENTRY_BYTES
    if mark.link is not None:
        size += LINK_BYTES + EDGE_BYTES * len(mark.link.parents)
    return size


def _count(counts: dict[str, int], queue: str, by: int) -> None:
    count = counts.get(queue, 0) + by
    if count:
        counts[queue] = count
    else:
        del counts[queue]
