"""As much of policies as the log has to do with: marks and facts, and no meaning in them.

Like the real ones it stands above a core, sees what the core reports, adds records of its
own, is what a log is replayed into, and what is asked when a segment goes.
"""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.contract import Core, RecordSink


class StubPolicies:
    """`record`: where everything is reported to, in order."""

    def __init__(self, record: RecordSink = lambda _: None) -> None:
        self.core: Core
        self.marks: dict[int, tuple[str, bytes]] = {}
        self.facts: dict[tuple[str, bytes], bytes] = {}
        self._record = record

    @property
    def fact_bytes(self) -> int:
        """What facts take."""
        return sum(len(key) + len(value) for (_, key), value in self.facts.items())

    @property
    def mark_bytes(self) -> int:
        """What marks take."""
        return sum(len(text) for _, text in self.marks.values())

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

    def replay(self, record: records.Record) -> None:
        """Apply what happened once before."""
        if not isinstance(record, records.Marked | records.Kept | records.Gone):
            self.core.replay(record)
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
