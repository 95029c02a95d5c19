"""The servers that `cluster` compares: each log's place, and PostgreSQL itself.

PostgreSQL is started by what the tests of the cluster start it with.
"""

import contextlib
import shutil
import socket
import sys
import time
from pathlib import Path

from benchmarks.processes import ROOT, free_port, peer, start_server

with contextlib.suppress(ValueError):
    sys.path.remove(str(ROOT / "tests"))
sys.path.append(str(ROOT / "tests"))

from cluster.postgres import running, why_not

LOCAL, ONE, THREE = "local log, always", "PostgreSQL, one", "PostgreSQL, two standbys"
ROWS_ONE, ROWS_THREE = "rows, one", "rows, two standbys"
REDIS = "Redis, WAIT 1"
OURS = (LOCAL, ONE, THREE)
STANDBYS = {ONE: 0, THREE: 2, ROWS_ONE: 0, ROWS_THREE: 2}


class Places:
    """Where logs and rows are, for one run. folder: for local ones."""

    def __init__(self, stack, folder):
        self._folder = Path(folder)
        self._clusters = {n: stack.enter_context(running(n)) for n in (0, 2)}
        self._numbers = iter(range(10_000))

    def cluster(self, name):
        """Give the servers of PostgreSQL."""
        return self._clusters[STANDBYS[name]]

    def database(self, name):
        """Make a new database; gives its address."""
        return self.cluster(name).new_database(f"bench{next(self._numbers)}")

    def options(self, name):
        """Give the options of a server with a new log there."""
        if name == LOCAL:
            folder = self._folder / f"log{next(self._numbers)}"
            return ["--persist", "--fsync=always", f"--data-dir={folder}"]
        from magicqueue_server.wal.postgres_schema import make_tables  # noqa: PLC0415

        address = self.database(name)
        make_tables(address)
        return [f"--log={address}", *durability(name)]


def durability(name):
    """Give the option for a server without standbys."""
    return ["--log-durability=local"] if STANDBYS.get(name) == 0 else []


def started(core, options):
    """Start a server; gives (process, port) when it listens."""
    return start_server(core, *options, "--log-level=warning")


@contextlib.contextmanager
def redis():
    """Run a primary and a replica that syncs; gives the primary's port."""
    ports = free_port(), free_port()
    words = ["redis-server", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    with peer([*words, "--port", str(ports[0])], ports[0]):
        follow = ["--replicaof", "127.0.0.1", str(ports[0])]
        with peer([*words, "--port", str(ports[1]), *follow], ports[1]):
            time.sleep(1)
            yield ports[0]


def redis_per_s(port, batch, seconds):
    """Push batches, each with WAIT 1 behind it; gives jobs a second."""
    body = b'{"i":123456}'
    push = b"*%d\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n" % (batch + 2)
    push += b"$%d\r\n%b\r\n" % (len(body), body) * batch
    push += b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n"
    done, began = 0, time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        replies = connection.makefile("rb")
        while time.perf_counter() - began < seconds:
            connection.sendall(push)
            said = replies.readline(), replies.readline()
            if said[1] != b":1\r\n":
                raise RuntimeError(f"Redis said {said}")
            done += batch
    return done / (time.perf_counter() - began)


def missing():
    """Say what is not installed: nothing can be measured then; and what of Redis."""
    gone = shutil.which("redis-server") is None
    return why_not(), "redis-server is not installed" if gone else ""
