"""Finding the host that serves, for blocking code; see `hosts`."""

from magicqueue.errors import MagicQueueError, Unauthorized
from magicqueue.hosts import Hosts, silent, try_s
from magicqueue.protocol import HELLO, Call
from magicqueue.sync_connection import SyncConnection


def find(
    hosts: Hosts, timeout_s: float, wake_fd: int | None, *, greets: bool
) -> SyncConnection:
    """Connect to the first that answers. Raises ConnectionRefused, or Unauthorized.

    Raises Interrupted, too.
    """
    if not hosts.several:
        return SyncConnection(hosts.current, timeout_s, wake_fd, greets=greets)
    hosts.begin()
    while True:
        try:
            connection = SyncConnection(
                hosts.current,
                timeout_s,
                wake_fd,
                greets=greets,
                connect_s=try_s(timeout_s),
            )
            _answers(connection, try_s(timeout_s))
        except Unauthorized:
            raise
        except MagicQueueError as error:
            hosts.failed(error)
        else:
            return connection


def _answers(connection: SyncConnection, seconds: float) -> None:
    """Wait until a connection has answered HELLO; closes it if it does not."""
    call = Call(HELLO)
    try:
        connection.send(call)
        if not connection.wait_so_long(call, seconds):
            connection.close(silent(seconds))
    except BaseException:
        connection.close()
        raise
    if connection.closed and call.error is not None:
        raise call.error
