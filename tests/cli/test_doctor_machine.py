"""What magicqueue doctor says of a machine: its limits, memory, clocks and disks."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from magicqueue_server.config import Config, load
from magicqueue_server.doctor import folder, machine
from magicqueue_server.doctor.finding import Finding


def _config(**options: str) -> Config:
    return load(options, {}, None)


class _SlowClock:
    """Each look takes a while."""

    def __init__(self, step_ms: float) -> None:
        self._now_ns = 0
        self._step_ns = int(step_ms * 1e6)

    def monotonic_ns(self) -> int:
        self._now_ns += self._step_ns
        return self._now_ns

    def now_ms(self) -> int:
        return self._now_ns // 10**6


@pytest.mark.parametrize(
    ("mode", "step_ms", "state"),
    [("always", 1, "ok"), ("always", 20, "warning"), ("everysec", 20, "ok")],
)
def test_slow_syncs(tmp_path: Path, mode: str, step_ms: float, state: str) -> None:
    found = folder._syncs(mode, tmp_path, _SlowClock(step_ms))  # type: ignore[arg-type]
    assert found.state == state


@pytest.mark.parametrize(
    ("kind", "word"),
    [("tmpfs", "a reboot loses"), ("nfs4", "up to others"), ("overlay", "goes with it")],
)
def test_kinds_of_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, word: str
) -> None:
    mounts = tmp_path / "mountinfo"
    row = "22 1 0:21 / {} rw,relatime shared:1 - {} none rw\n"
    monkeypatch.setattr(folder, "_MOUNTS", mounts)
    mounts.write_text(row.format("/", kind) + row.format(tmp_path, "ext4"))
    assert list(folder._kind_of_disk(tmp_path)) == []
    mounts.write_text(row.format("/", "ext4") + row.format(tmp_path, kind))
    (found,) = folder._kind_of_disk(tmp_path)
    assert word in found.text


def _about(check: str, found: Iterator[Finding]) -> list[str]:
    return [one.state for one in found if one.check == check]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {
        resource.RLIMIT_NOFILE: (1024, 4096),
        resource.RLIMIT_FSIZE: (2**20, 2**20),
        resource.RLIMIT_AS: (2**30, 2**30),
    }
    config = _config(persist="true")
    free = dict.fromkeys(limits, (resource.RLIM_INFINITY,) * 2)
    for these, state in ((limits, "warning"), (free, "ok")):
        monkeypatch.setattr(resource, "getrlimit", these.__getitem__)
        assert _about("open files", machine.open_files(config)) == [state]
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    assert _about("file size", machine.open_files(config)) == ["failed"]
    monkeypatch.setattr(machine, "has_array_kernels", lambda: True)
    assert _about("address space", machine.memory(config)) == ["warning"]


@pytest.mark.parametrize(
    ("bound", "there", "state"),
    [
        ("0", 2**30, "warning"),
        ("900MiB", 2**30, "warning"),
        ("512MiB", 2**30, "ok"),
        ("512MiB", None, "ok"),
    ],
)
def test_memory(
    monkeypatch: pytest.MonkeyPatch, bound: str, there: int | None, state: str
) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda: there)
    found = machine.memory(_config(max_memory=bound, core="python"))
    assert [one.state for one in found] == [state]


def test_a_cgroup_bounds_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = machine.memory_bytes()
    assert whole is not None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "memory.max").write_text("1048576\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "groups").write_text("0::/mine\n")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "groups")
    assert machine.memory_bytes() == 2**20 < whole


def test_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.state for one in machine.clock(_SlowClock(1))] == ["failed"]  # type: ignore[arg-type]
    for is_right, state in ((True, "ok"), (None, "ok"), (False, "warning")):
        monkeypatch.setattr(machine, "is_synchronised", lambda answer=is_right: answer)
        now = _SlowClock(1)
        now._now_ns = 2**61
        assert [one.state for one in machine.clock(now)] == [state]  # type: ignore[arg-type]


def test_cores_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_array_kernels", lambda: False)
    for core, state in (("auto", "warning"), ("array", "failed"), ("python", "ok")):
        found = _about("core", machine.code(_config(core=core)))
        assert found[0] == state
