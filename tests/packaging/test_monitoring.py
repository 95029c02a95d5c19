"""packaging/monitoring: each metric that a rule or a panel names is one that is told."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from http_client import Http, with_http
from magicqueue.cli.worker_metrics import written
from magicqueue.job_times import JobTimes
from magicqueue_server.app import App

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "monitoring"
PAGE = (ROOT / "docs" / "guides" / "monitoring.md").read_text("utf-8")
NAME = re.compile(r"\b(?:magicqueue|process)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:magicqueue|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What a server and a worker tell: names of samples, with their labels."""
    texts: list[str] = []

    async def scenario(_app: App, http: Http) -> None:
        await http.post("/v1/pushb", {"queue": "q", "jobs": [{"data": 1}] * 2})
        await http.post("/v1/limit", {"queue": "q", "concurrency": 1})
        await http.post("/v1/throttle", {"queue": "q", "for": 60_000})
        texts.append((await http.get("/metrics")).body.decode())

    data = tmp_path_factory.mktemp("monitoring") / "data"
    options = {"core": "python", "persist": "1", "data_dir": str(data)}
    asyncio.run(with_http(scenario, options))
    times = JobTimes()
    times.note("q", "task", "done", 0.1)
    texts.append(written(times, 1))
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", "\n".join(texts), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_each_metric_that_is_asked_for_is_told(told: dict[str, set[str]]) -> None:
    for expression in expressions():
        for name, selected in SELECTOR.findall(expression):
            assert name in told, (name, expression)
            asked = set(re.findall(r"(\w+)(?:=|!)", selected)) - {"instance", "job"}
            assert asked <= told[name], (name, asked)


def test_labels_in_sentences_and_legends_are_there(told: dict[str, set[str]]) -> None:
    for rule in rules():
        known = set().union(*(told[name] for name in NAME.findall(rule["expr"])))
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert used <= known | {"instance", "job"}, rule["alert"]
    for panel in panels():
        for target in panel["targets"]:
            names = NAME.findall(target["expr"])
            known = set().union(*(told[name] for name in names)) | {"instance"}
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= known, panel["title"]


def test_the_page_says_what_each_alert_means() -> None:
    for rule in rules():
        assert f"| `{rule['alert']}` |" in PAGE, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    named = set(re.findall(r"^\| `(MagicQueue\w+)` \|", PAGE, re.MULTILINE))
    assert named == {rule["alert"] for rule in rules()}


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board()["panels"]:
        place = panel["gridPos"]
        here = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not here & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= here


def promtool(*arguments: str, cwd: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


@needs_promtool
def test_promtool_takes_the_rules_and_their_tests() -> None:
    for arguments in (
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_each_panel(tmp_path: Path) -> None:
    records = []
    for number, expression in enumerate(expressions()):
        whole = expression.replace("$__rate_interval", "5m")
        records.append({"record": f"panel:{number}", "expr": whole})
    rules_file = tmp_path / "panels.yaml"
    rules_file.write_text(yaml.safe_dump({"groups": [{"name": "p", "rules": records}]}))
    done = promtool("check", "rules", str(rules_file))
    assert done.returncode == 0, done.stdout + done.stderr
