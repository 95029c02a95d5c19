"""Where the server listens, and what it says when it cannot."""

import asyncio
import errno
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from magicqueue_server import acceptor, listening
from magicqueue_server.app import App
from magicqueue_server.listening import StartError
from magicqueue_server.loop import loop_factory
from server.running import Peer, Scenario, alone, until, with_server

Run: TypeAlias = Callable[..., None]
PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}\n'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
PULL_0 = b'{"cmd":"PULL","queue":"q","timeout":0}'


def test_a_unix_socket_is_for_its_owner_and_goes_with_the_server(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "mq.sock"

    async def scenario(app: App) -> None:
        assert str(app.address) == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        peer = await Peer.connect(app)
        assert (await peer.ask(PUSH))["id"] == 1
        await peer.close()

    run(scenario, unix_socket=str(path))
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        assert (await peer.ask(PING))["pong"]
        await peer.close()

    run(scenario, unix_socket=str(path))


def test_a_live_socket_is_left_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"

    async def scenario(app: App) -> None:
        with pytest.raises(StartError, match="another server is running"):
            await with_server(_nothing, {"unix_socket": str(path)})
        assert path.exists()
        peer = await Peer.connect(app)
        assert (await peer.ask(PING))["pong"]
        await peer.close()

    run(scenario, unix_socket=str(path))


async def _nothing(_app: App) -> None:
    pass


def test_a_file_that_is_no_socket_is_left_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    with pytest.raises(StartError, match=r"precious\.txt: it exists and is no socket"):
        run(_nothing, unix_socket=str(path))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/mq.sock", "x" * 200])
def test_a_socket_that_cannot_be_made_says_why(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=r"^cannot listen on /.*"):
        run(_nothing, unix_socket=str(tmp_path / name))


def test_localhost_is_ipv4_and_ipv6(run: Run) -> None:
    async def scenario(app: App) -> None:
        assert [host for host, _ in app.address.tcp] == ["127.0.0.1", "::1"]
        assert len({port for _, port in app.address.tcp}) == 1
        port = app.address.tcp[0][1]
        assert str(app.address) == f"127.0.0.1:{port} and [::1]:{port}"
        for number in range(2):
            peer = await Peer.connect(app, number)
            assert (await peer.ask(PING))["pong"]
            await peer.close()

    run(scenario, host="localhost")


@pytest.mark.parametrize("host", ["", "::", "0:0::0"])
def test_all_addresses_are_those_of_both_families(run: Run, host: str) -> None:
    async def scenario(app: App) -> None:
        assert [host for host, _ in app.address.tcp] == ["0.0.0.0", "::"]
        port = app.address.tcp[0][1]
        assert str(app.address) == f"0.0.0.0:{port} and [::]:{port}"
        for address in ("127.0.0.1", "::1"):
            peer = Peer(*await asyncio.open_connection(address, port))
            assert (await peer.ask(PING))["pong"]
            await peer.close()

    run(scenario, host=host, insecure="true")


def test_0_0_0_0_is_ipv4_only(run: Run) -> None:
    async def scenario(app: App) -> None:
        ((host, port),) = app.address.tcp
        assert host == "0.0.0.0"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("::1", port)

    run(scenario, host="0.0.0.0", insecure="true")


def test_a_port_of_the_systems_choice_is_free_on_all_addresses(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 3
    tcp_socket = acceptor.tcp_socket

    def taken_at_first(family: int, address: str, port: int) -> socket.socket:
        nonlocal taken
        if family == socket.AF_INET6 and taken:
            taken -= 1
            raise OSError(errno.EADDRINUSE, "in use")
        return tcp_socket(family, address, port)

    monkeypatch.setattr(listening, "tcp_socket", taken_at_first)

    async def scenario(app: App) -> None:
        assert len(app.address.tcp) == 2
        assert not taken

    run(scenario, host="localhost")


def test_a_successor_keeps_its_unix_socket(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"

    async def successor(app: App) -> None:
        path.unlink()  # as one does who thinks that the server hangs
        async with asyncio.timeout(30):
            await with_server(_ends_before(app), {"unix_socket": str(path)})

    def _ends_before(old: App) -> Scenario:
        async def scenario(new: App) -> None:
            old.stop()
            await until(lambda: not old._doors._acceptors)
            peer = await Peer.connect(new)
            assert (await peer.ask(PING))["pong"]
            await peer.close()

        return scenario

    run(successor, unix_socket=str(path))


@pytest.mark.parametrize("options", [{"host": "127.0.0.1"}, {"unix_socket": "1"}])
def test_without_a_temp_folder_only_its_socket_is_missed(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    if "unix_socket" in options:
        with pytest.raises(StartError, match="set TMPDIR, or give --unix-socket a path"):
            run(_nothing, **options)
    else:
        run(_nothing, **options)


def test_a_port_in_use_is_said_so(run: Run) -> None:
    async def scenario(app: App) -> None:
        port = app.address.tcp[0][1]
        with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 is in use"):
            await with_server(_nothing, {"port": str(port)})

    run(scenario)


def test_a_host_that_is_not_there_is_said_so(run: Run) -> None:
    with pytest.raises(StartError, match="cannot listen on"):
        run(_nothing, host="no-such-host.invalid")
    with pytest.raises(StartError, match="cannot listen on 192"):
        run(_nothing, host="192.0.2.1", insecure="true")


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_connections_over_the_bound_are_told_and_closed(where: str, tmp_path: Path) -> None:
    """With a control: whoever came before is served, and a place that is free is given."""

    async def scenario(app: App) -> None:
        first, second = await Peer.connect(app), await Peer.connect(app)
        assert (await first.ask(PING))["pong"]
        assert (await second.ask(PING))["pong"]
        third = await Peer.connect(app)
        refused = await third.send(PUSH).reply()
        assert refused["code"] == "FULL"
        assert "--max-connections" in refused["error"]
        assert await third.line() == b""
        await third.close()
        await second.close()
        await alone(first)
        fourth = await Peer.connect(app)
        assert (await fourth.ask(b'{"cmd":"STATS"}'))["pushed"] == 0
        await fourth.close()
        await first.close()

    options = {"unix_socket": str(tmp_path / "mq.sock")} if where == "unix" else {}
    for loop in ("asyncio", "uvloop"):
        with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
            runner.run(
                with_server(scenario, {"core": "python", "max_connections": "2", **options})
            )
