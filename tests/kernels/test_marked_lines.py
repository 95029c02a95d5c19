"""Lines on marked jobs: handed out and settled by kernels, and told of; else declined."""

from collections.abc import Sequence

import pytest

from conformance.driver import START_MS, require_core
from magicqueue_cores import records
from magicqueue_cores.array_core.core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs

UNTIL = START_MS + 300_000


class Marked:
    """A core with ten ready jobs of which some are marked, and what is told of these."""

    def __init__(self, marked: Sequence[int], *, log: bool = False) -> None:
        require_core("array")
        self.log: list[records.Record] = []
        self.told: list[records.Record] = []
        self.core = ArrayCore(CoreOptions(), record=self.log.append if log else None)
        jobs = NewJobs(payloads=[b"1"] * 10, run_ats_ms=START_MS)
        self.core.push("q", jobs, START_MS)
        self.core.observe(self.told.append)
        self.core.mark(marked, marked=True)
        self.log.clear()

    def run(self, *lines: bytes, session: int = 5) -> None:
        text = b"".join(line + b"\n" for line in lines)
        ran, _ = self.core.execute(text, session, START_MS)
        assert ran == len(text), text[ran:]
        self.core.check()


def test_pulled_and_acknowledged_ones_are_told_in_order_of_the_lines() -> None:
    on = Marked([1, 3, 4, 7, 8])
    on.run(
        b'{"cmd":"PULL","queue":"q"}',
        b'{"cmd":"PULL","queue":"q"}',
        b'{"cmd":"ACK","id":1}',
        b'{"cmd":"PULLB","queue":"q","count":3,"lease":1000}',
        b'{"cmd":"PULLB","queue":"q","count":9}',
        b'{"cmd":"ACKB","ids":[2,3,99,4]}',
        b'{"cmd":"ACK","id":8}',
    )
    assert on.told == [
        records.Leased([1], 5, UNTIL),
        records.Acked([1]),
        records.Leased([3, 4], 5, START_MS + 1000),
        records.Leased([7, 8], 5, UNTIL),
        records.Acked([3, 4, 8]),
    ]
    on.told.clear()
    on.run(b'{"cmd":"ACKB","ids":[5,6,7]}')
    assert on.told == [records.Acked([7])]


def test_a_log_is_told_of_all_and_the_observer_of_these() -> None:
    on = Marked([2], log=True)
    on.run(b'{"cmd":"PULLB","queue":"q","count":3}', b'{"cmd":"ACKB","ids":[1,2,3]}')
    both = [records.Leased([1, 2, 3], 5, UNTIL), records.Acked([1, 2, 3])]
    assert on.log == both
    assert on.told == [records.Leased([2], 5, UNTIL), records.Acked([2])]


def test_nothing_is_told_of_others() -> None:
    on = Marked([10])
    on.run(b'{"cmd":"PULLB","queue":"q","count":9}', b'{"cmd":"ACKB","ids":[1,2,3]}')
    on.run(b'{"cmd":"HEARTBEAT","ids":[4,5]}', b'{"cmd":"FAIL","id":6}')
    assert on.told == []


def test_a_late_ack_of_one_that_came_back_is_told() -> None:
    on = Marked([1])
    on.run(b'{"cmd":"PULL","queue":"q"}')
    on.core.close_session(5, START_MS)
    on.told.clear()
    on.run(b'{"cmd":"ACK","id":1,"attempt":1}')
    assert on.told == [records.Acked([1])]


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"FAIL","id":2,"error":"no"}',
        b'{"cmd":"FAILB","jobs":[{"id":1},{"id":2}]}',
        b'{"cmd":"HEARTBEAT","id":2}',
        b'{"cmd":"HEARTBEAT","ids":[1,{"id":2,"attempt":1}],"lease":50}',
    ],
)
def test_failures_and_heartbeats_are_declined(line: bytes) -> None:
    on = Marked([2])
    on.run(b'{"cmd":"PULLB","queue":"q","count":3}')
    on.told.clear()
    assert on.core.execute(line + b"\n", 5, START_MS) == (0, b"")
    assert on.core.declined["marked"] == 1
    assert on.told == []
    for job_id in (1, 2):
        job = on.core.job(job_id, START_MS)
        assert job is not None
        assert (job.lease_until_ms, job.failures) == (UNTIL, 0)
    on.core.mark([2], marked=False)
    on.run(line)


def test_marks_that_are_taken_back_or_go_with_their_jobs_leave_nothing() -> None:
    on = Marked(range(1, 6))
    on.core.mark([4, 5, 77], marked=False)
    on.run(b'{"cmd":"PULLB","queue":"q","count":3}', b'{"cmd":"ACKB","ids":[1,2,3]}')
    on.told.clear()
    on.core.pull("q", 9, 100, 1000, 1, START_MS)
    assert on.told == []
