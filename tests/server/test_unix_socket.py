"""Who gets a Unix socket's path, and who may remove its file."""

import socket
import threading
from pathlib import Path

import pytest

from magicqueue_server.unix_socket import CannotBind, UnixSocket


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mq.sock"


def _leave_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))


def _reached(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(str(path))
        except OSError:
            return False
    return True


def test_of_many_that_start_at_a_stale_path_one_gets_it(path: Path) -> None:
    for _ in range(10):
        _leave_stale(path)
        got: list[UnixSocket] = []
        refused: list[CannotBind] = []
        together = threading.Barrier(6)

        def start(
            got: list[UnixSocket] = got,
            refused: list[CannotBind] = refused,
            together: threading.Barrier = together,
        ) -> None:
            together.wait()
            try:
                got.append(UnixSocket(path, 8))
            except CannotBind as error:
                refused.append(error)

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = got
        assert len(refused) == 5
        assert _reached(path)
        winner.remove_file()
        winner.sock.close()
        assert not path.exists()


def test_a_file_that_somebody_else_made_meanwhile_stays(path: Path) -> None:
    first = UnixSocket(path, 8)
    path.unlink()
    second = UnixSocket(path, 8)
    first.remove_file()
    first.sock.close()
    assert _reached(path)
    second.remove_file()
    second.sock.close()
    assert not path.exists()


def test_what_was_removed_once_is_never_removed_again(path: Path) -> None:
    first = UnixSocket(path, 8)
    first.remove_file()
    first.sock.close()
    second = UnixSocket(path, 8)
    first.remove_file()
    assert _reached(path)
    second.sock.close()
