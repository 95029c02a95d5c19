"""Real servers and one log in PostgreSQL: paused, killed, cut off, one after the other.

The core of each life is chosen at random. What clients were told goes into one history,
over all servers, which its checker judges.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count

import psycopg
import pytest

from cluster.faults import forget_the_epoch
from cluster.lives import LOCAL, Lives, Make, kills
from cluster.postgres import Postgres, running, why_not
from history.checker import BrokenPromise
from magicqueue_server.safekeeping import EXIT_CORRUPT, EXIT_DEPOSED, EXIT_LOG_FAILED
from magicqueue_server.wal.postgres_schema import make_tables
from wal.server_process import Connection

_numbers = count(1)


@pytest.fixture
def at_three(three: Postgres) -> str:
    address = three.new_database(f"lives{next(_numbers)}")
    make_tables(address)
    return address


def pauses(lives: Lives, rounds: int, prepare: Callable[[], object] = int) -> list[int]:
    """Pause the owner while all work, and let it go on when another has taken over.

    Gives the exit codes of those who were deposed.
    """
    codes = []
    owner = lives.ready(prepare)
    for _ in range(rounds):
        with lives.crowd.at_work(owner):
            lives.some_replies()
            os.kill(owner.pid, signal.SIGSTOP)
            try:
                other = lives.server(prepare).wait_until_it_listens()
                with closing(Connection(other)) as connection:
                    for number in range(20):
                        connection.ask(cmd="PUSH", queue="marks", data=number)
                os.kill(owner.pid, signal.SIGCONT)
                if prepare is not int:  # it would never find out
                    time.sleep(0.5)
                    owner.process.kill()
            except BaseException:
                owner.process.kill()
                raise
            codes.append(owner.wait())
        owner = other
        lives.crowd.look(owner)
    assert owner.stop() == 0
    lives.end()
    return codes


def restarts(lives: Lives, servers: Postgres, rounds: int) -> None:
    """Have the primary crash and start again while all work: clients see but a pause."""
    server = lives.ready()
    with lives.crowd.at_work(server):
        try:
            for _ in range(rounds):
                lives.some_replies()
                servers.primary.stop()
                servers.primary.start()
            lives.some_replies()
            assert server.process.is_alive()
        finally:
            server.process.kill()
    lives.end()


def test_an_owner_is_killed_and_another_has_all(lives_of: Make, log_at: str) -> None:
    kills(lives_of(log_at, 1, LOCAL), 3)


def test_an_owner_that_was_paused_promises_nothing_more(
    lives_of: Make, log_at: str
) -> None:
    assert pauses(lives_of(log_at, 2, LOCAL), 2) == [EXIT_DEPOSED] * 2


def test_without_the_epoch_that_breaks_promises(lives_of: Make, log_at: str) -> None:
    with pytest.raises((BrokenPromise, AssertionError)):
        pauses(lives_of(log_at, 3, LOCAL), 3, forget_the_epoch)


def test_the_primary_crashes_and_nobody_is_hung_up_on(
    lives_of: Make, at_three: str, three: Postgres
) -> None:
    restarts(lives_of(at_three, 4), three, 1)


def test_a_primary_that_hangs_is_given_up_on(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    server = lives_of(log_at, 10, LOCAL, "--log-give-up=300ms").ready()
    postgres.primary.signal(signal.SIGSTOP)
    try:
        with closing(Connection(server)) as connection, pytest.raises(ConnectionError):
            connection.ask(cmd="PUSH", queue="a", data=1)
        assert server.wait() == EXIT_LOG_FAILED
    finally:
        postgres.primary.signal(signal.SIGCONT)
    assert "gave no answer for 0.3 s" in server.output


def test_a_log_that_was_changed_by_others_is_refused(lives_of: Make, log_at: str) -> None:
    lives = lives_of(log_at, 5, LOCAL)
    server = lives.ready()
    with closing(Connection(server)) as connection:
        assert connection.ask(cmd="PUSH", queue="a", data=1)["ok"]
    assert server.stop() == 0
    with psycopg.connect(log_at, autocommit=True) as there:
        there.execute("update mq_log set body = 'x' where lsn = 2")
    assert lives.server().wait() == EXIT_CORRUPT


def test_a_standby_becomes_the_primary_and_has_all(
    lives_of: Make,
) -> None:
    """It has servers of its own: one of the three is gone then."""
    if reason := why_not():
        pytest.skip(reason)
    with running(standbys=2) as three:
        fail_over(lives_of, three)


def fail_over(lives_of: Make, three: Postgres) -> None:
    """Kill the primary while all work, and have a standby follow it."""
    address = three.new_database("failed_over")
    make_tables(address)
    lives = lives_of(address, 6)
    server = lives.ready()
    with lives.crowd.at_work(server):
        try:
            lives.some_replies()
            three.fail_over()
            lives.some_replies()
            assert server.process.is_alive()
        finally:
            server.process.kill()
    lives.end()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_owners_are_paused(lives_of: Make, log_at: str) -> None:
    assert pauses(lives_of(log_at, 7, LOCAL), 100) == [EXIT_DEPOSED] * 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_owners_are_killed(lives_of: Make, log_at: str) -> None:
    kills(lives_of(log_at, 8, LOCAL), 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_primary_crashes_many_times(
    lives_of: Make, log_at: str, postgres: Postgres
) -> None:
    restarts(lives_of(log_at, 9, LOCAL), postgres, 100)
