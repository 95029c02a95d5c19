"""One log in PostgreSQL, and servers that have it in turns, under clients who note all."""

import os
import random
import signal
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from history.checker import check
from patience import PATIENCE_S
from wal.noting_client import Crowd
from wal.server_process import Server, cores_here

CLIENTS = 4
LEASE_MS = 400
LOCAL = "--log-durability=local"
OPTIONS = (
    "--segment-size=64KiB",
    "--log-level=warning",
    "--max-lost=0",
    f"--log-lease={LEASE_MS}ms",
)


class Lives:
    """One log, and servers that have it in turns. Each listens in a folder of its own."""

    def __init__(self, folder: Path, address: str, seed: int, *options: str) -> None:
        self.folder = folder
        self.address = address
        self.options = (*OPTIONS, *options)
        self.rng = random.Random(seed)
        self.crowd = Crowd(CLIENTS, seed)
        self.numbers = count(1)
        self.started: list[Server] = []

    def server(self, prepare: Callable[[], object] = int, address: str = "") -> Server:
        """Start a server; address: another way to the same log."""
        folder = self.folder / f"{next(self.numbers)}"
        folder.mkdir()
        core = self.rng.choice(cores_here())
        server = Server(
            folder,
            f"--log={address or self.address}",
            *self.options,
            core=core,
            prepare=prepare,
        )
        self.started.append(server)
        return server

    def some_replies(self) -> None:
        enough = threading.Event()
        self.crowd.after_replies(self.rng.randrange(30, 150), enough)
        assert enough.wait(PATIENCE_S)

    def close(self) -> None:
        for server in self.started:
            server.close()

    def ready(self, prepare: Callable[[], object] = int, address: str = "") -> Server:
        """Start a server, and wait until it has the log; then have a look at all jobs."""
        server = self.server(prepare, address).wait_until_it_listens()
        self.crowd.look(server)
        return server

    def end(self) -> None:
        """Have a last server show what there is, and judge it all."""
        assert self.ready().stop() == 0
        check(self.crowd.history)


Make = Callable[..., Lives]


def kills(
    lives: Lives, rounds: int, prepare: Callable[[], Callable[[], object]] = lambda: int
) -> None:
    """Kill the owner while all work; another takes over when its lease is over.

    prepare: gives what is done in each server's process before it starts.
    """
    for _ in range(rounds):
        server = lives.ready(prepare())
        with lives.crowd.at_work(server):
            lives.some_replies()
            os.kill(server.pid, signal.SIGKILL)
        server.process.join()
    lives.end()
