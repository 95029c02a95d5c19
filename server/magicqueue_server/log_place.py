"""Where a server's log is to be, as its options say: a folder, or PostgreSQL.

What PostgreSQL needs is imported only if it was asked for.
"""

import os
import socket
import time
from pathlib import Path
from typing import Final

from magicqueue_server.about import way_to_psycopg
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.randomness import salt
from magicqueue_server.wal.disk import Locked
from magicqueue_server.wal.place import LocalPlace, Place
from magicqueue_server.wal.verdict import Refused

EXIT_CANNOT_START: Final = 1
EXIT_BAD_OPTION: Final = 2
_STATEMENT_MS: Final = 10_000


class CannotOpen(Exception):
    """The log cannot be used; the text says why and what to do."""

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


def find_place(config: Config, clock: Clock) -> Place | None:
    """Take the place where the log is to be, None if there is to be no log.

    Raises CannotOpen.
    """
    if config["log"]:
        return _in_postgres(config, clock)
    if not config["persist"]:
        return None
    path = Path(config["data_dir"])
    try:
        return LocalPlace(
            path,
            mode=config["fsync"],
            segment_bytes=config["segment_size"],
            now_ms=clock.now_ms,
        )
    except Locked as error:
        raise CannotOpen(str(error), EXIT_CANNOT_START) from None
    except OSError as error:
        raise CannotOpen(
            f"cannot use the data folder {path}: {error.strerror}", EXIT_CANNOT_START
        ) from None


def _in_postgres(config: Config, clock: Clock) -> Place:
    try:
        from magicqueue_server.wal.store import LogStore  # noqa: PLC0415 - see above
        from magicqueue_server.wal.store_place import StorePlace  # noqa: PLC0415
        from magicqueue_server.wal.store_postgres import PostgresEngine  # noqa: PLC0415
    except ImportError as error:
        raise CannotOpen(
            f"--log needs psycopg ({error}): {way_to_psycopg()}",
            EXIT_CANNOT_START,
        ) from None
    quorum = config["log_durability"] == "quorum"
    give_up_ms, lease_ms = config["log_give_up"], config["log_lease"]
    statement_ms = min(_STATEMENT_MS, give_up_ms)
    try:
        engine = PostgresEngine(config["log"], quorum=quorum, statement_ms=statement_ms)
    except Refused as error:
        raise CannotOpen(str(error), EXIT_BAD_OPTION) from None
    store = LogStore(
        engine,
        f"{socket.gethostname()}, process {os.getpid()} ({salt():08x})",
        lease_ms=lease_ms,
        give_up_ms=give_up_ms,
        monotonic_ns=clock.monotonic_ns,
        sleep=_sleep,
    )
    return StorePlace(
        store,
        lease_ms=lease_ms,
        segment_bytes=config["segment_size"],
        now_ms=clock.now_ms,
        sleep=_sleep,
        promise="a reply means that a quorum of its servers has it on their disks"
        if quorum
        else "a reply means that it is on the disk of that one server",
    )


def _sleep(span_ms: int) -> None:
    time.sleep(span_ms / 1000)
