"""What goes in comes out, and what cannot is refused before anything is sent."""

import enum
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.both import CLIENTS, opened
from client.fake_server import FakeServer
from magicqueue import (
    ConnectionRefused,
    Job,
    MagicQueueError,
    NewJob,
    NotJson,
    Queue,
    SyncQueue,
    SyncWorker,
    Worker,
)
from magicqueue.encoding import encode_jobs, json_of
from magicqueue.job_options import tail_of
from magicqueue.testing import job as made_job


@dataclass
class Point:
    x: float
    tags: list[Any]


class Level(enum.Enum):
    HIGH = math.inf


NAN = math.nan
ODD: list[tuple[Any, str]] = [
    (NAN, "data is nan"),
    ({"x": [0, None, NAN]}, 'data["x"][2] is nan'),
    ([{"a": {"b": (1, -math.inf)}}], 'data[0]["a"]["b"][1] is -inf'),
    (Point(NAN, []), "data.x is nan"),
    (Point(1.0, [None, math.inf]), "data.tags[1] is inf"),
    ({"l": Level.HIGH}, 'data["l"] is inf'),
    ({"a\n\x9b": NAN}, r'data["a\n\x9b"] is nan'),
    ({"long": 2**99, "n": NAN}, 'data["n"] is nan'),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("data", "place"), ODD, ids=[place for _, place in ODD])
def test_odd_numbers_are_refused_by_their_place(
    client: str, data: Any, place: str, fake: FakeServer
) -> None:
    with opened(client, "q", fake.url) as queue:
        calls: tuple[Callable[[], Any], ...] = (
            lambda: queue.push(data),
            lambda: queue.push_batch([0] * 200 + [data]),
            lambda: queue.push_batch([NewJob(0), NewJob(data)]),
            lambda: queue.push_many([0, data]),
        )
        for call in calls:
            with pytest.raises(NotJson) as caught:
                call()
            assert place in str(caught.value)
            assert str(caught.value).isprintable()
    assert not fake.requests


def test_the_index_of_an_odd_number_is_named() -> None:
    with pytest.raises(NotJson, match=r'item 200: data\["x"\] is nan'):
        encode_jobs([None] * 200 + [{"x": NAN}], tail_of({}))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_comes_back_exactly(data: Any) -> None:
    assert exactly(made_job(data).data) == exactly(data)
    raw = made_job(data).raw
    assert exactly(json.loads(raw)) == exactly(data)
    assert encode_jobs([data, data], b"}") == b'{"data":%b},{"data":%b}' % (raw, raw)


def exactly(data: Any) -> str:
    """Tell 1 from 1.0 and from True, which are equal."""
    return repr(data)


@pytest.mark.parametrize(
    "text",
    [
        *("123456789012345678901234567890", "-9223372036854775809", "18446744073709551616"),
        *(
            "1e400",
            "-1e999",
            "1e-999",
            "-0",
            "-0.0",
            "9007199254740993.0",
            "1E5",
            '"1e400"',
        ),
        *("0.1000000000000000055511151231257827", "[1e400,12345678901234567890123]"),
        *('{"a":1,"a":2}', r'"\u00e9\ud83d\ude00"', "[" * 512 + "]" * 512),
        "9" * 4300,
    ],
)
def test_data_of_other_clients_reads_as_pythons_own_json_does(text: str) -> None:
    line = (
        '{"id":1,"queue":"q","data":%s,"priority":0,"created_at":1,"run_at":1,"attempts":1}'
    )
    import msgspec  # noqa: PLC0415

    job = msgspec.json.decode(line % text, type=Job)
    assert exactly(job.data) == exactly(json.loads(text))
    assert job.raw == text.encode()


def test_data_is_decoded_once_and_kept() -> None:
    job = made_job({"x": [1]})
    assert job.data is job.data
    job.data["x"].append(2)
    job.data["y"] = 3
    assert job.data == {"x": [1, 2], "y": 3}
    assert orjson.loads(job.raw) == {"x": [1]}
    assert made_job(None).data is None


@pytest.mark.parametrize("client", CLIENTS)
def test_long_integers_go_through_a_server(client: str, url: str, name: str) -> None:
    data = {"id": 10**29 + 1, "items": [-(2**70), {"n": 2**64}], "f": 0.1, "none": None}
    with opened(client, name, url) as queue:
        queue.push(data)
        queue.push_batch([data, 1])
        for _ in range(2):
            assert exactly(queue.pull(timeout=0).data) == exactly(data)


@pytest.mark.parametrize("client", CLIENTS)
def test_times_beyond_a_datetime_can_be_pulled(client: str, fake: FakeServer) -> None:
    far = 2**53 - 1
    job = {"id": 1, "queue": "q", "data": 1, "priority": 0, "attempts": 1}
    fake.answer = lambda _: {
        "ok": True,
        "jobs": [{**job, "created_at": 1_500, "run_at": far}],
    }
    with opened(client, "q", fake.url) as queue:
        pulled = queue.pull(timeout=0)
        assert pulled.run_at_ms == far
        assert pulled.run_at == datetime.max.replace(tzinfo=UTC)
        assert pulled.created_at.timestamp() == 1.5
        assert "queue='q'" in repr(pulled)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "items", ["abc", b"abc", bytearray(b"abc"), {"to": "ada"}, 7, None, NewJob(1)]
)
def test_what_is_no_list_of_jobs_is_refused(
    client: str, items: Any, fake: FakeServer
) -> None:
    with opened(client, "q", fake.url) as queue:
        for push in (queue.push_batch, queue.push_many):
            with pytest.raises(TypeError, match=r"takes a list of jobs.*push"):
                push(items)
    assert not fake.requests


def list_of(queue: Any, page_size: Any) -> Any:
    if isinstance(queue, SyncQueue):
        return list(queue.all_dead(page_size))

    async def pages() -> list[Any]:
        return [job async for job in queue.queue.all_dead(page_size)]

    return queue._run(pages())


BAD_CALLS: dict[str, Any] = {
    "count": lambda q, bad: q.pull_batch(bad, timeout=0),
    "batch_size": lambda q, bad: q.push_many([1], batch_size=bad),
    "window": lambda q, bad: q.push_many([1], window=bad),
    "page": lambda q, bad: q.dead(bad),
    "after": lambda q, bad: q.dead(1, bad),
    "page_size": list_of,
    "job": lambda q, bad: q.job(bad),
    "retry_dead": lambda q, bad: q.retry_dead(bad),
    "purge_dead": lambda q, bad: q.purge_dead(bad),
    "ack": lambda q, bad: q.ack(bad),
    "ack_batch": lambda q, bad: q.ack_batch([1, bad]),
    "fail": lambda q, bad: q.fail(bad),
    "release": lambda q, bad: q.release(1, bad),
    "heartbeat": lambda q, bad: q.heartbeat(1, bad),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "1", 2**60])
@pytest.mark.parametrize("call", BAD_CALLS)
def test_numbers_that_mean_nothing_are_refused(
    client: str, call: str, bad: Any, fake: FakeServer
) -> None:
    with (
        opened(client, "q", fake.url) as queue,
        pytest.raises((TypeError, ValueError), match=r"must be|give a job"),
    ):
        BAD_CALLS[call](queue, bad)
    assert not fake.requests


@pytest.mark.parametrize("bad", [0, -1, True, "1", math.nan, math.inf])
def test_spans_that_mean_nothing_are_refused(bad: Any, fake: FakeServer) -> None:
    for make in (Queue, SyncQueue):
        with pytest.raises((TypeError, ValueError), match="timeout"):
            make("q", fake.url, timeout=bad)
    with SyncQueue("q", fake.url) as queue:
        with pytest.raises((TypeError, ValueError), match="lease"):
            queue.pull(lease=bad, timeout=0)
        with pytest.raises((TypeError, ValueError), match="lease"):
            queue.heartbeat(1, lease=bad)


@pytest.mark.parametrize("option", ["batch_size", "prefetch"])
@pytest.mark.parametrize("bad", [-1, True, 1.5])
def test_workers_refuse_numbers_that_mean_nothing(option: str, bad: Any) -> None:
    options: dict[str, Any] = {option: bad}
    for make in (Worker, SyncWorker):
        with pytest.raises((TypeError, ValueError), match=option):
            make("q", print, **options)


def test_a_job_shows_its_data_within_bounds() -> None:
    job = made_job({"a": "x\x1b\n\x9b2J"}, queue="mail", attempts=3, job_id=9)
    assert str(job) == (
        r"""Job(id=9, queue='mail', attempts=3, data={"a":"x\u001b\n\x9b2J"})"""
    )
    long = repr(made_job("é" * 10**5))
    assert len(long) < 300
    assert long.endswith("…)")
    assert long.isprintable()


def test_a_made_up_job_is_one_as_a_handler_gets_it() -> None:
    job = made_job({"when": datetime(2024, 1, 2, tzinfo=UTC)}, created_at=1.5)
    assert isinstance(job, Job)
    assert job.data == {"when": "2024-01-02T00:00:00+00:00"}
    assert (job.queue, job.attempts, job.lost, job.priority) == ("test", 1, False, 0)
    assert job.created_at == job.run_at == datetime.fromtimestamp(1.5, UTC)
    assert made_job().id != made_job().id
    job.heartbeat()
    for wrong in ({"attempts": 0}, {"job_id": 0}, {"queue": ""}, {"priority": 2**31}):
        with pytest.raises((ValueError, MagicQueueError)):
            made_job(1, **wrong)
    with pytest.raises(NotJson):
        made_job(NAN)


def test_a_refused_connection_is_pythons_own_kind_too() -> None:
    error = ConnectionRefused("localhost:1", "Connection refused")
    assert isinstance(error, ConnectionRefusedError)
    assert (error.address, error.reason) == ("localhost:1", "Connection refused")
    assert str(error).startswith("no server answers at localhost:1 (Connection refused)")
    with pytest.raises(ConnectionRefusedError), SyncQueue("q", "localhost:1") as queue:
        queue.ping()
    assert json_of(None) == b"null"
