"""Delays, leases, heartbeats and losses: everything that happens by itself."""

from conformance.driver import START_MS, Driver
from magicqueue_cores.contract import NEVER_MS, JobState, NewJobs, Settled


def test_an_idle_core_has_no_deadline(core: Driver) -> None:
    assert core.core.next_deadline_ms == NEVER_MS
    core.push()
    assert core.core.next_deadline_ms == NEVER_MS


def test_a_delayed_job_matures_on_time(core: Driver) -> None:
    core.push(delay_ms=50)
    assert core.core.next_deadline_ms == START_MS + 50
    core.tick(49)
    assert core.pull() == []
    core.tick(1)
    assert core.pull() == [1]


def test_time_comes_first_in_every_verb(core: Driver) -> None:
    core.push(delay_ms=50)
    core.now += 50
    assert core.pull() == [1]


def test_a_lease_is_over_when_that_is_said_and_not_before(core: Driver) -> None:
    """Whoever keeps the time reads first what had arrived: see `Core.end_leases`."""
    core.push_many(4)
    core.pull(4, lease_ms=50)
    core.now += 60
    assert core.core.next_deadline_ms == START_MS + 50
    core.core.advance(core.now)
    assert core.ack(1) == Settled([], [])
    assert core.heartbeat(2, lease_ms=100) == Settled([], [])
    assert core.state(3) is JobState.ACTIVE
    core.core.end_leases(START_MS + 49, core.now)
    assert core.stats().lost == 0
    core.core.end_leases(START_MS + 50, core.now)
    core.core.check()
    assert [core.state(job_id) for job_id in (2, 3, 4)] == [
        JobState.ACTIVE,
        JobState.READY,
        JobState.READY,
    ]
    assert core.core.next_deadline_ms == core.now + 100


def test_a_lost_jobs_death_is_dated_when_it_is_said(core_name: str) -> None:
    core = Driver(core_name, lost_max=1)
    core.push()
    core.pull()
    core.close_session(1)
    core.pull(lease_ms=50)
    core.now += 70
    core.core.end_leases(START_MS + 60, core.now)
    assert core.job(1).died_at_ms == START_MS + 70


def test_postponed_leases_end_that_much_later_and_in_their_order(core: Driver) -> None:
    core.push_many(3)
    for lease_ms in (300, 100, 200):
        core.pull(lease_ms=lease_ms)
    core.push(delay_ms=150)
    core.core.postpone_leases(7_200_000, core.now)
    core.core.check()
    ends = [core.job(job_id).lease_until_ms for job_id in (1, 2, 3)]
    assert ends == [START_MS + 7_200_000 + wait for wait in (300, 100, 200)]
    core.tick(7_200_000)
    assert core.state(4) is JobState.READY, "only leases are postponed"
    assert core.core.next_deadline_ms == START_MS + 7_200_100
    core.heartbeat(3, lease_ms=50)
    core.tick(100)
    states = [core.state(job_id) for job_id in (1, 2, 3)]
    assert states == [JobState.ACTIVE, JobState.READY, JobState.READY]
    for name in ("python", core.name):
        again = core.replayed(name)
        assert again.job(1) == core.job(1)


def test_postponing_nothing_is_not_recorded(core: Driver) -> None:
    core.push()
    core.core.postpone_leases(1000, core.now)
    core.pull()
    core.core.postpone_leases(0, core.now)
    assert len(core.records) == 2


def test_a_delayed_job_never_hides_a_ready_one(core: Driver) -> None:
    core.push(b"later", delay_ms=50, priority=9)
    core.push(b"now")
    assert core.pull() == [2]


def test_jobs_of_one_tick_enter_by_run_at_then_id(core: Driver) -> None:
    delays = [30, 10, 20, 10, 30]
    core.push_batch(
        NewJobs(payloads=[b"x"] * 5, run_ats_ms=[START_MS + delay for delay in delays])
    )
    core.tick(100)
    core.push(b"last")
    assert core.pull(9) == [2, 4, 3, 1, 5, 6]


def test_a_job_gets_its_place_when_it_is_ready_not_when_it_is_pushed(core: Driver) -> None:
    core.push(b"1", delay_ms=10)
    core.push(b"2")
    core.tick(10)
    core.push(b"3")
    assert core.pull(9) == [2, 1, 3]


def test_delayed_jobs_of_many_queues(core: Driver) -> None:
    for n in range(100):
        core.push(queue=f"q{n % 10}", delay_ms=100 - n)
    core.drain("q3")
    core.tick(50)
    assert core.stats().queued == 45
    core.tick(50)
    assert core.stats().delayed == 0
    assert core.pull(99, "q4") == [95, 85, 75, 65, 55, 45, 35, 25, 15, 5]
    assert core.pull(99, "q3") == []


def test_a_lease_ends_and_the_job_is_back_at_its_old_place(core: Driver) -> None:
    core.push(b"1", b"2", b"3")
    core.pull(2, lease_ms=100)
    assert core.core.next_deadline_ms <= START_MS + 100
    core.tick(99)
    assert core.job(1).state is JobState.ACTIVE
    core.tick(1)
    view = core.job(1)
    assert (view.state, view.lost, view.run_at_ms) == (JobState.READY, 1, START_MS)
    core.push(b"4")
    assert core.pull(9) == [1, 2, 3, 4]
    assert core.queue_stats().lost == 2


def test_lost_jobs_come_back_between_the_right_ones(core: Driver) -> None:
    core.push_many(6)
    for session in range(1, 7):
        core.pull(session=session)
    core.close_session(5)
    core.close_session(2)
    core.close_session(4)
    core.push(b"new")
    assert core.pull(2) == [2, 4]
    core.close_session(1)
    assert core.pull(9) == [1, 2, 4, 5, 7]


def test_a_matured_or_retried_job_keeps_its_place_when_lost(core: Driver) -> None:
    core.push(b"1")
    core.push(b"2", delay_ms=10)
    core.fail(*core.pull())
    core.tick(10)
    core.push(b"3")
    assert core.pull(9) == [1, 2, 3]
    core.close_session(1)
    assert core.pull(9) == [1, 2, 3]


def test_a_job_with_a_new_place_does_not_come_back_to_its_older_one(core: Driver) -> None:
    core.push(b"1", b"2", b"3")
    core.pull()
    core.close_session(1)
    core.fail(*core.pull())
    assert core.pull(9) == [2, 3, 1]
    core.close_session(1)
    assert core.pull(9) == [2, 3, 1]


def test_a_session_that_ends_gives_back_its_jobs_only(core: Driver) -> None:
    core.push_many(4)
    core.pull(2, session=1)
    core.pull(2, session=2)
    core.close_session(1)
    core.close_session(1)
    core.close_session(77)
    assert [core.state(job_id) for job_id in (1, 3)] == [JobState.READY, JobState.ACTIVE]
    assert core.stats().lost == 2


def test_session_zero_is_nobody(core: Driver) -> None:
    core.push()
    core.pull(session=0)
    core.close_session(0)
    assert core.state(1) is JobState.ACTIVE


def test_a_job_lost_too_often_is_dead(core_name: str) -> None:
    core = Driver(core_name, lost_max=2)
    core.push()
    for _ in range(2):
        core.pull()
        core.close_session(1)
        assert core.state(1) is JobState.READY
    core.pull(lease_ms=5)
    core.tick(5)
    view = core.job(1)
    assert (view.state, view.reason, view.lost) == (JobState.DEAD, "worker_lost", 3)
    assert view.died_at_ms == core.now


def test_a_heartbeat_extends_a_lease(core: Driver) -> None:
    core.push(b"1", b"2")
    core.pull(2, lease_ms=100)
    core.tick(90)
    assert core.heartbeat(1, 99, lease_ms=100) == Settled([99], [])
    core.tick(10)
    assert core.state(2) is JobState.READY
    assert core.job(1).lease_until_ms == START_MS + 190
    core.tick(90)
    assert core.state(1) is JobState.READY


def test_a_heartbeat_can_shorten_a_lease(core: Driver) -> None:
    core.push()
    core.pull(lease_ms=1000)
    core.heartbeat(1, 1, lease_ms=10)
    assert core.core.next_deadline_ms <= START_MS + 10
    core.tick(10)
    assert core.state(1) is JobState.READY


def test_a_session_keeps_what_it_extended(core: Driver) -> None:
    core.push(b"1", b"2")
    core.pull(1, session=1)
    core.pull(1, session=2)
    core.heartbeat(1, 2, lease_ms=5000)
    core.close_session(2)
    assert core.state(1) is JobState.ACTIVE
    assert core.state(2) is JobState.READY


def test_settled_leases_leave_nothing_behind(core: Driver) -> None:
    for _ in range(500):
        core.push()
        ids = core.pull()
        core.heartbeat(*ids, lease_ms=2000)
        core.ack(*ids)
    core.tick(10**6)
    assert core.core.next_deadline_ms == NEVER_MS
    assert core.stats().lost == 0
