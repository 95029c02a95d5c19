"""Options: what their texts mean, and where a value comes from."""

from pathlib import Path

import pytest

from magicqueue_server import options
from magicqueue_server.config import ConfigError, load
from magicqueue_server.options import OPTIONS


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("512", 512), ("64K", 65_536), ("64KiB", 65_536), ("64kb", 64_000)),
        *(("1.5 GB", 1_500_000_000), ("512MiB", 2**29), ("2T", 2**41), ("9B", 9)),
        *(("1m", 2**20), ("0.5k", 512)),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert options.size_bytes(text) == size


def test_counts_and_ports() -> None:
    assert options.count("100_000") == 100_000
    assert options.port_number("65535") == 65_535


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        *(("lease", text, "span of time") for text in ("", "5x", "-1s", "1e3", "1 m s")),
        *(("lease", text, "needs a unit") for text in ("30", "1.5")),
        *(("max_line", text, "a size") for text in ("", "5x", "-1", "MiB", "1KiBB")),
        *(("max_jobs", text, "whole number") for text in ("", "-1", "1.5", "1__0", "1_")),
        *(("port", text, "port") for text in ("65536", "x", "-1", "1.0")),
        *(("persist", text, "true or false") for text in ("maybe", "2", "ja")),
        *(("log_level", text, "one of debug") for text in ("loud", "", "INFO")),
        *(("core", text, "one of auto") for text in ("fast", "Python")),
        *(("lease", text, "at most") for text in ("9" * 400, "9" * 17 + "d")),
        *(("max_memory", text, "at most") for text in ("9" * 30 + "T", "9007199254740992")),
        *(("max_jobs", text, "at most") for text in ("9" * 5000, "9007199254740992")),
        *((name, "0", "1 or more") for name in ("lease", "max_line", "max_job")),
        *((name, "0", "1 or more") for name in ("max_pull", "max_push", "max_reply")),
        *(
            (name, "0", "1 or more")
            for name in ("max_input", "max_output", "max_connections")
        ),
    ],
)
def test_a_wrong_value_says_what_it_must_be_and_where_it_is(
    name: str, text: str, words: str
) -> None:
    variable = f"MAGICQUEUE_{name.upper()}"
    for flags, environ, place in (
        ({name: text}, {}, f"flag --{name.replace('_', '-')}"),
        ({}, {variable: text}, f"environment {variable}"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(flags, environ, None)
        message = str(caught.value)
        assert message.startswith(name)
        assert words in message
        assert place in message
        assert "\n" not in message


def test_a_flag_wins_over_the_environment_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mq.toml"
    path.write_text('port = 1\nmax-jobs = 2\nlease = "3s"\nlog_level = "error"\n')
    environ = {"PORT": "4", "MAGICQUEUE_LEASE": "5s", "MAGICQUEUE_MAX_JOBS": "6"}
    settings = load({"lease": "7s", "port": None}, environ, path)
    assert settings["lease"] == 7000
    assert settings["port"] == 4
    assert settings["max_jobs"] == 6
    assert settings["log_level"] == "error"
    assert settings["max_lost"] == 3
    sources = {name: setting.source for name, setting in settings.settings.items()}
    assert sources["lease"] == "flag --lease"
    assert sources["port"] == "environment PORT"
    assert sources["log_level"] == f"file {path}"
    assert sources["max_lost"] == "default"


def test_our_own_variable_wins_over_the_originals() -> None:
    settings = load({}, {"PORT": "4", "MAGICQUEUE_PORT": "5"}, None)
    assert settings["port"] == 5


@pytest.mark.parametrize(
    "text", ["tcp://10.96.0.12:6789", "udp://[fd00::12]:6789", " sctp://10.0.0.1:1 "]
)
def test_where_a_service_is_is_no_setting(text: str) -> None:
    """Kubernetes sets these for a service called "magicqueue", docker for a link."""
    others = {
        "MAGICQUEUE_SERVICE_HOST": "10.96.0.12",
        "MAGICQUEUE_SERVICE_PORT": "6789",
        "MAGICQUEUE_PORT_6789_TCP": text,
        "MAGICQUEUE_PORT_6789_TCP_PROTO": "tcp",
        "MAGICQUEUE_PORT_6789_TCP_PORT": "6789",
        "MAGICQUEUE_PORT_6789_TCP_ADDR": "10.96.0.12",
        "MAGICQUEUE_NAME": "/web/magicqueue",
        "MAGICQUEUE_PORT": text,
    }
    assert load({}, others, None).settings["port"].source == "default"
    assert load({}, others | {"PORT": "4"}, None)["port"] == 4
    assert load({}, others | {"MAGICQUEUE_PORT": "5"}, None)["port"] == 5
    for nonsense in ("tcp://10.96.0.12", "http://10.96.0.12:6789", "seven"):
        with pytest.raises(ConfigError, match="environment MAGICQUEUE_PORT"):
            load({}, others | {"MAGICQUEUE_PORT": nonsense}, None)
    with pytest.raises(ConfigError, match="flag --port"):
        load({"port": text}, {}, None)


def test_an_empty_host_counts_where_somebody_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "mq.toml"
    path.write_text('host = ""\n')
    assert load({}, {"MAGICQUEUE_HOST": ""}, None)["host"] == "127.0.0.1"
    assert load({"host": ""}, {}, None)["host"] == ""
    assert load({}, {}, path)["host"] == ""


def test_what_others_chose_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mq.toml"
    path.write_text('lease = "3s"\nmax_jobs = 5\n')
    environ = {"PORT": "7000", "PERSIST": "1", "MAGICQUEUE_MAX_JOBS": "6"}
    assert load({"loop": "asyncio"}, environ, path).chosen_elsewhere() == [
        "port = 7000 (environment PORT)",
        "persist = 1 (environment PERSIST)",
        f"lease = 3s (file {path})",
        "max_jobs = 6 (environment MAGICQUEUE_MAX_JOBS)",
    ]
    assert load({"port": "7"}, {"PORT": "7000"}, None).chosen_elsewhere() == []


def test_every_option_has_its_variable() -> None:
    for option in OPTIONS:
        settings = load({}, {f"MAGICQUEUE_{option.name.upper()}": option.default}, None)
        assert settings.settings[option.name].source.startswith("environment MAGICQUEUE_")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *(("1", Path("/temp/magic-queue.sock")), ("true", Path("/temp/magic-queue.sock"))),
        *(("0", None), ("", None), ("no", None), ("/run/mq.sock", Path("/run/mq.sock"))),
    ],
)
def test_unix_socket(text: str, path: Path | None) -> None:
    settings = load({}, {"UNIX_SOCKET": text}, None)
    assert settings.socket_path(lambda: "/temp") == path


def test_settings_reach_the_parts() -> None:
    settings = load(
        {
            "max_line": "1KiB",
            "max_job": "2",
            "max_queue_name": "3",
            "max_push": "4",
            "max_pull": "5",
            "max_reply": "6",
            "max_jobs": "7",
            "max_memory": "8",
            "max_queues": "9",
            "max_lost": "10",
            "max_backoff": "11ms",
            "max_dead": "12",
            "max_dead_memory": "13",
            "max_attempts": "14",
            "lease": "15ms",
            "max_input": "16",
            "max_output": "18",
            "max_connections": "17",
        },
        {},
        None,
    )
    limits, core = settings.limits, settings.core_options
    assert (limits.line_bytes_max, limits.job_bytes_max) == (1024, 2)
    assert (limits.queue_name_bytes_max, limits.push_jobs_max) == (3, 4)
    assert (limits.pull_jobs_max, limits.reply_payload_bytes_max) == (5, 6)
    assert (core.jobs_max, core.memory_bytes_max, core.queues_max) == (7, 8, 9)
    assert (core.lost_max, core.backoff_ms_max) == (10, 11)
    assert (core.dead_jobs_max, core.dead_bytes_max) == (12, 13)
    assert settings.job_defaults.max_attempts == 14
    assert settings.job_defaults.lease_ms == 15
    assert settings.bounds.line_bytes_max == 1024
    assert settings.bounds.input_bytes_max == 16
    assert settings.bounds.output_bytes_max == 18


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prot = 1\n", "unknown option 'prot'"),
        (b"[server]\nport = 1\n", "unknown option 'server'"),
        (b"port = \n", "not valid TOML"),
        (b'host = "\xff"\n', "not valid TOML"),
        (b"port = 99999\n", "port must be a port from 0 to 65535 (not '99999', from file"),
        (
            b"max_attempts = 2147483648\n",
            "max_attempts must be at most 2147483647 (not '2147483648', from file",
        ),
        (b"lease = true\n", "lease must be a span of time"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "mq.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mq\.toml") as caught:
        load({}, {}, path)
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load({}, {}, tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load({}, {}, tmp_path)


def test_what_is_printed_can_be_read_back(tmp_path: Path) -> None:
    environ = {"UNIX_SOCKET": 'a "quoted" \\ path', "PORT": "7000", "PERSIST": "yes"}
    settings = load({"lease": "90s"}, environ, None)
    path = tmp_path / "printed.toml"
    path.write_text(settings.printed())
    again = load({}, {}, path)
    for option in OPTIONS:
        assert again[option.name] == settings[option.name]
    assert "# environment PORT" in settings.printed()
    assert "# flag --lease" in settings.printed()
