"""Numbers stay within their bounds, whatever a request asks for and however often."""

from dataclasses import dataclass

import msgspec
import pytest

from conformance.driver import CORES, START_MS, Driver, answered, require_core
from magicqueue_cores.contract import COUNT_MAX, TIME_MAX_MS, JobState
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.records import Moved, Origin, Pushed, Removed


def test_kernels_have_the_same_bounds() -> None:
    assert (lo.TIME_MAX_MS, lo.COUNT_MAX) == (TIME_MAX_MS, COUNT_MAX)


@pytest.mark.parametrize("lease_ms", [TIME_MAX_MS, TIME_MAX_MS - START_MS + 1])
def test_a_lease_ends_at_the_end_of_time(core: Driver, lease_ms: int) -> None:
    core.push_many(2)
    core.pull(1, lease_ms=lease_ms)
    assert core.job(1).lease_until_ms == TIME_MAX_MS
    core.pull(1, lease_ms=TIME_MAX_MS - START_MS)
    core.heartbeat(1, 2, lease_ms=50)
    core.heartbeat(2, lease_ms=lease_ms)
    assert core.job(1).lease_until_ms == START_MS + 50
    assert core.job(2).lease_until_ms == TIME_MAX_MS
    assert core.replayed(core.name).job(2).lease_until_ms == TIME_MAX_MS


def test_a_log_that_allows_more_attempts_than_there_may_be_is_bounded(core: Driver) -> None:
    most = 3_000_000_000
    for max_attempts in (most, [most, 5]):
        core.core.replay(
            Pushed(
                queue="q",
                first_id=1 + 2 * isinstance(max_attempts, list),
                created_at_ms=START_MS,
                payloads=[b"1", b"2"],
                run_ats_ms=START_MS,
                priorities=0,
                max_attempts=max_attempts,
                backoffs_ms=0,
                jitters=False,
            )
        )
    moved = core.core.export([4])
    core.core.replay(Removed([4], "purged"))
    core.core.replay(msgspec.structs.replace(moved, max_attempts=[most]))
    bounds = [core.job(job_id).max_attempts for job_id in (1, 2, 3, 4)]
    assert bounds == [COUNT_MAX] * 4
    assert core.core.export([1]).max_attempts == [COUNT_MAX]


@pytest.mark.parametrize("jitter", [False, True])
def test_a_retry_is_at_the_end_of_time(core: Driver, *, jitter: bool) -> None:
    core.push_many(20, backoff_ms=3_000_000, jitter=jitter)
    core.now = TIME_MAX_MS - 5
    core.fail(*core.pull(20))
    times = {core.job(job_id).run_at_ms for job_id in range(1, 21)}
    assert max(times) == TIME_MAX_MS
    assert min(times) >= TIME_MAX_MS - 5


@dataclass
class Counts:
    """What a job is told to have gone through, and what it should tell."""

    failures: int
    lost: int

    @property
    def attempts(self) -> int:
        return min(self.failures + self.lost, COUNT_MAX)


def with_a_job_like(name: str, counts: Counts, state: JobState) -> Driver:
    """A core that took one job from a log, ready or active, with much behind it."""
    core = Driver(require_core(name), lost_max=0)
    active = state is JobState.ACTIVE
    core.core.replay(Origin(1, 1))
    core.core.replay(
        Moved(
            ids=[1],
            queues=["q"],
            payloads=[b"1"],
            priorities=[0],
            created_ats_ms=[START_MS],
            run_ats_ms=[START_MS],
            max_attempts=[0],
            backoffs_ms=[1],
            jitters=[False],
            states=[int(state)],
            returned=[False],
            sequences=[1],
            attempts=[min(counts.attempts + active, COUNT_MAX)],
            failures=[counts.failures],
            losses=[counts.lost],
            sessions=[int(active)],
            untils_ms=[START_MS + 1000 if active else 0],
            died_ats_ms=[0],
            errors=[None],
            reasons=[None],
        )
    )
    core.core.check()
    return core


EDGES = (
    Counts(0, lo.LOST_MAX - 3),
    Counts(7, lo.LOST_MAX - 2),
    Counts(3, lo.LOST_MAX + 5),
    Counts(0, 2**16 - 2),
    Counts(lo.HEAVY_ATTEMPTS - 2, 0),
    Counts(2**15, lo.HEAVY_ATTEMPTS - 2**15 - 3),
    Counts(2, COUNT_MAX - 4),
    Counts(COUNT_MAX - 4, 2),
    Counts(COUNT_MAX - 2, COUNT_MAX - 2),
)


@pytest.mark.parametrize("counts", EDGES, ids=str)
@pytest.mark.parametrize("what", ["lost", "failures", "both"])
def test_losses_are_no_failures(core_name: str, counts: Counts, what: str) -> None:
    core = with_a_job_like(core_name, counts, JobState.ACTIVE)
    failures, lost, attempts = counts.failures, counts.lost, counts.attempts + 1
    given = 0
    for turn in range(6):
        assert core.job(1).attempts == min(attempts, COUNT_MAX)
        if what == "lost" or (what == "both" and turn % 2):
            lost += 1
            core.close_session(1)
        else:
            failures += 1
            state = core.fail(1).states[0]
            assert state is JobState.DELAYED
            delay_ms = core.job(1).run_at_ms - core.now
            assert delay_ms == min(1 << min(failures - 1, 62), 3_600_000)
            core.tick(delay_ms)
        view = core.job(1)
        assert (view.failures, view.lost) == (
            min(failures, COUNT_MAX),
            min(lost, COUNT_MAX),
        )
        attempts += 1
        (given,) = core.deliver().attempts
        assert given == min(attempts, COUNT_MAX)
    assert core.ack(1, attempts=[given]).missing == []


@pytest.mark.parametrize("counts", EDGES, ids=str)
def test_counts_go_with_a_job_into_another_core(core_name: str, counts: Counts) -> None:
    core = with_a_job_like(core_name, counts, JobState.ACTIVE)
    core.close_session(1)
    core.pull()
    moved = core.core.export([1])
    for name in CORES:
        other = Driver(require_core(name), lost_max=0)
        other.core.replay(Origin(1, 10**6))
        other.core.replay(moved)
        other.core.check()
        assert other.job(1) == core.job(1)
        assert other.core.export([1]) == moved


def test_a_job_that_failed_long_is_dead_at_its_bound(core_name: str) -> None:
    core = Driver(core_name, lost_max=0)
    core.push(max_attempts=3)
    for _ in range(lo.LOST_MAX + 3):
        core.core.pull("q", 1, 10**9, 1000, 1, core.now)
        core.core.close_session(1, core.now)
    assert (core.job(1).lost, core.job(1).failures) == (lo.LOST_MAX + 3, 0)
    for state in (JobState.READY, JobState.READY, JobState.DEAD):
        core.pull()
        assert core.fail(1).states == [state]
    assert (core.job(1).lost, core.job(1).failures) == (lo.LOST_MAX + 3, 3)
    (letter,) = core.dead().jobs
    assert (letter.attempts, letter.reason) == (lo.LOST_MAX + 6, "failed")
    core.retry_dead()
    core.pull()
    core.close_session(1)
    assert (core.job(1).lost, core.job(1).failures, core.job(1).attempts) == (1, 0, 1)
    assert core.replayed(core_name, lost_max=0).job(1) == answered(
        core.core.job(1, core.now)
    )
