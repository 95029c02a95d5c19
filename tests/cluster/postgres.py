"""Real PostgreSQL servers for tests: a primary and its standbys, in a folder of their own.

They run as a user without rights where tests run as root, which PostgreSQL refuses.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psycopg

from patience import PATIENCE_S

_USER = "postgres"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 40
shared_buffers = 32MB
wal_keep_size = 256MB
hot_standby = on
wal_retrieve_retry_interval = 100ms
log_min_messages = fatal
"""


@cache
def why_not() -> str:
    """Why no PostgreSQL can run here, or nothing."""
    if programs() is None:
        return (
            "PostgreSQL's programs (initdb, pg_ctl) are not found: apt install postgresql"
        )
    if os.getuid() == 0:
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            return f"tests run as root, and there is no user {_USER} to run PostgreSQL as"
    return ""


@cache
def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]),
    )
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return None if there is None else Path(there).resolve().parent


def _run(program: str, *arguments: str) -> None:
    folder = programs()
    assert folder is not None
    user = _USER if os.getuid() == 0 else None
    done = subprocess.run(
        [folder / program, *arguments],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Node:
    """One server."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.name = name
        self.port = _free_port()

    def start(self) -> None:
        log = str(self.folder.parent / f"{self.name}.log")
        data = str(self.folder)
        _run("pg_ctl", "-D", data, "-o", f"-p {self.port}", "-l", log, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        _run("pg_ctl", "-D", str(self.folder), "-m", how, "-w", "stop")

    def promote(self) -> None:
        _run("pg_ctl", "-D", str(self.folder), "-w", "promote")

    @property
    def pid(self) -> int:
        return int((self.folder / "postmaster.pid").read_text("utf-8").split()[0])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all its processes."""
        pids = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        ).stdout.split()
        for pid in [self.pid, *map(int, pids)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def write(self, text: str) -> None:
        with (self.folder / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(text)


class Postgres:
    """A primary, and so many standbys, of which one has to have each commit."""

    def __init__(self, folder: Path, standbys: int = 0) -> None:
        self.folder = folder
        names = "abc"[: standbys + 1]
        self.nodes = [Node(folder, name) for name in names]
        self.primary = self.nodes[0]
        data = str(self.primary.folder)
        _run("initdb", "-D", data, "-A", "trust", "-U", _USER, "--no-sync", "-E", "UTF8")
        with (self.primary.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
        self.primary.start()
        for node in self.nodes[1:]:
            self._add(node)
        if standbys:
            self.set("synchronous_standby_names", self.quorum)

    @property
    def quorum(self) -> str:
        """Which copies have to have a commit."""
        return f"ANY 1 ({', '.join(node.name for node in self.nodes)})"

    def fail_over(self) -> None:
        """Kill the primary and have the standby that has most of its log follow it."""
        self.primary.stop()
        left = [node for node in self.nodes if node is not self.primary]
        self.primary = max(left, key=self._received)
        self.primary.promote()

    def _received(self, node: Node) -> int:
        address = f"host=127.0.0.1 port={node.port} user={_USER} dbname=postgres"
        with psycopg.connect(address) as connection:
            statement = b"select pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint"
            row = connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])

    def _add(self, node: Node) -> None:
        more = ("-X", "stream", "-c", "fast", "--no-sync")
        where = ("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", _USER)
        _run("pg_basebackup", *where, "-D", str(node.folder), *more)
        (node.folder / "standby.signal").touch()
        hosts = ",".join("127.0.0.1" for _ in self.nodes)
        ports = ",".join(str(one.port) for one in self.nodes)
        node.write(
            f"primary_conninfo = 'host={hosts} port={ports} user={_USER}"
            f" target_session_attrs=read-write application_name={node.name}'\n"
            f"synchronous_standby_names = '{self.quorum}'\n"
        )
        node.start()

    def dsn(self, database: str = "postgres") -> str:
        ports = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgres://{_USER}@{ports}/{database}"

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Ask the primary, as an operator."""
        port = self.primary.port
        with psycopg.connect(
            f"host=127.0.0.1 port={port} user={_USER} dbname=postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def set(self, name: str, value: str) -> None:
        """Change a setting of the primary, and wait until it holds."""
        self.ask(f"alter system set {name} = '{value}'")
        self.ask("select pg_reload_conf()")
        for _ in range(int(PATIENCE_S * 20)):
            if self.ask(f"show {name}") == [(value,)]:
                return
            self.ask("select pg_sleep(0.05)")
        raise AssertionError(f"{name} did not become {value}")

    def new_database(self, name: str) -> str:
        """Make a database; gives its address."""
        self.ask(f"create database {name}")
        return self.dsn(name)

    def close(self) -> None:
        for node in self.nodes:
            with contextlib.suppress(AssertionError):
                node.stop()


@contextlib.contextmanager
def running(standbys: int = 0) -> Iterator[Postgres]:
    """Servers for a while."""
    folder = Path(tempfile.mkdtemp(prefix="mq-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, _USER)
    servers: Postgres | None = None
    try:
        servers = Postgres(folder, standbys)
        yield servers
    finally:
        if servers is not None:
            servers.close()
        shutil.rmtree(folder, ignore_errors=True)
