"""A backup of a server under load is a log that opens and has what was answered before."""

import threading
from contextlib import closing
from pathlib import Path

from magicqueue_server.wal import tools
from wal.noting_client import Worker
from wal.server_process import Connection, serving


def test_a_backup_of_a_busy_server(tmp_path: Path) -> None:
    worker = Worker(1, seed=5)
    with serving(tmp_path, "--segment-size=64KiB", "--max-lost=0") as server:
        with closing(Connection(server)) as connection:
            for _ in range(60):
                worker.push(connection, 20)
        before = dict(worker.known)
        other = Worker(2, seed=6)
        load = threading.Thread(target=other.work, args=(server,))
        load.start()
        for number in range(5):
            report = tools.backup(tmp_path / "log", tmp_path / f"copy {number}")
            assert report.state == "ok", report.problem
        server.close()
        load.join()
    assert other.error is None
    worker.known = before
    with (
        serving(tmp_path, "--max-lost=0", log=tmp_path / "copy 4") as server,
        closing(Connection(server)) as connection,
    ):
        worker.check(connection)
