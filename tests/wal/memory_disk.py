"""A folder in memory that knows what is on the disk and what only in the page cache.

Each operation is counted, and `fault` may make any of them fail: it is given the number
and the name of the operation. `after_kill` is the folder as a process finds it that was
killed (all writes are there); `after_power_cut` has what was synced and any part, sector
by sector, of what was not, and names as of some moment since they were synced. A length
that was cut may be on the disk before what was written ahead of the cut, or not at all.
"""

import errno
import random
from collections.abc import Callable

SECTOR = 512
_CUT_EARLY = 0.5
"""How often a cut that was not synced is on the disk after the power was cut."""


class Killed(BaseException):
    """The process ends here."""


class MemoryFile:
    """One file: its contents now, on the disk, and the sectors that differ."""

    def __init__(self, folder: "MemoryFolder") -> None:
        self.folder = folder
        self.cache = bytearray()
        self.disk = bytearray()
        self.dirty: set[int] = set()
        self.cut_to: int | None = None
        """The least length that it was cut to since the last sync."""

    def write(self, parts: list[bytes], at: int) -> None:
        data = b"".join(parts)
        short = self.folder.step("write")
        if short is not None:
            data = data[: len(data) // 2]
        end = at + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
        self.cache[at:end] = data
        self.dirty.update(range(at // SECTOR, (end + SECTOR - 1) // SECTOR))
        if short is not None:
            raise short

    def read(self, size: int, at: int) -> bytes:
        self.folder.step("read")
        return bytes(self.cache[at : at + size])

    def size(self) -> int:
        return len(self.cache)

    def allocate(self, size: int) -> None:
        self.folder.step("allocate")
        if size > len(self.cache):
            self.cache.extend(bytes(size - len(self.cache)))

    def truncate(self, size: int) -> None:
        self.folder.step("truncate")
        if size < len(self.cache):
            self.cut_to = size if self.cut_to is None else min(size, self.cut_to)
        del self.cache[size:]

    def sync(self) -> None:
        self.folder.step("sync")
        self.disk[:] = self.cache
        self.dirty.clear()
        self.cut_to = None

    def forget_cached(self) -> None:
        pass

    def warm(self) -> None:
        pass

    def run(self) -> int:
        return self.folder.machine

    def close(self) -> None:
        pass


class MemoryFolder:
    """The folder. `fault(number, name)` gives what goes wrong, or None.

    An OSError is raised; for a write, `("short", error)` writes half and then raises.
    """

    def __init__(self) -> None:
        self.files: dict[str, MemoryFile] = {}
        self.on_disk: dict[str, MemoryFile] = {}
        self.renames: list[dict[str, MemoryFile]] = []
        self.machine = 1
        """Another number after the power was cut."""
        self.operations = 0
        self.log: list[str] = []
        self.fault: Callable[[int, str], object] = lambda _number, _name: None

    def step(self, name: str) -> OSError | None:
        self.operations += 1
        self.log.append(name)
        fault = self.fault(self.operations, name)
        if fault is None:
            return None
        if isinstance(fault, tuple):
            if name == "write":
                assert isinstance(fault[1], OSError)
                return fault[1]
            raise fault[1]
        assert isinstance(fault, BaseException)
        raise fault

    def names(self) -> list[str]:
        return sorted(self.files)

    def open(self, name: str, *, create: bool = False, write: bool = False) -> MemoryFile:
        self.step("open to write" if create or write else "open")
        if create:
            if name in self.files:
                raise FileExistsError(errno.EEXIST, "File exists", name)
            self.files[name] = MemoryFile(self)
            self._changed()
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        return self.files[name]

    def rename(self, old: str, new: str) -> None:
        self.step("rename")
        self.files[new] = self.files.pop(old)
        self._changed()

    def remove(self, name: str) -> None:
        self.step("remove")
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        del self.files[name]
        self._changed()

    def sync(self) -> None:
        self.step("sync folder")
        self.on_disk = dict(self.files)
        self.renames.clear()

    def _changed(self) -> None:
        self.renames.append(dict(self.files))

    def put(self, name: str, data: bytes) -> None:
        """Have a file with these bytes, safely on the disk."""
        file = self.files[name] = MemoryFile(self)
        file.cache[:] = data
        file.disk[:] = data
        self.on_disk[name] = file

    def changed(self, name: str, data: bytes, *, cut: bool = False) -> "MemoryFolder":
        """The folder with other bytes in a file; cut: and after the power was cut."""
        other = self.after_kill()
        other.machine += cut
        other.put(name, data)
        return other

    def data(self, name: str) -> bytes:
        return bytes(self.files[name].cache)

    def after_kill(self) -> "MemoryFolder":
        other = MemoryFolder()
        other.machine = self.machine
        for name, file in self.files.items():
            copy = other.files[name] = MemoryFile(other)
            copy.cache[:] = file.cache
            copy.disk[:] = file.disk
            copy.dirty |= file.dirty
            copy.cut_to = file.cut_to
        other.on_disk = {
            name: other.files[name] for name in self.on_disk if name in other.files
        }
        return other

    def after_power_cut(
        self, rng: random.Random, keep: float | None = None
    ) -> "MemoryFolder":
        """keep: the chance of an unsynced sector to be there; None: any, per file."""
        other = MemoryFolder()
        other.machine = self.machine + 1
        names = rng.choice([self.on_disk, *self.renames])
        for name, file in names.items():
            chance = rng.random() if keep is None else keep
            sectors = {s for s in file.dirty if rng.random() < chance}
            is_cut = file.cut_to is not None and rng.random() < _CUT_EARLY
            other.put(name, file_with(file, sectors, is_cut=is_cut))
        return other


def file_with(file: MemoryFile, sectors: set[int], *, is_cut: bool = False) -> bytes:
    """The bytes of a file on the disk when only these unsynced sectors got there.

    is_cut: and the length that it was cut to since the last sync.
    """
    data = bytearray(file.disk)
    if is_cut:
        del data[file.cut_to :]
    data.extend(bytes(max(0, len(file.cache) - len(data))))
    for sector in sectors:
        start = sector * SECTOR
        written = file.cache[start : start + SECTOR]
        data[start : start + len(written)] = written
    return bytes(data)
