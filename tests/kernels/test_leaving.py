"""Jobs that leave the orders of the array core from the middle, and what stays behind.

`check` verifies links, counts and the bound on stale entries after each step.
"""

from random import Random

import pytest

from conformance.driver import START_MS, require_core
from magicqueue_cores.array_core.core import ArrayCore
from magicqueue_cores.contract import LIVE, WAITING, CoreOptions, JobState, NewJobs
from magicqueue_cores.kernels import layout as lo

LATER = START_MS + 1000
DELAYED = frozenset((JobState.DELAYED,))


@pytest.fixture
def core() -> ArrayCore:
    """An empty core."""
    require_core("array")
    return ArrayCore(CoreOptions())


def push(core: ArrayCore, count: int, run_at_ms: int = START_MS, priority: int = 0) -> int:
    jobs = NewJobs(payloads=[b"1"] * count, run_ats_ms=run_at_ms, priorities=priority)
    return core.push("q", jobs, START_MS)


def stale(core: ArrayCore) -> int:
    core.check()
    return core._state[lo.S_STALE]


def delays(core: ArrayCore) -> int:
    return core._state[lo.S_DELAYED]


def levels(core: ArrayCore) -> int:
    core.check()
    return core._state[lo.S_LEVEL_HASH + 2]


def test_stale_entries_are_at_most_half(core: ArrayCore) -> None:
    for run_at_ms in range(LATER, LATER + 100):
        push(core, 1, run_at_ms)
    core.remove(range(50, 100), WAITING, "cancelled", START_MS)
    assert (stale(core), delays(core)) == (50, 100)
    core.remove([49], WAITING, "cancelled", START_MS)
    assert (stale(core), delays(core)) == (0, 49)
    assert core.stats(START_MS).delayed == 49


def test_stale_entries_at_the_top_go_at_once(core: ArrayCore) -> None:
    for run_at_ms in range(LATER, LATER + 10):
        push(core, 1, run_at_ms)
    core.remove([2, 3], WAITING, "cancelled", START_MS)
    assert (stale(core), delays(core)) == (2, 10)
    core.remove([1], WAITING, "cancelled", START_MS)
    assert (stale(core), delays(core)) == (0, 7)
    assert core.next_deadline_ms == LATER + 3
    core.remove([6], WAITING, "cancelled", START_MS)
    core.advance(LATER + 4)
    assert (stale(core), delays(core)) == (0, 4)


def test_a_job_moved_there_and_back_has_two_entries_of_one_time(core: ArrayCore) -> None:
    push(core, 1, LATER)
    push(core, 5, LATER + 100)
    for run_at_ms in (LATER + 50, LATER, LATER + 60, LATER):
        assert core.replace(2, b"2", 0, run_at_ms, START_MS)
    assert stale(core) == delays(core) - 6
    core.advance(LATER)
    assert (stale(core), core.stats(LATER).queued) == (0, 2)
    core.advance(LATER + 100)
    assert (delays(core), core.stats(LATER + 100).queued) == (0, 6)
    assert len(core.pull("q", 9, 99, 1000, 1, LATER + 100).ids) == 6
    core.check()


def test_a_sweep_leaves_one_entry_of_each_job(core: ArrayCore) -> None:
    push(core, 3, LATER)
    push(core, 5, LATER + 100)
    for _ in range(20):
        for run_at_ms in (LATER + 150, LATER + 100):
            core.replace(5, b"2", 0, run_at_ms, START_MS)
        assert 2 * stale(core) <= delays(core) <= 16
    assert core.drain("q", START_MS).count == 8
    assert (stale(core), delays(core)) == (0, 0)


def test_very_many_due_jobs_are_cut_out_of_a_heap_with_stale_entries() -> None:
    require_core("array")
    core = ArrayCore(CoreOptions())
    push(core, 20_000, LATER)
    push(core, 20_000, LATER + 1)
    core.remove(range(10_001, 30_001, 2), DELAYED, "expired", START_MS)
    assert stale(core) > 0
    core.advance(LATER)
    assert core.stats(LATER).queued == 15_000
    assert stale(core) == 0
    assert core.stats(LATER).delayed == delays(core) == 15_000


def test_a_level_that_ends_from_the_middle_is_gone(core: ArrayCore) -> None:
    for priority in range(20):
        push(core, 2, priority=priority)
    core.remove([11, 12, 21], WAITING, "cancelled", START_MS)
    assert levels(core) == 19
    core.remove([22], WAITING, "cancelled", START_MS)
    assert levels(core) == 18


@pytest.mark.parametrize("leave", ["remove", "pull"])
def test_priorities_that_come_and_go_above_others_leave_no_levels(
    core: ArrayCore, leave: str
) -> None:
    push(core, 1)
    for priority in range(1, 200):
        job_id = push(core, 1, priority=priority)
        if leave == "pull":
            assert core.pull("q", 1, 99, 1000, 1, START_MS).ids == [job_id]
        else:
            core.remove([job_id], WAITING, "cancelled", START_MS)
        assert levels(core) <= 2


def test_a_step_of_a_drain_that_empties_the_top_leaves_others_in_order() -> None:
    require_core("array")
    core = ArrayCore(CoreOptions(step_jobs=2))
    push(core, 3, priority=1)
    push(core, 3, priority=2)
    step = core.drain("q", START_MS)
    assert (step.count, step.upto) == (2, 6)
    push(core, 2, priority=3)
    push(core, 2, priority=2)
    while step.upto is not None:
        step = core.drain("q", START_MS, step.upto)
        core.check()
    assert core.pull("q", 9, 99, 1000, 1, START_MS).ids == [7, 8, 9, 10]


@pytest.mark.parametrize("seed", range(4))
def test_jobs_leave_from_anywhere_in_any_order(core: ArrayCore, seed: int) -> None:
    rng, now = Random(seed), START_MS
    for round_ in range(30):
        now += 10
        runs = [now + rng.choice((0, 0, 5, 30)) for _ in range(8)]
        priorities = [rng.choice((0, 0, 3, -3)) for _ in runs]
        jobs = NewJobs(payloads=[b"1"] * 8, run_ats_ms=runs, priorities=priorities)
        core.push("q", jobs, now)
        core.pull("q", rng.randrange(6), 10**6, 1000, 1 + round_ % 2, now)
        if rng.random() < 0.4:  # they come back to their old places
            core.close_session(1 + round_ % 2, now)
        named = rng.sample(range(1, 9 + round_ * 8), 6)
        core.remove(named[:3], LIVE, "cancelled", now)
        core.bury(named[3:], "expired", [None] * 3, now)
        core.promote(named, now)
        core.replace(rng.choice(named), b"22", rng.choice((0, 3)), now + 7, now)
        core.check()
    stats = core.stats(now)
    assert (
        stats.queued + stats.processing + stats.delayed + stats.dead
        == 240 - stats.cancelled
    )
