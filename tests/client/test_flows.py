"""Flows, from the builder to the handler of the last job."""

import asyncio
from typing import Any

import msgspec
import pytest

from client.both import CLIENTS, opened
from client.running import KINDS, running
from magicqueue import Flow, Job, MagicQueueError, NewJob, Queue, Tasks
from magicqueue.flow_commands import push_flow
from magicqueue.testing import job as made_job
from patience import PATIENCE_S


def rows(flow: Flow) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = msgspec.json.decode(flow.encoded()[0])
    return told


def test_what_is_written() -> None:
    flow = Flow(keep_results=60)
    a = flow.push("x", {"n": 1}, priority=3)
    b = flow.push("y", 2, keep_result=5)
    c = flow.push("z", 3, after=[a, b, 17, a], on_parent_failure="run", unique_key="k")
    times = {"backoff": 1000, "jitter": True}
    assert rows(flow) == [
        {"queue": "x", "ref": "#0", "data": {"n": 1}, "priority": 3, "keep_result": 60_000}
        | times,
        {"queue": "y", "ref": "#1", "data": 2, "keep_result": 5000} | times,
        {"queue": "z", "depends_on": ["#0", "#1", 17], "on_parent_failure": "run"}
        | {"data": 3, "unique_key": "k"}
        | times,
    ]
    assert set(flow.encoded()[1]) == {"flows", "results", "unique"}
    with pytest.raises(ValueError, match="has not been pushed"):
        _ = c.id
    assert flow.pushed([5, 9, 7]) == [5, 9, 7]
    assert (a.id, b.id, c.id) == (5, 9, 7)
    with pytest.raises(ValueError, match="make another one"):
        flow.encoded()
    other = Flow(keep_results=None)
    other.push("x", 1, after=[a])
    assert rows(other)[0]["depends_on"] == [5], "of a flow that is stored"
    assert "keep_result" not in rows(other)[0]


def test_what_is_refused_before_anything_is_sent() -> None:
    flow, other = Flow(), Flow()
    for wrong in ({"after": "a"}, {"after": [None]}, {"depends_on": [1]}, {"delays": 1}):
        with pytest.raises(TypeError):
            flow.push("x", 1, **wrong)
    stranger = other.push("x", 1)
    for refused in (
        {"after": [stranger]},
        {"after": [0]},
        {"on_parent_failure": "run"},
        {"after": 1, "on_parent_failure": "die"},
        {"after": range(1, 1002)},
    ):
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            flow.push("x", 1, **refused)
    assert len(flow) == 0
    for text in ("{}", "[1]", "{", '{"jobs":1}', b"\xff"):
        with pytest.raises(ValueError, match="no list of jobs"):
            Flow.from_json(text)


def test_calls_of_tasks_are_jobs_with_their_options() -> None:
    tasks = Tasks("work")

    @tasks.task(max_attempts=3, key=str, on_conflict="return")
    def double(number: int) -> int:
        return 2 * number

    flow = Flow(keep_results=None)
    first = flow.call(double.call(4))
    flow.call(double.call(5), after=first, max_attempts=7)
    one, two = rows(flow)
    assert one["data"] == msgspec.json.decode(double.call(4).data)
    assert (one["queue"], one["max_attempts"], two["max_attempts"]) == ("work", 3, 7)
    assert (one["unique_key"], two["unique_key"]) == (
        double.call(4).key,
        double.call(5).key,
    )
    assert "on_conflict" not in one
    assert two["depends_on"] == [one["ref"]]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_flow_is_stored_and_its_jobs_have_ids(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        flow = Flow()
        a = flow.push(name, 1, max_attempts=1)
        b = flow.push(name, 2, after=a)
        c = flow.push(name, 3, after=[a, b], on_parent_failure="fail")
        assert queue.push_flow(flow) == [a.id, b.id, c.id]
        assert queue.stats().blocked == 2
        told = queue.job(c.id)
        assert (told.state, told.parents) == ("blocked", (a.id, b.id))
        assert (told.waits_for, told.on_parent_failure) == (2, "fail")
        assert queue.job(a.id).children == (b.id, c.id)
        job = queue.pull(timeout=0)
        assert (job.id, job.parents) == (a.id, ())
        queue.fail(job, "no")
        assert queue.job(b.id).state == "blocked"
        assert queue.job(c.id).reason == "parent_failed"
        assert queue.job(c.id).error == f"job {a.id}, which it depends on, died"
        assert queue.retry_dead(a.id) == 1
        queue.ack(queue.pull(timeout=0))
        assert queue.pull(timeout=0).parents == (a.id,)
        queue.drain()
        queue.purge_dead()


@pytest.mark.parametrize("client", CLIENTS)
def test_jobs_pushed_by_themselves_may_depend_on_others(
    client: str, url: str, name: str
) -> None:
    with opened(client, name, url) as queue:
        first = queue.push(1, keep_result=60)
        second = queue.push(2, depends_on=first, on_parent_failure="run")
        third, fourth = queue.push_batch([NewJob(3, depends_on=[first, second]), 4])
        (fifth,) = queue.push_many([5], depends_on=[fourth])
        states = [queue.job(one).state for one in (first, second, third, fourth, fifth)]
        assert states == ["ready", "blocked", "blocked", "ready", "blocked"]
        assert [job.id for job in queue.jobs(state="blocked")] == [second, third, fifth]
        with pytest.raises(ValueError, match="is about depends_on"):
            queue.push(1, on_parent_failure="run")
        assert queue.drain() == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_reads_what_its_parents_came_to(kind: str, url: str, name: str) -> None:
    def handle(job: Job) -> Any:
        found = job.parent_results()
        return job.data + sum(found[parent] for parent in job.parents)

    async def result() -> Any:
        async with Queue(name, url) as queue:
            flow = Flow()
            ones = [flow.push(name, 1) for _ in range(5)]
            last = flow.push(name, 10, after=ones, keep_result=60)
            await queue.push_flow(flow)
            return await queue.result(last.id, timeout=PATIENCE_S)

    with running(kind, name, handle, url=url):
        assert asyncio.run(result()) == 15


@pytest.mark.parametrize("client", CLIENTS)
def test_results_that_were_not_kept_are_not_there(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        flow = Flow(keep_results=None)
        flow.push(name, 2, after=[flow.push(name, 1), flow.push(name, 1, keep_result=60)])
        ids = queue.push_flow(flow)
        for _ in range(2):
            queue.ack(queue.pull(timeout=0))
        job = queue.pull(timeout=0)
        assert job.parents == tuple(ids[:2])
        assert queue.parent_results(job) == {ids[1]: None}
        with pytest.raises(MagicQueueError, match=r"use queue\.parent_results"):
            job.parent_results()
        queue.ack(job)


def test_a_made_job_has_no_parents() -> None:
    assert made_job(1).parent_results() == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_flow_has_a_key_where_pushes_are_repeated(
    client: str, url: str, name: str
) -> None:
    flow = Flow()
    flow.push(name, 2, after=flow.push(name, 1))
    plain, keyed = push_flow(flow), push_flow(flow, b',"req_key":"a-1"')
    assert (plain.has_key, keyed.has_key) == (False, True)
    assert msgspec.json.decode(keyed.line)["req_key"] == "a-1"
    with opened(client, name, url, repeat_pushes=True) as queue:
        ids = queue.push_flow(flow)
        assert [queue.job(one).state for one in ids] == ["ready", "blocked"]
        assert queue.drain() == 2
