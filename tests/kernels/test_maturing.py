"""Very many delayed jobs that are due in one tick are sorted; their order is the same."""

import random

import pytest

from conformance.driver import BYTES_MAX, START_MS, answered, require_core
from magicqueue_cores import records
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.array_core.maturing import ONE_BY_ONE_MAX, SHARE_MIN
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels.jit import MODE

_COUNT = 3 * ONE_BY_ONE_MAX
_FAR_MS = 2**52

pytestmark = pytest.mark.skipif(MODE == "python", reason="minutes without compiled kernels")


class Delays:
    """A core with delayed jobs in two queues; `due` has (run_at, id, queue)."""

    def __init__(self, run_ats_ms: list[int]) -> None:
        require_core("array")
        self.records: list[records.Record] = []
        self.core = ArrayCore(CoreOptions(), record=self.records.append)
        self.due: list[tuple[int, int, str]] = []
        for first in range(0, len(run_ats_ms), 100):
            part = run_ats_ms[first : first + 100]
            queue = "ab"[first // 100 % 2]
            jobs = NewJobs(payloads=[b"1"] * len(part), run_ats_ms=part)
            first_id = answered(self.core.push(queue, jobs, START_MS))
            self.due += [(at, first_id + k, queue) for k, at in enumerate(part)]
        self.due.sort()
        self.records.clear()

    def mature(self, now_ms: int) -> list[int]:
        self.core.advance(now_ms)
        self.core.check()
        (matured,) = self.records
        assert isinstance(matured, records.Matured)
        return list(matured.ids)

    def order(self, queue: str, now_ms: int) -> list[int]:
        self.records.clear()
        return answered(self.core.pull(queue, _COUNT, BYTES_MAX, 10**6, 1, now_ms)).ids


@pytest.mark.parametrize("range_ms", [1, 50, 10**6, _FAR_MS])
def test_most_are_due(range_ms: int) -> None:
    rng = random.Random(range_ms)
    run_ats_ms = [START_MS + 1 + rng.randrange(range_ms) for _ in range(_COUNT)]
    later_ms = 2 * _FAR_MS - 1
    run_ats_ms[7] = run_ats_ms[70] = later_ms
    delays = Delays(run_ats_ms)
    now = START_MS + range_ms
    due = [(job_id, queue) for at, job_id, queue in delays.due if at <= now]
    assert delays.mature(now) == [job_id for job_id, _ in due]
    for queue in "ab":
        expected = [job_id for job_id, name in due if name == queue]
        assert delays.order(queue, now) == expected
    counts = answered(delays.core.stats(now))
    assert counts.delayed == _COUNT - len(due) > 0


def test_few_of_very_many_are_due() -> None:
    few = ONE_BY_ONE_MAX + 100
    rng = random.Random(8)
    run_ats_ms = [START_MS + 10] * few + [START_MS + 500] * (few * SHARE_MIN)
    rng.shuffle(run_ats_ms)
    delays = Delays(run_ats_ms)
    assert delays.mature(START_MS + 10) == [job_id for _, job_id, _ in delays.due[:few]]
