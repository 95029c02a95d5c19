"""Where the log is to be: the folder, its disk, and how long a sync takes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from magicqueue_server.clock import Clock
from magicqueue_server.config import Config
from magicqueue_server.doctor.finding import Finding, failed, ok, size, skipped, warning

_LOCKS: Final = Path("/proc/locks")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_LOCK: Final = "lock"
_FOR_OTHERS: Final = 0o007
_PIECE: Final = bytes(range(256)) * 16
_SYNCS: Final = 40
_SYNC_NS_MAX: Final = 2_000_000_000
_SLOW_MS: Final = {"always": 10.0, "everysec": 250.0}
"""A usual sync that is slower is worth a word."""
_SEGMENTS_AHEAD: Final = 3
_SHARE_LEAST: Final = 0.05
_INODES_LEAST: Final = 1000
_AHEAD_S: Final = 2.0
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_OF_A_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "glusterfs", "ceph"})


def data_folder(config: Config, clock: Clock) -> Iterator[Finding]:
    """Look at all of it."""
    if not config["persist"]:
        yield warning(
            "data folder",
            "jobs are kept in memory only: a restart loses them",
            "say --persist (persist = true), unless that is what you want",
        )
        return
    path = Path(config["data_dir"]).absolute()
    place = _nearest(path)
    trouble = _unusable(path, place)
    if trouble is not None:
        yield trouble
        return
    yield _is_usable(path, place, clock)
    yield from _room(config, path, place)
    yield from _kind_of_disk(place)
    yield _syncs(config["fsync"], place, clock)


def _nearest(path: Path) -> Path:
    """Give the folder, or the next one above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _unusable(path: Path, place: Path) -> Finding | None:
    who = f"user {os.geteuid()}"
    if not place.is_dir():
        return failed(
            "data folder", f"{place} is a file", "remove it, or choose another data_dir"
        )
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        what = f"{path} cannot be written by {who}"
        if place != path:
            what = f"{path} is not there, and {who} cannot make it in {place}"
        return failed(
            "data folder",
            f"{what}: {error.strerror}",
            "give the folder to the server's user (chown), or run this as that user",
        )
    return None


def _is_usable(path: Path, place: Path, clock: Clock) -> Finding:
    if place != path:
        return ok("data folder", f"{path} is not there yet: the start makes it")
    if path.stat().st_mode & _FOR_OTHERS:
        return warning(
            "data folder",
            f"{path} is open to every user of this machine, and so are the jobs in it",
            f"chmod 700 {path}",
        )
    newest_s = max((file.stat().st_mtime for file in path.iterdir()), default=0.0)
    ahead_s = newest_s - clock.now_ms() / 1000
    if ahead_s > _AHEAD_S:
        return warning(
            "data folder",
            f"its newest file is of {ahead_s:,.0f} s from now: the clock was put back",
            "set the clock; the server goes on from the later time, and loses nothing",
        )
    holder = _holder(path / _LOCK)
    used = f", in use by process {holder}" if holder else ", and no server uses it"
    return ok("data folder", f"{path} can be written{used}")


def _holder(lock: Path) -> str:
    """Give the process that has the lock, without touching it; "" if none is seen."""
    try:
        found = lock.stat()
        locks = _LOCKS.read_text()
    except OSError:
        return ""
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in locks.splitlines():
        words = line.split()
        if "FLOCK" in words and device in words:
            return words[words.index(device) - 1]
    return ""


def _room(config: Config, path: Path, place: Path) -> Iterator[Finding]:
    disk = shutil.disk_usage(place)
    segment = config["segment_size"]
    taken = sum(file.stat().st_size for file in path.iterdir()) if path == place else 0
    text = f"{size(disk.free)} free of {size(disk.total)}; the log has {size(taken)}"
    todo = "make room, or move data_dir to a larger disk"
    if disk.free < segment * _SEGMENTS_AHEAD and not taken:
        yield failed(
            "disk", f"{text}: too little to begin ({size(segment)} a segment)", todo
        )
    elif disk.free < max(segment * _SEGMENTS_AHEAD, disk.total * _SHARE_LEAST):
        yield warning("disk", f"{text}: when it is full, pushes are refused", todo)
    else:
        yield ok("disk", text)
    nodes = os.statvfs(place)
    if nodes.f_files and nodes.f_favail < _INODES_LEAST:
        yield warning(
            "disk", f"{nodes.f_favail:,} more files can be made on it", "remove some"
        )


def _kind_of_disk(place: Path) -> Iterator[Finding]:
    kind = _file_system(place)
    if kind in _IN_MEMORY:
        yield warning(
            "disk",
            f"{place} is on {kind}, which is memory: a reboot loses all jobs",
            "choose a data_dir on a disk",
        )
    elif kind in _OF_A_NETWORK or kind.startswith("fuse."):
        yield warning(
            "disk",
            f"{place} is on {kind}: whether a sync and a lock hold there is up to others",
            "choose a disk of this machine, or a volume of blocks",
        )
    elif kind == "overlay":
        yield warning(
            "disk",
            f"{place} is in the container itself, and goes with it",
            "mount a volume there",
        )


def _file_system(place: Path) -> str:
    """Give the kind of file system that a folder is on, or ""."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    found = (Path("/"), "")
    for line in lines:
        before, _, behind = line.partition(" - ")
        mount = Path(before.split()[4].replace("\\040", " "))
        if place.resolve().is_relative_to(mount) and len(mount.parts) >= len(
            found[0].parts
        ):
            found = mount, behind.split()[0]
    return found[1]


def _syncs(mode: str, place: Path, clock: Clock) -> Finding:
    try:
        took_ms = _sync_times_ms(place, clock)
    except OSError as error:
        return skipped("sync", f"a file in {place} cannot be synced: {error.strerror}")
    usual, worst = sorted(took_ms)[len(took_ms) // 2], max(took_ms)
    text = f"4 KiB are on the disk after {usual:.2f} ms, at worst {worst:.2f} ms"
    if usual > _SLOW_MS.get(mode, float("inf")):
        waits = "each reply to a push" if mode == "always" else "a stop, and each backup,"
        return warning(
            "sync",
            f"{text}: with fsync {mode}, {waits} waits for that",
            "choose a faster disk, or a milder fsync: docs/durability.md says what each"
            " promises",
        )
    return ok("sync", f"{text} (fsync is {mode})")


def _sync_times_ms(place: Path, clock: Clock) -> list[float]:
    """Write and sync some times, as the log does: in a file that has its room already."""
    took: list[float] = []
    began_ns = clock.monotonic_ns()
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(_PIECE) * _SYNCS)
        for number in range(_SYNCS):
            before_ns = clock.monotonic_ns()
            os.pwrite(file.fileno(), _PIECE, number * len(_PIECE))
            os.fdatasync(file.fileno())
            took.append((clock.monotonic_ns() - before_ns) / 1e6)
            if clock.monotonic_ns() - began_ns > _SYNC_NS_MAX:
                break
    return took
