"""A whole server with tokens: who comes in, reloading, and what ends."""

import asyncio
import contextlib
import os
import pty
import signal
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from magicqueue_server.app import App
from magicqueue_server.listening import StartError
from magicqueue_server.tokens import digest_of
from server.process import ServerProcess, environment, run_serve, serve_command
from server.running import Peer, Scenario, until, with_server

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
PULL_0 = b'{"cmd":"PULL","queue":"q","timeout":0}'
STATS = b'{"cmd":"STATS"}'


def row(secret: str, *scopes: str, more: str = "") -> str:
    named = ", ".join(f'"{scope}"' for scope in scopes)
    digest = digest_of(secret).hex()
    return f'[tokens.{secret}]\nsha256 = "{digest}"\nscopes = [{named}]\n{more}\n'


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(row("boss", "admin") + row("worker", "consume", "produce"))
    path.chmod(0o644)
    return path


@pytest.fixture(params=["asyncio", "uvloop", "array"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    uv = request.param != "asyncio"
    core = "array" if request.param == "array" else "python"

    def run_it(scenario: Scenario, **options: str) -> None:
        async def scenario_and_end(app: App) -> None:
            try:
                await scenario(app)
            finally:
                while _open:
                    await _open.pop().close()

        factory = uvloop.new_event_loop if uv else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_server(scenario_and_end, {"core": core} | options))

    return run_it


_open: list[Peer] = []


async def connect(app: App) -> Peer:
    """Connect; the scenario's end closes it."""
    peer = await Peer.connect(app)
    _open.append(peer)
    return peer


async def let_in(app: App, secret: str) -> Peer:
    peer = await connect(app)
    reply = await peer.ask(b'{"cmd":"AUTH","token":"%b"}' % secret.encode())
    assert reply["ok"], reply
    return peer


@contextlib.asynccontextmanager
async def one(app: App, secret: str) -> AsyncIterator[Peer]:
    peer = await let_in(app, secret)
    yield peer
    await peer.close()


def test_a_token_lets_in_and_its_absence_does_not(
    run: Callable[..., None], tokens: Path
) -> None:
    async def scenario(app: App) -> None:
        stranger = await connect(app)
        assert (await stranger.ask(PUSH))["code"] == "UNAUTHORIZED"
        assert await stranger.line() == b""
        async with one(app, "worker") as peer:
            peer.send(PUSH, PUSH, PULL, b'{"cmd":"DRAIN","queue":"q"}', PULL, STATS, PUSH)
            replies = [await peer.reply() for _ in range(7)]
        codes = [reply.get("code") for reply in replies]
        assert codes == [None, None, None, "FORBIDDEN", None, "FORBIDDEN", None]

    run(scenario, tokens=str(tokens))


def test_what_comes_with_the_token_in_one_piece(
    run: Callable[..., None], tokens: Path
) -> None:
    async def scenario(app: App) -> None:
        peer = await connect(app)
        peer.send(b'{"cmd":"HELLO","token":"worker"}', PUSH, PULL_0, STATS)
        replies = [await peer.reply() for _ in range(4)]
        assert "auth" in replies[0]["capabilities"]
        assert [r.get("code") for r in replies] == [None, None, None, "FORBIDDEN"]
        wrong = await connect(app)
        wrong.send(PUSH, b'{"cmd":"HELLO","token":"worker"}')
        assert (await wrong.reply())["code"] == "UNAUTHORIZED"
        assert await wrong.line() == b""
        async with one(app, "boss") as boss:
            assert (await boss.ask(STATS))["pushed"] == 1

    run(scenario, tokens=str(tokens))


def test_a_token_that_is_gone_ends_its_sessions_and_their_jobs_come_back(
    run: Callable[..., None], tokens: Path
) -> None:
    async def scenario(app: App) -> None:
        boss = await let_in(app, "boss")
        holder, waiter, idle = [await let_in(app, "worker") for _ in range(3)]
        assert (await holder.ask(PUSH))["id"] == 1
        assert (await holder.ask(PULL))["job"]["id"] == 1
        waiter.send(b'{"cmd":"PULL","queue":"w"}')
        while (await boss.ask(STATS))["waiting"] != 1:
            pass
        tokens.write_text(row("boss", "admin") + row("new", "admin"))
        os.kill(os.getpid(), signal.SIGHUP)
        assert (await waiter.reply())["code"] == "UNAUTHORIZED"
        assert (await idle.reply())["code"] == "UNAUTHORIZED"
        for peer in (holder, waiter, idle):
            peer.send(PUSH)
            await peer.reader.read()
            await peer.close()
        while (await boss.ask(STATS))["connections"] != 1:
            pass
        again = await let_in(app, "new")
        assert (await again.ask(PULL))["job"]["attempts"] == 2
        counts = await boss.ask(STATS)
        assert (counts["lost"], counts["pushed"], counts["processing"]) == (1, 1, 1)
        late = await connect(app)
        assert (await late.ask(b'{"cmd":"AUTH","token":"worker"}'))["code"]

    run(scenario, tokens=str(tokens))


def test_a_changed_token_ends_its_sessions_too(
    run: Callable[..., None], tokens: Path
) -> None:
    async def scenario(app: App) -> None:
        peer, other = await let_in(app, "boss"), await let_in(app, "worker")
        tokens.write_text(row("boss", "read") + row("worker", "consume", "produce"))
        app.reload()
        assert (await peer.reply())["code"] == "UNAUTHORIZED"
        assert (await other.ask(PUSH))["ok"]
        async with one(app, "boss") as again:
            assert (await again.ask(PUSH))["code"] == "FORBIDDEN"

    run(scenario, tokens=str(tokens))


def test_a_session_that_reads_nothing_ends_as_well(
    run: Callable[..., None], tokens: Path
) -> None:
    async def scenario(app: App) -> None:
        peer = await let_in(app, "worker")
        push = b'{"cmd":"PUSH","queue":"q","data":"%b"}' % (b"x" * 500_000)
        for _ in range(20):
            await peer.ask(push)
        peer.send(*[b'{"cmd":"PULL","queue":"q"}'] * 20)
        (connection,) = app._listener.connections
        await until(lambda: connection.session.congested)
        tokens.write_text(row("boss", "admin"))
        app.reload()
        await until(lambda: not app._listener.connections)
        await peer.close()
        async with one(app, "boss") as boss:
            counts = await boss.ask(STATS)
            assert (counts["queued"], counts["processing"]) == (20, 0)

    run(scenario, tokens=str(tokens))


def test_a_file_that_became_bad_changes_nothing(
    run: Callable[..., None], tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: App) -> None:
        peer = await let_in(app, "worker")
        for bad in ("[tokens", "[tokens.x]\nscopes = []"):
            tokens.write_text(bad)
            app.reload()
            assert (await peer.ask(PUSH))["ok"]
            async with one(app, "boss"):
                pass
        tokens.unlink()
        app.reload()
        assert (await peer.ask(PUSH))["ok"]

    run(scenario, tokens=str(tokens))
    assert caplog.text.count("the tokens stay as they were") == 3


def test_a_token_ends_when_it_expires(run: Callable[..., None], tokens: Path) -> None:
    at = time.gmtime(time.time() + 2)
    expires = time.strftime("expires = %Y-%m-%dT%H:%M:%SZ", at)
    tokens.write_text(row("short", "admin", more=expires) + row("boss", "admin"))

    async def scenario(app: App) -> None:
        peer, other = await let_in(app, "short"), await let_in(app, "boss")
        peer.send(PULL)
        assert (await peer.reply())["code"] == "UNAUTHORIZED"
        assert await peer.line() == b""
        assert (await other.ask(PUSH))["ok"]

    run(scenario, tokens=str(tokens))


def test_tokens_that_others_may_write_are_told_of(
    run: Callable[..., None], tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.chmod(0o666)

    async def scenario(_app: App) -> None:
        pass

    run(scenario, tokens=str(tokens))
    assert "others may write the tokens file" in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_no_stranger_comes_to_a_server_without_tokens(host: str) -> None:
    done = run_serve("--host", host, "--port", "0")
    assert done.returncode == 2
    assert "--tokens" in done.stderr
    assert "--insecure" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_tokens_they_come_to_the_door(tokens: Path) -> None:
    with ServerProcess("--host", "0.0.0.0", "--tokens", str(tokens)) as server:
        with server.connect() as peer:
            assert b"UNAUTHORIZED" in peer.ask(PUSH)
        code, err = server.stop()
    assert code == 0
    assert "anyone" not in err


def test_tokens_that_cannot_be_read_keep_it_from_starting(tmp_path: Path) -> None:
    done = run_serve("--tokens", str(tmp_path / "none.toml"), "--port", "0")
    assert done.returncode == 2
    assert "none.toml: No such file" in done.stderr


def test_secrets_are_in_no_log(tokens: Path) -> None:
    with ServerProcess("--tokens", str(tokens), "--log-level", "debug") as server:
        with server.connect() as peer:
            peer.ask(b'{"cmd":"AUTH","token":"worker"}')
            peer.ask(b'{"cmd":"AUTH","token":"wrong-mq_secret","x":}')
        with server.connect() as peer:
            peer.ask(b'{"cmd":"AUTH","token":"wrong-mq_secret"}')
        _, err = server.stop()
    assert "UNAUTHORIZED" in err
    assert "mq_secret" not in err


def test_with_nothing_to_read_a_hang_up_changes_nothing() -> None:
    with ServerProcess() as server, server.connect() as peer:
        server.process.send_signal(signal.SIGHUP)
        while "nothing to read again" not in server.errors():
            assert b'"ok":true' in peer.ask(PUSH)
        code, _ = server.stop()
    assert code == 0


def test_without_tokens_a_closed_terminal_ends_the_server() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        command = serve_command("--port", "0", "--core", "python")
        os.execve(command[0], command, environment())
    while b"Ctrl-C" not in os.read(terminal, 10_000):
        pass
    os.kill(pid, signal.SIGHUP)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGHUP
    os.close(terminal)


def test_the_socket_may_be_for_a_group(run: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"
    group = str(os.getgid())

    async def scenario(app: App) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert path.stat().st_gid == os.getgid()
        peer = await connect(app)
        assert (await peer.ask(PUSH))["ok"]
        await peer.close()

    run(scenario, unix_socket=str(path), socket_mode="660", socket_group=group)


def test_a_group_that_is_not_there(run: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"

    async def scenario(_app: App) -> None:
        raise AssertionError("it started")

    with pytest.raises(StartError, match="group 'nobody-is-here'"):
        run(scenario, unix_socket=str(path), socket_group="nobody-is-here")
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "9", "888", "66", "0o660", "rw", "07777"])
def test_modes_that_are_none(text: str) -> None:
    done: Any = run_serve("--socket-mode", text)
    assert done.returncode == 2
    assert "octal digits" in done.stderr
