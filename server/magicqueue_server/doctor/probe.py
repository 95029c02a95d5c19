"""Asking a server: a job is pushed, pulled and settled, as a producer and a worker would.

It goes through a queue of its own, of which nobody else pulls. No job stays there: it is
settled at once, and should this process end before, it expires within a minute. Two doctors
at a time keep out of each other's way by a unique key.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import quote

from magicqueue.errors import (
    BadAddress,
    ConnectionLost,
    ConnectionRefused,
    Forbidden,
    Full,
    MagicQueueError,
    ProtocolError,
    ReadOnly,
    RequestTimeout,
    Unauthorized,
    Unsupported,
)
from magicqueue.sync_queue import SyncQueue
from magicqueue_server.about import version
from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.doctor.finding import Finding, failed, ok, skipped, warning

QUEUE: Final = "magicqueue-doctor"
_TTL_S: Final = 60
_LEASE_S: Final = 10
_TRIES: Final = 40
_PAUSE_S: Final = 0.1
_SKEW_MS: Final = 2_000
_ANYWHERE: Final = frozenset({"", "::", "0.0.0.0"})  # noqa: S104 - what may be configured
_TODO: Final[dict[type[MagicQueueError], str]] = {
    ConnectionRefused: "start it, or say with --url where it is",
    ConnectionLost: "look into its log: it closed the connection",
    RequestTimeout: "look into its log: it is there, and does not answer",
    ProtocolError: "another program has that port: choose another --port",
    Unauthorized: "put a token of the scopes produce and consume into MAGICQUEUE_TOKEN",
    Forbidden: "ask with a token of the scopes produce and consume that covers the queue"
    f" {QUEUE}",
    Full: "make room, by workers or by a larger bound: until then pushes are refused",
    ReadOnly: "look into its log why it cannot be written, mend that, and start it anew",
    BadAddress: "mend the address",
}


def address_of(config: Config, path: Path | None) -> str | None:
    """Give the address of the server that is configured, None where it has none yet.

    path: of its Unix socket, if it listens there.
    """
    if path is not None:
        return f"unix://{quote(str(path.absolute()))}"
    if not config["port"]:
        return None
    host = config["host"]
    if host in _ANYWHERE:
        host = "localhost"
    place = f"[{host}]" if ":" in host else host
    scheme = "magicqueues" if config["tls_cert"] else "magicqueue"
    return f"{scheme}://{place}:{config['port']}"


def probe(url: str, timeout_s: float, clock: Clock, *, expected: bool) -> Iterator[Finding]:
    """Ask the server at an address.

    expected: whether it has to be there; else one that is not started is no fault.
    """
    try:
        with SyncQueue(QUEUE, url, timeout=timeout_s) as queue:
            yield from _asked(queue, clock)
    except ConnectionRefused as error:
        if expected:
            yield failed("server", str(error), _TODO[ConnectionRefused])
        else:
            yield skipped("server", "none runs", "start it, and ask again")
    except MagicQueueError as error:
        known = (todo for kind, todo in _TODO.items() if isinstance(error, kind))
        yield failed("server", str(error), next(known, "look into its log"))


def _asked(queue: SyncQueue, clock: Clock) -> Iterator[Finding]:
    info = queue.hello()
    here = version()
    text = (
        f"{info.server} {info.version} at {queue.address}, {info.core} core, persistence"
        f" {info.persistence}"
    )
    if info.version != here:
        yield warning(
            "server", f"{text}; installed here is {here}", "restart it after an upgrade"
        )
    else:
        yield ok("server", text)
    before_ms = clock.now_ms()
    times = [clock.monotonic_ns()]
    job_id = _pushed(queue)
    if job_id is None:
        yield skipped("job", "another doctor is at work on this server", "ask again")
        return
    times.append(clock.monotonic_ns())
    try:
        job = queue.pull(timeout=_LEASE_S, lease=_LEASE_S)
        times.append(clock.monotonic_ns())
        if job is None or job.id != job_id:
            yield failed(
                "job",
                f"job {job_id} was pushed to {QUEUE} and did not come",
                f"see who else pulls from there (`magicqueue job {job_id}`)",
            )
            return
        queue.ack(job)
        times.append(clock.monotonic_ns())
    except MagicQueueError:
        _take_back(queue, job_id)
        raise
    took = [(after - before) / 1e6 for before, after in pairwise(times)]
    yield ok(
        "job",
        "pushed in {:.2f} ms, pulled in {:.2f} ms, settled in {:.2f} ms".format(*took),
    )
    skew_ms = job.created_at_ms - before_ms
    if abs(skew_ms) > _SKEW_MS + sum(took):
        yield warning(
            "clock",
            f"the server's clock is {abs(skew_ms) / 1000:,.1f} s"
            f" {'ahead of' if skew_ms > 0 else 'behind'} this one",
            "let NTP keep both right: `run_at` and `created_at` are the server's",
        )


def _pushed(queue: SyncQueue) -> int | None:
    """Store the job; None if another doctor's is there all the time."""
    for _ in range(_TRIES):
        try:
            job_id = queue.push(QUEUE, ttl=_TTL_S, unique_key=QUEUE)
        except Unsupported:  # an older server
            return queue.push(QUEUE)
        if not job_id.duplicate:
            return job_id
        time.sleep(_PAUSE_S)
    return None


def _take_back(queue: SyncQueue, job_id: int) -> None:
    """Let the job not stay, if that can be had."""
    try:
        queue.cancel(job_id)
    except MagicQueueError:
        return
