"""Text from elsewhere: no command lets it act on a terminal, or forge a line."""

import socket
import threading
from collections.abc import Iterator

import orjson
import pytest

from cli.terminal import Here, Terminal
from cli.test_plain_text import HARMFUL

NASTY = "\x1b]0;owned\x07\x9b31m\u202e\u2028\x85\nmagicqueue: pushed 1 job\r"
FORGED = "magicqueue: pushed 1 job"
COUNTS: dict[str, object] = dict.fromkeys(
    (
        *("queued", "processing", "delayed", "dead", "pushed", "completed", "failed"),
        *("lost", "expired", "dropped", "paused", "oldest_ready_ms", "queues"),
        *("memory_bytes", "connections", "waiting", "uptime_ms"),
    ),
    1,
)
JOB = orjson.loads(
    b'{"id":1,"priority":0,"created_at":1,"run_at":9007199254740992,"attempts":1'
    b',"state":"dead","failures":1,"lost":0,"max_attempts":1,"lease_until":null'
    b',"died_at":9007199254740992}'
) | {"queue": NASTY, "data": [NASTY], "error": NASTY, "reason": NASTY}
CRON: dict[str, object] = dict.fromkeys(
    (
        *("name", "queue", "schedule", "tz", "trouble", "data"),
        *("missed", "overlap", "source"),
    ),
    NASTY,
) | {
    "catchup": 1,
    "live": 1,
    "paused": True,
    "last_tick": 1,
    "next_run": 1,
    "ticks": {"fired": 1, "skipped": 0, "missed": 0, "refused": 0},
}
WORDS = ["browse", "groups", "limits", "cron"]
HELLO = {"protocol": 1, "limits": {}, "capabilities": WORDS} | dict.fromkeys(
    ("server", "version", "core", "persistence", "epoch"), NASTY
)
ANSWERS: dict[str, dict[str, object]] = {
    "QUEUES": {"queues": [{"name": NASTY, **COUNTS}]},
    "STATS": COUNTS,
    "GETJOB": {"job": JOB},
    "DEAD": {"jobs": [JOB], "next": 1},
    "PULLB": {"jobs": [JOB]},
    "HELLO": HELLO,
    "PUSH": {"id": 1},
    "PUSHB": {"ids": [1]},
    "ACKB": {"acked": 1, "missing": []},
    "FAIL": {"state": NASTY},
    "JOBS": {"jobs": [JOB], "next": None, "scanned": 1},
    "GROUPS": {"groups": [{"name": NASTY, "queued": 1, "processing": 1}], "next": None},
    "LIMIT": {"queue": NASTY, "concurrency": 1, "rate": None, "group": None},
    "CRON": {"created": True, "changed": True, "next_run": 1, "next_runs": [1]},
    "CRONLIST": {"crons": [CRON], "next": None},
}
COMMANDS = [
    *(["queues"], ["stats"], ["stats", "q"], ["job", "1"], ["dead", "list", "q"]),
    *(["pull", "q", "--ack"], ["pull", "q", "--peek"], ["ping"], ["fail", "1"]),
    *(["jobs", "-q", "q"], ["groups", "q"], ["cron", "list"], ["limit", "q"]),
]
REFUSED = [*COMMANDS, ["push", "q", "1"], ["ack", "1"], ["drain", "q", "--yes"]]


class Liar:
    """A server that answers with nasty text, or refuses with it."""

    def __init__(self, *, refuses: bool) -> None:
        self._refuses = refuses
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            for line in file:
                request = orjson.loads(line)
                answer = {"ok": True, **ANSWERS.get(request["cmd"], {})}
                if self._refuses and request["cmd"] != "HELLO":
                    answer = {"ok": False, "error": NASTY, "code": "FULL"}
                if "rid" in request:
                    answer["rid"] = request["rid"]
                file.write(orjson.dumps(answer) + b"\n")
                file.flush()


@pytest.fixture(params=[False, True], ids=["answers", "refuses"])
def liar(request: pytest.FixtureRequest) -> Iterator[Liar]:
    liar = Liar(refuses=request.param)
    yield liar
    liar.close()


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_no_text_of_a_server_does_harm(
    here: Here, liar: Liar, arguments: list[str], json: list[str]
) -> None:
    said = here(*arguments, *json, "--url", liar.url)
    for stream in (said.out, said.err):
        assert not set(stream.replace("\n", "")) & set(HARMFUL), repr(stream)
        assert not any(line.startswith(FORGED) for line in stream.splitlines()), stream
    if json or arguments[0] == "pull":
        assert all(map(orjson.loads, said.out.splitlines()))
    if json and said.code:
        error = orjson.loads(said.err.splitlines()[-1])
        assert error.keys() == {"ok", "error", "code"}


def test_a_job_comes_out_as_the_same_value(terminal: Terminal, queue: str) -> None:
    for character in ("\x9b31m", "\u202e", "\x7f", "\u2028"):
        terminal.ok("push", queue, f'"{character}"')
        pulled = terminal.ok("pull", queue, "--ack")
        assert pulled.json()["data"] == character
        assert character not in pulled.out


def test_white_space_in_data_forges_no_line(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, '[1,\r"job 17 is done"]')
    assert "\r" not in terminal.ok("pull", queue, "--ack").out


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_what_was_typed_is_shown_as_harmlessly(here: Here, json: list[str]) -> None:
    for arguments in (["push", "q", "--" + NASTY], [NASTY], ["push", "q", NASTY]):
        refused = here(*arguments, *json)
        assert refused.code == 2
        assert not set(refused.err.replace("\n", "")) & set(HARMFUL)
        assert not any(line.startswith(FORGED) for line in refused.err.splitlines())


@pytest.mark.parametrize("run_at", [10**13, 253_402_300_800_000, 2**53 - 1])
def test_times_beyond_the_calendar_are_shown(
    terminal: Terminal, queue: str, run_at: int
) -> None:
    host, _, path = terminal.url.partition("://")
    assert host == "unix"
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = {"cmd": "PUSH", "queue": queue, "data": 1, "run_at": run_at}
        server.sendall(orjson.dumps(request) + b"\n")
        job_id = orjson.loads(server.recv(1000))["id"]
    shown = terminal.ok("job", str(job_id)).out
    assert "delayed, due in " in shown
    if run_at > 10**13:
        assert f"({run_at} ms)" in shown
    assert terminal.ok("job", str(job_id), "--json").json()["run_at"] == run_at
