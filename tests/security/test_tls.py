"""TLS: what is let in, what is refused, and what a reload changes."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from client.both import CLIENTS, opened
from http_client import Http
from magicqueue import BadAddress, ConnectionRefused, SyncQueue, SyncWorker
from magicqueue.address import parse_address
from magicqueue.sync_tls import TlsSocket
from magicqueue_server.app import App
from magicqueue_server.config import ConfigError, load
from magicqueue_server.listening import StartError
from magicqueue_server.tls import BadTls, ServerTls, TlsFiles
from patience import PATIENCE_S
from server.process import ServerProcess, run_serve
from server.running import Peer, Scenario, until, with_server

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
STATS = b'{"cmd":"STATS"}'


class Files:
    """An authority, the server's certificate, and a client's."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.cert, self.key, self.mine = (
            folder / name for name in ("ca.pem", "cert.pem", "key.pem", "mine.pem")
        )
        self.authority.cert_pem.write_to_path(str(self.ca))
        client = self.authority.issue_cert("someone@example.org")
        client.private_key_and_cert_chain_pem.write_to_path(str(self.mine))
        self.renew()

    def renew(self) -> None:
        """Write another certificate of the server."""
        made = self.authority.issue_cert("localhost", "127.0.0.1")
        made.private_key_pem.write_to_path(str(self.key))
        made.cert_chain_pems[0].write_to_path(str(self.cert))

    @property
    def options(self) -> dict[str, str]:
        return {"tls_cert": str(self.cert), "tls_key": str(self.key)}

    @property
    def flags(self) -> list[str]:
        return [f"--{n.replace('_', '-')}={v}" for n, v in self.options.items()]

    def context(self, *, mine: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if mine:
            context.load_cert_chain(str(self.mine))
        return context


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def files(made: Files, tmp_path: Path) -> Files:
    """The same files, to be changed by one test."""
    mine = Files.__new__(Files)
    mine.authority = made.authority
    for name in ("ca", "cert", "key", "mine"):
        old: Path = getattr(made, name)
        setattr(mine, name, Path(shutil.copy(old, tmp_path / old.name)))
    return mine


@pytest.fixture(params=["asyncio", "uvloop", "array"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    uv = request.param != "asyncio"
    core = "array" if request.param == "array" else "python"

    def run_it(scenario: Scenario, **options: str) -> None:
        factory = uvloop.new_event_loop if uv else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_server(scenario, {"core": core} | options))

    return run_it


@contextlib.asynccontextmanager
async def connected(app: App, context: ssl.SSLContext) -> AsyncIterator[Peer]:
    host, port = app.address.tcp[0]
    streams = await asyncio.open_connection(host, port, ssl=context, limit=2**26)
    peer = Peer(*streams)
    try:
        yield peer
    finally:
        await peer.close()


def test_all_goes_as_without(run: Callable[..., None], files: Files) -> None:
    async def scenario(app: App) -> None:
        async with connected(app, files.context()) as peer:
            assert peer.writer.get_extra_info("cipher")[1] == "TLSv1.3"
            lines = [PUSH, PULL, b'{"cmd":"ACK","id":%d}'] * 200
            peer.send(*[n % (i // 3 + 1) if b"%d" in n else n for i, n in enumerate(lines)])
            assert all([(await peer.reply())["ok"] for _ in lines])
            big = b'{"cmd":"PUSH","queue":"big","data":"%b"}' % (b"x" * 1_000_000)
            peer.send(*[big] * 8)
            assert all([(await peer.reply())["ok"] for _ in range(8)])
            got = await peer.ask(b'{"cmd":"PULLB","queue":"big","count":8}')
            assert sum(len(job["data"]) for job in got["jobs"]) == 8_000_000
            async with connected(app, files.context()) as waiter:
                waiter.send(PULL)
                while (await peer.ask(STATS))["waiting"] != 1:
                    pass
                await peer.ask(PUSH)
                assert (await waiter.reply())["job"]["data"] == 1
        async with connected(app, files.context()) as peer:
            while (await peer.ask(STATS))["processing"]:
                pass
            assert (await peer.ask(STATS))["lost"] == 9

    run(scenario, **files.options)


def test_a_client_that_is_refused_gets_its_reply_and_the_end(
    run: Callable[..., None], files: Files
) -> None:
    async def scenario(app: App) -> None:
        for first in (b"GET / HTTP/1.1", b'{"cmd":"PUSH","x":"%b"' % (b"x" * 300_000)):
            async with connected(app, files.context()) as peer:
                reply = await peer.ask(first)
                assert reply["code"] in {"BAD_JSON", "TOO_LARGE"}
                async with asyncio.timeout(PATIENCE_S):
                    assert await peer.line() == b""

    run(scenario, max_line="100KiB", **files.options)


def test_a_client_that_reads_on_gets_all_its_replies(
    run: Callable[..., None], files: Files
) -> None:
    async def scenario(app: App) -> None:
        push = b'{"cmd":"PUSH","queue":"q","data":"%b"}' % (b"x" * 900_000)
        async with connected(app, files.context()) as peer:
            peer.send(*[push] * 16, *[PULL] * 16)
            async with asyncio.timeout(PATIENCE_S):
                assert all([(await peer.reply())["ok"] for _ in range(32)])

    run(scenario, **files.options)


def test_plain_text_old_versions_and_strangers_stay_outside(
    run: Callable[..., None], files: Files
) -> None:
    async def scenario(app: App) -> None:
        plain = await Peer.connect(app)
        with contextlib.suppress(ConnectionResetError):
            assert not (await plain.send(PUSH).line()).startswith(b"{")
        await plain.close()
        old = files.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            async with connected(app, old):
                pass
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connected(app, ssl.create_default_context()):
                pass
        async with connected(app, files.context()) as peer:
            assert (await peer.ask(STATS))["pushed"] == 0

    run(scenario, **files.options)


def test_tls_1_2_by_option(run: Callable[..., None], files: Files) -> None:
    async def scenario(app: App) -> None:
        old = files.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with connected(app, old) as peer:
            assert (await peer.ask(PUSH))["ok"]

    run(scenario, tls_min="1.2", **files.options)


def test_only_clients_with_a_certificate(run: Callable[..., None], files: Files) -> None:
    async def scenario(app: App) -> None:
        async with connected(app, files.context(mine=True)) as peer:
            assert (await peer.ask(PUSH))["ok"]

        async def refused(context: ssl.SSLContext) -> bool:
            """Whether it ends before a reply: TLS 1.3 tells a client only then."""
            try:
                async with connected(app, context) as peer:
                    return await peer.send(PUSH).line() == b""
            except OSError:
                return True

        assert await refused(files.context())
        other = trustme.CA().issue_cert("someone@example.org")
        stranger = files.context()
        other.configure_cert(stranger)
        assert await refused(stranger)
        async with connected(app, files.context(mine=True)) as peer:
            assert (await peer.ask(STATS))["pushed"] == 1

    run(scenario, tls_client_ca=str(files.ca), **files.options)


def test_new_files_are_for_new_connections(run: Callable[..., None], files: Files) -> None:
    async def scenario(app: App) -> None:
        async with connected(app, files.context()) as old:
            first = _serial(old)
            files.renew()
            os.kill(os.getpid(), signal.SIGHUP)
            assert app.tls is not None
            context = app.tls.context
            await until(lambda: app.tls is not None and app.tls.context is not context)
            async with connected(app, files.context()) as new:
                assert _serial(new) != first
                assert (await new.ask(PUSH))["ok"]
            assert (await old.ask(PUSH))["ok"]

    run(scenario, **files.options)


def _serial(peer: Peer) -> str:
    return str(peer.writer.get_extra_info("peercert")["serialNumber"])


def test_files_that_became_bad_change_nothing(
    run: Callable[..., None], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: App) -> None:
        good = files.key.read_bytes()
        for bad in (b"", b"no key", Path(files.mine).read_bytes()):
            files.key.write_bytes(bad)
            app.reload()
            async with connected(app, files.context()) as peer:
                assert (await peer.ask(PUSH))["ok"]
        files.key.write_bytes(good)
        files.cert.unlink()
        app.reload()
        async with connected(app, files.context()) as peer:
            assert (await peer.ask(PUSH))["ok"]

    run(scenario, **files.options)
    assert caplog.text.count("TLS stays as it was") == 4


def test_who_greets_slowly_holds_up_nobody(files: Files) -> None:
    """A flood of connections that never say anything, and one of somebody who does."""

    async def scenario(app: App) -> None:
        flood = [await asyncio.open_connection(*app.address.tcp[0]) for _ in range(50)]
        async with connected(app, files.context()) as peer:
            assert (await peer.ask(STATS))["connections"] == 1
        for _, writer in flood:
            writer.close()

    asyncio.run(with_server(scenario, files.options))


def test_who_greets_too_slowly_is_closed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magicqueue_server.acceptor.HANDSHAKE_S", 0.2)

    async def scenario(app: App) -> None:
        reader, writer = await asyncio.open_connection(*app.address.tcp[0])
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()

    asyncio.run(with_server(scenario, files.options))


def test_connections_over_the_bound_are_closed(files: Files) -> None:
    async def scenario(app: App) -> None:
        async with connected(app, files.context()), connected(app, files.context()):
            with pytest.raises(OSError, match=r".*"):
                async with connected(app, files.context()):
                    pass
        await until(lambda: not app._listener.connections)
        async with connected(app, files.context()) as peer:
            assert (await peer.ask(PUSH))["ok"]

    asyncio.run(with_server(scenario, {"max_connections": "2", **files.options}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cert": "/nowhere.pem"}, "cannot use /nowhere.pem: No such file"),
        ({"key": "/nowhere.pem"}, "cannot use /nowhere.pem: No such file"),
        ({"client_ca": "/nowhere.pem"}, "cannot use /nowhere.pem: No such file"),
        ({"key": ""}, "the certificate"),
        ({"client_ca": "key"}, "cannot use"),
        ({"key": "encrypted"}, "is encrypted"),
    ],
)
def test_files_that_cannot_be_used(
    files: Files, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        [
            "openssl",
            "ec",
            "-aes256",
            "-passout",
            "pass:x",
            "-in",
            files.key,
            "-out",
            encrypted,
        ],
        check=True,
        capture_output=True,
    )
    names = {"key": str(files.key), "encrypted": str(encrypted)}
    options = {"cert": str(files.cert), "key": str(files.key)}
    options |= {name: names.get(value, value) for name, value in changes.items()}
    with pytest.raises(BadTls) as caught:
        ServerTls(TlsFiles(**options))
    assert words in str(caught.value)


def test_a_bad_file_is_told_at_the_start(files: Files) -> None:
    done = run_serve(
        "--tls-cert", str(files.cert), "--tls-key", str(files.ca), "--port", "0"
    )
    assert done.returncode == 2
    assert "magicqueue serve: cannot use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["tls_key", "tls_client_ca"])
def test_a_part_of_tls_alone_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a tls_cert"):
        load({name: "x.pem"}, {}, None)


def test_without_tls_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys, asyncio; asyncio.get_event_loop_policy();"
        "before = 'ssl' in sys.modules;"
        "import magicqueue_server.tls, magicqueue.tls, magicqueue.sync_tls;"
        "assert before or 'ssl' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_certificates_let_strangers_come_to_the_door(files: Files) -> None:
    flags = [*files.flags, "--tls-client-ca", str(files.ca), "--host", "0.0.0.0"]
    with ServerProcess(*flags) as server:
        assert any("for clients with a certificate" in line for line in server.announced)
        code, err = server.stop()
    assert code == 0
    assert "anyone" not in err


@pytest.mark.parametrize("client", CLIENTS)
def test_the_clients(files: Files, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ServerProcess(*files.flags, "--tls-client-ca", str(files.ca)) as server:
        place = f"127.0.0.1:{server.port}"
        query = f"?ca={files.ca}&cert={files.mine}"
        for scheme in ("magicqueues", "tls"):
            with opened(client, "q", f"{scheme}://{place}{query}") as queue:
                ids = queue.push_many(range(3000))
                assert len(queue.pull_batch(3000)) == len(ids)
                assert not queue.ack_batch(ids)
        with opened(
            client, "q", f"tls://localhost:{server.port}", ca=files.ca, cert=files.mine
        ) as queue:
            assert queue.push("x" * 900_000)
            assert len(queue.pull(timeout=0).data) == 900_000
            assert str(queue).count("magicqueues://localhost") == (client == "sync")
        monkeypatch.setenv("MAGICQUEUE_CA", str(files.ca))
        monkeypatch.setenv("MAGICQUEUE_CERT", str(files.mine))
        with opened(client, "q", f"tls://{place}") as queue:
            assert queue.stats().pushed
        monkeypatch.delenv("MAGICQUEUE_CA")
        with (
            opened(client, "q", f"tls://{place}") as queue,
            pytest.raises(ConnectionRefused, match=r"(?i)certificate verify failed"),
        ):
            queue.push(1)
        with (
            opened(client, "q", place, timeout=2) as queue,
            pytest.raises(Exception, match=r"lost|too large|cannot be true"),
        ):
            queue.push(1)


def test_a_certificate_for_another_name(files: Files) -> None:
    with ServerProcess(*files.flags) as server:
        url = f"tls://127.0.0.2:{server.port}?ca={files.ca}"
        with SyncQueue("q", url) as queue, pytest.raises(ConnectionRefused):
            queue.push(1)


def test_a_worker_over_tls(files: Files) -> None:
    done: list[int] = []
    with ServerProcess(*files.flags) as server:
        url = f"tls://127.0.0.1:{server.port}"
        with SyncQueue("q", url, ca=files.ca) as queue:
            ids = queue.push_batch(list(range(500)))

            def handle(job: object) -> None:
                done.append(getattr(job, "id", 0))
                if len(done) == len(ids):
                    worker.request_stop()

            worker = SyncWorker("q", handle, url=url, ca=files.ca)
            worker.run(signals=False)
    assert done == ids


@pytest.mark.parametrize(
    ("url", "access", "words"),
    [
        ("host", {"ca": "x"}, "magicqueues:// asks for that"),
        ("unix:///x", {"ca": "x"}, "magicqueues:// asks for that"),
        ("tls://host?ca=/nowhere.pem", {}, "No such file"),
        ("tls://host?cert=/nowhere.pem", {}, "No such file"),
        ("tls://host?verify=no", {}, "'verify' is none of"),
    ],
)
def test_addresses_that_cannot_be(url: str, access: dict[str, str], words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        parse_address(url, access)  # type: ignore[arg-type]  # a row of it


def test_a_tls_socket_gives_all_that_is_there(files: Files) -> None:
    """OpenSSL reads whole records: a poll does not tell of what it holds."""
    here, there = socket.socketpair()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    sides: list[ssl.SSLSocket] = []
    greet = threading.Thread(
        target=lambda: sides.append(context.wrap_socket(there, server_side=True))
    )
    greet.start()
    mine = files.context().wrap_socket(here, server_hostname="localhost")
    greet.join()
    mine.setblocking(False)  # noqa: FBT003 - the socket's own signature
    tls = TlsSocket(mine)
    with pytest.raises(BlockingIOError):
        tls.recv(10)
    sides[0].sendall(b"x" * 10_000)
    got = b""
    while len(got) < 10_000:
        with contextlib.suppress(BlockingIOError):
            piece = tls.recv(10)
            assert not mine.pending()
            got += piece

    def fill() -> None:
        while True:
            tls.send(b"x" * 100_000)

    with pytest.raises(BlockingIOError):
        fill()
    tls.close()
    sides[0].close()


def test_tls_is_not_spoken_at_unix_sockets(files: Files, tmp_path: Path) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        assert (await peer.ask(PUSH))["ok"]
        await peer.close()

    path = str(tmp_path / "s")
    asyncio.run(with_server(scenario, {"unix_socket": path, **files.options}))


def test_a_server_with_a_certificate_but_no_tokens_is_for_this_machine(
    files: Files,
) -> None:
    async def scenario(_app: App) -> None:
        raise AssertionError("it started")

    with pytest.raises(StartError, match="--tokens"):
        asyncio.run(with_server(scenario, {"host": "0.0.0.0", **files.options}))


def test_http_is_https_then(run: Callable[..., None], files: Files) -> None:
    async def scenario(app: App) -> None:
        context = files.context()
        push = {"queue": "q", "data": "x" * 400_000}
        async with await Http.connect(app, ssl=context) as http:
            for _ in range(3):
                assert (await http.post("/v1/push", push)).status == 200
            pulled = await http.post("/v1/pullb", {"queue": "q", "count": 3})
            assert len(pulled.json["jobs"]) == 3
            refused = await http.post("/v1/push", push, Sec_Fetch_Site="cross-site")
            assert refused.status == 403
            assert await http.ends()
        async with await Http.connect(app) as plain:
            plain.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not (await plain.reader.read()).startswith(b"HTTP/")

    run(scenario, http="127.0.0.1:0", **files.options)
