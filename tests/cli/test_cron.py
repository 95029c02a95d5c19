"""`magicqueue cron`: what people see of jobs that come again and again."""

from itertools import pairwise

import pytest

from cli.terminal import Terminal


def test_the_life_of_a_cron(terminal: Terminal, queue: str) -> None:
    times = ("--schedule", "30 2 * * *", "--tz", "Asia/Kolkata")
    said = terminal.ok("cron", "set", queue, "-q", queue, *times, '{"n": 1}').out
    assert said.startswith(f"created {queue}\nnext run ")
    again = terminal.ok("cron", "set", queue, "-q", queue, *times, '{"n": 1}').out
    assert again.startswith(f"{queue} is as it was\n")
    row = terminal.ok("cron", "list", "--all", "--json").out
    assert f'"name":"{queue}"' in row.replace(" ", "")
    assert "30 2 * * * Asia/Kolkata" in terminal.ok("cron", "list", "--all").out
    assert terminal.ok("cron", "run", queue).out.startswith("pushed job ")
    assert terminal.ok("pull", queue, "--peek").json()["data"] == {"n": 1}
    assert terminal.ok("cron", "pause", queue).out == f"paused {queue}\n"
    assert terminal.ok("cron", "next", queue).out == f"{queue} is paused\n"
    assert "next run" in terminal.ok("cron", "resume", queue).out
    assert terminal.ok("cron", "delete", queue).out == f"deleted {queue}\n"
    assert terminal.run("cron", "delete", queue).code == 1


def test_next_runs_are_in_the_time_of_who_asks(
    terminal: Terminal, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    terminal.ok("cron", "set", queue, "-q", queue, "--schedule", "30 2 * * *")
    here = terminal.ok("cron", "next", queue, "-n", "2").out
    assert [line.split()[4:6] for line in here.splitlines()] == [["08:00:00", "+0530"]] * 2
    runs = terminal.ok("cron", "next", queue, "-n", "4", "--json").json()["next_runs"]
    assert [later - sooner for sooner, later in pairwise(runs)] == [86_400_000] * 3
    terminal.ok("cron", "delete", queue)


def test_what_is_said_wrongly_is_refused(terminal: Terminal, queue: str) -> None:
    assert terminal.run("cron", "set", queue, "-q", queue).code == 2
    both = ("--every", "1m", "--schedule", "* * * * *")
    assert terminal.run("cron", "set", queue, "-q", queue, *both).code == 2
    bad = terminal.run("cron", "set", queue, "-q", queue, "--every", "1m", "{")
    assert (bad.code, "not JSON" in bad.err) == (2, True)
    never = terminal.run("cron", "set", queue, "-q", queue, "--schedule", "0 0 31 2 *")
    assert never.code == 1
