"""Looking through jobs, and dealing with all that match, from either client."""

import pytest

from client.both import CLIENTS, opened
from client.conftest import Run
from client.fake_server import TELLS, FakeServer
from magicqueue import BadRequest, ProtocolError, Queue, Unsupported


@pytest.mark.parametrize("client", CLIENTS)
def test_jobs_are_listed_by_state_and_text(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        ids = queue.push_batch([{"to": f"user{n}", "big": "x" * 5000} for n in range(1200)])
        late = queue.push({"to": "user7"}, delay=3600)
        assert [job.id for job in queue.jobs()] == [*ids, late]
        assert [job.id for job in queue.jobs(state="delayed")] == [late]
        found = list(queue.jobs(contains='"user7"'))
        assert [job.id for job in found] == [ids[7], late]
        assert found[0].data == {"to": "user7", "big": "x" * 5000}
        first = queue.push({"to": "first"}, priority=9)
        assert next(iter(queue.jobs(state="ready", order="turn"))).id == first


@pytest.mark.parametrize("client", CLIENTS)
def test_all_that_match_are_dealt_with(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.push_batch([{"n": n} for n in range(2500)])
        queue.push_batch([{"late": n} for n in range(3)], delay=3600)
        assert queue.bulk("cancel", contains='"n"', dry_run=True) == 2500
        assert queue.stats().queued == 2500
        assert queue.bulk("promote", contains='"late":1') == 1
        assert queue.bulk("cancel", contains='"n"') == 2500
        assert (queue.stats().queued, queue.stats().delayed) == (1, 2)
        with pytest.raises(BadRequest):
            queue.bulk("retry", state="ready")


def test_a_server_that_cannot_is_not_asked(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: {"ok": True, "jobs": [], "next": None}) as fake:
            async with Queue("q", fake.url) as queue:
                with pytest.raises(Unsupported):
                    await queue.bulk("cancel")
            assert not fake.of("BULK")

    run(main())


def test_a_listing_that_goes_in_circles_ends(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: {"ok": True, "done": 0, "next": "a"}) as fake:
            fake.hello = lambda _: TELLS | {"capabilities": ["browse"]}
            async with Queue("q", fake.url) as queue:
                with pytest.raises(ProtocolError):
                    await queue.bulk("cancel")

    run(main())
