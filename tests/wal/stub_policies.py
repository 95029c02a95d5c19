"""As much of policies as the log has to do with: marks and facts, and no meaning in them.

Like the real ones it stands above a core, sees what the core reports, adds records of its
own, is what a log is replayed into, and what is asked when a segment goes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from magicqueue_cores import records
from magicqueue_cores.contract import Core, JobState, RecordSink


class StubPolicies:
    """`record`: where everything is reported to, in order."""

    def __init__(self, record: RecordSink = lambda _: None) -> None:
        self.core: Core
        self.marks: dict[int, tuple[str, bytes]] = {}
        self.facts: dict[tuple[str, bytes], bytes] = {}
        self._record = record
        self._sequence = 0

    @property
    def fact_bytes(self) -> int:
        """What marks and facts take."""
        facts = sum(len(key) + len(value) for (_, key), value in self.facts.items())
        return facts + sum(len(text) for _, text in self.marks.values())

    def see(self, record: records.Record) -> None:
        """Take what the core reports."""
        self._record(record)
        self._apply(record)

    def mark(self, queue: str, marks: dict[int, bytes]) -> None:
        """Mark jobs of a queue; an empty text is no mark any more."""
        self.see(records.Marked(queue, list(marks), list(marks.values())))

    def keep(self, space: str, facts: dict[bytes, bytes]) -> None:
        """Keep facts."""
        self.see(records.Kept(space, list(facts), list(facts.values())))

    def drop(self, space: str, keys: Sequence[bytes]) -> None:
        """Let facts hold no more."""
        self.see(records.Gone(space, keys))

    def promote(self, ids: Sequence[int], now_ms: int) -> None:
        """Make delayed jobs ready."""
        record = records.Promoted(ids, now_ms)
        self._record(record)
        self.replay(record)

    def replace(self, job_id: int, payload: bytes, run_at_ms: int, now_ms: int) -> None:
        """Give a job that waits another payload and time to run."""
        record = records.Replaced([job_id], [payload], [0], [run_at_ms], now_ms)
        self._record(record)
        self.replay(record)

    def replay(self, record: records.Record) -> None:
        """Apply what happened once before."""
        if isinstance(record, records.Promoted):
            self._put_back(record.ids, [record.at_ms] * len(record.ids), record.at_ms)
        elif isinstance(record, records.Replaced):
            more = {"payloads": record.payloads, "priorities": record.priorities}
            self._put_back(record.ids, record.run_ats_ms, record.at_ms, **more)
        elif isinstance(record, records.Removed) and record.cause in {
            "cancelled",
            "expired",
        }:
            self.core.replay(records.Removed(record.ids, "drained"))
        elif not isinstance(record, records.Marked | records.Kept | records.Gone):
            self.core.replay(record)
        if isinstance(record, records.Origin):
            self._sequence = max(self._sequence, record.sequence)
        self._apply(record)

    def export(self, ids: Sequence[int]) -> Sequence[records.Record]:
        """Tell all about those of `ids` that are here."""
        moved = self.core.export(ids)
        if not moved.ids:
            return []
        found: list[records.Record] = [moved]
        marked = [job_id for job_id in moved.ids if job_id in self.marks]
        for queue in dict.fromkeys(self.marks[job_id][0] for job_id in marked):
            here = [job_id for job_id in marked if self.marks[job_id][0] == queue]
            texts = [self.marks[job_id][1] for job_id in here]
            found.append(records.Marked(queue, here, texts))
        return found

    def export_facts(self, space: str, keys: Sequence[bytes]) -> records.Kept:
        """Tell those facts again that still hold."""
        alive = [key for key in keys if (space, key) in self.facts]
        return records.Kept(space, alive, [self.facts[space, key] for key in alive])

    def _apply(self, record: records.Record) -> None:
        self._sequence += records.sequence_span(record)
        if isinstance(record, records.Marked):
            for job_id, text in zip(record.ids, record.texts, strict=True):
                self.marks.pop(job_id, None)
                if text:
                    self.marks[job_id] = (record.queue, text)
        elif isinstance(record, records.Kept):
            for key, value in zip(record.keys, record.values, strict=True):
                self.facts[record.space, key] = value
        elif isinstance(record, records.Gone):
            for key in record.keys:
                self.facts.pop((record.space, key), None)
        elif isinstance(record, records.Acked | records.Removed):
            for job_id in record.ids:
                self.marks.pop(job_id, None)

    def _put_back(
        self, ids: Sequence[int], run_ats_ms: Sequence[int], at_ms: int, **more: Any
    ) -> None:
        """Have the core take jobs out, and in again as others that enter the order anew."""
        moved = self.core.export(ids)
        assert list(moved.ids) == list(ids)
        self.core.replay(records.Removed(list(ids), "drained"))
        sequence, states, sequences = self._sequence, [], []
        for run_at_ms in run_ats_ms:
            ready = run_at_ms <= at_ms
            sequence += ready
            states.append(int(JobState.READY if ready else JobState.DELAYED))
            sequences.append(sequence if ready else 0)
        self.core.replay(records.Origin(0, sequence))
        columns = {"states": states, "sequences": sequences, "run_ats_ms": run_ats_ms}
        no = [False] * len(ids)
        self.core.replay(
            msgspec.structs.replace(
                moved, **columns, returned=no, errors=moved.errors, **more
            )
        )
