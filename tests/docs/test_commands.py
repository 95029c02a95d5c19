"""Each `magicqueue …` that a page tells to type is a command, with options that it has."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from docs.pages import DOCS
from magicqueue.cli.group import group

ROOT = DOCS.parent
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *DOCS.rglob("*.md")]
)
_BLOCK = re.compile(r"^```(\w*).*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(
    r"`(magicqueue [^`\n]+)`|^(?:    |\$ )(?:\w+=\S+ )*(magicqueue .+)$", re.MULTILINE
)
_ENDS = frozenset({"|", "||", "&&", "&", ";", "#", ">", ">>", "<", "2>"})
_STANDS_FOR_ANY = frozenset({"COMMAND", "…"})


def typed(text: str) -> Iterator[list[str]]:
    """Give the commands of a page, each as its words."""
    for block in _BLOCK.finditer(text):
        if block[1] in {"", "console", "sh"}:
            for line in block[2].splitlines():
                if re.match(r"(\$ )?magicqueue [a-z]", line):
                    yield _words(line.removeprefix("$ "))
    for found in _TYPED.finditer(_BLOCK.sub("", text)):
        yield _words(found[1] or found[2])


def _words(line: str) -> list[str]:
    words = shlex.split(line.replace(r"\|", "|"), comments=True)[1:]
    end = next((n for n, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


def check(words: list[str]) -> None:
    """Raise UsageError for a command that there is not, or an option that it has not."""
    command: click.Command = group
    context = click.Context(command)
    while isinstance(command, click.Group) and words and words[0][:1] != "-":
        name, *words = words
        if name in _STANDS_FOR_ANY:
            return
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_parser(context).parse_args(list(words))


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_of_a_page_exist(page: str) -> None:
    for words in typed((ROOT / page).read_text()):
        try:
            check(words)
        except click.UsageError as error:
            pytest.fail(f"magicqueue {shlex.join(words)}: {error.format_message()}")


def test_there_are_many() -> None:
    found = [words for page in PAGES for words in typed((ROOT / page).read_text())]
    assert len(found) > 150
    assert ["dead", "list", "emails"] in found


@pytest.mark.parametrize("wrong", ["dead lst emails", "workers", "push q --prio 5"])
def test_what_is_none_is_found(wrong: str) -> None:
    with pytest.raises(click.UsageError):
        check(wrong.split())
