"""Structured logging: one event a line, as text for people or as JSON for programs.

Code logs an event and its facts: `log.info("listening", extra={"facts": {...}})`, mostly
through `event`. What came from a client is always escaped and cut, so that no line of the
log can be forged.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
_VALUE_CHARS_MAX: Final = 200


def event(logger: logging.Logger, level: int, message: str, **facts: Any) -> None:
    """Log an event with its facts, in the order given."""
    logger.log(level, message, extra={"facts": facts})


def set_up(level: str, log_format: str) -> None:
    """Send what the server logs to standard error in the chosen form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


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
