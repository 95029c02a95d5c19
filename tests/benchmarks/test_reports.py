"""From the results that asv stores to tables and targets."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]

CORES = ["'python'", "'array'"]
COLUMNS = ["result", "params", "version"]
RESULTS = {
    "bench_server.Server.track_throughput": [
        [1.0e6, 0.5e6, 6.0e6, None],
        [CORES, ["'push'", "'drain'"]],
        "v",
    ],
    "bench_server.Server.track_p99": [
        [100.0, 120.0],
        [CORES, ["'cycle'"]],
        "v",
    ],
    "bench_memory.Memory.track_bytes_per_job": [
        [300.0, 201.0],
        [CORES, ["100"]],
        "v",
    ],
    "bench_wire.Singles.time_push": [[0.001, float("nan")], [CORES], "v"],
}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    about = {"num_cpu": "2", "cpu": "Some CPU", "ram": str(8 * 2**30)}
    (folder / "machine.json").write_text(json.dumps(about))
    path = folder / "12345678-existing.json"
    path.write_text(json.dumps({"result_columns": COLUMNS, "results": RESULTS}))
    return path


def test_the_cores_are_columns_and_what_is_missing_is_left_out(
    load: Load, stored: Path
) -> None:
    rows = {(row.benchmark, row.params): row for row in load("results").read_rows(stored)}
    push = rows["bench_server.Server.track_throughput", (("workload", "push"),)]
    assert push.values == {"python": 1.0e6, "array": 6.0e6}
    assert push.ratio == 6.0
    drain = rows["bench_server.Server.track_throughput", (("workload", "drain"),)]
    assert drain.values == {"python": 0.5e6}
    assert drain.ratio is None


def test_times_become_nanoseconds_a_job(load: Load, stored: Path) -> None:
    rows = {row.benchmark: row for row in load("results").read_rows(stored)}
    single = rows["bench_wire.Singles.time_push"]
    assert single.unit == "ns/job"
    assert single.values == {"python": 1e6 / load("bench_wire").SINGLES}


def test_the_machine_is_named(load: Load, stored: Path) -> None:
    assert load("results").machine_of(stored) == "2 x Some CPU, 8 GB"


def test_the_newest_file_is_found_and_none_is_said(load: Load, stored: Path) -> None:
    results = load("results")
    assert results.newest_results(stored.parents[1]) == stored
    with pytest.raises(SystemExit, match="run `make bench` first"):
        results.newest_results(stored.parent / "elsewhere")


def test_the_table_has_a_line_for_each_row(load: Load, stored: Path) -> None:
    rows = load("results").read_rows(stored)
    out = io.StringIO()
    load("table").print_table(rows, out)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["push:", "throughput", "1.00", "M/s", "6.00", "M/s", "6.0x"] in lines
    assert ["drain:", "throughput", "500", "k/s", "-", "-"] in lines


def test_targets_are_met_missed_or_not_measured(load: Load, stored: Path) -> None:
    rows = load("results").read_rows(stored)
    outcomes = {outcome.what: outcome for outcome in load("targets").check_targets(rows)}
    full = load("workloads").FULL
    assert outcomes[full["push"].title].met is True
    assert outcomes[full["drain"].title].met is None
    assert outcomes["memory a queued 100-byte job"].met is False
    assert outcomes[f"{full['cycle'].title}: p99"].met is False


def test_the_page_is_written_of_what_is_there(
    load: Load, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = load("page")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "RESULTS", str(stored.parents[1]))
    monkeypatch.setattr(page, "PEERS", tmp_path / "none.json")
    page.main()
    text = (tmp_path / "page.md").read_text()
    assert "| push: throughput | 1.00 M/s | 6.00 M/s | 6.0x |" in text
    assert "## Peers" not in text
