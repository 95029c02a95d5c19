"""Durations, addresses, backoff, encoding: the parts that need no server."""

import logging
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import magicqueue
from magicqueue import Queue, SyncQueue, SyncWorker, Tasks, Worker
from magicqueue.address import Address, parse_address
from magicqueue.backoff import FIRST_S, LONGEST_S, next_wait_s, wait_s
from magicqueue.durations import datetime_of, duration_ms, moment_ms
from magicqueue.encoding import (
    Batch,
    batches,
    encode_batch,
    encode_jobs,
    json_of,
    spelled_out,
)
from magicqueue.errors import BadAddress, HandlerNotFound, NotJson
from magicqueue.failures import Retry
from magicqueue.handlers import is_async, load_handler
from magicqueue.job import Job, NewJob
from magicqueue.job_options import tail_of
from magicqueue.room import Room
from magicqueue.runner import Runner
from patience import PATIENCE_S


@pytest.mark.parametrize(
    ("duration", "ms"),
    [(0, 0), (1, 1000), (0.0015, 2), (2.5, 2500), (timedelta(minutes=1), 60_000)],
)
def test_a_duration_is_seconds_or_a_timedelta(duration: Any, ms: int) -> None:
    assert duration_ms(duration, "delay") == ms


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, timedelta(seconds=-1), 1e300])
def test_a_duration_that_cannot_be_names_the_argument(bad: Any) -> None:
    with pytest.raises(ValueError, match="delay"):
        duration_ms(bad, "delay")


@pytest.mark.parametrize("bad", ["1", True, None, datetime.now(UTC)])
def test_a_duration_of_another_type_names_the_argument(bad: Any) -> None:
    with pytest.raises(TypeError, match="lease"):
        duration_ms(bad, "lease")


def test_a_short_span_does_not_round_to_nothing_where_it_may_not() -> None:
    assert duration_ms(0.0001, "lease", least_ms=1) == 1
    with pytest.raises(ValueError, match="lease is 0"):
        duration_ms(0, "lease", least_ms=1)


def test_moments() -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert moment_ms(noon, "run_at") == 1_893_492_000_000
    assert moment_ms(1.25, "run_at") == 1250
    assert datetime_of(1_893_492_000_000) == noon
    with pytest.raises(ValueError, match="time zone"):
        moment_ms(datetime(2030, 1, 1), "run_at")  # noqa: DTZ001 - the case in question
    with pytest.raises(TypeError, match="run_at"):
        moment_ms("tomorrow", "run_at")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1970"):
        moment_ms(-1.0, "run_at")


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("localhost", Address("localhost"), "localhost:6789"),
        ("localhost:7000", Address("localhost", 7000), "localhost:7000"),
        (":7000", Address("localhost", 7000), "localhost:7000"),
        ("magicqueue://example.org", Address("example.org"), "example.org:6789"),
        ("magicqueue://example.org:1/", Address("example.org", 1), "example.org:1"),
        ("tcp://10.0.0.1:80", Address("10.0.0.1", 80), "10.0.0.1:80"),
        ("[::1]:7000", Address("::1", 7000), "[::1]:7000"),
        ("[::1]", Address("::1"), "[::1]:6789"),
        ("::1", Address("::1"), "[::1]:6789"),
        ("unix:///run/a b.sock", Address(path="/run/a b.sock"), "unix:///run/a b.sock"),
        ("unix:///run/a%20b", Address(path="/run/a b"), "unix:///run/a b"),
        ("/run/q.sock", Address(path="/run/q.sock"), "unix:///run/q.sock"),
        ("./q.sock", Address(path="./q.sock"), "unix://./q.sock"),
    ],
)
def test_addresses(text: str, address: Address, shown: str) -> None:
    assert parse_address(text) == address
    assert str(address) == shown
    assert parse_address(shown) == address


@pytest.mark.parametrize(
    "text",
    ["http://x", "a:b", "a:0", "a:70000", "[::1", "[::1]x", "unix://", "a b", "u@h", "h/p"],
)
def test_a_bad_address_is_named(text: str) -> None:
    with pytest.raises(BadAddress, match="cannot be read") as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "make",
    [
        partial(Queue, "emails"),
        partial(SyncQueue, "emails"),
        partial(Worker, "emails", print),
        partial(SyncWorker, "emails", print),
        lambda **wrong: Tasks("emails", access=wrong),
    ],
)
def test_a_misspelt_keyword_is_refused(make: Any) -> None:
    make(token="secret")
    with pytest.raises(TypeError, match="unexpected keyword argument 'concurency'"):
        make(concurency=3)


def test_the_environment_gives_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICQUEUE_URL", "example.org:1234")
    assert parse_address() == Address("example.org", 1234)
    assert parse_address("other:1") == Address("other", 1)
    monkeypatch.delenv("MAGICQUEUE_URL")
    assert parse_address() == Address("localhost", 6789)


def test_localhost_is_both_families_and_a_path_none() -> None:
    targets = parse_address("localhost:1").targets()
    assert [at for _, at in targets] == [("127.0.0.1", 1), ("::1", 1)]
    assert [at for _, at in parse_address("/a").targets()] == ["/a"]


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_half_and_all_of_its_doubling(
    attempt: int, chance: float
) -> None:
    longest = min(FIRST_S * 2 ** min(attempt, 30), LONGEST_S)
    assert longest / 2 <= wait_s(attempt, chance) <= longest


def test_waits_differ() -> None:
    assert len({next_wait_s(3) for _ in range(20)}) > 1


def test_waits_are_not_those_of_the_applications_random() -> None:
    before = random.getstate()
    random.seed(7)
    try:
        state = random.getstate()
        first = next_wait_s(3)
        assert random.getstate() == state, "an application's draws were disturbed"
        assert next_wait_s(3) != first
    finally:
        random.setstate(before)


def test_the_default_backoff_is_a_second_with_jitter() -> None:
    assert encode_jobs([1], tail_of({})) == b'{"data":1,"backoff":1000,"jitter":true}'
    assert encode_jobs([1], tail_of({"backoff": 0})) == b'{"data":1}'


def test_options_are_sent_in_milliseconds() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    tail = tail_of(
        {"priority": -3, "run_at": at, "max_attempts": 0, "backoff": 2, "jitter": False}
    )
    assert orjson.loads(encode_jobs([None], tail)) == {
        "data": None,
        "priority": -3,
        "run_at": 1_893_456_000_000,
        "max_attempts": 0,
        "backoff": 2000,
    }
    assert b'"delay":1500' in tail_of({"delay": timedelta(seconds=1.5)})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"priority": 2**31}, ValueError, "priority"),
        ({"priority": 1.5}, TypeError, "priority"),
        ({"max_attempts": -1}, ValueError, "max_attempts"),
        ({"delay": 1, "run_at": 1}, ValueError, "not both"),
        ({"backof": 1}, TypeError, "backof"),
    ],
)
def test_a_bad_option_is_named(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tail_of(options)


@given(st.lists(st.recursive(st.none() | st.integers(-9, 9) | st.text(), st.lists)))
def test_a_batch_is_its_items(items: list[Any]) -> None:
    jobs = orjson.loads(b"[%b]" % encode_jobs(items, tail_of({"priority": 7})))
    assert [job["data"] for job in jobs] == items
    assert all(job["priority"] == 7 for job in jobs)


def test_an_item_may_have_options_of_its_own() -> None:
    items = [1, NewJob(2, priority=5, backoff=0), 3]
    batch = encode_batch(items, tail_of({"backoff": 0}), share=False)
    jobs = orjson.loads(b"[%b]" % batch.objects)
    assert jobs == [{"data": 1}, {"data": 2, "priority": 5}, {"data": 3}]


def _jobs_of(batch: Batch) -> list[Any]:
    """Give what each job of a batch says or the batch says for it."""
    shared = orjson.loads(b"{%b}" % batch.shared[1:])
    jobs = orjson.loads(b"[%b]" % batch.objects)
    assert len(jobs) == batch.count
    assert not any(shared.keys() & job.keys() for job in jobs)
    return [job | shared for job in jobs]


def test_what_jobs_share_is_said_once() -> None:
    usual = tail_of({"priority": 5})
    batch = encode_batch([1, "x"], usual, share=True)
    assert batch.objects == b'{"data":1},{"data":"x"}'
    assert batch.shared == b',"priority":5,"backoff":1000,"jitter":true'
    assert encode_batch([1], tail_of({"backoff": 0}), share=True).shared == b""
    assert encode_batch([], usual, share=True).count == 0


def test_of_different_options_what_all_have_is_said_once() -> None:
    items = [NewJob(1, priority=5), NewJob(2, priority=6, delay=1), NewJob(3)]
    batch = encode_batch(items, b"}", share=True)
    assert batch.shared == b',"backoff":1000,"jitter":true'
    assert batch.objects == (
        b'{"data":1,"priority":5},{"data":2,"priority":6,"delay":1000},{"data":3}'
    )
    assert encode_batch([*items, 4], b"}", share=True).shared == b""


_NEW_JOBS = st.builds(
    NewJob,
    st.sampled_from([0, "}", '"jobs":[', {"backoff": [1, ","]}]),
    priority=st.sampled_from([0, 1, 10]),
    delay=st.sampled_from([None, 1]),
    max_attempts=st.sampled_from([None, 1, 10]),
    backoff=st.sampled_from([0, 1, 10]),
    jitter=st.booleans(),
)


@given(st.lists(_NEW_JOBS, min_size=1))
def test_sharing_changes_no_job(items: list[NewJob]) -> None:
    apart = encode_batch(items, b"}", share=False)
    shared = encode_batch(items, b"}", share=True)
    assert _jobs_of(shared) == orjson.loads(b"[%b]" % apart.objects)
    line = b'{"cmd":"PUSHB","queue":"\\u00e9"%b,"jobs":[%b]}\n'
    whole = spelled_out(line % (shared.shared, shared.objects))
    assert orjson.loads(whole) == orjson.loads(line % (b"", apart.objects))
    assert whole.startswith(b'{"cmd":"PUSHB","queue":"\\u00e9","jobs":[')
    assert whole.endswith(b"}\n")


@dataclass
class Point:
    x: int


def test_data_is_what_orjson_makes_of_it() -> None:
    assert json_of(Point(1)) == b'{"x":1}'


@pytest.mark.parametrize(
    "bad",
    [Decimal(1), {1, 2}, {1: 2}, "\ud800", object(), pytest.param(10**4300, id="digits")],
)
def test_data_that_is_no_json_names_its_type(bad: Any) -> None:
    with pytest.raises(NotJson, match=type(bad).__name__) as caught:
        json_of(bad)
    assert isinstance(caught.value, TypeError)
    with pytest.raises(NotJson, match="item 300"):
        encode_jobs([0] * 300 + [bad], tail_of({}))
    with pytest.raises(NotJson, match="item 1"):
        encode_batch([NewJob(0), NewJob(bad)], tail_of({}), share=True)


def test_batches_are_bounded_in_jobs_and_bytes() -> None:
    tail = tail_of({"backoff": 0})
    sizes = [
        (len(orjson.loads(b"[%b]" % batch.objects)), batch.count)
        for batch in batches(iter(range(25)), tail, 10, bool)
    ]
    assert sizes == [(10, 10), (10, 10), (5, 5)]
    big = "x" * 3_000_000
    parts = list(batches(iter([big, big, big, 1]), tail, 10, bool))
    data = [job["data"] for part in parts for job in orjson.loads(b"[%b]" % part.objects)]
    assert data == [big, big, big, 1]
    assert len(parts) == 2
    assert list(batches(iter(()), tail, 10, bool)) == []


def _handler(_: object) -> None: ...


async def _async_handler(_: object) -> None: ...


class _AsyncCallable:
    async def __call__(self, job: object) -> None: ...


def test_async_handlers_are_told_from_plain_ones() -> None:
    assert is_async(_async_handler)
    assert is_async(_AsyncCallable())
    assert not is_async(_handler)
    assert not is_async(print)


def test_a_handler_is_found_by_its_name() -> None:
    join: Any = load_handler("os.path:join")
    assert join is os.path.join
    now: Any = load_handler("datetime:datetime.now")
    assert now == datetime.now


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("os", "module:function"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("os.no_such:f", "no module 'os.no_such'"),
        ("os:no_such", "os has no 'no_such'"),
        ("os:sep", "type str"),
    ],
)
def test_a_handler_that_cannot_be_found_says_why(path: str, words: str) -> None:
    with pytest.raises(HandlerNotFound, match=words) as caught:
        load_handler(path)
    assert repr(path) in str(caught.value)


def test_a_handler_whose_module_fails_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module_a.py").write_text("1 / 0")
    (tmp_path / "broken_module_b.py").write_text("import not_installed_x")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HandlerNotFound, match="raises ZeroDivisionError"):
        load_handler("broken_module_a:f")
    with pytest.raises(HandlerNotFound, match="needs 'not_installed_x'"):
        load_handler("broken_module_b:f")


def test_the_package_gives_all_it_promises() -> None:
    for public in magicqueue.__all__:
        assert getattr(magicqueue, public) is not None
    assert set(magicqueue.__all__) <= set(dir(magicqueue))
    with pytest.raises(AttributeError, match="no_such"):
        magicqueue.no_such  # noqa: B018 - looking is what is tested


def test_the_codec_comes_without_the_client_and_sync_code_without_asyncio() -> None:
    code = (
        "import sys, magicqueue.wire.requests;"
        "assert 'magicqueue.queue' not in sys.modules and 'asyncio' not in sys.modules;"
        "from magicqueue import SyncQueue, SyncWorker, Job, Tasks;"
        "tasks = Tasks('emails'); tasks.task(name='send')(lambda to: None);"
        "assert 'asyncio' not in sys.modules, 'asyncio'"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=PATIENCE_S)


@pytest.mark.parametrize("kind", [ValueError, Retry])
def test_an_exception_forges_no_line_of_the_log(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(1, "mails", msgspec.Raw(b"1"), 5, 0, 0, 1)
    runner = Runner(print, None, Room(1, 1, 0))
    with caplog.at_level(logging.INFO, "magicqueue"):
        runner.fail(job, kind("no\njob 2 of mails done\x1b[2J"))
    (record,) = caplog.records
    assert r"no\njob 2 of mails done\x1b[2J" in record.getMessage()
    assert record.getMessage().isprintable()
