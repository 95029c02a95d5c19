"""The operations on real files: what a system call leaves undone is done."""

import errno
import os
from pathlib import Path

import pytest

from magicqueue_server.wal.disk import SystemFolder

PARTS = [bytes([n % 251]) * (n % 7) for n in range(3000)]
"""More than go into one call."""


def test_a_write_cut_short_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.pwritev, []

    def short(fd: int, parts: list[bytes], at: int) -> int:
        calls.append(at)
        return real(fd, [b"".join(parts)[:100]], at)

    real_one = os.pwrite

    def short_one(fd: int, data: memoryview, at: int) -> int:
        calls.append(at)
        return real_one(fd, bytes(data[:1000]), at)

    monkeypatch.setattr(os, "pwritev", short)
    monkeypatch.setattr(os, "pwrite", short_one)
    file = SystemFolder(tmp_path).open("file", create=True)
    file.write([b"head"], 0)
    file.write(PARTS, 4)
    assert file.read(10**6, 0) == b"head" + b"".join(PARTS)
    assert len(calls) > 10
    file.close()


def test_room_is_made_where_it_cannot_be_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    file = SystemFolder(tmp_path).open("file", create=True)
    size = 2 * 2**20 + 77
    file.allocate(size)
    assert file.size() == size
    assert file.read(size + 1, 0) == bytes(size)
    file.close()
