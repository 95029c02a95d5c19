"""The file of a Unix socket: taken by one server, and removed by that server alone.

A server that was killed leaves its file behind, so a file at which nobody answers is
replaced. Two servers that start at once would both find it so: the folder is locked while
one looks, removes and binds. It is our own bind and not the event loop's, since loops
remove what stands at the path when they end, whosever it is by then.

The file is removed while its socket is still open: only then is the number of its inode
nobody else's.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MODE: Final = 0o600
_PROBE_S: Final = 1.0
_LOCK_TRIES: Final = 100
_LOCK_PAUSE_S: Final = 0.05


class CannotBind(Exception):
    """The path cannot be had; the text says why and what to do."""


class UnixSocket:
    """A bound, listening socket and its file.

    backlog: how many clients may wait to be accepted. mode, group: of the file; no group
    is this process's own. Raises CannotBind.
    """

    def __init__(self, path: Path, backlog: int, mode: int = MODE, group: str = "") -> None:
        self.path = path
        with _only_one_starts_in(path.parent):
            _clear_stale(path)
            self.sock = _bound(path)
            self._file: tuple[int, int] | None = _identity(path)
            try:
                _open_to(path, mode, group)
            except CannotBind:
                self.remove_file()
                self.sock.close()
                raise
            # Within the lock: bound but not listening, it would look stale to others.
            self.sock.listen(backlog)

    def remove_file(self) -> None:
        """Remove the file, if it still is this socket's; before the socket closes."""
        mine, self._file = self._file, None
        if mine is not None and _identity(self.path) == mine:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _only_one_starts_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; where a folder cannot be locked, nothing is held."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        for tries_left in reversed(range(_LOCK_TRIES)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EINTR}:
                    break
                if not tries_left:
                    raise CannotBind(
                        f"cannot listen in {folder}: another program holds its lock;"
                        " choose another folder for --unix-socket"
                    ) from None
                time.sleep(_LOCK_PAUSE_S)
            else:
                break
        yield
    finally:
        os.close(handle)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_mask = os.umask(0o777 & ~MODE)
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise CannotBind(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(old_mask)
    return sock


def _open_to(path: Path, mode: int, group: str) -> None:
    """Let others in who may come: only now, and the group first. Raises CannotBind."""
    try:
        if group:
            shutil.chown(path, group=int(group) if group.isdecimal() else group)
        if mode != MODE:
            path.chmod(mode)
    except (OSError, LookupError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CannotBind(
            f"cannot give {path} to the group {group!r}: {why}; the group must be there,"
            " and this user in it"
        ) from None


def _clear_stale(path: Path) -> None:
    """Remove a socket file that a server left behind; raises CannotBind for others."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotBind(f"cannot listen on {path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise CannotBind(f"cannot listen on {path}: it exists and is no socket; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            _remove_stale(path)
            return
        except FileNotFoundError:
            return  # its server has removed it just now
        except (TimeoutError, BlockingIOError):
            pass
        except OSError as error:
            raise CannotBind(f"cannot listen on {path}: {error.strerror}") from None
    raise CannotBind(
        f"{path} is in use: another server is running; stop it, or choose another"
        " --unix-socket"
    )


def _remove_stale(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CannotBind(
            f"cannot listen on {path}: an old socket file is there and cannot be"
            f" removed: {error.strerror}"
        ) from None
