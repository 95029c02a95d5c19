"""Where compiled kernels are kept, and that each compilation is told of."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from magicqueue_cores.kernels import cache

_COMPILE = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
sys.path.insert(0, sys.argv[1])
import numpy, tiny
print(tiny.twice(numpy.zeros(1, numpy.int64), 21))
"""
_TINY = """
from magicqueue_cores.kernels.jit import kernel

@kernel("int64(int64[::1], int64)")
def twice(memory, number):
    return 2 * number
"""


def _in(base: Path) -> Path:
    (folder,) = base.iterdir()
    return folder


def test_places_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, xdg, asked, temp = (tmp_path / name for name in ("home", "xdg", "asked", "temp"))
    temp.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temp))
    found = cache.find({cache.VARIABLE: str(asked), "XDG_CACHE_HOME": str(xdg)})
    assert found == (_in(asked), [])
    assert cache.find({"XDG_CACHE_HOME": str(xdg)}).folder == _in(xdg / "magicqueue")
    for environ in ({}, {"XDG_CACHE_HOME": "relative"}, {cache.VARIABLE: ""}):
        assert cache.find(environ).folder == _in(home / ".cache" / "magicqueue")
    asked_for, home_is = tmp_path / "file" / "asked", tmp_path / "file"
    home_is.write_text("")
    monkeypatch.setattr(Path, "home", lambda: home_is)
    found = cache.find({cache.VARIABLE: str(asked_for)})
    assert found.folder == _in(temp / f"magicqueue-{os.geteuid()}")
    assert found.folder.stat().st_mode & 0o077 == 0
    assert [miss.split(": ") for miss in found.misses] == [
        [str(asked_for), "Not a directory"],
        [str(home_is / ".cache" / "magicqueue"), "Not a directory"],
    ]


def _nowhere(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(Path, "home", lambda: home)


def test_where_there_is_no_place_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    _nowhere(monkeypatch, Path("/dev/null"))
    folder, misses = cache.find({})
    assert folder is None
    assert misses == ["/dev/null/.cache/magicqueue: Not a directory"]


def test_a_folder_of_others_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nowhere(monkeypatch, tmp_path)
    folder = cache.find({}).folder
    assert folder is not None
    folder.chmod(0o770)
    assert cache.find({}) == (None, [f"{folder.parent}: others can write to it"])
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    assert cache.find({}) == (None, [f"{folder.parent}: it is no folder"])


def test_what_nobody_has_used_for_a_week_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nowhere(monkeypatch, tmp_path)
    folder = cache.find({}).folder
    assert folder is not None
    ours_s = folder.stat().st_mtime
    for name, days in (("kernels-old", 8), ("kernels-new", 6), ("other", 99)):
        (folder.parent / name).mkdir()
        (folder.parent / name / "file").write_text("")
        os.utime(folder.parent / name, (0, ours_s - days * 86_400))
    os.utime(folder, (0, ours_s - 99 * 86_400))
    assert cache.find({}).folder == folder
    left = sorted(path.name for path in folder.parent.iterdir())
    assert left == sorted([folder.name, "kernels-new", "other"])


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="needs numba")
def test_each_compilation_is_told_of_and_damage_is_mended(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(_TINY)
    kept = tmp_path / "kept"

    def start(place: Path) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE, str(tmp_path)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "NUMBA_DISABLE_JIT": "0",
                "MAGICQUEUE_CACHE_DIR": str(place),
                "HOME": "/dev/null",
                "TMPDIR": str(tmp_path),
                "XDG_CACHE_HOME": "",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        *said, result = done.stdout.splitlines()
        assert result == "42"
        return [line.split(":")[0] for line in said]

    compiling = "compiling the array core's kernels for this processor"
    assert start(kept) == [compiling]
    assert start(kept) == []
    (data,) = kept.rglob("*.nbc")
    data.unlink()
    assert start(kept) == [compiling], "numba finds out by itself"
    for pattern in ("*.nbc", "*.nbi"):
        (file,) = kept.rglob(pattern)
        file.write_bytes(b"")
        damaged, *rest = start(kept)
        assert damaged.startswith(f"compiled kernels in {kept}")
        assert rest == [compiling]
        assert start(kept) == []
    elsewhere = start(Path("/dev/null/cache"))
    assert elsewhere == [
        "compiled kernels cannot be kept in /dev/null/cache",
        "compiled kernels cannot be kept in /dev/null/.cache/magicqueue",
        compiling,
    ]
