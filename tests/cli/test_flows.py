"""`magicqueue flow`, and what is shown of jobs that depend on others."""

from pathlib import Path

from cli.terminal import Terminal

FLOW = """{"jobs": [
  {"ref": "a", "queue": "%s", "data": 1},
  {"ref": "b", "queue": "%s", "data": 12345678901234567890, "depends_on": ["a"]},
  {"queue": "%s", "data": 3, "depends_on": ["a", "b"], "on_parent_failure": "fail"}
]}"""


def test_a_flow_from_a_file(terminal: Terminal, queue: str, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(FLOW % (queue, queue, queue))
    a, b, c = terminal.ok("flow", str(file), "--json").json()["ids"]
    shown = terminal.ok("job", str(c)).out
    assert "blocked, until 2 jobs that it depends on are done\n" in shown
    assert f"depends on  {a}, {b}, waits for 2, and fails if one fails\n" in shown
    assert f"children  {b}, {c} wait for it\n" in terminal.ok("job", str(a)).out
    told = terminal.ok("job", str(b), "--json").json()
    assert (told["state"], told["parents"], told["waits_for"]) == ("blocked", [a], 1)
    assert terminal.ok("jobs", "-q", queue, "--state", "blocked").out.count("blocked") == 2
    assert "2, until others are done" in terminal.ok("stats", queue).out
    assert terminal.ok("stats", queue, "--json").json()["blocked"] == 2
    assert f"children    {c} waits for it\n" in terminal.ok("job", str(b)).out
    head, *rows = terminal.ok("queues").out.splitlines()
    (row,) = [row.split() for row in rows if queue in row]
    assert row[head.split().index("blocked")] == "2"
    text = FLOW % (queue, queue, queue)
    assert terminal.ok("flow", "-", stdin=text).out.startswith(
        "pushed a flow of 3 jobs (ids "
    )
    assert terminal.ok("drain", queue, "--yes", "--json").json()["removed"] == 6


def test_what_is_no_flow(terminal: Terminal, queue: str) -> None:
    wrong = terminal.run("flow", "-", stdin="{}")
    assert wrong.code == 2
    assert "no list of jobs" in wrong.err
    refused = terminal.run("flow", "-", stdin=f'[{{"queue": "{queue}"}}]')
    assert refused.code == 1
    assert "jobs[0].data is missing" in refused.err


def test_a_push_may_depend_on_jobs(terminal: Terminal, queue: str) -> None:
    (first,) = terminal.ok("push", queue, "1", "--json").json()["ids"]
    more = ["--depends-on", str(first), "--on-parent-failure", "run"]
    (second,) = terminal.ok("push", queue, "2", *more, "--json").json()["ids"]
    assert (
        "blocked, until a job that it depends on is done"
        in terminal.ok("job", str(second)).out
    )
    assert terminal.run("push", queue, "3", *more[2:]).code == 2
    terminal.ok("drain", queue, "--yes")
