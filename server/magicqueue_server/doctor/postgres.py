"""Whether a log in PostgreSQL can be used: reached, of the right tables, copied, owned."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from magicqueue_server.about import way_to_psycopg
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.doctor.finding import Finding, failed, ok, size, warning
from magicqueue_server.wal.journal import StoreFailed
from magicqueue_server.wal.verdict import BadAddress

if TYPE_CHECKING:
    from magicqueue_server.wal.postgres_schema import Status

_SLOW_MS: Final = 2_000
_LOOK: Final = "`magicqueue cluster status` tells more; docs/cluster.md what is needed"


def log_in_postgres(config: Config, clock: Clock) -> Iterator[Finding]:
    """Look at all of it."""
    try:
        from magicqueue_server.wal.postgres_schema import status  # noqa: PLC0415 - an extra
    except ImportError as error:
        yield failed("log", f"psycopg is needed ({error})", way_to_psycopg())
        return
    before_ns = clock.monotonic_ns()
    try:
        found = status(config["log"])
    except BadAddress as error:
        yield failed("log", str(error), "mend the address")
        return
    except StoreFailed as error:
        yield failed("log", str(error), f"mend what it says; {_LOOK}")
        return
    took_ms = (clock.monotonic_ns() - before_ns) // 1_000_000
    yield _about(found, took_ms)
    quorum = config["log_durability"] == "quorum"
    yield _copies(found, quorum=quorum)
    yield _owner(found, config["log_lease"])


def _about(found: "Status", took_ms: int) -> Finding:
    text = (
        f"{found.place} answers after {took_ms:,} ms: tables of version {found.version}, a"
        f" log of {size(found.log_bytes)}"
    )
    if took_ms > _SLOW_MS:
        return warning("log", text, "look why: each reply to a push waits for PostgreSQL")
    return ok("log", text)


def _copies(found: "Status", *, quorum: bool) -> Finding:
    """Look whether a commit means what --log-durability says, and can come about now."""
    weakness = found.settings.weakness(quorum=quorum)
    if weakness:
        return failed("log copies", weakness, f"change it in PostgreSQL; {_LOOK}")
    waited_for = [s for s in found.standbys if s.sync in {"sync", "quorum"}]
    streaming = [s for s in waited_for if s.state == "streaming"]
    if not quorum:
        copies = f", {len(streaming)} synchronous standbys follow" if streaming else ""
        return ok("log copies", f"a reply means that the one server has it{copies}")
    if any(standby.sync is None for standby in found.standbys):
        return warning(
            "log copies",
            "whether standbys follow is hidden from this role",
            "grant pg_read_all_stats to it, or ask as another one",
        )
    if not streaming:
        return failed(
            "log copies",
            "no synchronous standby follows: every push would wait for one",
            f"start one of {found.settings.standbys}, or mend its connection",
        )
    names = ", ".join(standby.name for standby in streaming)
    text = f"synchronous_standby_names is {found.settings.standbys}; {names} follow"
    if len(streaming) == 1:
        return warning(
            "log copies",
            f"{text}: one is left, and without it every push waits",
            "let a second standby follow",
        )
    return ok("log copies", text)


def _owner(found: "Status", lease_ms: int) -> Finding:
    if not found.owner:
        return ok("log owner", f"nobody has the log (epoch {found.epoch})")
    text = f"{found.owner}, heard of {found.seen_ms:,} ms ago, epoch {found.epoch}"
    if found.seen_ms > lease_ms:
        return ok("log owner", f"{text}: that is over, and the next server takes it")
    return ok("log owner", f"{text}; another server would stand by")
