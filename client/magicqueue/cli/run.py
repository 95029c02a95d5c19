"""From arguments to an exit code: every expected error is one sentence, no traceback.

0 done    1 refused, or not found    2 wrong usage    3 no server that answers
130 interrupted    141 nobody reads the output any more
"""

import errno
import os
import sys
from dataclasses import dataclass
from typing import Final

import click

from magicqueue.cli.group import NobodyReads, group
from magicqueue.cli.interrupts import EXIT_INTERRUPTED, end_at_once
from magicqueue.cli.phrases import said_here
from magicqueue.errors import (
    BadAddress,
    ConnectionLost,
    ConnectionRefused,
    HandlerNotFound,
    MagicQueueError,
    RequestError,
    RequestTimeout,
)

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_SERVER: Final = 3
EXIT_BROKEN_PIPE: Final = 141
_OUTPUT_LOST: Final = frozenset(
    {errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
)
"""How writing to standard output fails that is closed, or a file on a full disk."""


@dataclass
class Said:
    """What the user asked for that also holds for errors."""

    json: bool = False


def run(arguments: list[str]) -> int:
    """Run one command line; gives its exit code."""
    said = Said()
    try:
        code = _invoke(arguments, said)
        sys.stdout.flush()
    except (NobodyReads, BrokenPipeError):
        _silence_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        # Files that cannot be read have names, and what sockets raise was dealt with.
        if error.filename is not None or error.errno not in _OUTPUT_LOST:
            raise
        _silence_output()
        sentence = f"standard output cannot be written: {error.strerror}"
        _tell(sentence, type(error).__name__, said)
        return EXIT_REFUSED
    return code


def _invoke(arguments: list[str], said: Said) -> int:
    try:
        code = group.main(
            arguments, prog_name="magicqueue", standalone_mode=False, obj=said
        )
    except (KeyboardInterrupt, click.Abort):
        end_at_once()
        return EXIT_INTERRUPTED
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _tell(error.message, type(error).__name__, said)
        return error.exit_code
    except MagicQueueError as error:
        code = error.code if isinstance(error, RequestError) else type(error).__name__
        _tell(said_here(error), code, said)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0


def _tell(sentence: str, code: str, said: Said) -> None:
    if said.json:
        import orjson  # noqa: PLC0415 - seldom needed

        reply = {"ok": False, "error": sentence, "code": code}
        click.echo(orjson.dumps(reply), err=True)
    else:
        click.echo(f"magicqueue: {sentence}", err=True)


def exit_code_of(error: MagicQueueError) -> int:
    """Give the exit code that stands for an error."""
    if isinstance(error, (ConnectionRefused, ConnectionLost, RequestTimeout)):
        return EXIT_NO_SERVER
    if isinstance(error, (BadAddress, HandlerNotFound)):
        return EXIT_USAGE
    return EXIT_REFUSED


def _silence_output() -> None:
    """Keep the interpreter from failing once more when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
