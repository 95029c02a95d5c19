"""The platform wheel, as somebody installs it who has no numba."""

import subprocess
from pathlib import Path

from dist.conftest import Run
from dist.serving import seconds_of_a_bare_start, serving
from patience import PATIENCE_S


def test_it_is_for_this_platform_and_all_pythons(folder_executable: str) -> None:
    (wheel,) = Path(folder_executable).parents[1].glob("*.whl")
    assert wheel.name.endswith("-cp311-abi3-manylinux_2_17_x86_64.whl")


def test_there_is_no_jit(installed: str) -> None:
    program = (
        "import importlib.util as u\n"
        "print([n for n in ('numba', 'numpy', 'llvmlite') if u.find_spec(n)])\n"
    )
    python = Path(installed).with_name("python")
    done = subprocess.run([python, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_version_says_what_it_is(installed: str, run: Run) -> None:
    _, build, core, _ = run(installed, "--version").stdout.splitlines()
    assert build.startswith("build: package, commit ")
    assert core.startswith("array core: compiled ahead of time for x86-64-v")


def test_jobs_go_through_the_array_core(installed: str, run: Run, tmp_path: Path) -> None:
    with serving([installed], tmp_path) as server:
        assert server.said[1].startswith("array core (compiled ahead of time for x86-64")
        url = f"unix://{server.place}"
        pushed = run(installed, "push", "q", '{"n":1}', "2", MAGICQUEUE_URL=url)
        assert pushed.returncode == 0, pushed.stderr
        pulled = run(installed, "pull", "q", "-n", "2", "--ack", MAGICQUEUE_URL=url)
        assert '{"n":1}' in pulled.stdout
    assert not (tmp_path / ".cache").exists()


def test_it_runs_workers(installed: str, run: Run, tmp_path: Path) -> None:
    program = "def note(job):\n    print('did', job.data, flush=True)\n"
    (tmp_path / "tasks.py").write_text(program)
    with serving([installed], tmp_path) as server:
        url = f"unix://{server.place}"
        worker = subprocess.Popen(
            [installed, "worker", "tasks:note", "-q", "q", "--url", url],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            run(installed, "push", "q", "17", MAGICQUEUE_URL=url)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "did 17\n"
            worker.terminate()
            worker.communicate(timeout=PATIENCE_S)
            assert worker.returncode == 0
        finally:
            worker.kill()
            worker.communicate()


def test_it_starts_at_once(installed: str, tmp_path: Path) -> None:
    """The bound is twice that of the executable's folder, beside the same control."""
    seconds: list[float] = []
    control_s: list[float] = []
    for _ in range(5):
        with serving([installed], tmp_path) as server:
            seconds.append(server.seconds)
        control_s.append(seconds_of_a_bare_start())
    assert min(seconds) < 10 * min(control_s)
