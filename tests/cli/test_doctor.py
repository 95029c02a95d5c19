"""magicqueue doctor: what it sees, what it says to do, and that it leaves nothing."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.terminal import MAGICQUEUE, Outcome, environment, no_traceback
from magicqueue.errors import RequestTimeout, Unsupported
from magicqueue.sync_queue import SyncQueue
from magicqueue_server.config import Config, load
from magicqueue_server.doctor import probe as probing
from magicqueue_server.doctor.command import doctor
from magicqueue_server.doctor.probe import QUEUE, address_of
from magicqueue_server.tokens import digest_of
from server.process import ServerProcess

SECRET = "mq_secret"


class Told(NamedTuple):
    """What it said, by the names of the checks."""

    code: int
    findings: dict[str, list[dict[str, str]]]

    def one(self, check: str, state: str = "failed") -> dict[str, str]:
        (found,) = [one for one in self.findings[check] if one["state"] == state]
        return found

    def states(self, check: str) -> list[str]:
        return [one["state"] for one in self.findings[check]]


Ask = Callable[..., Told]


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run it in this process, with nothing set by the environment."""
    for name in [*os.environ]:
        if name.startswith("MAGICQUEUE_") or name in {"PORT", "PERSIST", "UNIX_SOCKET"}:
            monkeypatch.delenv(name)

    def run(*arguments: str) -> Told:
        capfd.readouterr()
        code = doctor.main(["--json", *arguments], "magicqueue", standalone_mode=False)
        (line,) = capfd.readouterr().out.splitlines()
        said: dict[str, Any] = json.loads(line)
        assert said["ok"] == (code == 0)
        found: dict[str, list[dict[str, str]]] = {}
        for one in said["checks"]:
            assert one["todo"] or one["state"] in {"ok", "skipped"}, one
            found.setdefault(one["check"], []).append(one)
        return Told(code, found)

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options of a server that runs."""
    place = tmp_path_factory.mktemp("server")
    options = [
        *("--unix-socket", str(place / "q.sock"), "--core", "python", "--persist"),
        *("--data-dir", str(place / "data"), "--max-memory", "64MiB"),
    ]
    with ServerProcess(*options):
        yield options


def _config(**options: str) -> Config:
    return load(options, {}, None)


def _counts(options: list[str]) -> Any:
    with SyncQueue(QUEUE, f"unix://{options[1]}") as queue:
        return queue.stats()


def test_a_server_that_is_well(ask: Ask, server: list[str]) -> None:
    told = ask(*server)
    assert told.code == 0
    assert all(one["state"] != "failed" for many in told.findings.values() for one in many)
    for check in ("config", "core", "open files", "memory", "sync", "server", "job"):
        assert "ok" in told.states(check), told.findings[check]
    (data,) = told.findings["data folder"]
    assert "in use by process " in data["text"]


def test_it_leaves_nothing(ask: Ask, server: list[str]) -> None:
    before = _counts(server)
    assert ask(*server).code == 0
    after = _counts(server)
    assert after.completed == before.completed + 1
    assert after.queued == after.processing == after.delayed == after.dead == 0
    data = Path(server[server.index("--data-dir") + 1])
    assert {path.name for path in data.iterdir() if path.name.startswith("tmp")} == set()


def test_what_came_between_is_taken_back(
    ask: Ask, server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: Any, **__: Any) -> None:
        raise RequestTimeout("no answer")

    monkeypatch.setattr(SyncQueue, "pull", no_answer)
    before = _counts(server)
    told = ask(*server)
    assert told.code == 1
    assert told.one("server")["todo"].startswith("look into its log")
    after = _counts(server)
    assert after.cancelled == before.cancelled + 1
    assert after.queued == after.processing == 0


def test_two_doctors_keep_out_of_each_others_way(
    ask: Ask, server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_TRIES", 2)
    with SyncQueue(QUEUE, f"unix://{server[1]}") as other:
        job_id = other.push(1, unique_key=QUEUE)
        told = ask(*server)
        assert told.code == 0
        assert told.states("job") == ["skipped"]
        assert other.cancel(job_id).cancelled == [job_id]
    assert ask(*server).states("job") == ["ok"]


def test_an_older_server_is_asked_more_simply(
    ask: Ask, server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    push = SyncQueue.push

    def plain_push(queue: SyncQueue, data: Any, **options: Any) -> int:
        if options:
            raise Unsupported("an older server")
        return push(queue, data)

    monkeypatch.setattr(SyncQueue, "push", plain_push)
    monkeypatch.setattr(probing, "version", lambda: "9.9.9")
    told = ask(*server)
    assert told.states("job") == ["ok"]
    assert "restart it after an upgrade" in told.one("server", "warning")["todo"]


def test_people_read_lines(server: list[str], tmp_path: Path) -> None:
    def ask(*arguments: str) -> Outcome:
        done = subprocess.run(
            [*MAGICQUEUE, "doctor", *arguments],
            env=environment(MAGICQUEUE_URL=f"unix://{server[1]}"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        no_traceback(done.stderr)
        return Outcome(done.returncode, done.stdout, done.stderr)

    (tmp_path / "q.toml").write_text('persist = true\ndata_dir = "jobs"\n')
    well = ask("--config", "q.toml")
    if "No such command" in well.err:
        pytest.skip("the package was installed before it had this command")
    assert well.code == 0
    assert "ok       config: q.toml and 2 settings that are not the defaults" in well.out
    assert "ok       job: pushed in " in well.out
    assert well.out.splitlines()[-1].startswith("nothing has failed, ")
    assert not (tmp_path / "jobs").exists()
    ill = ask("--config", "none.toml")
    assert ill.code == 1
    assert "failed   config: cannot read the config file none.toml" in ill.out
    assert "         -> mend it" in ill.out
    assert "ok       job: " in ill.out
    assert ask("--timeout", "soon").code == 2


def test_no_server_is_no_fault_unless_it_was_named(ask: Ask, tmp_path: Path) -> None:
    socket_path = str(tmp_path / "q.sock")
    told = ask("--unix-socket", socket_path)
    assert told.code == 0
    assert told.states("server") == ["skipped"]
    told = ask("--unix-socket", socket_path, "--url", f"unix://{socket_path}")
    assert told.code == 1
    assert "no server answers" in told.one("server")["text"]
    assert ask("--port", "0").findings["server"][0]["todo"] == "say --url"


def test_another_program_at_the_port_is_told_apart(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with door.accept()[0] as client:
                        client.recv(4096)
                        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        other = threading.Thread(target=answer)
        other.start()
        told = ask("--port", str(door.getsockname()[1]))
        door.shutdown(socket.SHUT_RDWR)
        other.join()
    assert told.code == 1
    assert told.findings["port"][0]["text"].startswith("somebody listens at port")
    assert "another program has that port" in told.one("server")["todo"]


def test_strangers_and_tokens(ask: Ask, tmp_path: Path) -> None:
    assert "magicqueue token new" in ask("--host", "0.0.0.0").one("access")["todo"]
    told = ask("--host", "0.0.0.0", "--insecure")
    assert told.states("access") == ["warning"]
    tokens = tmp_path / "tokens.toml"
    assert "cannot read" in ask("--tokens", str(tokens)).one("tokens")["text"]
    for days, state in ((3, "warning"), (300, "ok")):
        ends = datetime.now(UTC) + timedelta(days=days)
        tokens.write_text(_token("produce", f"expires = {ends:%Y-%m-%dT%H:%M:%SZ}"))
        assert ask("--tokens", str(tokens)).states("tokens") == [state]
    cert = str(tmp_path / "none.pem")
    assert "none.pem" in ask("--tls-cert", cert).one("TLS")["text"]


def _token(scope: str, *lines: str) -> str:
    digest = digest_of(SECRET).hex()
    row = (f'sha256 = "{digest}"', f'scopes = ["{scope}"]', *lines)
    return "\n".join(("[tokens.one]", *row)) + "\n"


def test_what_a_token_lacks_is_said(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(_token("read"))
    options = (
        *("--unix-socket", str(tmp_path / "q.sock"), "--core", "python"),
        *("--tokens", str(tokens)),
    )
    with ServerProcess(*options):
        assert "MAGICQUEUE_TOKEN" in ask(*options).one("server")["todo"]
        monkeypatch.setenv("MAGICQUEUE_TOKEN", SECRET)
        told = ask(*options)
        assert told.states("server") == ["ok", "failed"]
        assert QUEUE in told.one("server")["todo"]


def test_a_full_server_is_ill(ask: Ask, tmp_path: Path) -> None:
    place = str(tmp_path / "q.sock")
    options = ("--unix-socket", place, "--core", "python", "--max-jobs", "1")
    with ServerProcess(*options), SyncQueue("mail", f"unix://{place}") as queue:
        queue.push(1)
        assert "make room" in ask(*options).one("server")["todo"]


def test_a_folder_that_cannot_be_used(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, text in (
        (str(tmp_path / "file"), "is a file"),
        ("/proc/magicqueue/data", "cannot make it in /proc"),
    ):
        told = ask("--persist", "--data-dir", place, "--port", "0")
        assert told.code == 1
        assert text in told.one("data folder")["text"]
        assert "sync" not in told.findings


def test_a_folder_that_others_read_or_that_is_of_tomorrow(ask: Ask, tmp_path: Path) -> None:
    options = ("--persist", "--data-dir", str(tmp_path), "--port", "0")
    tmp_path.chmod(0o700)
    assert ask(*options).states("data folder") == ["ok"]
    tmp_path.chmod(0o755)
    assert "chmod 700" in ask(*options).one("data folder", "warning")["todo"]
    tmp_path.chmod(0o700)
    later = tmp_path / "later"
    later.touch()
    os.utime(later, (2**32, 2**32))
    assert "put back" in ask(*options).one("data folder", "warning")["text"]


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "magicqueue://127.0.0.1:6789"),
        ({"host": "::", "port": "7"}, "magicqueue://localhost:7"),
        ({"host": "fe80::1"}, "magicqueue://[fe80::1]:6789"),
        ({"tls_cert": "x"}, "magicqueues://127.0.0.1:6789"),
        ({"port": "0"}, None),
    ],
)
def test_which_server_it_asks(options: dict[str, str], address: str | None) -> None:
    assert address_of(_config(**options), None) == address
    assert address_of(_config(**options), Path("/run/q s")) == "unix:///run/q%20s"
