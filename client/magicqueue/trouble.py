"""The sentences for connections that fail: what, where, why, and what to do."""

import os

from magicqueue.address import Address
from magicqueue.errors import (
    ConnectionLost,
    ConnectionRefused,
    MagicQueueError,
    RequestTimeout,
)


def refused_connection(address: Address, reasons: list[str]) -> ConnectionRefused:
    """Say that nobody answers, and why."""
    why = "; ".join(dict.fromkeys(reasons)) or "no address for it"
    return ConnectionRefused(str(address), why)


def reason_of(error: BaseException) -> str:
    """Say why the system refused; event loops put their own words into `strerror`.

    An error of TLS has a library, and a number that is none of the system's.
    """
    if isinstance(error, OSError) and error.errno and not hasattr(error, "library"):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def fact_of(error: MagicQueueError) -> str:
    """Say what is wrong for a log, without what to do."""
    return error.fact if isinstance(error, ConnectionRefused) else str(error)


def lost_connection(address: Address, why: Exception | None) -> ConnectionLost:
    """Say that the connection ended while a request may have been under way."""
    reason = f" ({reason_of(why)})" if why else ""
    return ConnectionLost(
        f"the connection to {address} was lost{reason}: a request under way may or may"
        " not have been carried out"
    )


def forked_connection(address: Address) -> ConnectionLost:
    """Say that a request was the parent's."""
    return ConnectionLost(
        f"the process was forked while a request to {address} was under way: its answer"
        " goes to the parent process"
    )


def late_reply(address: Address, seconds: float) -> RequestTimeout:
    """Say that the server owes a reply, or the rest of one, for too long."""
    return RequestTimeout(
        f"the server at {address} has not answered within {seconds:g} s: the request may"
        " still be carried out"
    )
