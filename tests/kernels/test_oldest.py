"""The age of the oldest ready job is told without looking at every priority."""

import random

import pytest

from conformance.driver import BYTES_MAX, START_MS, answered, require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import MODE

_PRIORITIES = 20_000 if MODE != "python" else 500


@pytest.fixture
def core() -> ArrayCore:
    """A core with a job in each of very many priorities, each a millisecond younger."""
    require_core("array")
    made = ArrayCore(CoreOptions())
    priorities = list(range(_PRIORITIES))
    random.Random(6).shuffle(priorities)
    for first in range(0, _PRIORITIES, 500):
        part = priorities[first : first + 500]
        now = START_MS + first // 500
        jobs = NewJobs(payloads=[b"1"] * 500, run_ats_ms=now, priorities=part)
        made.push("q", jobs, now)
    return made


def _look(core: ArrayCore, now_ms: int) -> tuple[int, int]:
    """The age, and how many priorities were looked at to tell it."""
    age_ms = answered(core.queue_stats("q", now_ms)).oldest_ready_ms
    return age_ms, core._state[lo.A_LEVELS]


def test_each_priority_is_looked_at_once(core: ArrayCore) -> None:
    now = START_MS + 1000
    assert _look(core, now) == (1000, _PRIORITIES + 1)
    for later in (0, 5, 5):
        assert _look(core, now + later) == (1000 + later, 1)
    core.check()


def test_pulls_between_cost_a_few_looks_each(core: ArrayCore) -> None:
    now = START_MS + 1000
    _look(core, now)
    looks = 0
    for _ in range(200):
        taken = answered(core.pull("q", 1, BYTES_MAX, 10**6, 1, now))
        assert taken.ids
        jobs = NewJobs(payloads=[b"2"], run_ats_ms=now, priorities=taken.priorities)
        core.push("q", jobs, now)
        looks += _look(core, now)[1]
    assert looks <= 3 * 200
    core.check()


def test_a_job_that_comes_back_is_the_oldest_again(core: ArrayCore) -> None:
    now = START_MS + 1000
    first = answered(core.job(1, now))
    assert first is not None
    above = _PRIORITIES - first.priority
    core.pull("q", above, BYTES_MAX, 10**6, 7, now)
    age_ms, _ = _look(core, now)
    assert age_ms <= 1000
    core.close_session(7, now)
    assert _look(core, now)[0] == 1000
    core.check()
