"""What records mean for marked jobs and facts: the same live and in a replay."""

from collections.abc import Callable, Mapping
from typing import Any

from magicqueue_cores import records
from magicqueue_cores.policies.marks import DIED, Marks
from magicqueue_cores.policies.shelf import Shelf
from magicqueue_cores.policies.wishes import TermsShared


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
            records.Failed: self._came_back,
            records.Lost: self._came_back,
            records.Released: self._came_back,
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
        for job_id, mark in self._marks.among(record.ids):
            self._marks.hand_out(job_id, mark)

    def _extended(self, record: records.Extended) -> None:
        doomed = self._marks.doomed
        if doomed:
            for job_id in record.ids:
                doomed.moved(int(job_id))

    def _acked(self, record: records.Acked) -> None:
        self._marks.leave(record.ids, "done")

    def _came_back(self, record: records.Failed | records.Lost | records.Released) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.come_back(job_id, mark)

    def _died(self, record: records.Died) -> None:
        self._marks.leave(record.ids, DIED)

    def _removed(self, record: records.Removed) -> None:
        self._marks.leave(record.ids, record.cause)

    def _revived(self, record: records.Revived) -> None:
        for job_id, mark in self._marks.among(record.ids):
            self._marks.revive(job_id, mark, record.at_ms)

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
