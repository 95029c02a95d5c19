"""Handlers that write down each execution, for workers in this process and in others.

A job's data is a number that says what becomes of it. Each event is one line, written with
O_APPEND by one call, so that a killed process leaves whole lines: what happened, the
number, the job's id, and the attempt.
"""

import asyncio
import functools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from magicqueue import Job

VARIABLE: Final = "MAGICQUEUE_CHAOS_RECORD"
LEASE_S: Final = 0.4
SLOW_S: Final = 0.5
DOOMED: Final = 500
"""Every so many numbers, one always fails."""

SHAKY: Final = 50
"""Every so many numbers, one fails at its first attempt."""

Event: TypeAlias = Literal["started", "returned", "raised", "cancelled"]


class ChaosError(Exception):
    """What a handler raises."""


@dataclass(frozen=True)
class Line:
    """One event of one execution."""

    event: str
    number: int
    id: int
    attempt: int


def in_turn(job: Job) -> None:
    """Run as a plain handler."""
    number = _begin(job)
    if _is_slow(number):
        time.sleep(SLOW_S)
    _end(job, number)


async def in_loop(job: Job) -> None:
    """Run as an async handler."""
    number = _begin(job)
    try:
        if _is_slow(number):
            await asyncio.sleep(SLOW_S)
    except asyncio.CancelledError:  # the lease is over: the worker knows, and ends it
        _write("cancelled", job, number)
        raise
    _end(job, number)


def read(path: Path) -> Iterable[Line]:
    """Give the events that a file holds."""
    for line in path.read_text().splitlines():
        event, number, job_id, attempt = line.split()
        yield Line(event, int(number), int(job_id), int(attempt))


def _begin(job: Job) -> int:
    number = job.data
    assert isinstance(number, int)
    _write("started", job, number)
    return number


def _end(job: Job, number: int) -> None:
    if number % DOOMED == 0 or (number % SHAKY == 0 and job.attempts == 1):
        _write("raised", job, number)
        raise ChaosError(number)
    _write("returned", job, number)


def _is_slow(number: int) -> bool:
    return number % DOOMED == 7


def _write(event: Event, job: Job, number: int) -> None:
    line = f"{event} {number} {job.id} {job.attempts}\n"
    os.write(_file(os.environ[VARIABLE]), line.encode())


@functools.cache
def _file(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
