"""Keys, times and results of pushes; cancel, promote, wait and result."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from cli.terminal import Here, Terminal, eventually, no_traceback
from magicqueue.wire.replies import JobDetail

TASKS = """
def double(job):
    job.progress(40, "half")
    return {"double": job.data * 2}

def hang(job):
    import time
    job.progress(40, "half")
    while True:
        job.check()
        time.sleep(0.005)
"""


def pushed(terminal: Terminal, *arguments: str) -> str:
    (job_id,) = terminal.ok("push", *arguments, "--json").json()["ids"]
    return str(job_id)


def test_a_key_that_is_held_is_told(terminal: Terminal, queue: str) -> None:
    job_id = pushed(terminal, queue, "1", "--unique-key", "k")
    again = terminal.ok("push", queue, "2", "--unique-key", "k")
    assert again.out == f"job {job_id} of {queue} holds the key: nothing was stored\n"
    over = ["--unique-key", "k", "--on-conflict", "replace"]
    assert (
        "holds the key: it has the new data" in terminal.ok("push", queue, "3", *over).out
    )
    assert terminal.ok("push", queue, "4", *over, "--json").json() == {
        "queue": queue,
        "ids": [int(job_id)],
        "replaced": [0],
    }
    refused = terminal.run("push", queue, "5", *over[:-1], "reject", "--json")
    assert refused.code == 1
    assert '"code":"DUPLICATE"' in refused.err
    both = terminal.ok("push", queue, "6", "7", "--unique-key", "other", "--json").json()
    assert both["duplicates"] == [1]
    assert both["ids"][0] == both["ids"][1]
    lines = terminal.ok("push", queue, "--unique-key", "lines", stdin="1\n2\n")
    assert lines.out.startswith("job ")
    assert "\npushed job " in lines.out


def test_what_was_asked_for_is_shown(terminal: Terminal, queue: str) -> None:
    options = ["--ttl", "1h", "--on-expire", "dead", "--job-timeout", "30s"]
    keeps = ["--unique-key", "k", "--keep-result", "10m"]
    job_id = pushed(terminal, queue, "1", *options, *keeps)
    shown = terminal.ok("job", job_id).out
    assert "unique key  k\n" in shown
    assert "expires     in " in shown
    assert "timeout     30 s an attempt\n" in shown
    assert "result      to be kept for 10 min\n" in shown
    found = terminal.ok("job", job_id, "--json").json()
    assert (found["timeout"], found["keep_result"], found["unique_key"]) == (
        30_000,
        600_000,
        "k",
    )
    assert found["expires_at"] - found["created_at"] == 3_600_000
    assert "progress" not in found


def test_a_plain_jobs_json_is_what_it_was(terminal: Terminal, queue: str) -> None:
    found = terminal.ok("job", pushed(terminal, queue, "1"), "--json").json()
    assert list(found) == list(JobDetail.__struct_fields__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unique", "start"], "--unique needs a --unique-key"),
        (["--unique-for", "1s"], "--unique-for needs a --unique-key"),
        (["--on-conflict", "reject"], "--on-conflict needs a --unique-key"),
        (["--on-expire", "dead"], "--on-expire needs a --ttl"),
        (["--ttl", "0"], "ttl is 0"),
        (["--unique-key", ""], "unique_key must be 1 to 255 bytes"),
        (
            ["--unique-key", "k", "--unique", "done", "--unique-for", "1s"],
            "give --unique or --unique-for, not both",
        ),
    ],
)
def test_wrong_options_are_usage_errors(
    here: Here, options: list[str], message: str
) -> None:
    refused = here("push", "q", "1", *options, "--url", "localhost:1")
    assert refused.code == 2
    assert message in refused.err


def test_cancel_and_promote(terminal: Terminal, queue: str) -> None:
    later = pushed(terminal, queue, "1", "--delay", "1h")
    now = pushed(terminal, queue, "2")
    assert terminal.ok("promote", later).out == f"job {later} is ready\n"
    refused = terminal.run("promote", now, "--json")
    assert refused.code == 1
    assert refused.json() == {"promoted": [], "missing": [int(now)]}
    assert terminal.ok("cancel", now).out == f"job {now} cancelled\n"
    refused = terminal.run("cancel", now, later)
    assert refused.code == 1
    assert refused.out == f"job {later} cancelled\n"
    assert f"there is no job {now}" in refused.err
    asked = terminal.run("cancel", now, "--json")
    assert asked.json() == {"cancelled": [], "cancelling": [], "missing": [int(now)]}
    assert "cancelled   2" in terminal.ok("stats", queue).out


def test_a_result_is_printed_as_it_was_returned(terminal: Terminal, queue: str) -> None:
    (terminal.folder / "tasks.py").write_text(TASKS)
    job_id = pushed(terminal, queue, str(2**65), "--keep-result", "1h")
    early = terminal.run("result", job_id, "--wait", "10ms")
    assert early.code == 1
    assert f"job {job_id} has not ended within 10 ms" in early.err
    assert '"code":"NOT_DONE"' in terminal.run("wait", job_id, "--wait", "0", "--json").err
    with worker(terminal, "tasks:double", queue):
        shown = terminal.ok("result", job_id)
        assert shown.out == '{"double":73786976294838206464}\n'
        waited = terminal.ok("wait", job_id)
        assert waited.out.startswith(f"job {job_id} is done ")
    document = terminal.ok("result", job_id, "--json").json()
    assert (document["id"], document["state"]) == (int(job_id), "done")
    assert document["attempts"] == 1
    kept = terminal.ok("job", job_id).out
    assert "state     done " in kept
    assert 'result    {"double":73786976294838206464}' in kept
    assert terminal.ok("job", job_id, "--json").json()["state"] == "done"


@contextlib.contextmanager
def worker(terminal: Terminal, handler: str, queue: str) -> Iterator[None]:
    """Have a worker work, and stop it at the end."""
    running = terminal.start("worker", handler, "-q", queue)
    yield
    running.send(signal.SIGTERM)
    no_traceback(running.end().err)


def test_a_job_under_way_is_cancelled(terminal: Terminal, queue: str) -> None:
    (terminal.folder / "tasks.py").write_text(TASKS)
    job_id = pushed(terminal, queue, "1", "--keep-result", "1h")
    with worker(terminal, "tasks:hang", queue):
        eventually(lambda: "40 %, half" in terminal.ok("job", job_id).out)
        told = terminal.ok("cancel", job_id)
        assert f"job {job_id} is under way: its worker is told" in told.out
        ended = terminal.run("wait", job_id, "--json")
        assert ended.code == 1
        assert ended.json()["state"] == "cancelled"
        assert '"code":"NO_RESULT"' in ended.err
    refused = terminal.run("result", job_id)
    assert refused.code == 1
    assert f"job {job_id} gave no result, it is cancelled" in refused.err


def test_wait_waits_for_all_or_any(terminal: Terminal, queue: str) -> None:
    ids = terminal.ok("push", queue, "1", "2", "--keep-result", "1h", "--json").json()[
        "ids"
    ]
    first, second = map(str, ids)
    terminal.ok("cancel", first)
    some = terminal.run("wait", first, second, "--any", "--json")
    assert [line["id"] for line in some.lines()] == [ids[0]]
    rest = terminal.run("wait", first, second, "--wait", "10ms")
    assert rest.code == 1
    assert f"job {first} is cancelled " in rest.out
    assert f"job {second} has not ended within 10 ms" in rest.err
    gone = terminal.run("wait", "4000000000")
    assert gone.out == "job 4000000000 is not known any more\n"
    assert gone.code == 1


def test_waiting_names_only_so_many(here: Here) -> None:
    ids = [str(n) for n in range(1, 1002)]
    refused = here("wait", *ids, "--url", "localhost:1")
    assert refused.code == 2
    assert "up to 1,000 ids, not 1,001" in refused.err
