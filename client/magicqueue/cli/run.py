"""From arguments to an exit code: every expected error is one sentence, no traceback.

0 done    1 refused, or not found    2 wrong usage    3 no server that answers
130 interrupted    141 nobody reads the output any more
"""

import errno
import io
import os
import re
import sys
from typing import Final

import click

from magicqueue.cli.group import NobodyReads, group
from magicqueue.cli.interrupts import EXIT_INTERRUPTED, end_at_once
from magicqueue.cli.phrases import said_here
from magicqueue.command_line import Failed, tell, tell_usage
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
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_OUTPUT_LOST: Final = frozenset(
    {errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
)
"""How writing to standard output fails that is closed, or a file on a full disk."""


def run(arguments: list[str]) -> int:
    """Run one command line; gives its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(arguments, as_json=_asks_for_json(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
    except (NobodyReads, BrokenPipeError):
        _silence_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        # Files that cannot be read have names, and what sockets raise was dealt with.
        if error.filename is not None or error.errno not in _OUTPUT_LOST:
            raise
        sentence = f"standard output cannot be written: {error.strerror}"
        tell(sentence, "FILE", as_json=_asks_for_json(arguments))
        _silence_output()
        return EXIT_REFUSED
    return code


def _invoke(arguments: list[str], *, as_json: bool) -> int:
    try:
        code = group.main(arguments, prog_name="magicqueue", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        end_at_once()
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except (click.ClickException, MagicQueueError, OSError) as error:
        return _told(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _told(error: click.ClickException | MagicQueueError | OSError, *, as_json: bool) -> int:
    """Say an error; gives the exit code."""
    if isinstance(error, MagicQueueError):
        tell(said_here(error), code_of(error), as_json=as_json)
        return exit_code_of(error)
    if isinstance(error, OSError):
        if error.filename is None and error.errno in _OUTPUT_LOST:
            raise error
        where = f"{error.filename}: " if error.filename else ""
        tell(f"{where}{error.strerror or error}", "FILE", as_json=as_json)
        return EXIT_REFUSED
    if isinstance(error, click.UsageError):
        tell_usage(error, as_json=as_json)
    elif isinstance(error, Failed):
        tell(error.message, error.code, where=error.where, as_json=as_json)
    else:
        tell(error.format_message(), "FILE", as_json=as_json)
    return error.exit_code


def _asks_for_json(arguments: list[str]) -> bool:
    """Whether --json was given, also where the rest cannot be read."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def code_of(error: MagicQueueError) -> str:
    """Give the word that stands for an error in JSON: ConnectionLost, CONNECTION_LOST."""
    if isinstance(error, RequestError):
        return error.code
    return _CAPITAL.sub("_", type(error).__name__).upper()


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
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
