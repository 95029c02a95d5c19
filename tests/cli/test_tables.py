"""What a terminal shows: tables that fit it, colours unless they are not wanted."""

import re
import subprocess

import pytest

from cli.terminal import MAGICQUEUE, Terminal, environment
from magicqueue import SyncQueue
from magicqueue.cli import screen
from magicqueue.cli.screen import Column, number, text
from patience import PATIENCE_S

ERROR = "KeyError: 'the address of the person that was to be told about it'"
TRACEBACK = f'{ERROR}\nStack:\n  File "tasks.py", line 3\n\x1b[31m'
DATA = {"to": "someone-with-a-name@example.org", "subject": "all that there is to say"}


def _die(terminal: Terminal, queue: str, number_dead: int) -> list[int]:
    with SyncQueue(queue, terminal.url) as client:
        ids = client.push_batch([DATA] * number_dead, max_attempts=1)
        for job in client.pull_batch(number_dead, 0):
            client.fail(job, TRACEBACK)
    return ids


def _plain(shown: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
def test_dead_letters_show_their_ids_at_any_width(
    terminal: Terminal, queue: str, columns: int
) -> None:
    ids = _die(terminal, queue, 3)
    heading, _, *rows = _plain(terminal.shown("dead", "list", queue, columns=columns))
    assert heading.split()[0] == "id"
    assert [int(row.split()[0]) for row in rows[:3]] == ids
    assert all("KeyErr" in row for row in rows[:3])
    assert max(map(len, [heading, *rows])) <= columns
    left_out = "(no room for: data)" in rows
    assert left_out is ("data" not in heading)
    assert left_out is (columns == 40)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_queues_show_their_names_and_counts_at_any_width(
    terminal: Terminal, queue: str, columns: int
) -> None:
    terminal.ok("push", queue, stdin="1\n" * 1234)
    terminal.ok("push", f"{queue} of a name that is longer than most are", "1")
    heading, _, *rows = _plain(terminal.shown("queues", columns=columns))
    (row,) = [row for row in rows if row.startswith(f"{queue} ") and "of a" not in row]
    assert row.split()[:2] == [queue, "1,234"]
    assert heading.split()[:2] == ["queue", "queued"]
    assert "dead" in heading
    table = [heading, *(row for row in rows if not row.startswith("(no room"))]
    assert max(map(len, table)) <= columns
    shown = heading.split()
    left_out = rows[-1].removeprefix("(no room for: ").removesuffix(")").split(", ")
    everything = {
        *("queue", "queued", "processing", "delayed", "dead", "oldest"),
        *("completed", "failed"),
    }
    missing = everything - set(shown)
    assert missing == (set(left_out) if missing else set())
    assert bool(missing) is (columns < 100)


def test_wide_letters_are_counted_as_a_terminal_shows_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.write_table([text("queue"), number("n")], [("日本", "1"), ("abcd", "22")])
    assert capsys.readouterr().out == "queue   n\n日本    1\nabcd   22\n"


def test_columns_leave_in_their_order_and_what_must_stay_stays() -> None:
    columns = [number("id"), text("a", leaves=1), number("b", leaves=2), Column("c")]
    rows = [("1" * 16, "x" * 30, "2" * 10, "z" * 10)]
    found = {
        width: [c.header for c in screen.rich_table(columns, rows, width)[0].columns]
        for width in (80, 50, 35, 10)
    }
    assert [len(shown) for shown in found.values()] == [4, 3, 2, 2]
    assert screen.rich_table(columns, rows, 35)[1] == ["a", "b"]


def test_a_job_shows_its_error_line_by_line(terminal: Terminal, queue: str) -> None:
    (job_id,) = _die(terminal, queue, 1)
    lines = terminal.ok("job", str(job_id)).out.splitlines()
    at = lines.index(f"error     {ERROR}")
    assert lines[at + 1 : at + 4] == [
        "          Stack:",
        '            File "tasks.py", line 3',
        "          \\x1b[31m",
    ]
    whole = terminal.ok("dead", "list", queue, "--json").json()
    assert whole["error"] == TRACEBACK


def test_several_jobs_are_shown_and_those_not_there_named(
    terminal: Terminal, queue: str
) -> None:
    ids = terminal.ok("push", queue, "1", "2", "--json").json()["ids"]
    some = terminal.run("job", *map(str, ids), "9007199254740991")
    assert some.code == 1
    assert some.out.count("state     ready") == 2
    assert some.err.startswith("magicqueue: there is no job 9007199254740991")
    documents = terminal.run("job", *map(str, ids), "9007199254740991", "--json")
    assert [job["id"] for job in documents.lines()] == ids
    assert '"code":"NOT_FOUND"' in documents.err


@pytest.mark.parametrize("wanted", [("NO_COLOR", "1"), ("TERM", "dumb")])
@pytest.mark.parametrize(
    "arguments",
    [["stats"], ["queues"], ["dead", "list"], ["job"], ["bench", "--jobs", "100"]],
    ids=lambda words: words[0],
)
def test_without_colours_there_is_no_escape_sequence(
    terminal: Terminal, queue: str, arguments: list[str], wanted: tuple[str, str]
) -> None:
    (job_id,) = _die(terminal, queue, 1)
    more = {"dead": [queue], "job": [str(job_id)]}.get(arguments[0], [])
    assert "\x1b" in terminal.shown(*arguments, *more)
    assert "\x1b" not in terminal.shown(*arguments, *more, more=[wanted])


@pytest.mark.parametrize(
    "arguments", [["queues", "--watch"], ["queues", "--json"], ["--help"], ["push", "-h"]]
)
def test_a_reader_that_is_gone_is_no_error(
    terminal: Terminal, queue: str, arguments: list[str]
) -> None:
    terminal.ok("push", queue, "1")
    with subprocess.Popen(
        [*MAGICQUEUE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(MAGICQUEUE_URL=terminal.url),
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.wait(PATIENCE_S) == 141
        assert command.stderr.read() == b""


def test_queues_are_watched(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    watch = terminal.start("queues", "--watch", "--interval", "50ms", "--json")
    watch.wait_for(f'"name":"{queue}"', times=3)
    watch.kill()
    lines = terminal.start("queues", "--watch", "--interval", "50ms")
    lines.wait_for(f"{queue} ", times=2)
    lines.kill()
