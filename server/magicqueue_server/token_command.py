"""`magicqueue token new`: a secret, and the lines that let its holder in."""

import tomllib
from typing import Any, Final

import click
import msgspec

from magicqueue.command_line import Command, Group, note, write_json
from magicqueue_server.tokens import SCOPES, digest_of, new_secret, token_of

_EPILOG: Final = """\b
Examples:
  magicqueue token new web --scope produce
  magicqueue token new mailer --scope consume --queue mail --queue 'mail-*'
  magicqueue token new admin --scope admin --expires 2030-01-31T00:00:00Z

\b
The lines go to standard output, for `>> tokens.toml`; the secret, which
nobody can show again, to standard error. A server reads its --tokens again
on SIGHUP.

\b
Scopes:
  produce  push jobs, look at them and wait for them
  consume  pull jobs, settle them and keep their leases
  read     counts, queues, jobs and dead letters
  operate  all else: pause, drain, retry, purge
  admin    all of these

\b
Exit codes:
  0  done
  2  wrong usage
"""
_GROUP_EPILOG: Final = """\b
Examples:
  magicqueue token new web --scope produce

\b
Exit codes:
  0  done
  2  wrong usage
"""


@click.group(cls=Group, epilog=_GROUP_EPILOG)
def token() -> None:
    """Make tokens for `magicqueue serve --tokens`."""


@token.command("new", cls=Command, epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it allows; may be given several times.",
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="A queue, or the beginning of names as in mail-*; several; none: all.",
)
@click.option("--expires", help="When it ends, as 2030-01-31T00:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
def new(
    name: str,
    scopes: tuple[str, ...],
    queues: tuple[str, ...],
    expires: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a token called NAME: a secret for its holder, and lines for the server."""
    secret = new_secret()
    row: dict[str, Any] = {"sha256": digest_of(secret).hex(), "scopes": list(scopes)}
    if queues:
        row["queues"] = list(queues)
    lines = [f"[tokens.{_quoted(name)}]"]
    lines += [f"{key} = {_quoted(value)}" for key, value in row.items()]
    if expires is not None:
        lines.append(f"expires = {expires}")
    text = "\n".join(lines) + "\n"
    _check(name, text)
    if as_json:
        write_json({"name": name, "secret": secret, "toml": text})
        return
    note(f"The secret of {name}, shown this once (MAGICQUEUE_TOKEN of its holder):")
    note(secret)
    click.echo(text)


def _quoted(value: Any) -> str:
    """Write a string, or a list of them, as TOML has it."""
    return msgspec.json.encode(value).decode()


def _check(name: str, text: str) -> None:
    """Read the lines as a server will. Raises BadParameter."""
    try:
        token_of(name, tomllib.loads(text)["tokens"][name])
    except tomllib.TOMLDecodeError:
        raise click.BadParameter(
            "must be a time, as 2030-01-31T00:00:00Z", param_hint="--expires"
        ) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
