"""`magicqueue cluster init | status`."""

import json
import sys

import pytest
from click.testing import CliRunner, Result

from cluster.postgres import Postgres
from magicqueue_server.cluster_command import cluster
from magicqueue_server.wal.postgres_schema import VERSION

NOBODY = "postgres://mq:gehe1m@127.0.0.1:1/mq"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cluster, arguments)


def test_init_makes_tables_once_and_status_tells(postgres: Postgres) -> None:
    address = postgres.new_database("made")
    assert "`magicqueue cluster init`" in run("status", address).output
    for _ in range(2):
        done = run("init", address)
        assert done.exit_code == 0, done.output
        assert "is ready" in done.output
    done = run("status", "--durability=local", address)
    assert done.exit_code == 0
    assert f"tables of version {VERSION}\nowner: none, epoch 0\nlog: 0 segments" in (
        done.output
    )
    done = run("status", "--json", "--durability=local", address)
    told = json.loads(done.output)
    assert told["ok"]
    assert told["status"]["settings"]["fsync"] == "on"


def test_status_says_when_a_reply_would_mean_less(postgres: Postgres) -> None:
    address = postgres.new_database("weak")
    run("init", address)
    done = run("status", address)
    assert done.exit_code == 1
    assert "synchronous_standby_names is empty" in done.output


def test_status_tells_of_the_standbys(three: Postgres) -> None:
    address = three.new_database("strong")
    run("init", address)
    done = run("status", address)
    assert done.exit_code == 0, done.output
    assert "\nstandby b: streaming, quorum, " in done.output


@pytest.mark.parametrize("command", ["init", "status"])
def test_nobody_there(command: str) -> None:
    done = run(command, NOBODY)
    assert done.exit_code == 1
    assert "PostgreSQL at 127.0.0.1:1, database mq: " in done.output
    assert "gehe1m" not in done.output


@pytest.mark.parametrize("command", ["init", "status"])
def test_what_is_no_address(command: str) -> None:
    done = run(command, "postgres://mq:ge/he1m@db/mq")
    assert done.exit_code == 2
    assert "cannot be read" in done.output
    assert "he1m" not in done.output


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magicqueue_server.wal.postgres_schema", None)
    done = run("status", NOBODY)
    assert done.exit_code == 1
    assert "pip install 'magicqueue-server[postgres]'" in done.output
