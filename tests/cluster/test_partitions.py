"""Owners that are cut off from PostgreSQL, and owners whose clocks are wrong.

While an owner is cut off, another takes over and writes; what was under way arrives late,
when the network is mended. The old owner must have promised nothing that is not there.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest

from cluster.lives import LEASE_MS, LOCAL, Lives, Make, kills
from cluster.partition import FROM, TO, Partition
from cluster.postgres import Postgres
from cluster.wrong_clock import HOUR_S, wrong_by
from magicqueue_server.safekeeping import EXIT_DEPOSED, EXIT_LOG_FAILED
from wal.server_process import Connection, Server

WAYS = ((TO,), (FROM,), (TO, FROM))


def through(address: str, network: Partition) -> str:
    """The address of a log, by way of a network."""
    return f"postgres://postgres@127.0.0.1:{network.port}/{address.rsplit('/', 1)[1]}"


@contextmanager
def network(postgres: Postgres) -> Iterator[Partition]:
    with closing(Partition(postgres.primary.port)) as made:
        yield made


def marks(server: Server) -> None:
    """Have an owner write."""
    with closing(Connection(server)) as connection:
        for number in range(20):
            connection.ask(cmd="PUSH", queue="marks", data=number)


def partitions(lives: Lives, address: str, postgres: Postgres, rounds: int) -> list[int]:
    """Cut owners off, have others take over, and mend it; gives the exit codes."""
    codes = []
    for number in range(rounds):
        with network(postgres) as cut_off:
            owner = lives.ready(int, through(address, cut_off))
            with lives.crowd.at_work(owner):
                lives.some_replies()
                cut_off.cut(*WAYS[number % len(WAYS)])
                try:
                    other = lives.server().wait_until_it_listens()
                    marks(other)
                    if number % 2:
                        cut_off.reset()
                    cut_off.mend()
                except BaseException:
                    owner.process.kill()
                    raise
                codes.append(owner.wait())
            lives.crowd.look(other)
            assert other.stop() == 0
    lives.end()
    return codes


def wrong_clocks(seed: int) -> Callable[[], "partial[None]"]:
    """Draw how wrong each server's clock is, how it steps, and when."""
    rng = random.Random(seed)

    def another() -> "partial[None]":
        at_first_s, then_s = (rng.uniform(-HOUR_S, HOUR_S) for _ in range(2))
        return partial(wrong_by, at_first_s, then_s, rng.uniform(0.05, 0.3))

    return another


def test_owners_that_are_cut_off_promise_nothing_more(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    lives = lives_of(log_at, 11, LOCAL)
    assert partitions(lives, log_at, postgres, 3) == [EXIT_DEPOSED] * 3


def test_a_short_cut_is_but_a_pause(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    """Nobody takes over meanwhile: the owner asks what is there, and goes on."""
    lives = lives_of(log_at, 12, LOCAL)
    with network(postgres) as shaky:
        owner = lives.ready(int, through(log_at, shaky))
        with lives.crowd.at_work(owner):
            for ways in WAYS:
                lives.some_replies()
                shaky.cut(*ways)
                time.sleep(0.1)
                shaky.reset()
                shaky.mend()
            lives.some_replies()
            assert owner.process.is_alive()
            owner.process.kill()
    lives.end()


def test_an_owner_that_stays_cut_off_gives_up(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    lives = lives_of(log_at, 13, LOCAL, "--log-give-up=300ms")
    with network(postgres) as gone:
        owner = lives.ready(int, through(log_at, gone))
        gone.cut(FROM)
        with closing(Connection(owner)) as connection, pytest.raises(ConnectionError):
            connection.ask(cmd="PUSH", queue="a", data=1)
        assert owner.wait() == EXIT_LOG_FAILED
    lives.end()


def test_wrong_clocks_break_no_promise(lives_of: Make, log_at: str) -> None:
    """Each owner's clock is wrong by up to an hour, and then steps by as much."""
    kills(lives_of(log_at, 14, LOCAL), 4, wrong_clocks(14))


def test_a_wrong_clock_takes_no_log_over(lives_of: Make, log_at: str) -> None:
    lives = lives_of(log_at, 15, LOCAL)
    owner = lives.ready(partial(wrong_by, -24 * HOUR_S, -24 * HOUR_S, 0.0))
    other = lives.server(partial(wrong_by, 24 * HOUR_S, 48 * HOUR_S, 0.2))
    time.sleep(4 * LEASE_MS / 1000)
    marks(owner)
    assert owner.process.is_alive()
    os.kill(owner.pid, signal.SIGKILL)
    other.wait_until_it_listens()
    marks(other)
    assert other.stop() == 0
    lives.end()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_owners_are_cut_off(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    codes = partitions(lives_of(log_at, 16, LOCAL), log_at, postgres, 100)
    assert codes == [EXIT_DEPOSED] * 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_owners_have_wrong_clocks(lives_of: Make, log_at: str) -> None:
    kills(lives_of(log_at, 17, LOCAL), 100, wrong_clocks(17))
