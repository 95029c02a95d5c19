"""`magicqueue serve`: options in, a running server out, and what it says to people."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from magicqueue.command_line import Command
from magicqueue_cores import array_kernels
from magicqueue_server import app, config, logs, loop, memory
from magicqueue_server.about import version
from magicqueue_server.options import OPTIONS, Option

EXIT_CANNOT_START = 1
EXIT_BAD_OPTION = 2
EXIT_DISK_FAILED = 4

_EPILOG: Final = """\b
Examples:
  magicqueue serve
  magicqueue serve --persist --data-dir /var/lib/magicqueue --fsync always
  magicqueue serve --config /etc/magicqueue.toml --print-config
  magicqueue serve --unix-socket /run/magic-queue.sock --core array

\b
SPAN is 500ms, 30s, 5m, 1h30m or 2d; SIZE is 64KiB, 512MiB or 2GB.

\b
Signals:
  SIGTERM, SIGINT  stop: no new jobs, those under way may be settled; a second
                   one ends it at once

\b
Exit codes:
  0  stopped in good order
  1  it cannot listen, or cannot open the log
  2  wrong usage, or an option that cannot be
  4  the disk failed (with --on-disk-error exit)
  130  ended at once
"""


def _click_option(option: Option) -> click.Option:
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
    in a log, from which a restart brings them back. There is no authentication.

    An option given here wins over the environment, that over the config file.
    """
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in flags.items()
    }
    try:
        settings = config.load(texts, os.environ, config_path)
    except config.ConfigError as error:
        _fail(str(error), EXIT_BAD_OPTION)
    if print_config:
        click.echo(settings.printed())
        return
    logs.set_up(settings["log_level"], settings["log_format"])
    memory.tune_heap()
    try:
        with asyncio.Runner(loop_factory=loop.loop_factory(settings["loop"])) as runner:
            runner.run(_serve(settings))
    except app.StartError as error:
        _fail(str(error), error.exit_code)
    except ImportError as error:
        _fail(str(error), EXIT_CANNOT_START)
    except app.DiskFailed as error:
        _fail(str(error), EXIT_DISK_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


serve.params.extend(_click_option(option) for option in OPTIONS)


async def _serve(settings: config.Config) -> None:
    server = app.App(settings, version=version())
    await server.serve(_announce)


def _announce(server: app.App) -> None:
    memory.tune_collector()
    running = loop.loop_name(asyncio.get_running_loop())
    click.echo(f"magicqueue {version()} listens on {server.address}")
    core = server.engine.core.name
    how = f" ({array_kernels()})" if core == "array" else ""
    click.echo(f"{core} core{how} on {running}")
    for line in server.about_jobs():
        click.echo(line)
    if not app.is_loopback(server.address):
        click.echo(
            "warning: anyone who can reach this address can push and pull jobs:"
            " there is no authentication",
            err=True,
        )
    click.echo("Ctrl-C stops it.")


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(f"magicqueue serve: {message}", err=True)
    sys.exit(exit_code)
