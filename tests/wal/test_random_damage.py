"""Random damage to logs of all modes and ends: all that reads a log agrees on each.

A simulated server writes a log with segments so small that many come and go. Its files
then get damaged, and `wal check`, `wal dump`, `backup` and a start look at them: either
all refuse, or all find the same. What they refuse `wal repair` mends, and ids go on behind
all that were given.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import tools
from magicqueue_server.wal.disk import SystemFile, SystemFolder
from magicqueue_server.wal.recovery import Recovered, recover
from magicqueue_server.wal.repair import repair
from magicqueue_server.wal.verdict import Refused
from wal.memory_disk import MemoryFolder
from wal.promises import Promises
from wal.simulated import Server
from wal.stub_policies import StubPolicies

Files = dict[str, bytes]
MODES = ("always", "everysec", "never")
ENDS = ("clean", "kill", "power")
STEPS = 60


def files_of(folder: MemoryFolder) -> Files:
    return {name: folder.data(name) for name in folder.names() if name != "lock"}


def keep_something(rng: random.Random, server: Server) -> None:
    """Do something that policies do, now and then."""
    policies, name = server.policies, rng.choice(("result", "request"))
    key = b"%d" % rng.randrange(9)
    match rng.randrange(8):
        case 0:
            policies.keep(name, {key: rng.randbytes(9), b"other": b""})
        case 1:
            policies.drop(name, [key])
        case 2:
            ids = policies.core.export(range(1, 500)).ids
            policies.mark("a", dict.fromkeys(rng.sample(ids, len(ids) // 3), key))


SAME_LOG = 12
"""So many seeds in a row damage one log: making it takes longer than all looks at it."""


class Made:
    """A log as a server left it. old: its files at some time before."""

    def __init__(self, seed: int, mode: str, end: str) -> None:
        rng, folder, promises = random.Random(seed), MemoryFolder(), Promises(seed)
        self.old: Files = {}
        server = Server(folder, mode=mode, segment_bytes=900, with_policies=True)
        promises.meet(server)
        for half in range(4):
            if half == 2:
                server = Server(folder, mode=mode, segment_bytes=900, with_policies=True)
                promises.meet(server)
            for _ in range(STEPS // 2):
                promises.step()
                keep_something(rng, server)
            if half == 2:
                self.old = files_of(folder)
        if end == "clean":
            server.stop()
        self.mode, self.end = mode, end
        self.last_id, self.lsn = promises.last_id, server.log.journal.lsn
        left = folder.after_power_cut(rng) if end == "power" else folder.after_kill()
        self.machine = left.machine
        self.files = files_of(left)


@lru_cache(maxsize=1)
def made_by(seed: int, mode: str, end: str) -> Made:
    """The log that this seed makes, which nobody changes."""
    return Made(seed, mode, end)


def flip(rng: random.Random, files: Files, name: str, _old: Files) -> None:
    data = bytearray(files[name])
    if data:
        used = len(bytes(data).rstrip(b"\0")) or len(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(used)] ^= 1 << rng.randrange(8)
    files[name] = bytes(data)


def cut(rng: random.Random, files: Files, name: str, _old: Files) -> None:
    files[name] = files[name][: rng.randrange(len(files[name]) + 1)]


def zero(rng: random.Random, files: Files, name: str, _old: Files) -> None:
    data, at = files[name], rng.randrange(len(files[name]) + 1)
    size = min(rng.choice((8, 64, 512)), len(data) - at)
    files[name] = data[:at] + bytes(size) + data[at + size :]


def swap(rng: random.Random, files: Files, name: str, _old: Files) -> None:
    other = rng.choice(sorted(files))
    files[name], files[other] = files[other], files[name]


def remove(_rng: random.Random, files: Files, name: str, _old: Files) -> None:
    del files[name]


def double(rng: random.Random, files: Files, name: str, _old: Files) -> None:
    number = rng.randrange(1, 12)
    files[fmt.segment_name(number)] = files[name]


def put_old(rng: random.Random, files: Files, _name: str, old: Files) -> None:
    name = rng.choice(sorted(old))
    files[name] = old[name]


DAMAGES: tuple[Callable[[random.Random, Files, str, Files], None], ...] = (
    flip,
    flip,
    cut,
    zero,
    swap,
    remove,
    double,
    put_old,
)


def start(path: Path) -> Recovered | None:
    """Open a copy of the log as a server does; None if that is refused."""
    copy = path.with_name("started")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    folder, policies = SystemFolder(copy), StubPolicies()
    policies.core = make_core("python", CoreOptions())
    try:
        found = recover(folder, policies)
        policies.core.check()
        assert len(found.facts) == len(policies.facts)
    except Refused:
        return None
    finally:
        folder.close()
    return found


def dumped(path: Path) -> int | None:
    """The last LSN that a dump shows; None if it is refused."""
    lsn = 0
    try:
        for row in tools.dump(path):
            lsn = row["lsn"]
    except Refused:
        return None
    return lsn


def backed_up(path: Path) -> tools.Report | None:
    copy = path.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    try:
        return tools.backup(path, copy)
    except Refused:
        return None


def look(made: Made, path: Path, files: Files, damage: str) -> str:
    """Have all look at the damaged files; gives what they found."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    report = tools.check(path)
    found, lsn = start(path), dumped(path)
    if report.state in {"corrupt", "refused"}:
        assert found is None, f"it starts, but is damaged: {report.problem}"
        assert lsn is None
        assert backed_up(path) is None
        mend(made, path, report.state)
        return report.state
    assert found is not None, f"it does not start, but is {report.state}"
    assert found.lsn == report.last_lsn
    assert (found.torn is not None) == (report.state == "torn")
    assert lsn is not None
    assert lsn <= found.lsn
    if any(fmt.segment_number(name) is not None for name in files):
        copy = backed_up(path)
        assert copy is not None
        assert copy.state == "ok", copy.problem
        assert copy.last_lsn == found.lsn
    if report.state == "ok" and made.end == "clean":
        assert found.lsn >= made.lsn - 2, "what was there is gone without a word"
    if made.end == "clean" or (made.mode != "always" and damage != "put_old"):
        assert found.last_id >= made.last_id, "ids could be given again"
    return report.state


def mend(made: Made, path: Path, state: str) -> None:
    done = repair(path) if state == "corrupt" else None
    if done is None:
        return
    shutil.rmtree(done.copy)
    assert tools.check(path).state in {"ok", "torn"}
    found = start(path)
    assert found is not None
    assert found.last_id >= made.last_id, "ids could be given again after a repair"
    assert done.damages


def damage_many(path: Path, mode: str, end: str, seeds: range) -> set[str]:
    states = set()
    for seed in seeds:
        made = made_by(seed // SAME_LOG, mode, end)
        rng = random.Random(f"{seed} {mode} {end}")
        files = dict(made.files)
        names = [name for name in files if not name.startswith("spare")]
        damage = rng.choice(DAMAGES)
        damage(rng, files, rng.choice(names), made.old)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SystemFile, "run", lambda _file, made=made: made.machine)
            try:
                states.add(look(made, path, files, damage.__name__))
            except Exception as error:
                error.add_note(f"seed {seed}, {mode}, {end}: {damage.__name__}")
                raise
    return states


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: what is synced here proves nothing."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mode", MODES)
def test_all_agree_on_every_damage(memory: Path, mode: str, end: str) -> None:
    states = damage_many(memory / "log", mode, end, range(24))
    assert "corrupt" in states
    assert states & {"ok", "torn"}, "none of them starts"


def test_the_damaged_logs_have_the_records_of_policies(tmp_path: Path) -> None:
    for name, data in Made(1, "always", "kill").files.items():
        (tmp_path / name).write_bytes(data)
    assert tools.check(tmp_path).records.keys() >= {"marked", "kept", "gone", "moved"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mode", MODES)
def test_all_agree_on_many_damages(memory: Path, mode: str, end: str) -> None:
    assert damage_many(memory / "log", mode, end, range(1000, 4000)) >= {"ok", "corrupt"}
