"""Faults that break promises, put in on purpose: each has to be caught, over real servers.

The control without the look at the epoch is in `test_take_over`; faults of the store that
need no PostgreSQL are in `tests/wal/test_seeded_store_faults.py`.
"""

import signal
from collections.abc import Iterator

import pytest

from cluster import test_postgres_store
from cluster.faults import answer_early
from cluster.lives import LOCAL, Lives, Make, kills
from cluster.postgres import Postgres, running, why_not
from history.checker import BrokenPromise, check
from magicqueue_server.safekeeping import EXIT_LOG_FAILED
from magicqueue_server.wal.postgres_schema import make_tables
from magicqueue_server.wal.store_postgres import PostgresEngine


@pytest.fixture(scope="module")
def doomed() -> Iterator[Postgres]:
    """A primary and a standby, for the one test that breaks them."""
    if reason := why_not():
        pytest.skip(reason)
    with running(standbys=1) as servers:
        yield servers


def test_replies_before_the_commit_lose_what_they_promised(
    lives_of: Make, log_at: str
) -> None:
    with pytest.raises(BrokenPromise):
        kills(lives_of(log_at, 21, LOCAL), 3, lambda: answer_early)


def test_the_same_kills_without_that_lose_nothing(lives_of: Make, log_at: str) -> None:
    kills(lives_of(log_at, 21, LOCAL), 3)


def behind(lives: Lives, servers: Postgres) -> int:
    """Fail over to an asynchronous standby that lacks something; gives the exit code."""
    servers.set("synchronous_standby_names", "")
    owner = lives.ready()
    with lives.crowd.at_work(owner):
        lives.some_replies()
        (standby,) = servers.nodes[1:]
        standby.stop()
        lives.some_replies()
        servers.primary.stop()
        standby.write("synchronous_standby_names = ''\n")
        standby.start()
        servers.primary = standby
        standby.promote()
        code = owner.wait()
    lives.ready()
    return code


def test_an_asynchronous_standby_loses_and_the_owner_says_so(
    lives_of: Make, doomed: Postgres
) -> None:
    address = doomed.new_database("behind")
    make_tables(address)
    lives = lives_of(address, 22, LOCAL)
    assert behind(lives, doomed) == EXIT_LOG_FAILED
    with pytest.raises(BrokenPromise):
        check(lives.crowd.history)


def test_a_cancelled_wait_that_is_believed_is_caught(
    three: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL tells it as a success, with a warning: that must not be overheard."""
    monkeypatch.setattr(PostgresEngine, "_on_notice", lambda *_: None)
    address = three.new_database("believed")
    make_tables(address)
    try:
        with pytest.raises(AssertionError):
            test_postgres_store.test_a_cancelled_wait_for_the_standbys_is_no_answer(
                address, three
            )
    finally:
        for node in three.nodes:
            node.signal(signal.SIGCONT)
