"""Real servers and one log in PostgreSQL: paused, killed, cut off, one after the other.

The core of each life is chosen at random. What clients were told goes into one history,
over all servers, which its checker judges.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest

from cluster.postgres import Postgres
from cluster.unfenced import forget_the_epoch
from history.checker import BrokenPromise, check
from magicqueue_server.safekeeping import EXIT_CORRUPT, EXIT_DEPOSED
from magicqueue_server.wal.postgres_schema import make_tables
from patience import PATIENCE_S
from wal.noting_client import Crowd
from wal.server_process import Connection, Server, serving

CLIENTS = 4
LEASE_MS = 400
OPTIONS = (
    "--segment-size=64KiB",
    "--log-level=warning",
    "--max-lost=0",
    f"--log-lease={LEASE_MS}ms",
)
_numbers = count(1)


class Lives:
    """One log, and servers that have it in turns. Each listens in a folder of its own."""

    def __init__(self, folder: Path, address: str, seed: int, *options: str) -> None:
        self.folder = folder
        self.options = (*OPTIONS, f"--log={address}", *options)
        self.rng = random.Random(seed)
        self.crowd = Crowd(CLIENTS, seed)
        self.numbers = count(1)

    def server(self, prepare: Callable[[], object] = int) -> Server:
        folder = self.folder / f"{next(self.numbers)}"
        folder.mkdir()
        core = "python"
        return Server(folder, *self.options, core=core, prepare=prepare)

    def some_replies(self) -> None:
        enough = threading.Event()
        self.crowd.after_replies(self.rng.randrange(30, 150), enough)
        assert enough.wait(PATIENCE_S)

    def end(self, server: Server) -> None:
        self.crowd.look(server)
        assert server.stop() == 0
        check(self.crowd.history)


def kills(lives: Lives, rounds: int) -> None:
    """Kill the owner while all work; another takes over when its lease is over."""
    for _ in range(rounds):
        server = lives.server()
        with closing(server):
            server.wait_until_it_listens()
            lives.crowd.look(server)
            with lives.crowd.at_work(server):
                lives.some_replies()
                os.kill(server.pid, signal.SIGKILL)
            server.process.join()
    with closing(lives.server().wait_until_it_listens()) as server:
        lives.end(server)


def pauses(lives: Lives, rounds: int, prepare: Callable[[], object] = int) -> list[int]:
    """Pause the owner while all work, and let it go on when another has taken over.

    Gives the exit codes of those who were deposed.
    """
    codes = []
    owner = lives.server(prepare).wait_until_it_listens()
    try:
        for _ in range(rounds):
            lives.crowd.look(owner)
            with lives.crowd.at_work(owner):
                lives.some_replies()
                os.kill(owner.pid, signal.SIGSTOP)
                try:
                    other = lives.server(prepare).wait_until_it_listens()
                    with closing(Connection(other)) as connection:
                        for number in range(20):
                            connection.ask(cmd="PUSH", queue="marks", data=number)
                finally:
                    os.kill(owner.pid, signal.SIGCONT)
                if prepare is not int:  # it would never find out
                    time.sleep(0.5)
                    owner.process.kill()
                codes.append(owner.wait())
            owner.close()
            owner = other
        lives.end(owner)
    finally:
        owner.close()
    return codes


def test_an_owner_is_killed_and_another_has_all(tmp_path: Path, log_at: str) -> None:
    kills(Lives(tmp_path, log_at, 1, "--log-durability=local"), 3)


def test_an_owner_that_was_paused_promises_nothing_more(
    tmp_path: Path, log_at: str
) -> None:
    lives = Lives(tmp_path, log_at, 2, "--log-durability=local")
    assert pauses(lives, 2) == [EXIT_DEPOSED] * 2


def test_without_the_epoch_that_breaks_promises(tmp_path: Path, log_at: str) -> None:
    lives = Lives(tmp_path, log_at, 3, "--log-durability=local")
    with pytest.raises((BrokenPromise, AssertionError)):
        pauses(lives, 3, forget_the_epoch)


def restarts(lives: Lives, servers: Postgres, rounds: int) -> None:
    """Have the primary crash and start again while all work: clients see but a pause."""
    with closing(lives.server().wait_until_it_listens()) as server:
        lives.crowd.look(server)
        with lives.crowd.at_work(server):
            for _ in range(rounds):
                lives.some_replies()
                servers.primary.stop()
                servers.primary.start()
            lives.some_replies()
            assert server.process.is_alive()
            assert server.stop() == 0
    with closing(lives.server().wait_until_it_listens()) as server:
        lives.end(server)


def test_the_primary_crashes_and_nobody_is_hung_up_on(
    tmp_path: Path, three: Postgres
) -> None:
    address = three.new_database(f"restarts{next(_numbers)}")
    make_tables(address)
    restarts(Lives(tmp_path, address, 4), three, 1)


def test_a_standby_becomes_the_primary_and_has_all(tmp_path: Path, three: Postgres) -> None:
    """The last test of its servers: one of the three is gone then."""
    address = three.new_database(f"failover{next(_numbers)}")
    make_tables(address)
    lives = Lives(tmp_path, address, 5)
    with closing(lives.server().wait_until_it_listens()) as server:
        lives.crowd.look(server)
        with lives.crowd.at_work(server):
            lives.some_replies()
            three.fail_over()
            lives.some_replies()
            assert server.stop() == 0
    with closing(lives.server().wait_until_it_listens()) as server:
        lives.end(server)


def test_a_log_that_was_changed_by_others_is_refused(
    tmp_path: Path, log_at: str, postgres: Postgres
) -> None:
    del postgres
    options = (*OPTIONS, f"--log={log_at}", "--log-durability=local")
    with serving(tmp_path, *options) as server:
        with closing(Connection(server)) as connection:
            assert connection.ask(cmd="PUSH", queue="a", data=1)["ok"]
        assert server.stop() == 0
    with psycopg.connect(log_at, autocommit=True) as there:
        there.execute("update mq_log set body = 'x' where lsn = 2")
    server = Server(tmp_path, *options)
    assert server.wait() == EXIT_CORRUPT
    server.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_owners_are_paused(tmp_path: Path, log_at: str) -> None:
    lives = Lives(tmp_path, log_at, 6, "--log-durability=local")
    assert pauses(lives, 100) == [EXIT_DEPOSED] * 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_owners_are_killed(tmp_path: Path, log_at: str) -> None:
    kills(Lives(tmp_path, log_at, 7, "--log-durability=local"), 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_primary_crashes_many_times(tmp_path: Path, three: Postgres) -> None:
    address = three.new_database(f"restarts{next(_numbers)}")
    make_tables(address)
    restarts(Lives(tmp_path, address, 8), three, 30)
