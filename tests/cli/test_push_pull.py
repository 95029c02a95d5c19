"""push, pull, ack and fail."""

import signal
import subprocess

import pytest

from cli.terminal import MAGICQUEUE, Running, Terminal, environment
from patience import PATIENCE_S


def test_a_job_goes_in_and_comes_out_byte_for_byte(terminal: Terminal, queue: str) -> None:
    data = '{"n":12345678901234567890, "b":1.10,"a":"\\u00e9é"}'
    pushed = terminal.ok("push", queue, data)
    assert pushed.out.startswith("pushed job ")
    pulled = terminal.ok("pull", queue, "--ack")
    assert f'"data":{data},' in pulled.out
    assert pulled.json()["attempts"] == 1
    assert terminal.ok("stats", queue, "--json").json()["completed"] == 1


def test_json_on_several_lines_is_one_job(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, '{\n "to":\r\n  "ada"\n}')
    assert terminal.ok("pull", queue, "--ack").json()["data"] == {"to": "ada"}


def test_options_reach_the_job(terminal: Terminal, queue: str) -> None:
    options = ["--priority", "7", "--delay", "1h", "--max-attempts", "2", "--backoff", "5m"]
    ids = terminal.ok("push", queue, "1", *options, "--json").json()["ids"]
    job = terminal.ok("job", str(ids[0]), "--json").json()
    assert (job["priority"], job["max_attempts"], job["state"]) == (7, 2, "delayed")
    assert 3_590_000 <= job["run_at"] - job["created_at"] <= 3_610_000
    plain = terminal.ok("job", str(ids[0])).out
    assert "delayed, due in 59 min" in plain or "delayed, due in 1 h" in plain


def test_run_at_takes_a_time(terminal: Terminal, queue: str) -> None:
    ids = terminal.ok("push", queue, "1", "--run-at", "2100-01-01T00:00:00Z", "--json")
    job = terminal.ok("job", str(ids.json()["ids"][0]), "--json").json()
    assert job["run_at"] == 4_102_444_800_000


def test_lines_of_standard_input_are_jobs(terminal: Terminal, queue: str) -> None:
    numbers = "".join(f"{n}\n" for n in range(12_000))
    pushed = terminal.ok("push", queue, stdin=numbers)
    assert "pushed 12,000 jobs to" in pushed.out
    pulled = terminal.ok("pull", queue, "-n", "10000", "--ack").lines()
    assert [job["data"] for job in pulled] == list(range(10_000))


def test_a_file_of_jobs(terminal: Terminal, queue: str) -> None:
    (terminal.folder / "jobs.ndjson").write_bytes(b'{"a":1}\r\n\n[2]')
    assert "pushed 2 jobs" in terminal.ok("push", queue, "--file", "jobs.ndjson").out
    pulled = terminal.ok("pull", queue, "-n", "5", "--ack").lines()
    assert [job["data"] for job in pulled] == [{"a": 1}, [2]]


def test_text_is_pushed_as_strings(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "--text", "hello", 'say "hi"')
    terminal.ok("push", queue, "--text", stdin="one line\n\n")
    pulled = terminal.ok("pull", queue, "-n", "9", "--ack").lines()
    assert [job["data"] for job in pulled] == ["hello", 'say "hi"', "one line", ""]


def test_text_that_is_not_json_is_refused_with_a_hint(
    terminal: Terminal, queue: str
) -> None:
    refused = terminal.run("push", queue, "1", "hello")
    assert refused.code == 2
    assert "DATA 2 is not JSON: 'hello'" in refused.err
    assert "--text" in refused.err
    assert terminal.ok("stats", queue, "--json").json()["pushed"] == 0


def test_a_bad_line_says_which_and_how_many_were_stored(
    terminal: Terminal, queue: str
) -> None:
    good = f'"{"x" * 1000}"\n' * 3000
    refused = terminal.run("push", queue, stdin=good + "{nope}\n")
    assert refused.code == 2
    assert "line 3,001 is not JSON: '{nope}'" in refused.err
    stored = terminal.ok("stats", queue, "--json").json()["pushed"]
    assert stored > 0
    assert f"{stored:,} jobs had been stored before this error" in refused.err


def test_what_the_server_refuses_is_one_sentence(terminal: Terminal, queue: str) -> None:
    deep = "[" * 600 + "]" * 600
    refused = terminal.run("push", queue, deep)
    assert refused.code == 1
    assert refused.err.startswith("magicqueue: ")
    assert "nests deeper than 512" in refused.err
    in_json = terminal.run("push", queue, deep, "--json")
    assert in_json.code == 1
    assert '"code":"BAD_JSON"' in in_json.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--delay", "soon", "1"], "'soon' must be a span of time"),
        (["--run-at", "tomorrow", "1"], "'tomorrow' is no time"),
        (["--delay", "1", "--run-at", "2100-01-01", "1"], "--delay or --run-at, not both"),
        (["--priority", "high", "1"], "--priority"),
        (["--max-attempts", "-1", "1"], "--max-attempts"),
        (["--file", "not-there.ndjson"], "not-there.ndjson"),
        (["--file", "-", "1"], "DATA or as --file, not both"),
    ],
)
def test_wrong_usage_names_the_option(
    terminal: Terminal, queue: str, arguments: list[str], complaint: str
) -> None:
    refused = terminal.run("push", queue, *arguments)
    assert refused.code == 2
    assert complaint in refused.err


def test_a_queue_without_a_name_is_wrong_usage(terminal: Terminal) -> None:
    refused = terminal.run("push", "", "1")
    assert refused.code == 2
    assert "queue is empty" in refused.err


def test_empty_input_pushes_nothing(terminal: Terminal, queue: str) -> None:
    assert "pushed no jobs" in terminal.ok("push", queue, stdin="\n").out


def test_pull_of_an_empty_queue_says_so(terminal: Terminal, queue: str) -> None:
    nothing = terminal.run("pull", queue, "--wait", "0")
    assert (nothing.code, nothing.out) == (1, "")
    assert f"no job in {queue}" in nothing.err
    later = terminal.run("pull", queue, "--wait", "20ms")
    assert "within 20 ms" in later.err


def _held(pull: Running) -> str:
    pull.wait_for("holding job ")
    pull.wait_for('"attempts"')
    return pull.out.partition('"id":')[2].partition(",")[0]


def test_pull_holds_its_job_until_it_is_acked_elsewhere(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, '"work"')
    pull = terminal.start("pull", queue)
    job_id = _held(pull)
    assert "active, its lease ends in" in terminal.ok("job", job_id).out
    assert f"job {job_id} is done" in terminal.ok("ack", job_id).out
    ended = pull.end()
    assert ended.code == 0
    assert f"job {job_id} is done" in ended.err


def test_a_job_that_pull_holds_can_be_failed_elsewhere(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, "1", "--max-attempts", "1")
    pull = terminal.start("pull", queue, "--lease", "5s")
    job_id = _held(pull)
    failed = terminal.ok("fail", job_id, "--error", "no such user", "--json").json()
    assert failed == {"failed": [{"id": int(job_id), "state": "dead"}], "missing": []}
    ended = pull.end()
    assert ended.code == 0
    assert "it is dead" in ended.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_looking_at_a_job_never_kills_it(
    terminal: Terminal, queue: str, number: signal.Signals, code: int
) -> None:
    terminal.ok("push", queue, "1")
    for _ in range(5):
        pull = terminal.start("pull", queue)
        pull.wait_for("holding job ")
        pull.send(number)
        ended = pull.end()
        assert ended.code == code
        assert (f"gave 1 job back to {queue}" in ended.err) is (code == 130)
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["queued"], counts["lost"], counts["failed"]) == (1, 0, 0)


def test_peek_gives_jobs_back_at_once(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1", "2", "3")
    for _ in range(5):
        peeked = terminal.ok("pull", queue, "--peek", "-n", "2")
        assert [job["data"] for job in peeked.lines()] == [1, 2]
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["queued"], counts["processing"], counts["lost"]) == (3, 0, 0)


def test_ack_and_fail_of_jobs_that_are_not_under_way(
    terminal: Terminal, queue: str
) -> None:
    ready = terminal.ok("push", queue, "1", "--json").json()["ids"][0]
    for verdict in ("ack", "fail"):
        refused = terminal.run(verdict, str(ready), "9007199254740991")
        assert refused.code == 1
        assert f"job {ready} is not under way: it is ready" in refused.err
        assert "there is no job 9007199254740991" in refused.err
    missing = terminal.run("ack", str(ready), "--json")
    assert missing.code == 1
    assert missing.json() == {"acked": [], "missing": [ready]}
    assert terminal.run("ack", "zero").code == 2


def test_a_reader_that_leaves_is_no_error_and_loses_no_job(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, stdin='"some job"\n' * 5000)
    with subprocess.Popen(
        [*MAGICQUEUE, "pull", queue, "-n", "5000", "--ack"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(MAGICQUEUE_URL=terminal.url),
    ) as pull:
        assert pull.stdout is not None
        assert b"some job" in pull.stdout.readline()
        pull.stdout.close()
        assert pull.wait(PATIENCE_S) == 141
        assert pull.stderr is not None
        assert pull.stderr.read() == b""
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["queued"], counts["completed"], counts["lost"]) == (5000, 0, 0)
