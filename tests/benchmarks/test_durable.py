"""The comparison of durable pushes and the costs of the log run, at a tiny size."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]
ROOT = Path(__file__).parents[2]


def run(
    module: Any,
    patch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> Any:
    """What it prints as JSON; its servers run these sources."""
    sources = (str(ROOT / room) for room in ("client", "cores", "server"))
    patch.setenv("PYTHONPATH", os.pathsep.join(sources))
    patch.setattr("sys.argv", ["bench", "--rounds=1", "--json", *arguments])
    module.main()
    return json.loads(capsys.readouterr().out)


def test_what_the_log_costs(
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    costs = load("log_costs")
    monkeypatch.setattr(costs, "PUSHES", {"python": 20_000})
    monkeypatch.setattr(costs, "READS", {"python": 5_000})
    speeds = run(costs, monkeypatch, capsys, f"--folder={tmp_path}")
    logs = ("pushed", "pushed, leased, acknowledged or lost", "moved to the end")
    assert set(speeds) == {f"python {name}" for name in (*costs.MODES, *logs)}
    assert all(speed > 0 for speed in [*speeds["python memory"], speeds["python pushed"]])
    assert not list(tmp_path.iterdir())


def test_durable_pushes(
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    durable = load("durable")
    whole = durable.commands(tmp_path / "log")
    name = next(name for name in whole if "python core" in name)
    monkeypatch.setattr(durable, "commands", lambda _: {name: whole[name]})
    speeds = run(durable, monkeypatch, capsys, "--seconds=0.2", f"--folder={tmp_path}")
    assert set(speeds) == {name}
    assert all(speed > 0 for speed in speeds[name].values())
    assert len(speeds[name]) == len(durable.CASES)
