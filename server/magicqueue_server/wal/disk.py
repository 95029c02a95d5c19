"""Every file operation of the log, in one place, so that tests can make any of them fail.

A `Folder` is the data folder: opened once, and all names are looked up in it. Operations
raise OSError; none is retried but a write cut short, which goes on where it stopped.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final, Protocol

_PARTS_MAX: Final = 1024
_FOLDER_MODE: Final = 0o700
_WARM_BYTES_MAX: Final = 64 * 2**20
_WARM_STEP_BYTES: Final = 2**20
_FILE_MODE: Final = 0o600
_ZEROS: Final = bytes(2**20)
_NO_ALLOCATE: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors that mean: there is no room, and there may be some later."""
LATER: Final = (*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR)
"""Errors of a file that is to be opened, made or renamed that may pass by themselves."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class File(Protocol):
    """An open file."""

    def write(self, parts: list[bytes], at: int) -> None:
        """Write all of `parts` from byte `at` on."""
        ...

    def read(self, size: int, at: int) -> bytes:
        """Read up to `size` bytes; fewer only at the file's end."""
        ...

    def size(self) -> int:
        """How long the file is."""
        ...

    def allocate(self, size: int) -> None:
        """Make the file `size` bytes long, with room for all of them on the disk."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file off."""
        ...

    def sync(self) -> None:
        """Return when the file's data is on the disk."""
        ...

    def forget_cached(self) -> None:
        """Have the next read come from the disk: after a failed sync memory may lie."""
        ...

    def run(self) -> int:
        """Give a number of this file and of the machine's life since it was switched on.

        The same number as before means that the system did not stop in between and that
        this is no copy: whatever was written is there, synced or not. 0 if not known.
        """
        ...

    def warm(self) -> None:
        """Have memory ready for what will be written: that takes longer than writing."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Folder(Protocol):
    """The folder of a log."""

    def names(self) -> list[str]:
        """The names in it, sorted."""
        ...

    def open(self, name: str, *, create: bool = False, write: bool = False) -> File:
        """Open a file; with `create` it must not exist yet."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...

    def sync(self) -> None:
        """Return when names are on the disk."""
        ...


class SystemFile:
    """A file of the operating system."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, parts: list[bytes], at: int) -> None:
        """Write all of `parts` from byte `at` on."""
        for first in range(0, len(parts), _PARTS_MAX):
            some = parts[first : first + _PARTS_MAX]
            size = sum(map(len, some))
            written = os.pwritev(self._fd, some, at)
            if written < size:
                self._write_rest(memoryview(b"".join(some))[written:], at + written)
            at += size

    def _write_rest(self, rest: memoryview, at: int) -> None:
        while rest:
            written = os.pwrite(self._fd, rest, at)
            rest, at = rest[written:], at + written

    def read(self, size: int, at: int) -> bytes:
        """Read up to `size` bytes; fewer only at the file's end."""
        data = os.pread(self._fd, size, at)
        if len(data) == size or not data:
            return data
        return data + self.read(size - len(data), at + len(data))

    def size(self) -> int:
        """How long the file is."""
        return os.fstat(self._fd).st_size

    def allocate(self, size: int) -> None:
        """Make the file `size` bytes long, with room for all of them on the disk."""
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            if error.errno not in _NO_ALLOCATE:
                raise
            for at in range(0, size, len(_ZEROS)):
                self.write([_ZEROS[: size - at]], at)

    def truncate(self, size: int) -> None:
        """Cut the file off."""
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """Return when the file's data is on the disk."""
        os.fdatasync(self._fd)

    def forget_cached(self) -> None:
        """Have the next read come from the disk: after a failed sync memory may lie."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def run(self) -> int:
        """Give a number of this file and of the machine's life since it was switched on."""
        try:
            boot = _BOOT_ID.read_bytes()
        except OSError:
            return 0
        found = os.fstat(self._fd)
        text = b"%b %d %d" % (boot, found.st_dev, found.st_ino)
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")

    def warm(self) -> None:
        """Have memory ready for what will be written: that takes longer than writing.

        Reading what was allocated and never written costs no access to the disk, and
        leaves pages that a write then finds.
        """
        read = bytearray(_WARM_STEP_BYTES)
        with contextlib.suppress(OSError):
            for at in range(0, min(self.size(), _WARM_BYTES_MAX), _WARM_STEP_BYTES):
                os.preadv(self._fd, [read], at)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class SystemFolder:
    """A folder of the operating system, made with mode 0700 if it is not there."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open it; raises OSError."""
        self.path = path
        if create:
            path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def names(self) -> list[str]:
        """The names in it, sorted."""
        return sorted(os.listdir(self._fd))  # noqa: PTH208 - of the folder as opened

    def open(self, name: str, *, create: bool = False, write: bool = False) -> SystemFile:
        """Open a file; with `create` it must not exist yet."""
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= os.O_RDWR if write or create else os.O_RDONLY
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        return SystemFile(os.open(name, flags, _FILE_MODE, dir_fd=self._fd))

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._fd)

    def sync(self) -> None:
        """Return when names are on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the folder."""
        os.close(self._fd)


class Locked(Exception):
    """Another server has the folder; the text says which."""


class Lock:
    """The right to write to a folder, held until `release` or the end of the process."""

    _NAME: Final = "lock"

    def __init__(self, path: Path) -> None:
        """Take it, or raise Locked."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path / self._NAME, flags, _FILE_MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 64, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            raise Locked(
                f"{path} is in use by another server (process {holder or 'unknown'}): stop"
                " it, or choose another --data-dir"
            ) from None
        with contextlib.suppress(OSError):  # it is only told to people; a disk may be full
            os.pwrite(self._fd, b"%-15d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Give it back."""
        os.close(self._fd)
