"""events."""

import signal

from cli.terminal import Terminal


def test_events_are_printed_as_they_happen(terminal: Terminal, queue: str) -> None:
    watching = terminal.start("events", "-q", queue, "-k", "stats", "-k", "paused")
    watching.wait_for("queued 0")
    terminal.ok("pause", queue)
    watching.wait_for("paused")
    terminal.ok("resume", queue)
    watching.wait_for("resumed")
    watching.send(signal.SIGINT)
    assert queue in watching.end().out


def test_so_many_are_given_as_the_protocol_has_them(terminal: Terminal, queue: str) -> None:
    told = terminal.ok("events", "-q", queue, "-k", "stats", "-n", "2", "--json").lines()
    assert [event["event"] for event in told] == ["stats", "stats"]
    assert all(event["counts"]["queued"] == 0 for event in told)
    assert "rates" in told[1]


def test_what_is_no_kind(terminal: Terminal) -> None:
    assert terminal.run("events", "-k", "deaths").code == 2
