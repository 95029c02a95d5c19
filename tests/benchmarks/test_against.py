"""Two trees as servers in turn, and the line that says what a job costs in each."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]


def test_the_ratio_is_that_of_rounds_and_not_of_sums(load: Load) -> None:
    rounds = [(101.0, 100.0), (1_010.0, 1_000.0), (90.0, 100.0), (101.0, 100.0)]
    within, line = load("against").told("python push", rounds)
    assert within
    assert "x1.010" in line


def test_what_is_dearer_is_said(load: Load) -> None:
    within, line = load("against").told("python push", [(103.0, 100.0)])
    assert not within
    assert line.endswith("over 1.02")


def test_both_trees_run_in_turn(
    load: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    against = load("against")
    folders = [against.ROOT, tmp_path]
    for room in ("client", "cores", "server"):
        (tmp_path / room).symlink_to(against.ROOT / room)
    unpacked = contextlib.nullcontext(tmp_path)
    monkeypatch.setattr(against, "tree_of", lambda _: unpacked)
    ran: list[int] = []
    run_load = against.run_load

    def noted(workload: str, dialect: str, pid: int, port: int, *, warm: bool) -> Any:
        assert warm
        path = Path(f"/proc/{pid}/environ").read_bytes().decode()
        ran.append(next(n for n in (1, 0) if f"PYTHONPATH={folders[n]}/" in path))
        return run_load(workload, dialect, pid, port, warm=warm)

    monkeypatch.setattr(against, "run_load", noted)
    against.main(["HEAD", "--rounds", "2", "--cores", "python", "--workloads", "push"])
    assert ran == [0, 1, 1, 0]
    assert "python push" in capsys.readouterr().out


def test_a_commit_that_is_not_there_is_named(load: Load) -> None:
    with pytest.raises(SystemExit, match="no-such-commit"):
        load("against").main(["no-such-commit"])
