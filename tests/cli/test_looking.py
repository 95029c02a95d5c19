"""ping, stats, queues, job, dead, pause, resume, drain."""

import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from cli.terminal import (
    MAGICQUEUE,
    Terminal,
    environment,
    eventually,
    no_traceback,
)
from patience import PATIENCE_S


def _die(terminal: Terminal, queue: str, *errors: str) -> list[int]:
    """Make dead letters, one an error."""
    pushed = terminal.ok(
        "push", queue, *map(str, range(len(errors))), "--max-attempts", "1", "--json"
    )
    ids: list[int] = pushed.json()["ids"]
    pull = terminal.start("pull", queue, "-n", str(len(errors)))
    pull.wait_for("holding ")
    for job_id, error in zip(ids, errors, strict=True):
        terminal.ok("fail", str(job_id), "-e", error)
    assert pull.end().code == 0
    return ids


def test_ping_says_who_answers_and_how_fast(terminal: Terminal) -> None:
    plain = terminal.ok("ping", "-n", "3").out
    assert f"{terminal.url} answers: magicqueue " in plain
    assert re.search(r"^round trip \d+\.\d\d ms \(of 3: ", plain, re.MULTILINE)
    answer = terminal.ok("ping", "--json").json()
    assert answer["server"] == "magicqueue"
    assert 0 < answer["round_trip_ms"]["min"] <= answer["round_trip_ms"]["max"]


def test_stats_of_a_queue_nobody_used_are_zeros(terminal: Terminal, queue: str) -> None:
    counts = terminal.ok("stats", queue, "--json").json()
    assert counts["queued"] == counts["pushed"] == counts["dead"] == 0
    assert f"knows no queue {queue}: nobody has used it" in terminal.ok("stats", queue).out


def test_stats_of_the_server(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    counts = terminal.ok("stats", "--json").json()
    assert counts["queues"] >= 1
    assert counts["uptime_ms"] > 0
    plain = terminal.ok("stats").out
    assert "all queues at" in plain
    assert "up for" in plain


def test_watch_is_a_line_each_time_when_not_on_a_terminal(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, stdin="1\n" * 1234)
    watch = terminal.start("stats", queue, "--watch", "--interval", "50ms")
    watch.wait_for(f"{queue}: 1,234 queued, 0 processing, 0 delayed, 0 dead")
    watch.wait_for("pushed 0/s, completed 0/s", times=2)
    watch.send(signal.SIGINT)
    ended = watch.end()
    assert ended.code == 130
    no_traceback(ended.err)


def test_watch_in_json_is_a_document_each_time(terminal: Terminal, queue: str) -> None:
    watch = terminal.start("stats", queue, "-w", "-i", "50ms", "--json")
    watch.wait_for('"queued":0', times=3)
    watch.send(signal.SIGINT)
    assert {line["queued"] for line in watch.end().lines()} == {0}


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo terminals")
def test_watch_on_a_terminal_gives_the_cursor_back(terminal: Terminal, queue: str) -> None:
    ours, theirs = pty.openpty()
    watch = subprocess.Popen(
        [*MAGICQUEUE, "stats", queue, "--watch"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(MAGICQUEUE_URL=terminal.url, TERM="xterm"),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"failed" not in seen:
        seen += os.read(ours, 65_536)
    watch.send_signal(signal.SIGINT)
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert watch.wait(PATIENCE_S) == 130
    assert f"{queue} at unix://".encode() in seen
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l") >= 0
    no_traceback(seen.decode())


def test_queues_are_listed_by_name(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1", "2")
    name = f"{queue} [b]größer[/b]"
    terminal.ok("push", name, "1", "--delay", "1h")
    terminal.ok("pause", name)
    plain = terminal.ok("queues").out
    headings = (
        *("queue", "queued", "processing", "delayed", "dead", "oldest"),
        *("completed", "failed"),
    )
    assert tuple(plain.splitlines()[0].split()) == headings
    assert f"{name}  (paused)" in plain
    rows = {row["name"]: row for row in terminal.ok("queues", "--json").json()}
    assert rows[queue]["queued"] == 2
    assert rows[name]["delayed"] == 1
    assert rows[name]["paused"]


def test_a_job_that_is_done_is_not_found(terminal: Terminal, queue: str) -> None:
    job_id = terminal.ok("push", queue, "1", "--json").json()["ids"][0]
    assert "state     ready" in terminal.ok("job", str(job_id)).out
    terminal.ok("pull", queue, "--ack")
    gone = terminal.run("job", str(job_id))
    assert gone.code == 1
    assert gone.err.startswith(f"magicqueue: there is no job {job_id}")
    in_json = terminal.run("job", str(job_id), "--json")
    assert '"code":"NOT_FOUND"' in in_json.err


def test_dead_letters_are_listed_page_by_page(terminal: Terminal, queue: str) -> None:
    ids = _die(terminal, queue, "no such user\nat all", "esc \x1b[31m", "third")
    plain = terminal.ok("dead", "list", queue, "-n", "2")
    assert "no such user" in plain.out
    assert "at all" not in plain.out
    assert "\x1b" not in plain.out
    assert "esc \\x1b[31m" in plain.out
    assert f"--after {ids[1]}" in plain.err
    rest = terminal.ok("dead", "list", queue, "--after", str(ids[1]), "--json").lines()
    assert [(job["id"], job["error"]) for job in rest] == [(ids[2], "third")]
    every = terminal.ok("dead", "list", queue, "--all", "--json").lines()
    assert [job["id"] for job in every] == ids
    assert "dead, died " in terminal.ok("job", str(ids[0])).out


def test_dead_letters_are_retried_and_purged(terminal: Terminal, queue: str) -> None:
    first, second, third = _die(terminal, queue, "one", "two", "three")
    assert "is ready again" in terminal.ok("dead", "retry", queue, "--id", str(first)).out
    again = terminal.run("dead", "retry", queue, "--id", str(first))
    assert again.code == 1
    purged = terminal.ok("dead", "purge", queue, "--id", str(second), "--json")
    assert purged.json() == {"queue": queue, "removed": 1}
    assert terminal.run("dead", "purge", queue, "--id", str(second)).code == 1
    retried = terminal.ok("dead", "retry", queue, "--all", "--json")
    assert retried.json() == {"queue": queue, "retried": 1}
    assert "removed 0 jobs" in terminal.ok("dead", "purge", queue, "--all").out
    assert "has no dead letters" in terminal.ok("dead", "list", queue).out
    pulled = terminal.ok("pull", queue, "-n", "5", "--ack").lines()
    assert {job["id"] for job in pulled} == {first, third}


@pytest.mark.parametrize("verb", ["retry", "purge"])
def test_dead_wants_to_know_which(terminal: Terminal, queue: str, verb: str) -> None:
    for arguments in ([], ["--all", "--id", "1"]):
        refused = terminal.run("dead", verb, queue, *arguments)
        assert refused.code == 2
        assert "--id ID for a job (also several), or --all" in refused.err


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, "1")
    assert f"magicqueue resume {queue}" in terminal.ok("pause", queue).out
    assert terminal.run("pull", queue, "--wait", "0").code == 1
    assert "paused      yes" in terminal.ok("stats", queue).out
    resumed = terminal.ok("resume", queue, "--json").json()
    assert resumed == {"queue": queue, "paused": False}
    assert terminal.ok("pull", queue, "--ack").json()["data"] == 1


def test_drain_asks_first(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1", "2")
    terminal.ok("push", queue, "3", "--delay", "1h")
    unasked = terminal.run("drain", queue)
    assert unasked.code == 2
    assert "would remove 3 jobs" in unasked.err
    assert _answer(terminal, queue, b"n\n") == 130
    assert terminal.ok("stats", queue, "--json").json()["queued"] == 2
    assert _answer(terminal, queue, b"y\n") == 0
    assert terminal.ok("stats", queue, "--json").json()["queued"] == 0
    assert terminal.ok("drain", queue, "--yes", "--json").json()["removed"] == 0


def _answer(terminal: Terminal, queue: str, answer: bytes) -> int:
    ours, theirs = pty.openpty()
    drain = subprocess.Popen(
        [*MAGICQUEUE, "drain", queue],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment(MAGICQUEUE_URL=terminal.url),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"for good?" not in seen:
        seen += os.read(ours, 65_536)
    os.write(ours, answer)
    eventually(lambda: drain.poll() is not None)
    os.close(ours)
    return drain.returncode
