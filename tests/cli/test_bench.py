"""magicqueue bench."""

import re
import signal
from typing import Any

import pytest

from cli.terminal import Terminal, eventually


@pytest.mark.parametrize("connections", ["1", "3"])
def test_it_measures_and_leaves_no_jobs(terminal: Terminal, connections: str) -> None:
    options = ["--jobs", "5000", "--batch", "300", "--connections", connections]
    report = terminal.ok("bench", *options, "--json").json()
    for phase in ("push", "drain"):
        assert report[phase]["jobs"] == 5000
        assert report[phase]["jobs_per_s"] > 0
        assert report[phase]["client_cpu_s"] > 0
    assert 0 < report["push_round_trip_ms"]["median"] <= report["push_round_trip_ms"]["p99"]
    _left_nothing(terminal)


def test_its_report_for_people(terminal: Terminal) -> None:
    report = terminal.ok("bench", "--jobs", "2000", "--payload", "50").out
    assert "2,000 jobs of 50 bytes, 1,000 a request" in report
    for phase in ("push", "drain"):
        assert re.search(rf"^{phase} +[\d,]+ .* µs/job, \d+% busy$", report, re.MULTILINE)
    assert "one job pushed at a time:" in report


def test_ctrl_c_ends_it_and_removes_its_jobs(terminal: Terminal) -> None:
    bench = terminal.start("bench", "--jobs", "100000000", "--batch", "100")
    eventually(lambda: sum(row["queued"] for row in _rows(terminal)))
    bench.send(signal.SIGINT)
    ended = bench.end()
    assert ended.code == 130
    assert "removing the bench's jobs" in ended.err
    _left_nothing(terminal)


def _left_nothing(terminal: Terminal) -> None:
    rows = _rows(terminal)
    assert rows
    assert sum(row["queued"] + row["processing"] + row["dead"] for row in rows) == 0


def _rows(terminal: Terminal) -> list[dict[str, Any]]:
    rows = terminal.ok("queues", "--json").json()
    return [row for row in rows if row["name"].startswith("magicqueue-bench")]
