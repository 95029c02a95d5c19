"""What records mean for marked jobs and facts: the same live and in a replay."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicqueue_cores import records
from magicqueue_cores.policies.marks import DIED, Marks
from magicqueue_cores.policies.shelf import Shelf
from magicqueue_cores.policies.terms_shared import TermsShared
from magicqueue_cores.policies.wishes import GroupedMark


class Course:
    """Applies records to marks and shelves."""

    def __init__(
        self, marks: Marks, shelves: Mapping[str, Shelf], terms: TermsShared
    ) -> None:
        self._marks = marks
        self._shelves = shelves
        self._terms = terms
        self._ways: dict[type, Callable[[Any], None]] = {
            records.Leased: self._leased,
            records.Extended: self._extended,
            records.Acked: self._acked,
            records.Failed: self._failed,
            records.Lost: self._came_back,
            records.Released: self._released,
            records.Matured: self._became_ready,
            records.Promoted: self._became_ready,
            records.Unheld: self._unheld,
            records.Replaced: self._replaced,
            records.Died: self._died,
            records.Removed: self._removed,
            records.Revived: self._revived,
            records.Marked: self._marked,
            records.Kept: self._kept,
            records.Gone: self._gone,
        }

    def apply(self, record: records.Record) -> None:
        """Apply a record of any kind; most mean nothing to most jobs."""
        way = self._ways.get(type(record))
        if way is not None:
            way(record)

    def _leased(self, record: records.Leased) -> None:
        self._marks.hand_out(self._marks.among(record.ids))

    def _extended(self, record: records.Extended) -> None:
        doomed = self._marks.doomed
        if doomed:
            for job_id in record.ids:
                doomed.moved(int(job_id))

    def _acked(self, record: records.Acked) -> None:
        self._marks.leave(record.ids, "done")

    def _came_back(self, record: records.Lost) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.come_back(job_id, mark, stays=True)

    def _failed(self, record: records.Failed) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.come_back(job_id, mark, stays=False)
        self._are_ready(record.ids, record.run_ats_ms, record.at_ms)

    def _released(self, record: records.Released) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.come_back(job_id, mark, stays=not record.run_at_ms)

    def _became_ready(self, record: records.Matured | records.Promoted) -> None:
        self._are_ready(record.ids, (0,) * len(record.ids), 0)

    def _unheld(self, record: records.Unheld) -> None:
        seats = self._marks.seats
        for job_id, mark in self._marks.among(record.ids):
            if isinstance(mark, GroupedMark):
                seats.go_away(job_id, mark)
        self._are_ready(record.ids, record.run_ats_ms, record.at_ms)

    def _replaced(self, record: records.Replaced) -> None:
        self._are_ready(record.ids, record.run_ats_ms, record.at_ms)

    def _are_ready(
        self, ids: Sequence[int], run_ats_ms: Sequence[int], now_ms: int
    ) -> None:
        """Note those of the jobs that have a group and are in the core's order."""
        seats = self._marks.seats
        if not seats.rounds or not self._marks.notes.live:
            return
        by_id = self._marks.by_id
        for job_id, run_at_ms in zip(ids, run_ats_ms, strict=True):
            if run_at_ms <= now_ms and isinstance(by_id.get(job_id), GroupedMark):
                seats.be_ready(job_id)

    def _died(self, record: records.Died) -> None:
        self._marks.leave(record.ids, DIED)

    def _removed(self, record: records.Removed) -> None:
        self._marks.leave(record.ids, record.cause)

    def _revived(self, record: records.Revived) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.revive(job_id, mark, record.at_ms)
            if isinstance(mark, GroupedMark):
                self._marks.seats.be_ready(job_id)

    def _marked(self, record: records.Marked) -> None:
        for job_id, text in zip(record.ids, record.texts, strict=True):
            if text:
                mark = self._terms.mark_of(record.queue, bytes(text))
                self._marks.put(int(job_id), mark)
            else:
                self._marks.forget(int(job_id))

    def _kept(self, record: records.Kept) -> None:
        shelf = self._shelves.get(record.space)
        if shelf is not None:
            for key, value in zip(record.keys, record.values, strict=True):
                shelf.put(bytes(key), bytes(value))

    def _gone(self, record: records.Gone) -> None:
        shelf = self._shelves.get(record.space)
        if shelf is not None:
            for key in record.keys:
                shelf.remove(bytes(key))
