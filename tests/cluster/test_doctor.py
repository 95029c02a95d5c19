"""`magicqueue doctor --log`: what it says of a log in PostgreSQL."""

import signal
import sys
import time
from collections.abc import Iterator
from itertools import count

import pytest

from cluster.postgres import Postgres
from magicqueue_server.clock import SystemClock
from magicqueue_server.config import load
from magicqueue_server.doctor.command import doctor
from magicqueue_server.doctor.finding import Finding
from magicqueue_server.doctor.postgres import log_in_postgres
from magicqueue_server.wal.postgres_schema import make_tables
from magicqueue_server.wal.store import LogStore
from magicqueue_server.wal.store_postgres import PostgresEngine

_numbers = count(1)


def told(address: str, **options: str) -> list[Finding]:
    config = load({"log": address, **options}, {}, None)
    found = list(log_in_postgres(config, SystemClock()))
    assert all(one.todo or one.state == "ok" for one in found)
    assert "gehe1m" not in "".join(one.text + one.todo for one in found)
    return found


@pytest.fixture
def at_three(three: Postgres) -> Iterator[str]:
    address = three.new_database(f"doctor{next(_numbers)}")
    make_tables(address)
    yield address
    for node in three.nodes:
        node.signal(signal.SIGCONT)


def test_a_log_that_is_well(at_three: str) -> None:
    log, copies, owner = told(at_three)
    assert (log.state, copies.state, owner.state) == ("ok", "ok", "ok")
    assert "tables of version 1, a log of " in log.text
    assert copies.text.endswith("; b, c follow")
    assert owner.text == "nobody has the log (epoch 0)"


def test_who_owns_it(log_at: str) -> None:
    engine = PostgresEngine(log_at, quorum=False, statement_ms=5000)
    clock = SystemClock()
    store = LogStore(
        engine,
        "myself",
        lease_ms=3000,
        give_up_ms=5000,
        monotonic_ns=clock.monotonic_ns,
        sleep=lambda span_ms: time.sleep(span_ms / 1000),
    )
    store.take_over()
    try:
        *_, owner = told(log_at, log_durability="local", log_lease="1m")
        assert owner.text.startswith("myself, heard of ")
        assert owner.text.endswith(", epoch 1; another server would stand by")
        time.sleep(0.15)
        *_, owner = told(log_at, log_durability="local", log_lease="100ms")
        assert owner.text.endswith("that is over, and the next server takes it")
    finally:
        store.close()


def test_nobody_is_waited_for(log_at: str) -> None:
    _, copies, _ = told(log_at)
    assert copies.state == "failed"
    assert copies.text.startswith("synchronous_standby_names is empty")
    _, copies, _ = told(log_at, log_durability="local")
    assert copies.state == "ok"


def test_standbys_that_are_gone(at_three: str, three: Postgres) -> None:
    """A name that no standby has stands for standbys that are gone."""
    names = three.quorum
    try:
        three.set("synchronous_standby_names", "ANY 1 (a, b)")
        _, copies, _ = told(at_three)
        assert copies.state == "warning"
        assert "one is left" in copies.text
        three.set("synchronous_standby_names", "nobody")
        _, copies, _ = told(at_three)
        assert copies.state == "failed"
        assert copies.text.startswith("no synchronous standby follows")
    finally:
        three.set("synchronous_standby_names", names)


def test_a_role_that_may_not_see_the_standbys(at_three: str, three: Postgres) -> None:
    name = at_three.rsplit("/", 1)[1]
    three.ask(f"create role plain_{name} login")
    address = at_three.replace("postgres@", f"plain_{name}@")
    (log,) = told(address)
    assert log.state == "failed"
    assert "permission denied" in log.text
    owner = at_three.replace("postgres@", f"owner_{name}@")
    three.ask(f"create role owner_{name} login")
    three.ask(f"create database own_{name} owner owner_{name}")
    owner = owner.replace(f"/{name}", f"/own_{name}")
    make_tables(owner)
    _, copies, _ = told(owner)
    assert copies.state == "warning"
    assert "is hidden from this role" in copies.text


def test_nobody_there_and_no_tables(postgres: Postgres) -> None:
    (log,) = told("postgres://mq:gehe1m@127.0.0.1:1/mq")
    assert log.state == "failed"
    assert log.text.startswith("PostgreSQL at 127.0.0.1:1, database mq: ")
    (log,) = told(postgres.dsn())
    assert "`magicqueue cluster init`" in log.text
    (log,) = told("postgres://mq:ge/he1m@db/mq")
    assert log.todo == "mend the address"


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magicqueue_server.wal.postgres_schema", None)
    (log,) = told("postgres://db/mq")
    assert log.todo == "`pip install psycopg[binary]`"


def test_doctor_asks_it_when_there_is_one(
    log_at: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--log", log_at, "--log-durability=local", "--port=0"]
    code = doctor.main(arguments, "magicqueue", standalone_mode=False)
    said = capfd.readouterr().out
    assert code == 0, said
    assert "ok       log owner: nobody has the log" in said
    assert "data folder" not in said
