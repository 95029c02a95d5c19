"""Crons of the configuration file: upserted at a start, and deleted when they vanish."""

from pathlib import Path

import pytest

from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.policies import CronPlan, Policies, PolicyOptions
from magicqueue_server.calendars import Calendars
from magicqueue_server.config import ConfigError, load
from magicqueue_server.file_crons import BadFileCron, keep_crons

NOW = 1_760_000_000_000
REPORT = """
[cron.report]
queue = "mail"
data = { n = 1 }
schedule = "30 2 * * *"
tz = "Europe/Berlin"
priority = 5
"""
BEAT = """
[cron.beat]
queue = "health"
every = 60000
"""


@pytest.fixture
def policies() -> Policies:
    core = make_core("python", CoreOptions(), record=lambda _: None)
    return Policies(core, PolicyOptions(), None, Calendars())


def keep(policies: Policies, path: Path, text: str, now: int = NOW) -> None:
    path.write_text(text)
    config = load({}, {}, path)
    assert config.crons is not None
    keep_crons(config.crons, policies.crons, config.limits, config.job_defaults, now)
    policies.check()


def test_they_are_upserted_and_those_that_vanish_are_deleted(
    policies: Policies, tmp_path: Path
) -> None:
    path, crons = tmp_path / "magicqueue.toml", policies.crons
    plan = CronPlan(queue="q", payload=b"1", every_ms=5_000)
    crons.set("client's", plan, NOW)
    keep(policies, path, REPORT + BEAT)
    assert [cron.name for cron in crons.page(None)] == ["beat", "client's", "report"]
    report = crons.get("report")
    assert (report.plan.payload, report.plan.priority) == (b'{"n":1}', 5)
    before = report.run_ms
    keep(policies, path, REPORT, NOW + 1000)
    assert [cron.name for cron in crons.page(None)] == ["client's", "report"]
    assert crons.get("report").run_ms == before
    keep(policies, path, "")
    assert [cron.name for cron in crons.page(None)] == ["client's"]


def test_what_a_client_asks_for_is_the_clients_from_then_on(
    policies: Policies, tmp_path: Path
) -> None:
    path, crons = tmp_path / "magicqueue.toml", policies.crons
    keep(policies, path, BEAT)
    plan = CronPlan(queue="health", payload=b"null", every_ms=60_000)
    done = crons.set("beat", plan, NOW)
    assert not done.changed
    keep(policies, path, "")
    assert [cron.name for cron in crons.page(None)] == ["beat"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cron = 5", "must be tables"),
        ("[cron]\nreport = 5", "must be a table"),
        ("[cron.c]\nqueue = 'q'\noften = 1", "'often' is no field"),
        ("[cron.c]\nqueue = 'q'\ndelay = 1\nevery = 5000", "'delay' is no field"),
        ("[cron.c]\nqueue = 5\nevery = 5000", "queue"),
        ("[cron.c]\nevery = 5000", "queue"),
    ],
)
def test_a_wrong_table_stops_the_start(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "magicqueue.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        load({}, {}, path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[cron.c]\nqueue = 'q'", "give schedule"),
        ("[cron.c]\nqueue = 'q'\nevery = 5", "1000 or more"),
        ("[cron.c]\nqueue = 'q'\nschedule = 'x'", "schedule"),
        ("[cron.c]\nqueue = ''\nevery = 5000", "queue"),
    ],
)
def test_a_cron_that_cannot_be_stops_the_start(
    policies: Policies, tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(BadFileCron, match=why):
        keep(policies, tmp_path / "magicqueue.toml", text)
