"""Each command's help is its manual: what it does, its options, examples, exit codes."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from magicqueue.cli.group import PLUGINS, entry_points, group

if not list(entry_points(PLUGINS)):
    pytest.skip(
        "the package is not installed, so its entry points are not there",
        allow_module_level=True,
    )


def _commands(
    parent: click.Group, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        assert command is not None
        path = (*above, name)
        yield " ".join(path), command
        if isinstance(command, click.Group):
            yield from _commands(command, path)


COMMANDS = dict(_commands(group))


def _manual(name: str) -> str:
    command = COMMANDS[name]
    return command.get_help(click.Context(command, info_name=f"magicqueue {name}"))


def _examples(name: str) -> list[str]:
    (block,) = re.findall(r"(?m)^  Examples:\n((?:    .+\n)+)", _manual(name))
    return [line.strip() for line in block.splitlines()]


def test_all_commands_are_looked_at() -> None:
    assert {"push", "serve", "wal check", "dead retry", "backup"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_manual_is_whole(name: str) -> None:
    manual = _manual(name)
    assert manual.startswith(f"Usage: magicqueue {name} ")
    assert "\\b" not in manual
    assert "(env var" not in manual
    assert re.search(r"(?m)^  Exit codes:\n    0  ", manual)
    assert max(map(len, manual.splitlines())) <= 80
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_right(name: str) -> None:
    for example in _examples(name):
        (typed,) = re.findall(r"(?:^|\| )magicqueue ([^|]+)", example)
        words = shlex.split(typed)
        assert " ".join(words).startswith(name)
        command: click.Command | None = group
        context, called = click.Context(group), None
        while isinstance(command, click.Group):
            called, command, words = command.resolve_command(context, words)
        assert command is not None
        assert not command.make_context(called, words).args


def test_the_overview_names_all_commands_and_says_what_they_do() -> None:
    overview = group.get_help(click.Context(group))
    for name in COMMANDS:
        if " " not in name:
            assert re.search(rf"(?m)^  {name} +[A-Z].+\.$", overview)
    assert "See " not in overview
