"""What is typed: each option once, values that can be read, errors of one form."""

from pathlib import Path

import click
import orjson
import pytest
from click.shell_completion import BashComplete

from cli.terminal import Here, Terminal
from cli.test_manual import COMMANDS
from magicqueue.cli.group import group

_NOT_THERE = "unix:///nowhere/q.sock"
_VALUES = {"span": "1s", "time": "2030-01-01", "queue": "q", "address": "localhost"}
_CASES = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
    and not option.multiple
    and "--help" not in option.opts
]


def _once(option: click.Option) -> list[str]:
    if option.is_flag:
        return [option.opts[0]]
    value = _VALUES.get(option.type.name, "1")
    if isinstance(option.type, click.Choice):
        value = str(option.type.choices[0])
    return [option.opts[0], value]


@pytest.mark.parametrize(
    ("name", "option"), _CASES, ids=[f"{name} {option.opts[-1]}" for name, option in _CASES]
)
def test_an_option_given_twice_is_refused(
    here: Here, name: str, option: click.Option
) -> None:
    refused = here(*name.split(), *_once(option), *_once(option))
    assert refused.code == 2
    flag = max(option.opts, key=len)
    assert f"{'/'.join([flag, *option.secondary_opts])} was given twice" in refused.err


def test_thrice_is_said_and_help_is_not_counted(here: Here) -> None:
    assert "--json was given 3 times" in here("ping", *["--json"] * 3).err
    assert here("ping", "--help", "--json", "--json").code == 0


def test_opposites_are_one_option(here: Here) -> None:
    refused = here("serve", "--persist", "--no-persist")
    assert "--persist/--no-persist was given twice" in refused.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ack", "abc"], "'abc' is no whole number from 1 to 9,007,199,254,740,991"),
        (["events", "-n", "abc"], "'abc' is no whole number of 1 or more"),
        (["ack", "0"], "0 is out of range: it is a number from 1 to"),
        (["pull", "q", "-n", "0"], "0 is out of range: it is a number from 1 to"),
        (["push", "q", "-1"], "as in `magicqueue push … -- -1`"),
        (["push", "q", "1", "--delay", "9" * 30 + "d"], "at most 9007199254740991ms"),
        (["push", "q", "1", "--run-at", "1950-01-01"], "'1950-01-01' is before 1970"),
        (["push", "q", "1", "--run-at", "1700000000000"], "is beyond the year 9999"),
        (["push", "q", "1", "--run-at", "9" * 500], "is beyond the year 9999"),
        (["push", "q", "1", "--run-at", "10000-01-01"], "'10000-01-01' is no time"),
        (["pull", "q", "--ack", "--peek"], "--ack or --peek, not both"),
    ],
)
def test_wrong_values_are_said_plainly(
    here: Here, arguments: list[str], complaint: str
) -> None:
    refused = here(*arguments)
    assert refused.code == 2
    assert complaint in refused.err


def test_a_number_below_zero_is_pushed_behind_two_dashes(
    terminal: Terminal, queue: str
) -> None:
    terminal.ok("push", queue, "--", "-1")
    assert terminal.ok("pull", queue, "--ack").json()["data"] == -1


def test_a_wrong_variable_is_blamed_and_not_the_option(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGICQUEUE_URL", "localhost:port")
    assert "Invalid value for MAGICQUEUE_URL: the address" in here("ping").err
    typed = here("ping", "--url", "localhost:port").err
    assert "Invalid value for '--url': the address" in typed


@pytest.mark.parametrize("option", ["--timeout", "--interval", "--lease", "--wait"])
def test_spans_longer_than_clocks_count_are_no_traceback(here: Here, option: str) -> None:
    arguments = {
        "--timeout": ["ping"],
        "--interval": ["stats", "--watch"],
    }.get(option, ["pull", "q"])
    refused = here(*arguments, option, "104249991d", "--url", _NOT_THERE)
    assert refused.code == 3
    assert "no server answers" in refused.err


def _error(err: str) -> dict[str, object]:
    (line,) = err.splitlines()
    document: dict[str, object] = orjson.loads(line)
    assert document.keys() == {"ok", "error", "code"}
    assert document["ok"] is False
    assert isinstance(document["error"], str)
    return document


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["ping", "--url", _NOT_THERE], 3, "CONNECTION_REFUSED"),
        (["ping", "--url", "localhost:port"], 2, "USAGE"),
        (["ping", "--nope"], 2, "USAGE"),
        (["pusj"], 2, "USAGE"),
        (["push"], 2, "USAGE"),
        (["ping", "--json"], 2, "USAGE"),
        (["push", "q", "{bad"], 2, "BAD_JSON"),
        (["push", "q", "--file", "/nowhere"], 2, "USAGE"),
        (["push", "q", "--file", "/"], 2, "USAGE"),
        (["wal", "check", "--data-dir", "/nowhere"], 3, "UNREADABLE"),
        (["wal", "dump", "--data-dir", "/nowhere"], 3, "UNREADABLE"),
        (["wal", "repair", "--data-dir", "/nowhere"], 3, "UNREADABLE"),
        (["backup", "/nowhere/b", "--data-dir", "/nowhere"], 3, "UNREADABLE"),
        (["serve"], 2, "USAGE"),
    ],
)
def test_every_error_in_json_has_one_form(
    here: Here, arguments: list[str], exit_code: int, code: str
) -> None:
    refused = here(*arguments, "--json")
    assert (refused.code, refused.out) == (exit_code, "")
    assert _error(refused.err)["code"] == code


def test_refusals_of_a_server_in_json_have_that_form_too(
    here: Here, address: str, queue: str
) -> None:
    for arguments, code in (
        (["pull", queue, "--wait", "0"], "NO_JOB"),
        (["job", "9007199254740991"], "NOT_FOUND"),
        (["ack", "9007199254740991", "9007199254740990"], "NOT_FOUND"),
        (["fail", "9007199254740991"], "NOT_FOUND"),
        (["dead", "retry", queue, "--id", "1", "--id", "2"], "NOT_FOUND"),
        (["push", queue, "[" * 600 + "]" * 600], "BAD_JSON"),
    ):
        refused = here(*arguments, "--json", "--url", address)
        assert refused.code == 1
        assert _error(refused.err)["code"] == code


def test_tab_completes_the_names_of_queues(address: str, terminal: Terminal) -> None:
    terminal.ok("push", "completed-one", "1")
    terminal.ok("push", "completed-two", "1")
    complete = BashComplete(group, {}, "magicqueue", "_MAGICQUEUE_COMPLETE")
    found = complete.get_completions(["pull", "--url", address], "completed-")
    assert [item.value for item in found] == ["completed-one", "completed-two"]
    assert complete.get_completions(["pull", "--url", _NOT_THERE], "c") == []


def test_a_full_disk_is_said(terminal: Terminal) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = terminal.run_in_shell("queues > /dev/full")
    assert done.code == 1
    assert done.err == (
        "magicqueue: standard output cannot be written: No space left on device\n"
    )
