"""`make demo-cluster`, with few jobs."""

import pytest

from cluster import demo
from cluster.postgres import why_not


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_nothing_is_lost_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--jobs=100"]) == 0
    said = capsys.readouterr().out
    assert "0 jobs are lost,\n0 were done twice" in said
    assert said.count("a push waited") == 2


def test_without_postgresql_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "why_not", lambda: "there is none")
    assert demo.main([]) == 1
    assert capsys.readouterr().out == "the demo cannot run: there is none\n"
