"""The lines that a worker logs: text for people, or a JSON object each.

Handlers log what they like, and raise it: as text, a message is one harmless line, and
only a traceback has more, each indented, so that none can pass for a record.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Final

from magicqueue.plain_text import plain, plain_lines

_FIELDS: Final = ("job", "queue", "attempt", "duration_ms")
"""What records that concern a job have, see `job_log`."""


class PlainLines(logging.Formatter):
    """Like "2030-01-31T08:00:01.250+01:00 warning [77] job 3 of emails failed…".

    The number is the process's. A traceback stands below, indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; what a handler logged itself names its job at the end."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        when = moment.isoformat(timespec="milliseconds")
        job = getattr(record, "job", None)
        is_ours = record.name == "magicqueue"
        about = "" if job is None or is_ours else f" (job {job})"
        message = plain(record.getMessage())
        level = record.levelname.lower()
        text = f"{when} {level:<7} [{record.process}] {message}{about}"
        below = []
        if record.exc_info:
            below += plain_lines(self.formatException(record.exc_info))
        if record.stack_info:
            below += plain_lines(record.stack_info)
        return "\n    ".join([text, *below])


class JsonLines(logging.Formatter):
    """One JSON object a line; those of a job have its id, queue, attempt and labels."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for field in _FIELDS:
            value = getattr(record, field, None)
            if value is not None:
                line[field] = value
        line |= getattr(record, "labels", None) or {}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str)
