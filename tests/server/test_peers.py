"""Peers that do not read stay; whoever is gone is noticed, behind a closed window too."""

import asyncio
import socket
import sys
from contextlib import suppress

import pytest

from magicqueue_server import peers as peers_module
from magicqueue_server.loop import loop_factory
from magicqueue_server.peers import MARGIN_MS, USER_TIMEOUT_MS, Peer, PeerWatch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO of Linux")


class NotedSocket:
    """Notes the time-outs that are set."""

    def __init__(self) -> None:
        self.timeouts_ms: list[int] = []

    def setsockopt(self, _level: int, option: int, value: int) -> None:
        if option == socket.TCP_USER_TIMEOUT:
            self.timeouts_ms.append(value)


def test_the_timeout_moves_on_while_a_closed_window_answers_and_no_longer() -> None:
    noted = NotedSocket()
    peer = Peer(noted)  # type: ignore[arg-type]
    assert noted.timeouts_ms == [USER_TIMEOUT_MS]
    for now_ms in range(0, 100_001, 5_000):
        peer.judge(now_ms, 10_000, window_closed=True)
        closed_ms = now_ms + 5_000
        assert peer.timeout_ms == max(USER_TIMEOUT_MS, closed_ms + MARGIN_MS)
    for now_ms in range(105_000, 200_000, 5_000):
        peer.judge(now_ms, MARGIN_MS + 1, window_closed=True)
    assert peer.timeout_ms == 105_000 + MARGIN_MS, "the system ends it then"
    peer.judge(205_000, 0, window_closed=False)
    assert peer.timeout_ms == noted.timeouts_ms[-1] == USER_TIMEOUT_MS


def _filled() -> tuple[socket.socket, socket.socket]:
    """A connection whose second end does not read what the first has sent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    near.setblocking(False)  # noqa: FBT003 - its name says it
    with suppress(BlockingIOError):
        while True:
            near.send(b"x" * 2**16)
    return near, far


def _is_there(near: socket.socket) -> bool:
    try:
        near.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_does_not_read_stays_unlike_one_that_is_not_watched(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "USER_TIMEOUT_MS", 3_000)
    monkeypatch.setattr(peers_module, "MARGIN_MS", 2_500)
    monkeypatch.setattr(peers_module, "LOOK_EVERY_MS", 50)

    async def scenario() -> None:
        slow, control = _filled(), _filled()
        watch = PeerWatch(asyncio.get_running_loop())
        watch.add(slow, slow[0])
        Peer(control[0])
        while _is_there(control[0]):  # noqa: ASYNC110 - the system ends it, without a word
            await asyncio.sleep(0.05)
        assert _is_there(slow[0]), "the control is gone, this one is not"
        watch.remove(slow)
        for sock in (*slow, *control):
            sock.close()

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(scenario())
