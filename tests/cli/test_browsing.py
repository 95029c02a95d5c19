"""jobs and bulk."""

from cli.terminal import Terminal


def test_jobs_are_listed(terminal: Terminal, queue: str) -> None:
    ids = terminal.ok("push", queue, '{"to":"ada"}', '{"to":"bob"}', "--json").json()["ids"]
    late = terminal.ok("push", queue, "3", "--delay", "1h", "--json").json()["ids"]
    plain = terminal.ok("jobs", "-q", queue)
    assert all(str(one) in plain.out for one in (*ids, *late))
    assert '{"to":"ada"}' in plain.out
    some = terminal.ok("jobs", "-q", queue, "-n", "2")
    assert "more than 2 jobs" in some.err
    found = terminal.ok("jobs", "-q", queue, "--contains", "bob", "--json").lines()
    assert [job["id"] for job in found] == [ids[1]]
    turn = terminal.ok("jobs", "-q", queue, "--state", "delayed", "--in-turn", "--json")
    assert [(job["id"], job["state"]) for job in turn.lines()] == [(late[0], "delayed")]
    assert "no such job" in terminal.ok("jobs", "-q", queue, "--state", "dead").out
    refused = terminal.run("jobs", "-q", queue, "--in-turn")
    assert (refused.code, "--state" in refused.err) == (2, True)


def test_all_that_match_are_cancelled(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, *(f'{{"n":{n}}}' for n in range(12)))
    dry = terminal.ok("bulk", "cancel", "-q", queue, "--contains", '"n":1', "--dry-run")
    assert f"cancel would be done to 3 jobs of {queue}" in dry.out
    done = terminal.ok("bulk", "cancel", "-q", queue, "--contains", '"n":1', "--json")
    assert done.json() == {"queue": queue, "do": "cancel", "done": 3, "dry_run": False}
    assert terminal.ok("stats", queue, "--json").json()["queued"] == 9
    wrong = terminal.run("bulk", "retry", "-q", queue, "--state", "ready")
    assert wrong.code == 1
    assert "BULK" in wrong.err
