"""groups, and the options of push, limit and throttle that are about groups."""

import pytest

from cli.terminal import Terminal


def test_groups_are_pushed_listed_and_take_turns(terminal: Terminal, queue: str) -> None:
    assert "has a group: push with --group" in terminal.ok("groups", queue).out
    terminal.ok("push", queue, "--group", "acme", "1", "2")
    terminal.ok("push", queue, "--group", "other", "3")
    lines = [line.split() for line in terminal.ok("groups", queue).out.splitlines()]
    assert lines[0][:3] == ["group", "queued", "processing"]
    assert [line[:3] for line in lines[1:]] == [["acme", "2", "0"], ["other", "1", "0"]]
    pulled = terminal.ok("pull", queue, "-n", "2", "--peek").lines()
    assert [(job["data"], job["group"]) for job in pulled] == [(1, "acme"), (3, "other")]


def test_groups_as_json(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "--group", "acme", "1")
    [told] = terminal.ok("groups", queue, "--json").lines()
    assert told == {
        "name": "acme",
        "queued": 1,
        "processing": 0,
        "throttled_until": None,
    }


def test_limits_of_each_group(terminal: Terminal, queue: str) -> None:
    terminal.ok("limit", queue, "--group-concurrency", "1", "--group-rate", "5/s")
    answer = terminal.ok("limit", queue, "--json").json()
    assert answer["group"] == {
        "concurrency": 1,
        "rate": {"jobs": 5, "per": 1_000, "burst": 5},
    }
    terminal.ok("limit", queue, "--group-rate", "none")
    assert terminal.ok("limit", queue, "--json").json()["group"] == {"concurrency": 1}
    terminal.ok("limit", queue, "--group-concurrency", "none")
    assert terminal.ok("limit", queue).out == f"{queue}: no limits\n"


def test_a_throttle_of_a_group_is_told_and_ends(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "--group", "acme", "1")
    terminal.ok("push", queue, "--group", "other", "2")
    terminal.ok("throttle", queue, "--group", "acme", "3601s")
    assert "in 1 h" in terminal.ok("groups", queue).out
    assert terminal.ok("pull", queue, "--peek").json()["data"] == 2
    terminal.ok("throttle", queue, "--group", "acme", "0")
    [acme, _] = terminal.ok("groups", queue, "--json").lines()
    assert acme["throttled_until"] is None


@pytest.mark.parametrize("bad", ["", "n" * 256])
def test_what_is_no_group_is_refused(terminal: Terminal, queue: str, bad: str) -> None:
    ended = terminal.run("push", queue, "--group", bad, "1")
    assert ended.code != 0
    assert "group" in ended.err
