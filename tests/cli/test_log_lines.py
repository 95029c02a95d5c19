"""The lines of a worker's log: what a handler logs or raises forges none."""

import logging
import sys

import orjson
import pytest

from cli.test_hostile_text import NASTY
from cli.test_plain_text import HARMFUL
from magicqueue.cli.log_lines import JsonLines, PlainLines

FORGED = "2030-01-31T08:00:01.250+01:00 info    [1] job 17 of emails done"
EVIL = f"{NASTY}\n{FORGED}\r\x85{FORGED}\u2028{FORGED}\x0b{FORGED}"


def _record(*, name: str = "tasks", stack: str | None = None) -> logging.LogRecord:
    """A record with harmful text in every part that comes from elsewhere."""
    cause = KeyError(EVIL)
    cause.add_note(EVIL)
    try:
        raise ValueError(EVIL) from cause  # noqa: TRY301 - a traceback is wanted
    except ValueError:
        trace = sys.exc_info()
    record = logging.LogRecord(
        name, logging.ERROR, "", 1, "%s", (EVIL,), trace, sinfo=stack
    )
    record.job, record.queue, record.attempt, record.duration_ms = 3, "emails", 2, 1.5
    return record


@pytest.mark.parametrize("name", ["tasks", "magicqueue"])
def test_no_part_of_a_record_forges_a_line(name: str) -> None:
    text = PlainLines().format(_record(name=name, stack=f"Stack:\n{EVIL}"))
    assert not set(text.replace("\n", "")) & set(HARMFUL), repr(text)
    first, *below = text.split("\n")
    assert " error   [" in first
    assert ("(job 3)" in first) == (name == "tasks")
    assert below
    assert all(line.startswith("    ") for line in below), text
    assert "ValueError" in text
    assert "Stack:" in text


def test_json_lines_say_the_same_and_are_one_line() -> None:
    text = JsonLines().format(_record(stack=f"Stack:\n{EVIL}"))
    assert text.isprintable()
    line = orjson.loads(text)
    assert line["message"] == EVIL
    assert EVIL in line["traceback"]
    assert EVIL in line["stack"]
    assert (line["job"], line["queue"], line["attempt"]) == (3, "emails", 2)
    assert (line["duration_ms"], line["pid"]) == (1.5, _record().process)
