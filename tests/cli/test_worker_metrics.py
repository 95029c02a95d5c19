"""worker --metrics."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.terminal import Terminal, eventually
from magicqueue.cli.worker_metrics import WorkerMetrics, place_of, written
from magicqueue.job_times import BOUNDS_S, JobTimes, merged

NAME = "magicqueue_worker_job_duration_seconds"
CODE = """
import asyncio
from magicqueue import Tasks

tasks = Tasks("QUEUE")

@tasks.task
async def resize(n):
    if n == 1:
        raise ValueError("one")
    return None

def plain(job):
    if job.data == 1:
        raise ValueError("one")
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def counts(port: int) -> dict[tuple[str, str, str], float]:
    """Scrape, and give the number of jobs by queue, task and outcome."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    except urllib.error.URLError:
        return {}
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            if sample.name == f"{NAME}_count":
                labels = sample.labels
                key = (labels["queue"], labels["task"], labels["outcome"])
                found[key] = sample.value
    return found


@pytest.mark.parametrize("options", [[], ["-p", "2"], ["--inline"]], ids=" ".join)
def test_handlers_are_timed_by_how_they_came_out(
    terminal: Terminal, queue: str, options: list[str]
) -> None:
    (Path(terminal.folder) / "timed.py").write_text(CODE.replace("QUEUE", f"{queue}-tasks"))
    port = free_port()
    terminal.ok("push", queue, "0", "0", "1", "--max-attempts", "1")
    worker = terminal.start(
        *("worker", "timed:plain", "-q", queue, "--metrics", str(port), *options),
        *("--log-level", "error"),
    )
    wanted = {(queue, "", "done"): 2, (queue, "", "failed"): 1}
    eventually(lambda: counts(port) == wanted)
    worker.kill()


def test_tasks_are_named(terminal: Terminal, queue: str) -> None:
    name = f"{queue}-tasks"
    (Path(terminal.folder) / "timed.py").write_text(CODE.replace("QUEUE", name))
    port = free_port()
    jobs = [f'{{"task":"resize","args":[{n}]}}' for n in (0, 1)]
    terminal.ok("push", name, *jobs, "--max-attempts", "1")
    worker = terminal.start("worker", "timed:tasks", "--metrics", str(port))
    eventually(lambda: len(counts(port)) == 2)
    tasks = {task for _, task, _ in counts(port)}
    assert len(tasks) == 1
    assert "resize" in tasks.pop()
    worker.kill()


def test_a_place_that_is_taken_is_said(terminal: Terminal, queue: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = str(sock.getsockname()[1])
        done = terminal.run("worker", "json:dumps", "-q", queue, "--metrics", taken)
        assert done.code == 2
        assert "--metrics" in done.err
    assert terminal.run("worker", "json:dumps", "-q", queue, "--metrics", "x").code == 2


def test_a_place_is_a_port_or_a_host_with_one() -> None:
    assert place_of("9100") == ("127.0.0.1", 9100)
    assert place_of("0.0.0.0:9100") == ("0.0.0.0", 9100)
    assert place_of("[::1]:9100") == ("::1", 9100)
    for wrong in ("", "x", "host:", "1:70000"):
        with pytest.raises(ValueError, match="place"):
            place_of(wrong)


def test_only_metrics_are_answered() -> None:
    metrics = WorkerMetrics("0")
    try:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/")
        assert counts(metrics.port) == {}
    finally:
        metrics.close()


def test_counts_of_several_processes_are_one_sum() -> None:
    one, two = JobTimes(), JobTimes()
    one.note("q", "", "done", BOUNDS_S[0])
    one.note("q", "", "done", 9999)
    two.note("q", "", "done", 0.3)
    two.note('a"\\\n', "t", "failed", 0.3)
    both = merged([one.cells(), two.cells()])
    (family,) = [
        family
        for family in text_string_to_metric_families(written(both, 2))
        if family.name == NAME
    ]
    samples = {
        (sample.name, sample.labels["queue"], sample.labels.get("le")): sample.value
        for sample in family.samples
    }
    assert samples[f"{NAME}_count", "q", None] == 3
    assert samples[f"{NAME}_bucket", "q", "0.001"] == 1
    assert samples[f"{NAME}_bucket", "q", "0.5"] == 2
    assert samples[f"{NAME}_bucket", "q", "+Inf"] == 3
    assert samples[f"{NAME}_sum", 'a"\\\n', None] == 0.3
