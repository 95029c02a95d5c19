"""`on_ready`: whoever waits for a queue hears of its jobs, and nobody else does."""

from collections.abc import Callable

import pytest

from conformance.driver import Driver


def mature(core: Driver) -> None:
    core.push(delay_ms=10)
    assert core.woken == []
    core.tick(10)


def fail(core: Driver) -> None:
    core.fail(*core.pull(1, "q"))


def lose(core: Driver) -> None:
    core.pull(lease_ms=10)
    core.tick(10)


def close_session(core: Driver) -> None:
    core.pull()
    core.close_session(1)


def revive(core: Driver) -> None:
    core.retry_dead()


def resume(core: Driver) -> None:
    core.pause(paused=False)


def prepare_nothing(core: Driver) -> None:
    """The queue stays empty."""


def prepare_job(core: Driver) -> None:
    core.push()


def prepare_dead(core: Driver) -> None:
    core.push(max_attempts=1)
    fail(core)


def prepare_paused(core: Driver) -> None:
    core.pause()
    core.push()


@pytest.mark.parametrize(
    ("prepare", "event"),
    [
        (prepare_nothing, prepare_job),
        (prepare_nothing, mature),
        (prepare_job, fail),
        (prepare_job, lose),
        (prepare_job, close_session),
        (prepare_dead, revive),
        (prepare_paused, resume),
    ],
)
def test_every_arrival_wakes(
    core: Driver, prepare: Callable[[Driver], None], event: Callable[[Driver], None]
) -> None:
    prepare(core)
    core.core.watch("q", watching=True)
    del core.woken[:]
    event(core)
    assert set(core.woken) == {"q"}
    core.core.watch("q", watching=False)
    del core.woken[:]
    core.push()
    assert core.woken == []


def test_watching_a_queue_with_jobs_wakes_at_once(core: Driver) -> None:
    core.push()
    core.core.watch("q", watching=True)
    assert core.woken == ["q"]


def test_nothing_to_pull_wakes_nobody(core: Driver) -> None:
    core.core.watch("q", watching=True)
    core.push(delay_ms=10)
    core.push(queue="other")
    core.pause()
    core.push()
    core.tick(10)
    assert core.woken == []


def test_watching_makes_no_queue(core: Driver) -> None:
    core.core.watch("q", watching=True)
    assert core.queues() == []
