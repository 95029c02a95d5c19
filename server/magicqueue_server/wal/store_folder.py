"""The segments in an engine as a folder to read: what recovery and all tools look at.

A segment is fetched whole when it is read, and one is kept, so memory holds two at most.
The manifest is made here: the engine says itself which segments there have to be, and
nobody but the owner of an epoch can have written behind them. It never ends in the middle
of a frame; if it seems to, that is damage, and nothing here cuts it off.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest as man
from magicqueue_server.wal.store import Held
from magicqueue_server.wal.verdict import Refused


class StoreFolder:
    """What is in an engine. read: gives the bytes of a segment. name: of the engine."""

    def __init__(
        self, segments: Sequence[Held], read: Callable[[Held], bytes], name: str
    ) -> None:
        self._held = {fmt.segment_name(held.number): held for held in segments}
        self._read = read
        self._name = name
        self._kept: tuple[str, bytes] = ("", b"")

    def names(self) -> list[str]:
        """Return the names of the segments, and of the manifest if there are any."""
        return sorted((*self._held, man.NAME)) if self._held else []

    def open(self, name: str, *, create: bool = False, write: bool = False) -> "StoreFile":
        """Open what is there: writing only looks as if, see StoreFile."""
        del write
        if create:
            self.refuse()
        if name == man.NAME and self._held:
            return StoreFile(self, lambda: man.to_bytes(self._manifest()))
        held = self._held.get(name)
        if held is None:
            raise FileNotFoundError(2, "No such segment", name)
        return StoreFile(self, lambda: self._fetched(name), held.size_bytes)

    def rename(self, old: str, new: str) -> None:
        """Refuse."""
        del old, new
        self.refuse()

    def remove(self, name: str) -> None:
        """Refuse."""
        del name
        self.refuse()

    def sync(self) -> None:
        """Do nothing: what is there is on a quorum."""

    def refuse(self) -> NoReturn:
        """Raise Refused: something is to be mended that should not be so."""
        raise Refused(
            f"the log in {self._name} ends in the middle of a frame, which is never written"
            " so: its tables were changed or are damaged; bring them back from a backup"
        )

    def _fetched(self, name: str) -> bytes:
        if self._kept[0] != name:
            self._kept = ("", b"")
            self._kept = (name, self._read(self._held[name]))
        return self._kept[1]

    def _manifest(self) -> man.Manifest:
        names = sorted(self._held)
        try:
            newest = fmt.read_header(self._fetched(names[-1])[: fmt.FRAMES_AT])
        except fmt.NewerVersion:  # whoever reads that segment says so
            newest = None
        return man.Manifest(
            mode="always",
            newest_salt=0 if newest is None else newest.salt,
            oldest=self._held[names[0]].number,
            newest=self._held[names[-1]].number,
        )


class StoreFile:
    """A segment, or the manifest. fetch: gives its bytes when they are wanted."""

    def __init__(
        self, folder: StoreFolder, fetch: Callable[[], bytes], size_bytes: int = -1
    ) -> None:
        self._folder = folder
        self._fetch = fetch
        self._size_bytes = size_bytes

    def read(self, size: int, at: int) -> bytes:
        """Read up to `size` bytes."""
        data = self._fetch()
        return data if not at and size >= len(data) else data[at : at + size]

    def size(self) -> int:
        """Return how many bytes there are."""
        return len(self._fetch()) if self._size_bytes < 0 else self._size_bytes

    def write(self, parts: list[bytes], at: int) -> None:
        """Refuse."""
        del parts, at
        self._folder.refuse()

    def truncate(self, size: int) -> None:
        """Refuse."""
        del size
        self._folder.refuse()

    def allocate(self, size: int) -> None:
        """Refuse."""
        del size
        self._folder.refuse()

    def sync(self) -> None:
        """Do nothing: what is there is on a quorum."""

    def forget_cached(self) -> None:
        """Do nothing: nothing is cached that was not read."""

    def warm(self) -> None:
        """Do nothing."""

    def run(self) -> int:
        """Return that nothing is known of the life of the engine's machines."""
        return 0

    def close(self) -> None:
        """Do nothing."""
