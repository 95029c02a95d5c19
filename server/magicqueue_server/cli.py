"""`magicqueue serve`: options in, a running server out, and what it says to people."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from magicqueue.command_line import Command
from magicqueue_cores import array_kernels, has_array_kernels
from magicqueue_server import app, config, logs, loop, memory
from magicqueue_server.about import version
from magicqueue_server.listening import StartError
from magicqueue_server.options import OPTIONS, Option
from magicqueue_server.starting import Start

EXIT_CANNOT_START = 1
EXIT_BAD_OPTION = 2
EXIT_INTERRUPTED = 130

_log = logging.getLogger("magicqueue")

_EPILOG: Final = """\b
Examples:
  magicqueue serve
  magicqueue serve --persist --data-dir /var/lib/magicqueue --fsync always
  magicqueue serve --log postgres://mq@db1,db2,db3/mq
  magicqueue serve --config /etc/magicqueue.toml --print-config
  magicqueue serve --unix-socket /run/magic-queue.sock --core array

\b
SPAN is 500ms, 30s, 5m, 1h30m or 2d; SIZE is 64KiB, 512MiB or 2GB.

\b
Signals:
  SIGHUP           read tokens and certificates again, open the log file anew
  SIGTERM, SIGINT  stop: no new jobs, those under way may be settled; a second
                   one, or one while it starts, ends it at once

\b
Exit codes:
  0  stopped in good order
  1  it cannot listen, or cannot use the data folder
  2  wrong usage, or an option that cannot be
  3  the log is damaged, or cannot be read: `magicqueue wal check` says more
  4  the disk, or PostgreSQL, failed (with --on-disk-error exit)
  5  another server has taken over the log in PostgreSQL
  130, 143  ended at once by SIGINT, SIGTERM: at the start, or by a second
            signal
"""


def click_option(option: Option) -> click.Option:
    """Make an option of the command line of one of the server's."""
    flag = f"--{option.name.replace('_', '-')}"
    names = [f"{flag}/--no-{option.name}"] if option.is_flag else [flag]
    variables = ", ".join(option.variables)
    return click.Option(
        [*names, option.name],
        default=None,
        metavar=None if option.is_flag else option.kind,
        help=f"{option.help} [default: {option.default or 'none'}; env: {variables}]",
    )


@click.command("serve", cls=Command, epilog=_EPILOG)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="MAGICQUEUE_CONFIG",
    help="TOML file of options, named as here with underscores. [env: MAGICQUEUE_CONFIG]",
)
@click.option(
    "--print-config", is_flag=True, help="Show every setting, its source, and exit."
)
def serve(config_path: Path | None, *, print_config: bool, **flags: Any) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    It listens on TCP or on a Unix socket, and holds jobs in memory; with --persist also
    in a log, from which a restart brings them back. Without --tokens everybody who
    reaches it may do everything, so it listens for this machine only.

    An option given here wins over the environment, that over the config file.
    """
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in flags.items()
    }
    form = config.log_format(texts, os.environ)
    try:
        settings = config.load(texts, os.environ, config_path)
    except config.ConfigError as error:
        _fail(str(error), EXIT_BAD_OPTION, form)
    if print_config:
        click.echo(settings.printed())
        return
    form = settings["log_format"]
    try:
        logs.set_up(settings["log_level"], form, settings["log_file"])
    except OSError as error:
        sentence = f"cannot write the log file {settings['log_file']}: {error.strerror}"
        _fail(sentence, EXIT_CANNOT_START, form)
    memory.tune_heap()
    try:
        with (
            Start() as start,
            asyncio.Runner(loop_factory=loop.loop_factory(settings["loop"])) as runner,
        ):
            runner.run(_serve(settings, start))
    except StartError as error:
        _fail(str(error), error.exit_code, form)
    except ImportError as error:
        _fail(str(error), EXIT_CANNOT_START, form)
    except app.LogEnded as error:
        _fail(str(error), error.exit_code, form)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


serve.params.extend(click_option(option) for option in OPTIONS)


async def _serve(settings: config.Config, start: Start) -> None:
    server = app.App(settings, version=version())
    await server.serve(lambda server: _announce(server, settings), start.over)


def _announce(server: app.App, settings: config.Config) -> None:
    """Say where the server listens, what runs, what becomes of jobs, and who said so."""
    memory.tune_collector()
    form, file = settings["log_format"], settings["log_file"]

    def say(text: str, **facts: Any) -> None:
        logs.announce(text, form, **facts)
        if file:
            logs.event(_log, logging.INFO, text, **facts)

    say(
        f"magicqueue {version()} listens on {server.address}",
        version=version(),
        address=str(server.address),
    )
    core, running = server.engine.core.name, loop.loop_name(asyncio.get_running_loop())
    say(f"{_core_and_why(core, settings)} on {running}", core=core, loop=running)
    if server.http is not None:
        say(f"HTTP at {server.http_address}", http=str(server.http_address))
    if server.tls is not None:
        say(str(server.tls), tls=str(server.tls))
    for line in server.about_jobs():
        say(line)
    elsewhere = settings.chosen_elsewhere()
    if elsewhere:
        say(f"not set by a flag: {', '.join(elsewhere)}", settings=elsewhere)
    if settings.is_open and not server.address.is_loopback:
        logs.event(
            _log,
            logging.WARNING,
            "anyone who can reach this address can push and pull jobs: there are no tokens",
        )
    say("Ctrl-C stops it.")


def _core_and_why(core: str, settings: config.Config) -> str:
    if core == "array":
        return f"array core ({array_kernels()})"
    if core == "python" and settings["core"] == "auto" and not has_array_kernels():
        return f"python core (the array core, which is faster, is {array_kernels()})"
    return f"{core} core"


def _fail(message: str, exit_code: int, log_format: str) -> NoReturn:
    logs.complain(f"magicqueue serve: {message}", log_format)
    sys.exit(exit_code)
