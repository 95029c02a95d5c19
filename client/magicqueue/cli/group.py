"""Which commands there are, and where. A command's module is imported when it is used.

The commands of other packages, the server's above all, are entry points of the group
"magicqueue.commands", since the client must work without a server's code; what --version
tells is one of "magicqueue.about".
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from magicqueue.cli import interrupts
from magicqueue.command_line import Failed, Group

PLUGINS: Final = "magicqueue.commands"
ABOUT: Final = "magicqueue.about"

_SECTIONS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Jobs": {
        "push": ("push", "Store jobs, from arguments, a file or standard input."),
        "flow": ("flow", "Store jobs that depend on each other, from a JSON file."),
        "pull": ("pull", "Take jobs and print them."),
        "ack": ("settle", "Settle jobs as done."),
        "fail": ("settle", "Settle jobs as failed."),
        "cancel": ("cancel", "Let jobs not run, or not again."),
        "promote": ("cancel", "Make delayed jobs ready now."),
        "wait": ("endings", "Wait for jobs to end."),
        "result": ("endings", "Print what came of a job."),
        "job": ("look", "Show jobs, by their ids."),
        "jobs": ("browse", "List the jobs of a queue."),
        "bulk": ("browse", "Cancel, promote, retry or purge all jobs that match."),
    },
    "Queues": {
        "queues": ("counts", "List the queues with their counts."),
        "events": ("events", "Print what happens to jobs, as it happens."),
        "stats": ("counts", "Count jobs, once or again and again."),
        "dead": ("dead", "List, retry or purge dead letters."),
        "pause": ("admin", "Hand out no more jobs of a queue."),
        "resume": ("admin", "Hand out jobs again."),
        "drain": ("admin", "Remove the jobs that wait in a queue."),
        "limit": ("limit", "Limit how many jobs of a queue are handed out."),
        "throttle": ("limit", "Hand out no jobs of a queue for a while."),
        "cron": ("cron", "Have jobs come again and again."),
        "groups": ("groups", "List the groups of a queue's jobs."),
    },
    "Work": {
        "worker": ("worker", "Run a handler on the jobs of a queue."),
        "bench": ("bench", "Measure how fast a running server is."),
        "ping": ("look", "Ask whether the server is there, and how far away."),
    },
}
_HOMES: Final = {
    name: module for rows in _SECTIONS.values() for name, (module, _) in rows.items()
}
_SERVER_HELP: Final = {
    "serve": "Run the server.",
    "doctor": "Say whether a server can work here.",
    "cluster": "Look after the log of servers in PostgreSQL.",
    "token": "Make tokens: who may do what.",
    "wal": "Look at the log of a server, or mend it.",
    "backup": "Copy the log of a server, which may be running.",
}

_EPILOG: Final = """\b
Exit codes:
  0  done
  1  the server refused it, or there is no such job
  2  wrong usage, or a handler that cannot be imported
  3  no server, or none that answers
  130  interrupted
  141  nobody reads the output any more

\b
The server's address is --url, else MAGICQUEUE_URL, else localhost:6789:
  localhost:6789, [::1]:7000, unix:///run/magic-queue.sock

\b
Completion by the Tab key (bash; also zsh_source and fish_source):
  eval "$(_MAGICQUEUE_COMPLETE=bash_source magicqueue)"
"""


class NobodyReads(Exception):
    """The output's reader has gone, as `head` does."""


class LazyGroup(Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command (for completion)."""
        del ctx
        return sorted({*_HOMES, *_SERVER_HELP, *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name in _HOMES:
            module = import_module(f"magicqueue.cli.{_HOMES[cmd_name]}")
            command: click.Command = getattr(module, cmd_name)
            return command
        plugin = _plugins().get(cmd_name)
        if plugin is None:
            if cmd_name in _SERVER_HELP:
                _no_server_here(cmd_name)
            return None
        interrupts.raise_it()
        try:
            loaded: click.Command = plugin.load()
        except ModuleNotFoundError as error:
            if error.name is None or not plugin.module.startswith(error.name):
                raise
            _no_server_here(cmd_name)
        return loaded

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; --help and --version answer here. Raises NobodyReads."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            raise NobodyReads from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises NobodyReads, where click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise NobodyReads from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which name was likely meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near or "mean" in error.message:
                raise
            meant = f"{error.message} Did you mean {near[0]!r}?"
            raise click.UsageError(meant, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        del ctx
        width = max(map(len, _HOMES))
        sections = {
            title: [(name.ljust(width), text) for name, (_, text) in rows.items()]
            for title, rows in _SECTIONS.items()
        }
        plugins = _plugins().keys()
        sections["Server"] = [
            (name.ljust(width), _SERVER_HELP.get(name, f"See {name} --help."))
            for name in (*_SERVER_HELP, *sorted(plugins - _SERVER_HELP.keys()))
        ]
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def entry_points(group: str) -> Iterable[Any]:
    """Give what packages offer to a group."""
    from importlib import metadata  # noqa: PLC0415 - slow

    return metadata.entry_points(group=group)


def _plugins() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=PLUGINS)}


def _no_server_here(name: str) -> NoReturn:
    raise Failed(
        f"`magicqueue {name}` belongs to the server, which is not installed here:"
        " install the whole package, from its clone (`pip install .`) or its wheel",
        "NOT_INSTALLED",
    )


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        for line in _about():
            click.echo(line)
        ctx.exit()


def _about() -> Iterable[str]:
    """Say what this is; the server knows more of it than the client."""
    for about in entry_points(group=ABOUT):
        try:
            lines: Iterable[str] = about.load()()
        except ModuleNotFoundError:
            continue
        return lines
    from magicqueue import __version__  # noqa: PLC0415 - slow

    return (f"magicqueue {__version__}",)


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 92},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def group() -> None:
    """Push jobs to a MagicQueue server, run workers, and look after queues."""
