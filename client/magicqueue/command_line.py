"""What all commands of `magicqueue` have in common, the client's and the server's.

An option given twice is refused, since the user means both and the parser would silently
take the last; unless it takes several values. A wrong value is blamed on the environment's
variable if it came from there. Errors have one form, for people and (--json) for programs.
"""

import os
from collections import Counter
from typing import IO, Any, Final

import click
import msgspec
from click.core import ParameterSource

from magicqueue.plain_text import plain, plain_json, plain_lines

_TWICE: Final = 2


class Command(click.Command):
    """A command whose options are given once each, or are refused."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError."""
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            _blame_the_environment(ctx, error)
            raise

    def _refuse_repeated(self, ctx: click.Context, args: list[str]) -> None:
        try:
            _, _, given = self.make_parser(ctx).parse_args(list(args))
        except click.NoSuchOption as error:
            if not error.option_name[1:2].isdigit():
                raise
            raise click.UsageError(
                f"{error.option_name} is no option: what begins with - but is none comes"
                f" behind --, as in `{ctx.command_path} … -- {error.option_name}`",
                ctx,
            ) from None
        times = Counter(option for option in given if isinstance(option, click.Option))
        if any("--help" in option.opts for option in times):
            return
        for option, number in times.items():
            if number > 1 and not option.multiple and not option.count:
                raise click.UsageError(self.once(option, number), ctx)

    def once(self, option: click.Option, times: int) -> str:
        """Say that an option was given several times; a command may say what to do."""
        name = "/".join([max(option.opts, key=len), *option.secondary_opts])
        return f"{name} was given {'twice' if times == _TWICE else f'{times} times'}"


class Group(click.Group):
    """A group of such commands."""

    command_class: type[click.Command] | None = Command


def _blame_the_environment(ctx: click.Context, error: click.BadParameter) -> None:
    option = error.param
    if option is None or not option.envvar:
        return
    if ctx.get_parameter_source(option.name) is ParameterSource.ENVIRONMENT:
        names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
        error.param_hint = next(name for name in names if os.environ.get(name))


class Failed(click.ClickException):
    """A command came to nothing.

    where: the command, for people. code: for programs. as_json: whether --json was given.
    """

    def __init__(
        self,
        sentence: str,
        code: str,
        exit_code: int = 1,
        *,
        where: str = "",
        as_json: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance's
        self.where = where
        self.as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on standard error."""
        del file
        tell(self.message, self.code, where=self.where, as_json=self.as_json)


def tell(sentence: str, code: str, *, where: str = "", as_json: bool = False) -> None:
    """Say an error on standard error: a sentence, or one JSON document in one line."""
    if as_json:
        sendable = sentence.encode(errors="backslashreplace").decode()
        write_json({"ok": False, "error": sendable, "code": code}, err=True)
        return
    click.echo(f"magicqueue{where and ' '}{where}: {plain(sentence)}", err=True)


def tell_usage(error: click.UsageError, *, as_json: bool = False) -> None:
    """Say what is wrong with the arguments, and where the manual is."""
    sentence = error.format_message()
    if as_json:
        tell(sentence, "USAGE", as_json=True)
        return
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    first, *more = plain_lines(sentence)
    click.echo("\n  ".join([f"Error: {first}", *more]), err=True)


def write_json(document: Any, *, err: bool = False) -> None:
    """Write one JSON document in one line that commands no terminal."""
    click.echo(plain_json(msgspec.json.encode(document)), err=err)


def say(text: str) -> None:
    """Write a line of the command's answer."""
    click.echo(plain(text))


def note(text: str) -> None:
    """Write a line beside the answer, on standard error."""
    click.echo(plain(text), err=True)


def many(number: int, what: str) -> str:
    """Write "1 job" or "1,234 jobs"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def is_styled(stream: IO[Any]) -> bool:
    """Whether a stream is a terminal that may be sent colours and cursor moves."""
    plain_wanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain_wanted
