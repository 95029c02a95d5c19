"""What is said of a log that could not be written."""

from magicqueue.errors import ReadOnly
from magicqueue_server.wal.journal import Deposed


def reason(error: BaseException) -> str:
    """Say in a few words what went wrong."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def read_only(error: BaseException) -> ReadOnly:
    """Make the refusal of whatever would change something."""
    if isinstance(error, Deposed):
        return ReadOnly("another server has taken over the log: connect to that one")
    return ReadOnly(
        "the server is read-only: its log could not be written"
        f" ({reason(error)}); mend the disk, then restart the server"
    )
