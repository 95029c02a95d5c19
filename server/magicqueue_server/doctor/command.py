"""`magicqueue doctor`: what it takes, and how it tells what it found."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from magicqueue.command_line import Command, many, say, write_json
from magicqueue.spans import span_ms
from magicqueue_server import config as configuration
from magicqueue_server.cli import click_option
from magicqueue_server.clock import SystemClock
from magicqueue_server.config import Config, ConfigError
from magicqueue_server.doctor import doors, folder, machine, postgres
from magicqueue_server.doctor.finding import Finding, failed, ok, skipped
from magicqueue_server.doctor.probe import address_of, probe
from magicqueue_server.options import OPTIONS

_EPILOG: Final = """\b
Examples:
  magicqueue doctor
  magicqueue doctor --config /etc/magicqueue.toml
  magicqueue doctor --url queue.internal:6789 --json

\b
Run it as the server's user, on its machine, with what `serve` is given: what
may be done with a folder or a port is another for another user.

\b
Exit codes:
  0  nothing has failed; there may be warnings
  1  something has: no server can run like this, or it does no work
  2  wrong usage
"""
_TIMEOUT: Final = "10s"


def _span(_: click.Context, option: click.Parameter, value: str) -> float:
    try:
        return max(span_ms(value, plain_ms=1000), 1) / 1000
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}", param=option) from None


@click.command("doctor", cls=Command, epilog=_EPILOG)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="MAGICQUEUE_CONFIG",
    help="The config file of `serve`. [env: MAGICQUEUE_CONFIG]",
)
@click.option(
    "--url",
    envvar="MAGICQUEUE_URL",
    help="The server to be asked. [env: MAGICQUEUE_URL; default: the one configured]",
)
@click.option(
    "--timeout",
    default=_TIMEOUT,
    callback=_span,
    metavar="SPAN",
    help=f"How long it may take to answer. [default: {_TIMEOUT}]",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    config_path: Path | None,
    url: str | None,
    timeout: float,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Say whether a server can work here, and what to do if not.

    It looks at the configuration, the data folder and its disk (or the log in PostgreSQL),
    limits, memory, clock and ports, and has a server that runs do one job in a queue of its
    own. It changes nothing. It takes the options of `serve`, from the same places.
    """
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in flags.items()
    }
    findings: list[Finding] = []
    for finding in _findings(texts, config_path, url, timeout):
        findings.append(finding)
        if not as_json:
            _show(finding)
    fails = sum(one.state == "failed" for one in findings)
    warnings = sum(one.state == "warning" for one in findings)
    if as_json:
        write_json({"ok": not fails, "warnings": warnings, "checks": findings})
    else:
        failures = f"{many(fails, 'check')} failed" if fails else "nothing has failed"
        say("")
        say(f"{failures}, {many(warnings, 'warning')}")
    ctx.exit(1 if fails else 0)


doctor.params.extend(click_option(option) for option in OPTIONS)


def _findings(
    flags: dict[str, str | None], path: Path | None, url: str | None, timeout_s: float
) -> Iterator[Finding]:
    clock = SystemClock()
    try:
        config = configuration.load(flags, os.environ, path)
    except ConfigError as error:
        yield failed(
            "config", str(error), "mend it; `magicqueue serve --print-config` helps"
        )
        if url is not None:
            yield from probe(url, timeout_s, clock, expected=True)
        return
    yield _about_config(config, path)
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: machine.code(config),
        lambda: machine.open_files(config),
        lambda: machine.memory(config),
        lambda: machine.clock(clock),
        lambda: doors.access(config, clock),
        lambda: (
            postgres.log_in_postgres(config, clock)
            if config["log"]
            else folder.data_folder(config, clock)
        ),
        lambda: doors.places(config),
    )
    for look in looks:
        yield from look()
    here = url or _configured(config)
    if here is None:
        yield skipped("server", "its port is known only once it runs", "say --url")
    else:
        yield from probe(here, timeout_s, clock, expected=url is not None)


def _about_config(config: Config, path: Path | None) -> Finding:
    set_here = [name for name, one in config.settings.items() if one.source != "default"]
    where = f"{path} and " if path is not None else ""
    names = f": {', '.join(set_here)}" if set_here else ""
    text = f"{where}{many(len(set_here), 'setting')} that are not the defaults{names}"
    return ok("config", text)


def _configured(config: Config) -> str | None:
    try:
        return address_of(config, config.socket_path(tempfile.gettempdir))
    except FileNotFoundError:
        return None


def _show(finding: Finding) -> None:
    say(f"{finding.state:<8} {finding.check}: {finding.text}")
    if finding.todo:
        say(f"         -> {finding.todo}")
