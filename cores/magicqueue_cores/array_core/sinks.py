"""Who is told of records: a log, whoever observes marked jobs, and whoever listens."""

from collections.abc import Callable
from weakref import ReferenceType, ref

from magicqueue_cores import records
from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.array_core.queues import Queues
from magicqueue_cores.contract import RecordSink
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.turns import Ears, TurnSink


class Sinks:
    """`record` is what verbs report to, None if nobody is to be told.

    log: told of all records. Without marked jobs `record` is `log` itself, so observing
    costs nothing then; nor does it to listen, while nobody does. queue_of: see `Ears`.
    """

    __slots__ = ("__weakref__", "_observer", "_state", "ears", "log", "record")

    def __init__(
        self,
        log: RecordSink | None,
        memory: Memory,
        queue_of: Callable[[int], str | None],
    ) -> None:
        self.log = log
        self.record = log
        self._observer: RecordSink | None = None
        self.ears = Ears(queue_of)
        self._state = memory.state

    def observe(self, observer: RecordSink | None) -> None:
        """Tell `observer`, too, from now on; None: nobody else."""
        self._observer = observer
        self.follow_marks()

    def listen(self, sink: TurnSink | None) -> None:
        """Tell `sink` of rare turns; kernels note failures meanwhile."""
        self.ears.sink = sink
        self._state[lo.S_LISTENED] = sink is not None
        self.follow_marks()

    def follow_marks(self) -> None:
        """Have `record` suit what marks there are, and who listens."""
        told = self.ears.sink is not None or (
            self._observer is not None and self._state[lo.S_MARKED]
        )
        self.record = _told_by(ref(self)) if told else self.log

    def tell_observer(self, record: records.Record) -> None:
        """Tell whoever observes what lines did to marked jobs."""
        if self._observer is not None:
            self._observer(record)

    def tell_failed(self, failed: list[tuple[int, int]], queues: Queues) -> None:
        """Tell who listens of jobs that lines failed: they may be gone by now."""
        by_number: dict[int, list[int]] = {}
        for job_id, number in failed:
            by_number.setdefault(number, []).append(job_id)
        for number, ids in by_number.items():
            self.ears.tell_of("failed", queues.numbered(number).name, ids, None)

    def tell_all(self, record: records.Record) -> None:
        """Tell all; the log alone, once no job is marked any more and nobody listens."""
        if self.log is not None:
            self.log(record)
        self.ears.hear(record)
        self.tell_observer(record)
        if not self._state[lo.S_MARKED]:
            self.follow_marks()


def _told_by(sinks: ReferenceType[Sinks]) -> RecordSink:
    """Give a sink that does not keep the core's memory in a circle of references."""

    def tell(record: records.Record) -> None:
        both = sinks()
        if both is not None:
            both.tell_all(record)

    return tell
