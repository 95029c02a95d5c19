"""Giving memory back changes nothing that is here, and what is pushed later is whole."""

from conformance.driver import Driver, answered
from magicqueue_cores.contract import NewJobs

MANY = 20_000


def fill(driver: Driver, first: int = 0) -> list[bytes]:
    """Push payloads that are all different; gives them."""
    payloads = [b"%d" % number * 20 for number in range(first, first + MANY)]
    driver.push_batch(NewJobs(payloads=payloads, run_ats_ms=driver.now), "q")
    return payloads


def trimmed(driver: Driver) -> int:
    """Trim to the end; gives how many calls it took."""
    calls = 1
    while not driver.core.trim():
        driver.core.check()
        calls += 1
    driver.core.check()
    return calls


def pulled(driver: Driver) -> list[bytes]:
    """Pull and settle all jobs; gives their payloads."""
    payloads: list[bytes] = []
    while True:
        delivery = answered(driver.core.pull("q", 1000, 10**9, 1000, 1, driver.now))
        if not delivery.ids:
            return payloads
        payloads += delivery.payloads
        answered(driver.core.ack(delivery.ids, None, driver.now))


def test_an_empty_core_gives_back_all_that_is_spare(core: Driver) -> None:
    fill(core)
    assert core.core.spare_bytes == 0, "nothing is spare of what is used"
    core.drain()
    spare_bytes = core.core.spare_bytes
    assert spare_bytes > MANY * 20
    trimmed(core)
    assert core.core.spare_bytes < spare_bytes / 20
    assert pulled(core) == []


def test_what_is_pushed_after_it_is_whole(core: Driver) -> None:
    for first in (0, 7, MANY):
        payloads = fill(core, first)
        trimmed(core)
        assert pulled(core) == payloads
        trimmed(core)


def test_jobs_that_stay_are_whole(core: Driver) -> None:
    payloads = fill(core)
    delivery = answered(core.core.pull("q", MANY - 3, 10**9, 1000, 1, core.now))
    answered(core.core.ack(delivery.ids, None, core.now))
    trimmed(core)
    more = fill(core, 5)
    trimmed(core)
    assert pulled(core) == payloads[-3:] + more
