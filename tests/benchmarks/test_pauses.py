"""The measuring of pauses runs, at a tiny size, and says a row for each thing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]
ROOT = Path(__file__).parents[2]
WAITS = ("1 M leases end", "1 M delayed jobs come due")
"""They wait for a quarter of a minute, whatever their size."""


def test_each_flood_and_command_has_a_row(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses = load("pauses")
    sources = (str(ROOT / room) for room in ("client", "cores", "server"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sources))
    monkeypatch.setattr(pauses, "FLOOD_S", 0.0)
    monkeypatch.setattr(pauses, "QUIET_S", 0.0)
    monkeypatch.setattr(pauses, "FLOOD_BYTES", 20_000)
    commands = {
        name: command for name, command in pauses.COMMANDS.items() if name not in WAITS
    }
    monkeypatch.setattr(pauses, "COMMANDS", commands)
    pauses.measure("python", "", 1000)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 1 + len(pauses.FLOODS) + len(commands)
    for row in rows:
        *_, p50, p99, p999, worst, pings = row.split()
        assert 0 < float(p50) <= float(p99) <= float(p999) <= float(worst)
        assert int(pings) >= pauses.PINGS_MIN
