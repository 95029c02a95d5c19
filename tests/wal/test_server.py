"""A real server with a log: starts, stops, and disks that are full, slow or broken."""

import asyncio
import errno
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.tasks import LoopTasks
from wal.server_process import Connection, Server, serving

Request = dict[str, Any]


def push(number: int, size: int = 10) -> Request:
    return {"cmd": "PUSH", "queue": "q", "data": f"{number:0{size}}"}


def test_jobs_survive_a_restart_and_it_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as server, closing(Connection(server)) as connection:
        assert "jobs survive a restart" in server.output
        assert connection.ask(cmd="HELLO")["persistence"] == "everysec"
        first = connection.ask(cmd="PUSH", queue="q", data={"to": 1}, priority=5)["id"]
        delayed = connection.ask(cmd="PUSH", queue="q", data=2, delay=3_600_000)["id"]
        connection.ask(cmd="PAUSE", queue="other")
        assert server.stop() == 0
    with serving(tmp_path) as server, closing(Connection(server)) as connection:
        assert "stopped=cleanly" in server.output
        job = connection.ask(cmd="GETJOB", id=delayed)["job"]
        assert job["state"] == "delayed"
        assert job["run_at"] - job["created_at"] == 3_600_000
        assert connection.ask(cmd="STATS", queue="other")["paused"] is True
        assert connection.ask(cmd="STATS")["pushed"] == 0, "totals are since the start"
        assert connection.ask(cmd="PUSH", queue="q", data=3)["id"] == delayed + 1
        assert connection.ask(cmd="PULL", queue="q")["job"]["id"] == first


def test_leases_survive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server, closing(Connection(server)) as connection:
        ids = [connection.ask(**push(n))["id"] for n in range(3)]
        connection.ask(cmd="PULL", queue="q", lease=600_000)
        server.stop()
    with serving(tmp_path) as server:
        for _ in range(3):
            with closing(Connection(server)) as other:
                assert other.ask(cmd="STATS")["processing"] == 1, "a lease was let go"
        with closing(Connection(server)) as connection:
            assert connection.ask(cmd="ACK", id=ids[0], attempt=1)["ok"]
            assert connection.ask(cmd="PULL", queue="q")["job"]["id"] == ids[1]
            server.close()  # killed before the connection ends, which would give it back
    with serving(tmp_path) as server, closing(Connection(server)) as connection:
        assert connection.ask(cmd="GETJOB", id=ids[1])["job"]["state"] == "active"
        assert connection.ask(cmd="GETJOB", id=ids[0])["code"] == "NOT_FOUND"


def test_a_stop_with_a_million_jobs_is_quick(tmp_path: Path, core_name: str) -> None:
    options = ("--fsync=everysec", "--log-level=error")
    with (
        serving(tmp_path, *options, core=core_name) as server,
        closing(Connection(server)) as connection,
    ):
        jobs = [{"data": n} for n in range(10_000)]
        pushes = [{"cmd": "PUSHB", "queue": "q", "jobs": jobs}] * 100
        assert all(reply["ok"] for reply in connection.ask_all(pushes, at_once=10))
        assert connection.ask(cmd="STATS")["queued"] == 1_000_000
        leased = connection.ask(cmd="PULLB", queue="q", count=10_000)["jobs"]
        seconds = seconds_to_stop(server)
    with (
        serving(tmp_path, *options, core=core_name) as server,
        closing(Connection(server)) as connection,
    ):
        counts = connection.ask(cmd="STATS")
        assert (counts["queued"], counts["processing"]) == (990_000, len(leased))
    assert seconds < 3 * seconds_to_stop_with_one_job(tmp_path / "few", core_name)


def seconds_to_stop(server: Server) -> float:
    begun = time.monotonic()
    assert server.stop() == 0
    return time.monotonic() - begun


def seconds_to_stop_with_one_job(folder: Path, core_name: str) -> float:
    """The control of the test above: the grace for a job under way, and nothing else."""
    folder.mkdir()
    with (
        serving(folder, "--log-level=error", core=core_name) as server,
        closing(Connection(server)) as connection,
    ):
        connection.ask(**push(1))
        connection.ask(cmd="PULL", queue="q")
        return seconds_to_stop(server)


def test_nothing_is_written_behind_the_end() -> None:
    """The end of a sync asks for a mark, also when the files are about to be closed."""
    done: list[str] = []

    async def end() -> None:
        ended, tasks = asyncio.Event(), LoopTasks()

        def mark(_error: BaseException | None) -> None:
            tasks.run(lambda: done.append("mark"), print)
            tasks.soon(lambda: done.append("flush"))
            tasks.later(0, lambda: done.append("later"))

        tasks.later(0, lambda: done.append("timer"))
        tasks.run(lambda: done.append("sync"), mark)
        tasks.run_last(lambda: done.append("close"), lambda _error: ended.set())
        await ended.wait()
        tasks.close()

    asyncio.run(end())
    assert done == ["sync", "close"]


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        other = Server(tmp_path / "elsewhere", log=tmp_path / "log")
        assert other.wait() == 1
        assert f"(process {server.pid})" in other.output
        other.close()


def test_a_damaged_log_is_refused_with_its_place(tmp_path: Path) -> None:
    with serving(tmp_path, "--fsync=always") as server:
        with closing(Connection(server)) as connection:
            for number in range(5):
                connection.ask(**push(number))
        server.stop()
    path = tmp_path / "log" / fmt.segment_name(1)
    data = bytearray(path.read_bytes())
    data[fmt.FRAMES_AT + 60] ^= 4
    path.write_bytes(data)
    server = Server(tmp_path)
    assert server.wait() == 3
    assert f"0000000000000001.wal at byte {fmt.FRAMES_AT}" in server.output
    assert "magicqueue wal repair" in server.output
    server.close()
    assert path.read_bytes() == data


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB in memory."""
    at = tmp_path / "disk"
    at.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("a small disk needs root, to mount one")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(at)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield at
    subprocess.run(["umount", str(at)], check=True)


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_full_disk_refuses_pushes_only(
    tmp_path: Path, small_disk: Path, mode: str
) -> None:
    options = ("--segment-size=256KiB", f"--fsync={mode}", "--log-level=error")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2 * 2**20))
    ids = []
    with serving(tmp_path, *options, log=small_disk / "log") as server:
        with closing(Connection(server)) as connection:
            number = 0
            while (reply := connection.ask(**push(number, 2000)))["ok"]:
                ids.append(reply["id"])
                number += 1
                assert number < 5000
            assert reply["code"] == "FULL"
            assert "disk" in reply["error"]
            for job_id in ids[:50]:
                job = connection.ask(cmd="PULL", queue="q")["job"]
                assert job["id"] == job_id
                assert connection.ask(cmd="ACK", id=job_id)["ok"]
            job_id = connection.ask(cmd="PULL", queue="q")["job"]["id"]
            assert connection.ask(cmd="FAIL", id=job_id, error="x")["ok"]
            filler.unlink()
            ids.append(push_when_there_is_room(connection, push(number, 2000)))
        server.close()
    log = small_disk / "log"
    with (
        serving(tmp_path, *options, log=log) as server,
        closing(Connection(server)) as connection,
    ):
        requests = [{"cmd": "GETJOB", "id": job_id} for job_id in ids]
        found = [reply["ok"] for reply in connection.ask_all(requests)]
        assert found == [False] * 50 + [True] * (len(ids) - 50)


def push_when_there_is_room(connection: Connection, request: Request) -> int:
    """Ask until it is taken: the server has to notice by itself, or this test hangs."""
    while not (reply := connection.ask(**request))["ok"]:
        assert reply["code"] == "FULL"
    return int(reply["id"])


def limit_files(pid: int, size: int) -> None:
    """Let no file of a process grow beyond this."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_limit_of_file_sizes_is_a_full_disk(tmp_path: Path, mode: str) -> None:
    """Writes beyond it fail with EFBIG, in files that are there, too."""
    options = ("--segment-size=256KiB", f"--fsync={mode}", "--log-level=error")
    ids: list[int] = []
    done: list[int] = []
    with serving(tmp_path, *options) as server, closing(Connection(server)) as connection:
        limit_files(server.pid, 200 * 2**10)
        while (reply := connection.ask(**push(len(ids), 2000)))["ok"]:
            ids.append(reply["id"])
            assert len(ids) < 1000
        assert reply["code"] == "FULL"
        for job_id in ids[:40]:
            assert connection.ask(cmd="PULL", queue="q")["job"]["id"] == job_id
            assert connection.ask(cmd="ACK", id=job_id)["ok"]
            done.append(job_id)
        failed = connection.ask(cmd="PULL", queue="q")["job"]["id"]
        assert connection.ask(cmd="FAIL", id=failed, error="x")["ok"]
        assert connection.ask(**push(0))["code"] == "FULL"
        assert server.process.is_alive()
        limit_files(server.pid, resource.RLIM_INFINITY)
        ids.append(push_when_there_is_room(connection, push(len(ids), 2000)))
        server.close()
    used = sum(path.stat().st_size for path in (tmp_path / "log").glob("*.wal"))
    assert used > 300 * 2**10, "more than one segment reached the limit"
    with serving(tmp_path, *options) as server, closing(Connection(server)) as connection:
        asked = [{"cmd": "GETJOB", "id": job_id} for job_id in ids]
        found = [reply["ok"] for reply in connection.ask_all(asked)]
        assert found == [False] * len(done) + [True] * (len(ids) - len(done))


def test_a_limit_below_the_size_of_segments_stops_the_start(tmp_path: Path) -> None:
    server = Server(tmp_path, "--segment-size=256KiB", prepare=limit_own_files)
    assert server.wait() == 3
    assert "smaller --segment-size" in server.output
    server.close()
    with serving(tmp_path, "--segment-size=64KiB", prepare=limit_own_files) as server:
        with closing(Connection(server)) as connection:
            assert connection.ask(**push(1))["ok"]
        assert server.stop() == 0


def limit_own_files() -> None:
    """Let no file of this process grow beyond 100 KiB."""
    limit_files(os.getpid(), 100 * 2**10)


def break_syncs() -> None:
    """Let every sync of this process fail from the tenth on."""
    calls = iter(range(10**9))
    real = os.fdatasync

    def failing(fd: int) -> None:
        if next(calls) >= 10:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    os.fdatasync = failing  # type: ignore[assignment]  # on purpose


def push_until_it_breaks(server: Server) -> int:
    answered = 0
    with closing(Connection(server)) as connection:
        try:
            while connection.ask(**push(answered))["ok"]:
                answered += 1
        except OSError:
            pass
    return answered


def test_a_failed_sync_ends_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--fsync=always", prepare=break_syncs) as server:
        answered = push_until_it_breaks(server)
        assert server.wait() == 4
        assert "the log could not be written" in server.output
    with serving(tmp_path) as server, closing(Connection(server)) as connection:
        assert answered <= connection.ask(cmd="STATS")["queued"] <= answered + 1


def test_a_failed_sync_leaves_a_server_that_only_answers(tmp_path: Path) -> None:
    with serving(
        tmp_path, "--fsync=always", "--on-disk-error=read-only", prepare=break_syncs
    ) as server:
        assert push_until_it_breaks(server) > 0
        with closing(Connection(server)) as connection:
            for command in ("PUSH", "PULL"):
                reply = connection.ask(cmd=command, queue="q", data=1)
                assert reply["code"] == "READ_ONLY"
            assert connection.ask(cmd="ACK", id=1)["code"] == "READ_ONLY"
            assert connection.ask(cmd="STATS")["ok"]
        assert server.stop() == 0


def held_syncs(hold: Path, held: Path) -> None:
    """Let every sync of this process hang while a file is there, and say when one does."""
    real = os.fdatasync

    def waiting(fd: int) -> None:
        while hold.exists():
            held.touch()
            time.sleep(0.01)
        real(fd)

    os.fdatasync = waiting  # type: ignore[assignment]  # on purpose


def test_a_slow_disk_holds_up_neither_pulls_nor_questions(tmp_path: Path) -> None:
    """They are answered while one sync hangs, however many they are."""
    hold, held = tmp_path / "hold", tmp_path / "held"
    prepare = partial(held_syncs, hold, held)
    with serving(tmp_path, "--fsync=everysec", prepare=prepare) as server:
        with closing(Connection(server)) as pusher, closing(Connection(server)) as puller:
            jobs = [{"data": n} for n in range(600)]
            assert puller.ask(cmd="PUSHB", queue="q", jobs=jobs)["ok"]
            hold.touch()
            while not held.exists():
                pusher.send(push(1))
                time.sleep(0.05)
            for job_id in range(1, 501):
                assert puller.ask(cmd="PULL", queue="q")["job"]["id"] == job_id
                assert puller.ask(cmd="STATS")["processing"] == job_id
            hold.unlink()
        server.close()
