"""`wal`, `backup` and `cluster restore` of a log in PostgreSQL, and what /metrics tell."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from cluster.postgres import Postgres
from http_client import Http, with_http
from magicqueue_server.app import App
from magicqueue_server.cluster_command import cluster
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.commands import backup, wal
from magicqueue_server.wal.postgres_schema import make_tables
from patience import PATIENCE_S
from scraped import of, read
from wal.server_process import Connection, Server, serving

SETTINGS = ("--log-durability=local", "--log-level=warning", "--segment-size=64KiB")
NOBODY = "postgres://mq:gehe1m@127.0.0.1:1/mq"


def run(command: str, *arguments: object, env: str | None = None) -> Result:
    commands = {"backup": backup, "restore": cluster}
    first = [] if command == "backup" else [command]
    texts = [*first, *map(str, arguments)]
    environment = None if env is None else {"MAGICQUEUE_LOG": env}
    return CliRunner().invoke(commands.get(command, wal), texts, env=environment)


@contextmanager
def owner(folder: Path, address: str, *more: str) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    with serving(folder, *SETTINGS, f"--log={address}", *more) as server:
        yield server


def push(server: Server, count: int, data: str = "x") -> list[int]:
    with closing(Connection(server)) as connection:
        told = connection.ask(cmd="PUSHB", queue="a", jobs=[{"data": data}] * count)
        assert told["ok"], told
        return list(told["ids"])


def queued(server: Server) -> int:
    with closing(Connection(server)) as connection:
        return int(connection.ask(cmd="STATS")["queued"])


def test_check_and_dump_of_a_log(log_at: str, tmp_path: Path) -> None:
    assert run("check", "--log", log_at).exit_code == 0
    with owner(tmp_path / "one", log_at) as server:
        for _ in range(4):
            push(server, 1000, "x" * 40)
        beside = json.loads(run("check", "--json", env=log_at).output)
        assert beside["state"] == "ok"
        assert beside["jobs_pushed"] == 4000
        assert beside["segments"] > 2
        assert beside["stopped"] == "without a word"
        assert server.stop() == 0
    done = run("check", "--log", log_at)
    assert done.exit_code == 0, done.output
    assert "stopped cleanly" in done.output
    rows = [json.loads(line) for line in run("dump", "--log", log_at).output.splitlines()]
    assert sum(len(row["payloads"]) for row in rows if row["record"] == "pushed") == 4000


def test_a_log_that_was_changed_is_damaged(log_at: str, tmp_path: Path) -> None:
    with owner(tmp_path / "one", log_at) as server:
        for _ in range(3):
            push(server, 10)
        assert server.stop() == 0
    with psycopg.connect(log_at, autocommit=True) as there:
        there.execute(
            "update mq_log set body = overlay(body placing 'x' from 20) where lsn = 3"
        )
        done = run("check", "--log", log_at)
        assert done.exit_code == 2
        assert done.output.startswith("corrupt: the log is damaged")
        assert run("backup", tmp_path / "copy", "--log", log_at).exit_code == 3
        there.execute("delete from mq_log where lsn = 3")
    done = run("check", "--log", log_at)
    assert done.exit_code == 2
    assert done.output.startswith("corrupt: chunks of the log in PostgreSQL")


def test_a_backup_beside_a_server_is_restored_elsewhere(
    log_at: str, tmp_path: Path, postgres: Postgres
) -> None:
    with owner(tmp_path / "one", log_at) as server:
        before = push(server, 3000, "y" * 60)
        done = run("backup", "--json", tmp_path / "copy", "--log", log_at)
        assert done.exit_code == 0, done.output
        assert json.loads(done.output)["last_id"] == before[-1]
        behind = push(server, 7)
        server.close()
    other = postgres.new_database("restored")
    make_tables(other)
    done = run("restore", tmp_path / "copy", "--log", other)
    assert done.exit_code == 0, done.output
    assert f"and job {before[-1]:,}" in done.output
    assert run("check", "--log", other).exit_code == 0
    with owner(tmp_path / "two", other) as server:
        assert queued(server) == 3000
        assert push(server, 1) > [before[-1]]
    with owner(tmp_path / "three", log_at) as server:
        assert queued(server) == 3000 + len(behind)


def test_a_server_moves_from_a_folder_to_postgres_and_back(
    log_at: str, tmp_path: Path
) -> None:
    for kill in (True, False):
        folder = tmp_path / f"{kill}"
        folder.mkdir()
        with serving(folder, "--segment-size=64KiB", "--fsync=everysec") as server:
            ids = push(server, 2000, "z" * 50)
            while_it_runs = run("restore", folder / "log", "--log", log_at)
            assert while_it_runs.exit_code == 1
            assert "is in use by another server" in while_it_runs.output
            if kill:
                server.close()
            else:
                assert server.stop() == 0
        done = run("restore", folder / "log", "--log", log_at)
        if not kill:
            assert done.exit_code == 1
            assert "is not empty" in done.output
            continue
        assert done.exit_code == 0, done.output
        with owner(tmp_path / "owner", log_at) as server:
            assert queued(server) == 2000
            (next_id,) = push(server, 1)
            assert next_id > ids[-1]
            assert server.stop() == 0
        assert run("backup", tmp_path / "back", "--log", log_at).exit_code == 0
        back = tmp_path / "folder again"
        back.mkdir()
        with serving(back, log=tmp_path / "back") as server:
            assert queued(server) == 2001


def test_what_cannot_be_restored_leaves_the_log_empty(
    log_at: str, tmp_path: Path, postgres: Postgres
) -> None:
    (tmp_path / "empty").mkdir()
    assert (
        "there is no log in" in run("restore", tmp_path / "empty", "--log", log_at).output
    )
    missing = run("restore", tmp_path / "nowhere", "--log", log_at)
    assert "there is no folder" in missing.output
    with serving(tmp_path, "--segment-size=64KiB") as server:
        for _ in range(4):
            push(server, 1000, "z" * 50)
        assert server.stop() == 0
    third = tmp_path / "log" / fmt.segment_name(3)
    third.write_bytes(third.read_bytes()[:2000])
    done = run("restore", tmp_path / "log", "--log", log_at)
    assert done.exit_code == 1, done.output
    assert "damaged" in done.output
    with psycopg.connect(log_at) as there:
        assert there.execute("select tail from mq_shard").fetchall() == [(0,)]
        assert there.execute("select count(*) from mq_log").fetchall() == [(0,)]
    bare = run("restore", tmp_path / "log", "--log", postgres.dsn())
    assert "`magicqueue cluster init`" in bare.output


@pytest.mark.parametrize("command", ["check", "dump", "backup", "restore"])
def test_nobody_there(command: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    folder = [tmp_path / "log"] if command in {"backup", "restore"} else []
    done = run(command, *folder, "--log", NOBODY)
    assert done.exit_code == (1 if command == "restore" else 3)
    assert "PostgreSQL at 127.0.0.1:1, database mq: " in done.output
    assert "gehe1m" not in done.output


def test_a_folder_that_was_named_goes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    assert run("check", "--data-dir", tmp_path / "log", env=NOBODY).exit_code == 0
    both = run("check", "--data-dir", tmp_path, "--log", NOBODY)
    assert both.exit_code == 2
    assert "name one" in both.output


def test_metrics_tell_of_the_store(log_at: str) -> None:
    async def scenario(_app: App, http: Http) -> None:
        before = read(await http.get("/metrics"))
        await http.post("/v1/push", {"queue": "q", "data": "x" * 5000})
        found = read(await http.get("/metrics"))
        assert of(found, "magicqueue_store_epoch") == 1
        quiet = of(found, "magicqueue_store_quiet_seconds")
        assert quiet is not None
        assert 0 <= quiet < PATIENCE_S
        (labels,) = [dict(key[1]) for key in found if key[0] == "magicqueue_store_info"]
        assert labels["place"].startswith("PostgreSQL at 127.0.0.1:")
        assert "process" in labels["owner"]
        for name, least in (
            ("magicqueue_store_appended_bytes_total", 5000),
            ("magicqueue_store_chunks", 1),
            ("magicqueue_wal_sync_duration_seconds_count", 1),
        ):
            assert (of(found, name) or 0) - (of(before, name) or 0) >= least
        assert of(found, "magicqueue_store_unclear_answers_total") == 0

    options = {"log": log_at, "log_durability": "local", "core": "python"}
    asyncio.run(with_http(scenario, options))
