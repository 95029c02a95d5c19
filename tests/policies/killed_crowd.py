"""Clients that work over sockets until their server is killed, again and again."""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from patience import PATIENCE_S
from wal.server_process import Connection, Server, cores_here, serving

OPTIONS: Final = ("--segment-size=64KiB", "--log-level=error", "--max-lost=0")


class KilledClient:
    """One client. Its error, if any, is one that no server's end explains."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.rng = random.Random(seed * 1000 + number)
        self.serial = itertools.count()
        self.error: BaseException | None = None

    def step(self, connection: Connection) -> None:
        """Do one thing or another."""
        raise NotImplementedError

    def work(self, server: Server, count_step: Callable[[], None]) -> None:
        """Go on until the server is gone."""
        try:
            with closing(Connection(server)) as connection:
                while True:
                    self.step(connection)
                    count_step()
        except (OSError, ValueError):
            pass
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error


class KilledCrowd:
    """Some clients and what they know together; `seen` counts what happened."""

    clients: Sequence[KilledClient]

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def look(self, server: Server) -> None:
        """Compare what is there after a start with what is known."""
        raise NotImplementedError

    def live(self, server: Server, steps: int, more_s: float) -> None:
        """Have all work, until about so many steps are done and the server is killed."""
        enough, left = threading.Event(), itertools.count(steps - 1, -1)

        def count_step() -> None:
            if next(left) == 0:
                enough.set()

        def work(client: KilledClient) -> None:
            client.work(server, count_step)
            if client.error is not None:
                enough.set()

        threads = [threading.Thread(target=work, args=(one,)) for one in self.clients]
        for thread in threads:
            thread.start()
        came = enough.wait(PATIENCE_S)
        time.sleep(more_s)  # not always behind a reply
        os.kill(server.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert came
        for client in self.clients:
            if client.error is not None:
                raise client.error

    def live_and_die(
        self, folder: Path, mode: str, kills: int, rng: random.Random, most_steps: int
    ) -> None:
        """Work with one server after the other, with cores by chance; all are killed."""
        cores = cores_here()
        for _ in range(kills):
            core = rng.choice(cores)
            with serving(folder, f"--fsync={mode}", *OPTIONS, core=core) as server:
                self.look(server)
                self.live(server, rng.randrange(30, most_steps), rng.uniform(0, 0.01))
                server.process.join()
                assert server.process.exitcode == -signal.SIGKILL
