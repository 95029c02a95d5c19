"""The executables on a system of nothing but a C library, and what stands beside them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from dist.conftest import ROOT, Run
from dist.serving import get
from patience import PATIENCE_S

PACKAGING = ROOT / "packaging"
WEB = ("--http=unix:/web",)
ZONES = {"Europe/Berlin": {30, 90}, "Asia/Kolkata": {21 * 60}}
"""And when 2:30 there is, in minutes of the day of UTC."""
IN_A_ROOT = """
mount --bind /proc "$0/proc" || exit 99
exec chroot "$0" "$@"
"""


def _c_library() -> list[str]:
    """Where the C library is, by the executable's own interpreter: loader, libc, libm."""
    told = subprocess.run(
        ["ldd", shutil.which("sh") or "/bin/sh"], capture_output=True, text=True, check=True
    ).stdout
    (libc,) = re.findall(r"libc\.so\.6 => (\S+)", told)
    names = ("libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1")
    files = [str(Path(libc).with_name(name)) for name in names]
    return [*files, *re.findall(r"^\s*(/\S+)", told, re.MULTILINE)]


@pytest.fixture
def root(tmp_path: Path, folder_executable: str, single_executable: str) -> Path:
    """A root folder with the executables, a C library, and nothing else."""
    folder = tmp_path / "root"
    for name in ("proc", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(Path(folder_executable).parent, folder / "folder")
    shutil.copy2(single_executable, folder / "single")
    for file in _c_library():
        inside = folder / file.removeprefix("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, inside)
    return folder


def _in_root(root: Path, *command: str) -> list[str]:
    sh = shutil.which("sh")
    assert sh is not None
    return ["unshare", "--mount", sh, "-c", IN_A_ROOT, str(root), *command]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root folder")
@pytest.mark.parametrize("inside", ["/folder/magicqueue", "/single"])
def test_it_needs_nothing_but_a_c_library(root: Path, inside: str) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*_in_root(root, inside), *arguments],
            env={"PATH": os.environ["PATH"], "MAGICQUEUE_URL": "unix:///socket"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    tried = subprocess.run(_in_root(root, "/none"), capture_output=True, check=False)
    if tried.returncode == 99:
        pytest.skip("this machine lets nobody mount")
    server = subprocess.Popen(
        _in_root(root, inside, "serve", "--unix-socket=/socket", "--persist", *WEB),
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        else:
            pytest.fail("".join(said))
        assert any("array core (compiled ahead of time" in line for line in said)
        run("push", "q", '{"n":1}')
        assert '{"n":1}' in run("pull", "q", "--ack")
        for zone, minutes in ZONES.items():  # of the package: there are no others here
            times = ("--schedule", "30 2 * * *", "--tz", zone)
            run("cron", "set", zone, "-q", "q", *times)
            following = json.loads(run("cron", "next", zone, "--json"))["next_runs"]
            assert {run_ms // 60_000 % 1440 for run_ms in following} <= minutes
        assert get(root / "web", "/")[0] == 200
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_S)
        assert server.returncode == 0
        assert "every frame and record is whole" in run("wal", "check")
    finally:
        server.kill()
        server.communicate()


@pytest.fixture
def beside(folder_executable: str) -> Path:
    """The folder, which has a sample config and a unit of systemd beside the executable."""
    return Path(folder_executable).parent


def test_the_sample_config_is_right(executable: str, beside: Path, run: Run) -> None:
    sample = beside / "magicqueue.toml"
    done = run(executable, "serve", "--config", str(sample), "--print-config")
    assert done.returncode == 0, done.stderr
    assert f"# file {sample}" in done.stdout
    assert 'data_dir = "/var/lib/magicqueue"' in done.stdout


def test_the_unit_starts_what_is_there(
    folder_executable: str, beside: Path, run: Run
) -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(beside / "magicqueue.service")
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program == "/opt/magicqueue/magicqueue"
    at = arguments.index("/etc/magicqueue.toml")
    arguments[at] = str(beside / "magicqueue.toml")
    done = run(folder_executable, *arguments, "--print-config")
    assert done.returncode == 0, done.stderr
    state = unit["Service"]["StateDirectory"]
    assert f'data_dir = "/var/lib/{state}"' in done.stdout


def test_systemd_takes_the_unit(
    folder_executable: str, beside: Path, tmp_path: Path
) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd here")
    text = (beside / "magicqueue.service").read_text()
    unit = tmp_path / "magicqueue.service"
    unit.write_text(text.replace("/opt/magicqueue/magicqueue", folder_executable))
    done = subprocess.run(
        [analyze, "verify", unit], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""


def test_the_dockerfile_takes_what_was_built(
    folder_executable: str, beside: Path, run: Run
) -> None:
    rows = re.findall(r"(?m)^([A-Z]+) (.+)", (PACKAGING / "Dockerfile").read_text())
    image = dict(rows)
    assert rows[0][0] == "FROM"
    pattern, target = image["ADD"].split()
    (archive,) = ROOT.glob(pattern)
    assert archive.name.removesuffix(".tar.gz") == beside.name
    assert f"mv {target}magicqueue-* {target}magicqueue" in image["RUN"]
    assert image["ENTRYPOINT"] == f'["{target}magicqueue/magicqueue"]'
    arguments = re.findall(r'"([^"]+)"', image["CMD"])
    done = run(folder_executable, *arguments, "--print-config")
    assert done.returncode == 0, done.stderr
    assert f"port = {image['EXPOSE'].split()[0]} " in done.stdout
    assert f'data_dir = "{image["VOLUME"]}"' in done.stdout
