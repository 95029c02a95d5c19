"""The comparison of places for a log, at a tiny size: all of it runs, and is stored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.postgres import why_not

Load = Callable[[str], Any]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_all_of_it_runs(
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    cluster = load("cluster")
    monkeypatch.setattr(cluster, "ROOT", tmp_path)
    cluster.main(["--rounds=1"])
    said = capsys.readouterr().out
    assert "Targets of a log in PostgreSQL" in said
    stored = json.loads((tmp_path / ".asv" / "quick" / "cluster.json").read_text())
    found = {(row["case"], row["server"]): row["values"] for row in stored["rows"]}
    for name in cluster.OURS:
        for case in (cluster.PUSHES, cluster.LIVES, cluster.SINGLES, cluster.RECOVERY):
            assert found[case, name][0] > 0, (case, name)
    for case in (cluster.PUSHES, cluster.LIVES, cluster.LIVES_BY_50, cluster.LIVES_BY_1):
        assert found[case, cluster.ROWS_THREE][0] > 0


def test_targets_are_judged(load: Load) -> None:
    cluster = load("cluster")
    found = cluster.Found()
    assert {one.met for one in cluster.judge(found)} == {None}
    for case, name, value in (
        (cluster.PUSHES, cluster.THREE, 1.3e6),
        (cluster.LIVES, cluster.THREE, 500e3),
        (cluster.LIVES, cluster.ROWS_THREE, 40e3),
        (cluster.SINGLES, cluster.THREE, 25e3),
        (cluster.OWNER, cluster.THREE, 4.9),
        (cluster.PRIMARY, cluster.THREE, 2.1),
    ):
        found.add(case, name, value)
    met = [one.met for one in cluster.judge(found)]
    assert met == [True, False, True, True, True, False]


def test_a_tool_that_is_missing_is_named(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = load("cluster")
    monkeypatch.setattr(cluster.servers, "missing", lambda: ("no PostgreSQL", ""))
    with pytest.raises(SystemExit, match="no PostgreSQL"):
        cluster.main([])
