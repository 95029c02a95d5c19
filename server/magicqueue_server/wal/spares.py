"""Files that are ready to become the next segment, open and with room on the disk.

They are made ahead of time, so that going on in a new segment needs neither room nor a
file descriptor. Segments that are done with become spares by a rename: writing over old
blocks syncs fastest.
"""

import contextlib
import errno
from collections import deque
from itertools import count
from typing import Final

import msgspec

from magicqueue_server.wal.disk import LATER, File, Folder
from magicqueue_server.wal.journal import DiskFull

PREFIX: Final = "spare-"
_KEPT: Final = 2


def as_full(error: OSError) -> Exception:
    """Give DiskFull for an error that may pass by itself, else the error."""
    if error.errno in LATER:
        full = DiskFull(str(error.strerror))
        full.no_room = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return full
    return error


class Spare(msgspec.Struct):
    """A file with room. fresh: it was never written. sized: its length is on the disk."""

    name: str
    file: File
    size: int
    fresh: bool
    sized: bool = True


class Spares:
    """The spares of a folder. warm: whether to take memory for them ahead of time."""

    def __init__(self, folder: Folder, segment_bytes: int, *, warm: bool) -> None:
        self.segment_bytes = segment_bytes
        self._folder = folder
        self._warm = warm
        self._ready: deque[Spare] = deque()
        self._numbers = count(1)

    def __bool__(self) -> bool:
        return bool(self._ready)

    @property
    def wanted(self) -> bool:
        """Whether one more is worth its room."""
        return len(self._ready) < _KEPT

    def find(self) -> None:
        """Take over the spares that are in the folder. Raises OSError."""
        names = [name for name in self._folder.names() if name.startswith(PREFIX)]
        self._numbers = count(1 + max(map(_number, names), default=0))
        for name in names:
            self.adopt(name)

    def make(self, least: int = 0) -> None:
        """Make one if there is none, smaller where there is less room, but `least` bytes.

        least: 0 for a whole segment. Raises DiskFull or OSError.
        """
        size, least = self.segment_bytes, least or self.segment_bytes
        while not self._ready:
            try:
                spare = self._make(size)
            except DiskFull as error:
                size //= 2
                if size < least or not error.no_room:
                    raise
                continue
            if self._warm:
                spare.file.warm()
            self._ready.append(spare)

    @property
    def least(self) -> int:
        """The smallest that is good enough when the disk has been full for a while."""
        return max(1, self.segment_bytes // 4)

    def take(self) -> Spare:
        """Give a spare, made now if there is none. Raises DiskFull or OSError."""
        if self._ready:
            return self._ready.popleft()
        return self._make(self.segment_bytes, sync=False)

    def give_back(self, spare: Spare) -> None:
        """Keep a spare that could not be used."""
        self._ready.appendleft(spare)

    def next_name(self) -> str:
        """Name a new one."""
        return f"{PREFIX}{next(self._numbers)}"

    def adopt(self, name: str) -> None:
        """Keep a file as a spare if that can be done and there are not enough."""
        spare = self._sized(name) if self.wanted else None
        if spare is None:
            self._remove(name)
        else:
            self._ready.append(spare)

    def close(self) -> None:
        """Close the files."""
        while self._ready:
            self._ready.popleft().file.close()

    def _make(self, size: int, *, sync: bool = True) -> Spare:
        name = self.next_name()
        file: File | None = None
        try:
            file = self._folder.open(name, create=True)
            file.allocate(size)
            if sync:
                file.sync()
        except OSError as error:
            if file is not None:
                file.close()
                self._remove(name)
            raise as_full(error) from error
        return Spare(name, file, size, fresh=True, sized=sync)

    def _sized(self, name: str) -> Spare | None:
        """Open a file and give it its length; None if there is no room for it."""
        try:
            file = self._folder.open(name, write=True)
        except OSError as error:
            if error.errno not in LATER:
                raise
            return None
        size = file.size()
        try:
            if size != self.segment_bytes:
                file.allocate(self.segment_bytes)
                file.truncate(self.segment_bytes)
                file.sync()
                size = self.segment_bytes
        except OSError as error:
            if error.errno not in LATER or size < self.least:
                file.close()
            if error.errno not in LATER:
                raise
        return Spare(name, file, size, fresh=False) if size >= self.least else None

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):  # it is found again at the next start
            self._folder.remove(name)


def _number(name: str) -> int:
    text = name.removeprefix(PREFIX)
    return int(text) if text.isdecimal() else 0
