"""Structured logging: one event a line, as text for people or as JSON for programs.

Code logs an event and its facts: `event(log, logging.INFO, "listening", port=6789)`. What
came from elsewhere is always escaped and, as text, cut, so that no line of the log can be
forged. In the JSON form everything is JSON that the server writes, what it says to whoever
starts it (`announce`, `complain`) included.

With a file, lines are added to that instead of standard error. `reopen` opens it anew: it
goes on under the name that logrotate has freed.

A line goes out in one write, past Python's buffers. Where nobody reads, because the stream
is closed or the pipe broken, lines are lost and the server goes on.
"""

import contextlib
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
_VALUE_CHARS_MAX: Final = 200

_FILE_MODE: Final = 0o640

_log = logging.getLogger("magicqueue")
_start_log = logging.getLogger("magicqueue.start")


def event(logger: logging.Logger, level: int, message: str, **facts: Any) -> None:
    """Log an event with its facts, in the order given."""
    logger.log(level, message, extra={"facts": facts})


def set_up(level: str, log_format: str, file: str = "") -> None:
    """Send what the server logs to standard error, or a file, in the chosen form.

    Raises OSError if that cannot be opened.
    """
    as_json = log_format == "json"
    handler = _FileHandler(Path(file)) if file else _LineHandler()
    handler.setFormatter(_Json() if as_json else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("numba").setLevel(logging.WARNING)  # its debug lines are thousands
    if as_json:
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_uncaught


def reopen() -> None:
    """Open the file anew, if the log goes to one; one that cannot be stays as it was."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _FileHandler):
            try:
                handler.open()
            except OSError as error:
                event(_log, logging.ERROR, "the log file stays as it was", why=error)
            else:
                event(_log, logging.INFO, "the log file was opened anew")


def announce(text: str, log_format: str, **facts: Any) -> None:
    """Tell whoever starts the server, on standard output, whatever the level is."""
    if log_format == "json":
        text = _Json().format(_record(logging.INFO, text, facts))
    _write(sys.stdout, text)


def complain(text: str, log_format: str) -> None:
    """Say, on standard error, why there is no server."""
    if log_format == "json":
        text = _Json().format(_record(logging.ERROR, text, {}))
    _write(sys.stderr, text)


def _record(level: int, text: str, facts: dict[str, Any]) -> logging.LogRecord:
    extra = {"facts": facts}
    return _start_log.makeRecord(_start_log.name, level, "", 0, text, (), None, extra=extra)


class _LineHandler(logging.Handler):
    """Writes to what standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong call of a library must not end a request
            text = f"an event of {record.name} cannot be shown: {record.msg!r}"
        self.write(text)

    def write(self, text: str) -> None:
        """Write a line."""
        _write(sys.stderr, text)


class _FileHandler(_LineHandler):
    """Adds lines to the end of a file. Raises OSError."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: TextIO | None = None
        self.open()

    def open(self) -> None:
        """Go on in the file that has the name now. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, _FILE_MODE)
        before, self._file = self._file, os.fdopen(descriptor, "w")
        if before is not None:
            before.close()

    def close(self) -> None:
        """Be done with it."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def write(self, text: str) -> None:
        """Write a line."""
        _write(self._file, text)


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line, or lose it."""
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        try:
            file = stream.fileno()
        except OSError:  # a stream in memory, as tests have
            stream.write(text + "\n")
            return
        line = (text + "\n").encode("utf-8", "backslashreplace")
        while line:
            line = line[os.write(file, line) :]


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _start_log.critical("the server failed", exc_info=(kind, error, trace))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = getattr(record, "facts", None)
    return facts if isinstance(facts, dict) else {}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {key}={_plain(value)}" for key, value in _facts(record).items())
        name = record.levelname.lower()
        text = f"{_time(record)} {name:<7} {_escaped(record.getMessage())}{facts}"
        if record.exc_info:
            text += "".join(
                "\n    " + _escaped(line)
                for line in self.formatException(record.exc_info).splitlines()
            )
        return text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    return char if char.isprintable() else repr(char)[1:-1]


def _plain(value: Any) -> str:
    text = str(value)
    if not text.isprintable() or " " in text or not text:
        text = repr(text)
    return text if len(text) <= _VALUE_CHARS_MAX else text[:_VALUE_CHARS_MAX] + "…"
