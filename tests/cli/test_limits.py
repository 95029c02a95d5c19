"""limit, throttle, and pulls and workers of several queues."""

import pytest

from cli.terminal import Terminal


def test_a_limit_is_set_told_and_taken_away(terminal: Terminal, queue: str) -> None:
    assert terminal.ok("limit", queue).out == f"{queue}: no limits\n"
    told = terminal.ok("limit", queue, "-c", "1", "--rate", "100/m", "--burst", "20").out
    assert told == f"{queue}: up to 1 at work, 100 in 1 min (up to 20 at once)\n"
    terminal.ok("push", queue, "1", "2")
    assert len(terminal.ok("pull", queue, "-n", "9", "--peek").out.splitlines()) == 1
    answer = terminal.ok("limit", queue, "-c", "none", "--json").json()
    assert answer == {
        "queue": queue,
        "concurrency": None,
        "rate": {"jobs": 100, "per": 60_000, "burst": 20},
        "group": None,
        "throttled_until": None,
    }
    assert terminal.ok("limit", queue, "--rate", "none").out == f"{queue}: no limits\n"


@pytest.mark.parametrize("rate", ["5", "5/", "x/s", "0/s", "5/0", "5/week"])
def test_what_is_no_rate_is_refused(terminal: Terminal, rate: str) -> None:
    ended = terminal.run("limit", "q", "--rate", rate)
    assert ended.code == 2
    assert "is no rate: write it as 100/m" in ended.err
    assert terminal.run("limit", "q", "--burst", "5").code == 2


def test_a_throttled_queue_hands_out_nothing(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    assert "its next jobs come in 1 h" in terminal.ok("throttle", queue, "3601s").out
    assert terminal.run("pull", queue, "--wait", "0", "--peek").code == 1
    assert "is throttled" in terminal.ok("limit", queue).out
    assert terminal.ok("throttle", queue, "0").out == f"{queue} is not throttled\n"
    assert terminal.ok("pull", queue, "--peek").json()["data"] == 1


def test_several_queues_are_pulled_as_they_are_given(
    terminal: Terminal, queue: str
) -> None:
    one, other = f"{queue}-1", f"{queue}-2"
    terminal.ok("push", one, "1")
    terminal.ok("push", other, "2")
    pulled = terminal.ok("pull", "-q", other, "-q", one, "-n", "2", "--peek")
    queues = [job["queue"] for job in pulled.lines()]
    assert queues == [other, one]
    assert terminal.run("pull").code == 2
