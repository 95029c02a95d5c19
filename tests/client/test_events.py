"""What happens, as either client is told of it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from client.conftest import Run
from client.fake_server import TELLS, FakeServer
from client.real_server import RealServer
from magicqueue import Event, ProtocolError, Queue, SyncQueue, Unsupported
from patience import PATIENCE_S


def die(queue: SyncQueue) -> int:
    """Push a job and let it die."""
    job_id = queue.push(1, max_attempts=1)
    job = queue.pull(timeout=PATIENCE_S)
    assert job is not None
    queue.fail(job)
    return job_id


class Listener:
    """Somebody who is told of events, in a thread of their own."""

    def __init__(self, find: Callable[[], Iterator[Event]]) -> None:
        self.heard: list[Event] = []
        self._find = find
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.error: BaseException | None = None
        self._thread.start()

    def _listen(self) -> None:
        try:
            for event in self._find():
                with self._news:
                    self.heard.append(event)
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def until(self, there: Callable[[list[Event]], bool]) -> list[Event]:
        with self._news:
            assert self._news.wait_for(lambda: there(self.heard), PATIENCE_S), self.heard
            return list(self.heard)


def blocking(queue: Queue, **options: Any) -> Iterator[Event]:
    """The asyncio client's events, for a thread without a loop."""
    with asyncio.Runner() as runner:
        found = queue.events(**options)
        try:
            while True:
                yield runner.run(anext(found))  # type: ignore[arg-type]  # a coroutine it is
        finally:
            runner.run(found.aclose())  # type: ignore[attr-defined]  # a generator has it


@contextlib.contextmanager
def listening(client: str, name: str, url: str, **options: Any) -> Iterator[Listener]:
    """Listen, and wait until that has begun."""
    kinds = ["stats", *options.pop("kinds", ["dead"])]
    timeout = options.pop("timeout", PATIENCE_S)
    options |= {"kinds": kinds, "every": 0.1}
    if client == "async":
        listener = Listener(lambda: blocking(Queue(name, url, timeout=timeout), **options))
    else:
        listener = Listener(lambda: SyncQueue(name, url, timeout=timeout).events(**options))
    listener.until(bool)
    yield listener


def of(heard: list[Event], kind: str) -> list[Event]:
    return [event for event in heard if event.kind == kind]


CLIENTS = pytest.mark.parametrize("client", ["async", "sync"])


@CLIENTS
def test_what_happens_is_told(client: str, url: str, name: str) -> None:
    with (
        SyncQueue(name, url) as queue,
        SyncQueue(f"{name}-other", url) as other,
        listening(client, name, url) as here,
        listening(client, name, url, everywhere=True) as everywhere,
    ):
        ids = [die(queue), die(other)]
        assert len(of(here.until(lambda heard: bool(of(heard, "dead"))), "dead")) == 1
        heard = everywhere.until(lambda heard: len(of(heard, "dead")) == 2)
        dead = of(heard, "dead")
        assert [event.ids for event in dead] == [[one] for one in ids]
        assert [event.queue for event in dead] == [queue.name, other.name]
        assert {event.reason for event in dead} == {"failed"}
        job = queue.job(ids[0])
        assert dead[0].at_ms == job.died_at_ms
        assert dead[0].at == job.died_at
        stats = of(everywhere.heard, "stats")
        assert stats[0].rates is None
        assert stats[-1].rates is None or stats[-1].rates["pushed"] >= 0
        assert of(here.heard, "stats")[0].queue == name


@CLIENTS
def test_a_lost_connection_is_made_again_and_told(
    client: str, own_server: RealServer
) -> None:
    with listening(client, "q", own_server.url, kinds=["paused"]) as listener:
        own_server.kill()
        own_server.start()
        listener.until(lambda heard: bool(of(heard, "dropped")))
        with SyncQueue("q", own_server.url) as queue:
            queue.pause()
        heard = listener.until(lambda heard: bool(of(heard, "paused")))
        (missed,) = of(heard, "dropped")
        assert missed.count is None
        assert heard.index(missed) < heard.index(of(heard, "paused")[0])


@CLIENTS
def test_a_server_that_is_gone_for_good_ends_it(
    client: str, own_server: RealServer
) -> None:
    with listening(client, "q", own_server.url, timeout=1) as listener:
        own_server.kill()
        ends = time.monotonic() + PATIENCE_S
        while listener.error is None and time.monotonic() < ends:
            time.sleep(0.02)
        assert type(listener.error).__name__ in {"ConnectionRefused", "ConnectionLost"}


def test_the_connection_ends_with_the_iterator(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            before = (await queue.server_stats()).connections
            found: AsyncIterator[Event] = queue.events(["stats"])
            async with aclosing(found) as events:  # type: ignore[type-var]  # as above
                assert (await anext(events)).kind == "stats"
                assert (await queue.server_stats()).connections == before + 1
            for _ in range(1000):
                if (await queue.server_stats()).connections == before:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("it is still there")

    run(main())


def test_a_reader_that_waits_is_not_flooded(run: Run, url: str, name: str) -> None:
    """While many events wait here no more is read, and all come in the end, or a count."""

    async def main() -> None:
        async with Queue(name, url) as queue:
            events = queue.events(["paused", "stats"])
            await anext(events)
            for _ in range(700):
                await queue.pause()
                await queue.resume()
            paused = dropped = 0
            async for event in events:
                paused += event.kind == "paused"
                dropped += event.count or 0 if event.kind == "dropped" else 0
                if paused + dropped >= 1400:
                    break
            assert paused >= 1000

    run(main())


@CLIENTS
def test_nothing_that_is_no_kind_is_asked_for(client: str, url: str) -> None:
    make = Queue if client == "async" else SyncQueue
    queue = make("q", url)

    def first(kinds: Any) -> object:
        if isinstance(queue, Queue):
            return next(blocking(queue, kinds=kinds))
        return next(queue.events(kinds))

    for kinds in ("deaths", [], ["dead", "x"]):
        with pytest.raises(ValueError, match="kind"):
            first(kinds)


def test_a_server_that_cannot_is_not_asked(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: {"ok": True}) as fake:
            async with Queue("q", fake.url) as queue:
                with pytest.raises(Unsupported):
                    await anext(queue.events())
            assert not fake.of("SUBSCRIBE")

    run(main())


def test_an_event_that_cannot_be_true_ends_it(run: Run) -> None:
    async def main() -> None:
        lines: list[dict[str, Any]] = [{"ok": True}, {"event": "dead", "ids": "all"}]
        answers = iter(lines)
        with FakeServer(lambda _: next(answers)) as fake:
            fake.hello = lambda _: TELLS | {"capabilities": ["events"]}
            async with Queue("q", fake.url, timeout=0.3) as queue:
                with pytest.raises(ProtocolError):
                    await anext(queue.events())

    run(main())
