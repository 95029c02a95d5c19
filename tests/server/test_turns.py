"""When everything that had arrived has been read and had its turn."""

import asyncio
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from magicqueue_cores.contract import CoreStats
from magicqueue_server import listener as listener_module
from magicqueue_server.app import App
from magicqueue_server.loop import loop_factory
from magicqueue_server.turns import POLLS_MAX, Turns
from server.desk import StillClock
from server.process import EXECUTABLE
from server.running import Peer, with_server

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}\n'


class Loop:
    """A loop by hand: `poll` runs what was to be called before it, then what arrives."""

    def __init__(self) -> None:
        self._ready: list[Callable[[], object]] = []
        self.turns = Turns(self._call_soon, StillClock(lambda: 0))
        self.called = False

    def poll(self, *, leaves_more: bool = False) -> bool:
        """Give whether the call has come."""
        ready, self._ready = self._ready, []
        for call in ready:
            call()
        if leaves_more:
            self.turns.more_to_read()
        return self.called

    def ask(self) -> None:
        self.turns.when_all_had_a_turn(self._come)

    def _come(self) -> None:
        self.called = True

    def _call_soon(self, call: Callable[[], object]) -> None:
        self._ready.append(call)


def test_the_call_comes_after_a_poll_that_left_nothing_over() -> None:
    loop = Loop()
    loop.ask()
    assert not loop.called
    assert [loop.poll(), loop.poll(), loop.called] == [False, True, True]


def test_what_fills_its_buffer_is_waited_for_but_not_for_ever() -> None:
    loop = Loop()
    loop.ask()
    assert [loop.poll(leaves_more=n < 3) for n in range(5)] == [False] * 4 + [True]
    flooded = Loop()
    flooded.ask()
    assert [flooded.poll(leaves_more=True) for _ in range(POLLS_MAX + 1)] == [
        False
    ] * POLLS_MAX + [True]


@pytest.mark.skipif(EXECUTABLE is not None, reason="looks inside the server")
@pytest.mark.parametrize("where", ["tcp", "unix"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_the_sockets_hold_has_run_when_the_call_comes(
    loop: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "READ_BYTES", 4096)

    async def scenario(app: App) -> None:
        peers = [await Peer.connect(app) for _ in range(9)]
        for peer in peers:
            await peer.ask(b'{"cmd":"PING"}')
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pushed: list[int] = []

        def look() -> None:
            stats = app.engine.core.stats(app._clock.now_ms())
            assert isinstance(stats, CoreStats)
            pushed.append(stats.pushed)

        def send_and_ask() -> None:
            """Send past the loop, so that nothing of it can have been read."""
            for number, peer in enumerate(peers):
                with _socket_of(peer.writer) as sock:
                    sock.send(PUSH * (1 if number else 1000))
            look()
            pushed.append(sum(map(_lines_unread, app._listener.connections)))
            app.turns.when_all_had_a_turn(look)
            app.turns.when_all_had_a_turn(lambda: over.set_result(None))

        asyncio.get_running_loop().call_soon(send_and_ask)
        await over
        before, unread, after = pushed
        assert before == 0, "the control: nothing had been read"
        assert unread * len(PUSH) > 4 * 4096
        assert after >= unread
        for peer in peers:
            await peer.close()

    options = {"unix_socket": str(tmp_path / "mq.sock")} if where == "unix" else {}
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(with_server(scenario, {"core": "python", **options}))


def _lines_unread(connection: listener_module.Connection) -> int:
    with _socket_of(connection._transport) as sock:
        unread = fcntl.ioctl(sock, termios.FIONREAD, b"0000")
    return int.from_bytes(unread, sys.byteorder) // len(PUSH)


def _socket_of(end: asyncio.StreamWriter | asyncio.Transport) -> socket.socket:
    """The socket itself, which the loop lends to nobody."""
    return socket.socket(fileno=os.dup(end.get_extra_info("socket").fileno()))
