"""What the things of the python core take: the measure of `memory_bytes`.

Each kind of thing has one price, measured as the resident memory that a great many of them
take (`tests/memory`). What is counted is counted where it comes
and goes, batch by batch where there are batches, so that the sum is there at any time.
"""

from typing import Final

JOB_OVERHEAD_BYTES: Final = 260
"""A ready job beyond its payload, growth of tables included."""
_DELAYED: Final = 104
"""An entry of the delayed order, and a run_at of its own."""
_HISTORY: Final = 88
"""What went wrong with a job, and the place that it got anew."""
_RETURNED: Final = 130
"""An entry of the heap of jobs that came back."""
_TEXT: Final = 40
"""An error text beyond its bytes."""
_DEAD: Final = 170
"""A dead letter: its place, its size, its order."""
_RUN: Final = 1400
"""The ready jobs of one priority more, of a queue; the first is in the queue's price."""
_QUEUE: Final = 2200
"""A queue beyond its name."""
_MARK: Final = 70
"""An entry of the set of marked jobs, with its id."""
_LEASE: Final = 345
"""A lease beyond its set of ids."""


def lease_bytes(ids: set[int]) -> int:
    """What a lease of these ids takes; a set that only loses members keeps its size.

    Tables of sets come to lie in part where tables of dicts were before they grew, which
    is in the price of a job already.
    """
    return _LEASE + ids.__sizeof__() * 5 // 8


class Tally:
    """Counts of all that takes memory; jobs and dead letters are counted by the table."""

    __slots__ = (
        "delayed",
        "histories",
        "lease_bytes",
        "name_bytes",
        "outside_bytes",
        "payload_bytes",
        "returned",
        "runs",
        "text_bytes",
        "texts",
    )

    def __init__(self) -> None:
        """Start with nothing."""
        self.payload_bytes = 0
        self.text_bytes = 0
        self.texts = 0
        self.histories = 0
        self.delayed = 0
        self.returned = 0
        self.runs = 0
        self.lease_bytes = 0
        self.name_bytes = 0
        self.outside_bytes = 0
        """What others keep for jobs, as they say."""

    @property
    def content_bytes(self) -> int:
        """Payloads and error texts."""
        return self.payload_bytes + self.text_bytes

    def memory_bytes(self, *, jobs: int, dead: int, queues: int, marked: int) -> int:
        """What everything takes. O(1)."""
        return (
            self.payload_bytes
            + jobs * JOB_OVERHEAD_BYTES
            + self.text_bytes
            + self.texts * _TEXT
            + self.histories * _HISTORY
            + self.delayed * _DELAYED
            + self.returned * _RETURNED
            + dead * _DEAD
            + self.lease_bytes
            + self.runs * _RUN
            + queues * _QUEUE
            + self.name_bytes
            + marked * _MARK
            + self.outside_bytes
        )
