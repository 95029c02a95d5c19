"""Power cuts on a real file system: a loop-mounted ext4 that is shut down by its ioctl.

What the file system had not been asked to sync is gone then, as after a real cut. Two
controls must lose jobs, or the harness would prove nothing: a server that never syncs, and
one on a disk that only says it did. Needs root and loop devices.
"""

import fcntl
import os
import random
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from history.checker import check
from magicqueue_server.wal.disk import SystemFile
from wal.noting_client import Crowd
from wal.server_process import Server, cores_here

CLIENTS = 6
RELEASE_TRIES = 600
SHUTDOWN = 0x8004587D
LOSSES = (
    r"is lost|is back|is forgotten|given twice|there twice|leased twice"
    r"|is missing|is damaged"
)
NO_LOG_FLUSH = (2).to_bytes(4, "little")
OPTIONS = ("--segment-size=256KiB", "--log-level=error", "--max-lost=0")


class LoopDisk:
    """An ext4 in a file, mounted."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk.img"
        self.at = folder / "disk"
        self.at.mkdir()
        with self.image.open("wb") as image:
            image.truncate(48 * 2**20)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(self.image))
        self.mount()

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.at))
        assert self.at.stat().st_dev != self.image.stat().st_dev

    def unmount(self) -> None:
        """Unmount, and wait until nothing holds it: a copy of all mounts may do so."""
        run("umount", str(self.at))
        for _ in range(RELEASE_TRIES):
            if not run("losetup", "-j", str(self.image)):
                return
            threading.Event().wait(0.05)
        raise OSError(f"{self.image} is still mounted somewhere")

    def cut(self) -> None:
        """The power is off: nothing that is not on the disk gets there any more."""
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(fd)


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("a power cut needs root and mkfs.ext4, to mount a disk of its own")
    try:
        made = LoopDisk(tmp_path)
    except OSError as error:
        pytest.skip(f"a power cut needs a loop-mounted disk, which failed: {error}")
    try:
        yield made
    finally:
        made.unmount()


def lie() -> None:
    """Make every sync of this process do nothing."""
    os.fdatasync = os.fsync = lambda _fd: None  # type: ignore[assignment]  # it is a lie


def boot_anew(prepare: Callable[[], object]) -> None:
    """Have this process think that the machine has just started, as after a real cut."""
    boot = random.SystemRandom().getrandbits(60)
    SystemFile.run = lambda _file: boot  # type: ignore[method-assign, assignment]  # on purpose
    prepare()


def cut_loop(
    disk: LoopDisk,
    mode: str,
    cuts: int,
    seed: int,
    prepare: Callable[[], object] = int,
) -> Counter[str]:
    rng, cores = random.Random(seed), cores_here()
    crowd = Crowd(CLIENTS, seed)
    for cut in range(cuts + 1):
        server = Server(
            disk.at.parent,
            f"--fsync={mode}",
            *OPTIONS,
            log=disk.at / "log",
            prepare=partial(boot_anew, prepare),
            core=rng.choice(cores),
        )
        try:
            server.wait_until_it_listens()
            crowd.look(server)
            if cut < cuts:
                with crowd.at_work(server):
                    threading.Event().wait(rng.uniform(0.02, 0.2))
                    crowd.deaf = True
                    disk.cut()
                    server.close()
        finally:
            server.close()
        disk.unmount()
        disk.mount()
    check(crowd.history)
    return crowd.seen()


def test_power_cuts_lose_nothing_that_was_answered(disk: LoopDisk) -> None:
    seen = cut_loop(disk, "always", 20, seed=1)
    assert seen["verdicts"] > 200, seen
    assert seen["jobs handed out again"] > 20, seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_power_cuts_lose_nothing_that_was_answered(disk: LoopDisk) -> None:
    seen = cut_loop(disk, "always", 1000, seed=2)
    assert seen["verdicts"] > 10_000, seen


def test_without_syncs_the_same_cuts_lose_jobs(disk: LoopDisk) -> None:
    with pytest.raises(AssertionError, match=LOSSES):
        cut_loop(disk, "never", 5, seed=3)


def test_on_a_disk_that_lies_the_same_cuts_lose_jobs(disk: LoopDisk) -> None:
    with pytest.raises(AssertionError, match=LOSSES):
        cut_loop(disk, "always", 5, seed=4, prepare=lie)
