"""Who is told of records: a log, and whoever observes marked jobs while there are any."""

from weakref import ReferenceType, ref

from magicqueue_cores import records
from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.contract import RecordSink
from magicqueue_cores.kernels import layout as lo


class Sinks:
    """`record` is what verbs report to, None if nobody is to be told.

    log: told of all records. Without marked jobs `record` is `log` itself, so observing
    costs nothing then.
    """

    __slots__ = ("__weakref__", "_observer", "_state", "log", "record")

    def __init__(self, log: RecordSink | None, memory: Memory) -> None:
        self.log = log
        self.record = log
        self._observer: RecordSink | None = None
        self._state = memory.state

    def observe(self, observer: RecordSink | None) -> None:
        """Tell `observer`, too, from now on; None: nobody else."""
        self._observer = observer
        self.follow_marks()

    def follow_marks(self) -> None:
        """Have `record` suit what marks there are."""
        told = self._observer is not None and self._state[lo.S_MARKED]
        self.record = _told_by(ref(self)) if told else self.log

    def tell_observer(self, record: records.Record) -> None:
        """Tell whoever observes what lines did to marked jobs."""
        if self._observer is not None:
            self._observer(record)

    def tell_both(self, record: records.Record) -> None:
        """Tell the log and whoever observes; this alone, once no job is marked any more."""
        if self.log is not None:
            self.log(record)
        self.tell_observer(record)
        if not self._state[lo.S_MARKED]:
            self.follow_marks()


def _told_by(sinks: ReferenceType[Sinks]) -> RecordSink:
    """Give a sink that does not keep the core's memory in a circle of references."""

    def tell(record: records.Record) -> None:
        both = sinks()
        if both is not None:
            both.tell_both(record)

    return tell
