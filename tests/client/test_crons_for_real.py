"""Crons from either client to a real server, and of tasks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.conftest import Run as RunLoop
from client.fake_server import FakeServer
from client.test_tasks import until
from magicqueue import BadRequest, NotFound, Tasks, TaskWorker, Unsupported, current_job

LATER = datetime.now(UTC) + timedelta(days=400)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_cron_is_set_told_and_deleted(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        done = queue.cron(name, "30 2 * * *", {"n": 1}, tz="Asia/Kolkata", priority=3)
        assert (done.created, done.changed, len(done.next_runs)) == (True, True, 3)
        assert (done.next_run.hour, done.next_run.minute) == (21, 0)  # in UTC
        again = queue.cron(name, "30 2 * * *", {"n": 1}, tz="Asia/Kolkata", priority=3)
        assert (again.created, again.changed) == (False, False)
        [told] = [one for one in queue.crons() if one.name == name]
        assert (told.queue, told.data, told.tz, told.priority) == (
            name,
            {"n": 1},
            "Asia/Kolkata",
            3,
        )
        assert told.next_run == done.next_run
        assert queue.cron_details(name, 5).next_runs[:3] == done.next_runs
        queue.pause_cron(name)
        assert queue.cron_details(name).next_run is None
        assert queue.resume_cron(name) == done.next_run
        queue.delete_cron(name)
        with pytest.raises(NotFound):
            queue.cron_details(name)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_tells_whose_it_is(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.cron(name, every=timedelta(days=1), start=LATER, data="x")
        job_id = queue.run_cron(name)
        job = queue.pull(timeout=5)
        assert (job.id, job.data, job.cron.name) == (job_id, "x", name)
        assert queue.job(job_id).cron == job.cron
        assert queue.cron_details(name).live == 1
        queue.ack(job)
        queue.delete_cron(name)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_cannot_be_is_refused(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        with pytest.raises(BadRequest, match="day-of-month"):
            queue.cron(name, "0 0 31 2 *")
        with pytest.raises(ValueError, match="ticks"):
            queue.cron(name, "* * * * *", delay=5)
        with pytest.raises(TypeError, match="no option"):
            queue.cron(name, "* * * * *", often=True)
        with pytest.raises(TypeError, match="tz"):
            queue.cron(name, "* * * * *", tz=5)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_older_server_is_not_asked(client: str, fake: FakeServer) -> None:
    with opened(client, "q", fake.url) as queue, pytest.raises(Unsupported):
        queue.cron("c", "* * * * *")


@pytest.fixture
def tasks(name: str, url: str) -> Any:
    with Tasks(name, url=url) as made:
        yield made


def test_a_worker_sets_the_crons_of_its_tasks_and_runs_their_jobs(
    run: RunLoop, tasks: Tasks, name: str
) -> None:
    ran: list[tuple[str, str]] = []

    @tasks.cron(every=86_400, kwargs={"region": "eu"}, retries=2)
    async def check(region: str) -> None:
        job = current_job()
        assert job is not None
        assert job.cron is not None
        ran.append((region, job.cron.name))

    async def scenario() -> None:
        async with TaskWorker(tasks):
            queue = tasks.producer._queue(name)

            async def there() -> bool:
                return f"{name}.check" in [one.name async for one in queue.crons()]

            while not await there():
                pass
            await queue.run_cron(f"{name}.check")
            await until(lambda: bool(ran))
            assert (await queue.cron_details(f"{name}.check")).data["task"] == "check"
            await queue.delete_cron(f"{name}.check")

    run(scenario())
    assert ran == [("eu", f"{name}.check")]


def test_crons_are_declared_in_words_that_are_checked(tasks: Tasks) -> None:
    @tasks.cron("0 3 * * *", tz="Europe/Berlin")
    @tasks.task
    async def nightly() -> None: ...

    assert [one.schedule for one in tasks.crons] == ["0 3 * * *"]
    with pytest.raises(ValueError, match="another cron_name"):
        tasks.cron("0 4 * * *")(nightly)
    tasks.cron("0 4 * * *", cron_name="second")(nightly)
    with pytest.raises(TypeError, match="say it in"):
        tasks.cron("0 4 * * *", cron_name="third", retries=5)(nightly)
