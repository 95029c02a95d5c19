"""The Python clients and the command line with a token."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.both import CLIENTS, opened
from magicqueue import (
    BadAddress,
    ConnectionLost,
    Forbidden,
    SyncQueue,
    SyncWorker,
    Unauthorized,
    Worker,
)
from magicqueue.address import parse_address
from magicqueue.protocol import hello_with
from magicqueue_server.tokens import digest_of
from patience import PATIENCE_S
from server.process import EXECUTABLE, ServerProcess, environment

SECRET = "mq_of-the-boss"


def _row(name: str, secret: str, scopes: str, more: str = "") -> str:
    digest = digest_of(secret).hex()
    return f'[tokens.{name}]\nsha256 = "{digest}"\nscopes = {scopes}\n{more}\n'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    path = tmp_path / "tokens.toml"
    path.write_text(
        _row("boss", SECRET, '["admin"]')
        + _row("worker", "w", '["consume"]', 'queues = ["q"]')
    )
    with ServerProcess("--tokens", str(path)) as process:
        yield process


def url(server: ServerProcess, user: str = "") -> str:
    return f"magicqueue://{user}127.0.0.1:{server.port}"


@pytest.mark.parametrize("client", CLIENTS)
def test_the_ways_to_show_a_token(
    server: ServerProcess, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in (f"{SECRET}@", f":{SECRET}@", f"boss:{SECRET}@", "mq%5Fof-the-boss@"):
        with opened(client, "q", url(server, user)) as queue:
            assert queue.push(1) > 0
            queue.ack(queue.pull(timeout=0))
    with opened(client, "q", url(server, "wrong@"), token=SECRET) as queue:
        assert queue.hello().server == "magicqueue"
        assert queue.push_batch([1, 2])
        assert len(queue.pull_batch(5, timeout=0)) == 2
    monkeypatch.setenv("MAGICQUEUE_TOKEN", SECRET)
    with opened(client, "q", url(server)) as queue:
        assert queue.push(1) > 0
    with opened(client, "q", url(server, "wrong@")) as queue, pytest.raises(Unauthorized):
        queue.push(1)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_token_is_told_on_every_call(server: ServerProcess, client: str) -> None:
    with opened(client, "q", url(server), token="mq_wrong") as queue:
        for call in (lambda: queue.push(1), queue.stats, queue.ping, lambda: queue.pull(0)):
            with pytest.raises(Unauthorized, match="not known") as caught:
                call()
            assert "mq_wrong" not in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_token_is_told(server: ServerProcess, client: str) -> None:
    with (
        opened(client, "q", url(server)) as queue,
        pytest.raises(Unauthorized, match="MAGICQUEUE_TOKEN"),
    ):
        queue.push(1)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_token_forbids_is_told_and_the_rest_goes_on(
    server: ServerProcess, client: str
) -> None:
    with opened(client, "q", url(server), token="w") as queue:
        with pytest.raises(Forbidden, match="scope produce"):
            queue.push(1)
        assert queue.pull(timeout=0) is None
        with pytest.raises(Forbidden):
            queue.drain()
    with (
        opened(client, "other", url(server), token="w") as queue,
        pytest.raises(Forbidden, match="not for the queue 'other'"),
    ):
        queue.pull(timeout=0)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_taken_back(server: ServerProcess, client: str, tmp_path: Path) -> None:
    with opened(client, "q", url(server), token=SECRET) as queue:
        assert queue.push(1)
        (tmp_path / "tokens.toml").write_text(_row("w", "w", '["read"]'))
        server.process.send_signal(signal.SIGHUP)

        def ping_on() -> None:
            while True:
                queue.ping()

        with pytest.raises((Unauthorized, ConnectionLost)):
            ping_on()
        with pytest.raises(Unauthorized):
            queue.ping()


def test_workers_with_a_token(server: ServerProcess) -> None:
    done: list[Any] = []
    with SyncQueue("q", url(server), token=SECRET) as queue:
        ids = queue.push_batch([1, 2, 3])
        worker = SyncWorker(
            "q", lambda job: done.append(job.id), url=url(server), token="w"
        )

        def handle(_job: Any) -> None:
            done.append(_job.id)
            if len(done) == len(ids):
                worker.request_stop()

        worker = SyncWorker("q", handle, url=url(server), token="w")
        worker.run(signals=False)
        assert sorted(done) == ids
        queue.push(4)

    async def work() -> None:
        async def handle(_job: Any) -> None:
            worker.request_stop()

        worker = Worker("q", handle, url=url(server), token="w")
        await worker.run(signals=False)
        assert worker.completed == 1

    asyncio.run(work())


def test_a_worker_with_a_wrong_token_ends(server: ServerProcess) -> None:
    with pytest.raises(Unauthorized):
        SyncWorker("q", print, url=url(server), token="x").run(signals=False)

    async def work() -> None:
        await Worker("q", print, url=url(server), token="x").run(signals=False)

    with pytest.raises(Unauthorized):
        asyncio.run(work())


@pytest.mark.skipif(EXECUTABLE is not None, reason="the client is the sources'")
def test_the_command_line(server: ServerProcess) -> None:
    def run(*arguments: str, token: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "magicqueue", *arguments],
            env=environment({"MAGICQUEUE_URL": url(server), "MAGICQUEUE_TOKEN": token}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert run("push", "q", "1", token=SECRET).returncode == 0
    wrong = run("push", "q", "1", token="mq_wrong")
    assert wrong.returncode == 1
    assert "not known here" in wrong.stderr
    assert "mq_wrong" not in wrong.stderr
    shown = run("ping", "--url", "magicqueue://mq_secret@host:x", token="")
    assert shown.returncode == 2
    assert "mq_secret" not in shown.stderr + shown.stdout


@pytest.mark.parametrize(
    "text",
    [
        *(
            "magicqueue://mq_secret@host:x",
            "http://mq_secret@host",
            "magicqueue://a:mq_secret@h/p",
        ),
        "magicqueue://mq_secret@host?mq=1",
    ],
)
def test_an_address_is_told_without_its_token(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert "mq_secret" not in str(caught.value)


def test_a_token_is_shown_nowhere() -> None:
    address = parse_address("magicqueue://mq_secret@host", {})
    assert address.token == "mq_secret"
    assert "mq_secret" not in repr(address) + str(address)
    assert "mq_secret" not in repr(hello_with("mq_secret"))
    assert "mq_secret" not in repr(SyncQueue("q", "host", token="mq_secret"))


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", "\x7f"])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(BadAddress, match="no token has") as caught:
        parse_address("host", {"token": token})
    assert token not in str(caught.value)


def test_unix_sockets_take_tokens() -> None:
    assert parse_address("unix:///x.sock", {"token": "t"}).token == "t"


def test_the_environment_of_tests_has_no_token() -> None:
    assert "MAGICQUEUE_TOKEN" not in os.environ
