"""The sentences for connections that fail: what, where, why, and what to do."""

from magicqueue.address import Address
from magicqueue.errors import ConnectionLost, ConnectionRefused, RequestTimeout


def refused_connection(address: Address, reasons: list[str]) -> ConnectionRefused:
    """Say that nobody answers, why, and what to do."""
    why = "; ".join(dict.fromkeys(reasons)) or "no address for it"
    return ConnectionRefused(
        f"no server answers at {address} ({why}): start one with `magicqueue serve`,"
        " or give its address as url=… or in MAGICQUEUE_URL"
    )


def lost_connection(address: Address, why: Exception | None) -> ConnectionLost:
    """Say that the connection ended while a request may have been under way."""
    reason = f" ({getattr(why, 'strerror', None) or why})" if why else ""
    return ConnectionLost(
        f"the connection to {address} was lost{reason}: a request under way may or may"
        " not have been carried out"
    )


def silent_server(address: Address, seconds: float) -> RequestTimeout:
    """Say that the server owes a reply for too long."""
    return RequestTimeout(
        f"the server at {address} has not answered for {seconds:g} s: the request may"
        " still be carried out"
    )
