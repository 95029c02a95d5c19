"""Groups from either client to a real server: turns, what is told, what is refused."""

import time
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import FakeServer
from client.running import KINDS, running
from magicqueue import GroupLimits, Job, NewJob, Rate, SyncQueue, Throttle, Unsupported
from patience import PATIENCE_S


def until(condition: Any) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


@pytest.mark.parametrize("client", CLIENTS)
def test_groups_take_turns_and_jobs_tell_theirs(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.push_batch([1, 2, NewJob(3, group="own")], group="many")
        last = queue.push(4, group='quo"ted \u00fc')
        queue.push(5)
        jobs = queue.pull_batch(9, timeout=0)
        assert [(job.data, job.group) for job in jobs] == [
            (1, "many"),
            (3, "own"),
            (4, 'quo"ted \u00fc'),
            (5, None),
            (2, "many"),
        ]
        assert queue.job(last).group == 'quo"ted \u00fc'
        queue.ack_batch(jobs)
        assert list(queue.groups()) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_groups_are_listed_with_their_counts(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.push_batch([NewJob(n, group=f"g{n:04}") for n in range(1_100)])
        queue.push(1, group="g0000")
        [job] = queue.pull_batch(1, timeout=0)
        until_s = queue.throttle(3600, group="g0001")
        listed = list(queue.groups())
        assert [group.name for group in listed] == [f"g{n:04}" for n in range(1_100)]
        first, second = listed[:2]
        assert (first.queued, first.processing, first.throttled_until) == (1, 1, None)
        assert (second.queued, second.processing) == (1, 0)
        assert second.throttled_until == until_s * 1000
        queue.ack(job)


@pytest.mark.parametrize("client", CLIENTS)
def test_limits_and_throttles_hold_for_a_group_by_itself(
    client: str, url: str, name: str
) -> None:
    with opened(client, name, url) as queue:
        told = queue.limit(group=GroupLimits(1, Rate(5, per=60)))
        assert (told.group.concurrency, told.group.rate.jobs) == (1, 5)
        assert (told.concurrency, told.rate) == (None, None)
        queue.push_batch([1, 2], group="a")
        queue.push_batch([3, 4], group="b")
        jobs = queue.pull_batch(9, timeout=0)
        assert [job.data for job in jobs] == [1, 3]
        queue.throttle(3600, group="a")
        queue.ack_batch(jobs)
        assert [job.data for job in queue.pull_batch(9, timeout=0)] == [4]
        assert queue.throttle(0, group="a") is None
        assert queue.pull(timeout=0).data == 2


@pytest.mark.parametrize("bad", ["", "n" * 256, "a\nb"])
def test_what_is_no_group_is_refused_before_it_is_sent(url: str, bad: str) -> None:
    with SyncQueue("q", url) as queue:
        for call in (queue.push, queue.push_batch):
            with pytest.raises(ValueError, match="group"):
                call([1], group=bad)
        with pytest.raises(ValueError, match="group"):
            queue.throttle(1, group=bad)


def test_an_older_server_is_not_asked(fake: FakeServer) -> None:
    with SyncQueue("q", fake.url, timeout=1) as queue:
        asked: tuple[Any, ...] = (
            lambda: queue.push(1, group="g"),
            lambda: queue.push_batch([1], group="g"),
            lambda: list(queue.groups()),
            lambda: queue.throttle(1, group="g"),
        )
        for ask in asked:
            with pytest.raises(Unsupported):
                ask()


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_throttles_its_jobs_group_alone(kind: str, url: str, name: str) -> None:
    seen: list[Any] = []

    def handle(job: Job) -> None:
        seen.append((job.group, job.data, job.attempts))
        if job.group == "slow":
            raise Throttle(3600, "429", group=True)

    with SyncQueue(name, url) as queue:
        queue.push_batch([1, 2], group="slow")
        queue.push_batch([3, 4], group="fast")
        with running(kind, name, handle, url=url):
            until(lambda: queue.stats().completed == 2)
            until(lambda: queue.stats().processing == 0)
        groups = {group.name: group for group in queue.groups()}
        assert groups.keys() == {"slow"}
        assert groups["slow"].throttled_until is not None
        assert queue.stats().throttled_until is None
    assert [one for one in seen if one[0] == "fast"] == [("fast", 3, 1), ("fast", 4, 1)]
