"""`--log`: what is refused, what is shown, and that nothing of it is loaded without it."""

import subprocess
import sys
from pathlib import Path

import pytest

from magicqueue_server.clock import SystemClock
from magicqueue_server.config import Config, ConfigError, load
from magicqueue_server.log_place import CannotOpen, find_place
from magicqueue_server.wal.postgres_schema import parameters_of, place_of
from magicqueue_server.wal.verdict import Refused

ADDRESS = "postgres://mq:gehe1m@db1,db2:5433/mq?sslmode=require&password=gehe1m"


def config_of(**flags: str) -> Config:
    return load(flags, {}, None)


def test_nothing_is_imported_without_it() -> None:
    text = (
        "import sys, asyncio\n"
        "from magicqueue_server import app, cli, cluster_command, config\n"
        "async def main():\n"
        "    app.App(config.load({'core': 'python'}, {}, None), version='0')\n"
        "asyncio.run(main())\n"
        "print([m for m in sys.modules if 'psycopg' in m or '.store' in m\n"
        "       or 'postgres' in m])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n", done.stdout


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'log = "{ADDRESS}"\n')
    for config in (
        config_of(log=ADDRESS),
        load({}, {"MAGICQUEUE_LOG": ADDRESS}, None),
        load({}, {}, file),
    ):
        told = config.printed() + "".join(config.chosen_elsewhere()) + repr(config.settings)
        assert config["log"] == ADDRESS
        assert "mq:***@db1,db2:5433/mq" in config.printed()
        assert "gehe1m" not in told.replace(repr(ADDRESS), "")


@pytest.mark.parametrize(
    "address",
    [
        "mysql://mq:gehe1m@db/mq",
        "mq:gehe1m@db",
        "host=db password=gehe1m",
        "postgre://mq:ge@he1m@db/mq",
        "//mq:gehe1m@db",
    ],
)
def test_other_addresses_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match='must be "postgres://USER@HOST') as error:
        config_of(log=address)
    assert "he1m" not in str(error.value)


def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    for address in (
        "postgres://mq:ge/he1m@db/mq",
        "postgres://mq:ge@he1m@db/mq",
        "postgres://mq@db:gehe1m/mq",
        "postgres://mq@db/mq?x=gehe1m",
    ):
        with pytest.raises(Refused, match="cannot be read") as error:
            parameters_of(address)
        assert "he1m" not in str(error.value)


def test_a_place_is_named_without_secrets() -> None:
    place = place_of(parameters_of(ADDRESS))
    assert place == "PostgreSQL at db1 and db2:5433, database mq"


@pytest.mark.parametrize("mode", ["everysec", "never"])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"fsync is {mode} .*knows only always"):
        config_of(log="postgres://db/mq", fsync=mode)


def test_its_mode_is_always() -> None:
    assert config_of(log="postgres://db/mq")["fsync"] == "always"
    assert config_of(log="postgres://db/mq", fsync="always")["fsync"] == "always"
    assert config_of()["fsync"] == "everysec"


def test_without_psycopg_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magicqueue_server.wal.store_postgres", None)
    with pytest.raises(CannotOpen, match=r"pip install 'magicqueue-server\[postgres\]'"):
        find_place(config_of(log="postgres://db/mq"), SystemClock())
