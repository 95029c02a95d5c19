"""What operators ask of a server is measured, at a tiny size; each figure has a row."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]
ROOT = Path(__file__).parents[2]
ROWS = (
    *("REST push, awaited", "PUSH by a line", "scrape of", "its longest step"),
    *("a dashboard open on", "CPU of singles", "TLS, one request", "TLS, PUSHB of"),
)


def test_each_part_has_its_rows(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operators = load("operators")
    sources = (str(ROOT / room) for room in ("client", "cores", "server"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sources))
    operators.main(["--cores", "python", "--rounds", "1"])
    said = capsys.readouterr().out
    assert [row for row in ROWS if row not in said] == []
