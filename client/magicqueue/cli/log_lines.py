"""The lines that a worker logs: text for people, or a JSON object each."""

import json
import logging
from datetime import UTC, datetime
from typing import Final

_FIELDS: Final = ("job", "queue", "attempt", "duration_ms")
"""What records that concern a job have, see `job_log`."""


class PlainLines(logging.Formatter):
    """Like "2030-01-31T08:00:01.250+01:00 warning [77] job 3 of emails failed…".

    The number is the process's. A traceback stands below.
    """

    def __init__(self) -> None:
        super().__init__("%(moment)s %(level)-7s [%(process)d] %(message)s%(about)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; what a handler logged itself names its job at the end."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        record.moment = moment.isoformat(timespec="milliseconds")
        record.level = record.levelname.lower()
        job = getattr(record, "job", None)
        is_ours = record.name == "magicqueue"
        record.about = "" if job is None or is_ours else f" (job {job})"
        return super().format(record)


class JsonLines(logging.Formatter):
    """One JSON object a line; those of a job have its id, queue and attempt."""

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
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
