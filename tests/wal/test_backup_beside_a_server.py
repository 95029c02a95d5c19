"""A backup of a server under load opens, and has what was answered before it was made."""

import threading
from pathlib import Path

from history.checker import check
from magicqueue_server.wal import tools
from patience import PATIENCE_S
from wal.noting_client import Crowd
from wal.server_process import serving


def test_a_backup_of_a_busy_server(tmp_path: Path) -> None:
    crowd = Crowd(4, seed=5)
    enough = threading.Event()
    crowd.after_replies(300, enough)
    with (
        serving(tmp_path, "--segment-size=64KiB", "--max-lost=0") as server,
        crowd.at_work(server),
    ):
        assert enough.wait(PATIENCE_S)
        begun = ended = 0
        for number in range(5):
            begun = crowd.history.clock()
            report = tools.backup(tmp_path / "log", tmp_path / f"copy {number}")
            ended = crowd.history.clock()
            assert report.state == "ok", report.problem
        server.close()
    crowd.history = crowd.history.of_a_copy(begun, ended)
    with serving(tmp_path, "--max-lost=0", log=tmp_path / "copy 4") as server:
        crowd.look(server)
    check(crowd.history)
    assert crowd.seen()["push"] > 20
