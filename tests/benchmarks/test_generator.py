"""The load generator counts what it says it counts."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

Load = Callable[[str], Any]


def reply_with(ids: list[int]) -> bytes:
    jobs = [
        b'{"id":%d,"queue":"bench","data":{"i":%d},"priority":0,"attempts":1}' % (i, i)
        for i in ids
    ]
    return b'{"ok":true,"jobs":[%s]}\n' % b",".join(jobs)


@pytest.mark.parametrize("seed", range(20))
def test_ids_of_any_widths_are_found_in_order(load: Load, seed: int) -> None:
    draw = random.Random(seed)
    ids = [draw.randrange(1, 10 ** draw.randrange(1, 10)) for _ in range(1 + seed * 7)]
    text = load("dialects").ids_of(reply_with(ids))
    assert json.loads(b"[%s]" % text) == ids


def test_no_jobs_give_no_ids(load: Load) -> None:
    assert load("dialects").ids_of(b'{"ok":true,"jobs":[]}\n') == b""


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 100_000])
def test_replies_may_come_in_any_pieces(load: Load, piece_bytes: int) -> None:
    dialects, workloads = load("dialects"), load("workloads")
    taker = dialects.MagicQueue().taker(workloads.FULL["drain"], waiting=False)
    taker.begin()
    ack = b'{"ok":true,"ids":[3],"acked":3,"missing":[]}\n'
    stream = reply_with([8, 9, 10]) + ack + reply_with([11])
    settled, sent = 0, b""
    for at in range(0, len(stream), piece_bytes):
        more, requests = taker.received(stream[at : at + piece_bytes])
        settled += more
        sent += requests
    acks = [json.loads(line) for line in sent.splitlines() if b"ACKB" in line]
    assert settled == 3
    assert [ack["ids"] for ack in acks] == [[8, 9, 10], [11]]
    assert sent.count(b"PULLB") == 2


def test_a_job_that_was_not_settled_stops_the_run(load: Load) -> None:
    dialects, workloads = load("dialects"), load("workloads")
    taker = dialects.MagicQueue().taker(workloads.FULL["drain"], waiting=False)
    with pytest.raises(dialects.Refused):
        taker.received(b'{"ok":true,"ids":[1],"acked":1,"missing":[7]}\n')


def test_payloads_are_json_of_about_the_size_asked(load: Load) -> None:
    payloads = load("payloads").payloads
    for size in (0, 100, 150, 1000):
        for number, data in enumerate(payloads(5, 3, size), start=5):
            assert int(json.loads(data)["i"]) == number
            assert size == 0 or abs(len(data) - size) <= 1


@pytest.mark.parametrize("count", [1, 2])
def test_each_form_says_the_same_jobs(load: Load, count: int) -> None:
    forms = {
        "bare": {},
        "original": {"priority": 0},
        "client": {"backoff": 1000, "jitter": True},
        "client_repeated": {"backoff": 1000, "jitter": True},
    }
    dialects = load("dialects")
    assert dialects.FORMS.keys() == forms.keys()
    for form, options in forms.items():
        dialect = dialects.MagicQueue()
        dialect.form = form
        line = json.loads(dialect.push([b'{"i":1}', b"2"][:count], [0, 0][:count]))
        jobs = line.pop("jobs", [line])
        said = [line | job for job in jobs]
        assert [job["data"] for job in said] == [{"i": 1}, 2][:count]
        assert all(job.items() >= options.items() for job in said)
        assert ("priority" in said[0]) == ("priority" in options)
        ranked = json.loads(dialect.push([b"1", b"2"], [0, 3]))["jobs"]
        assert [job["priority"] for job in ranked] == [0, 3]


def test_percentiles_count_requests(load: Load) -> None:
    percentile = load("loadgen").percentile
    latencies = [(10, 98), (500, 1), (900, 1)]
    assert percentile(latencies, 0.5) == 10
    assert percentile(latencies, 0.99) == 500
    assert percentile(latencies, 1.0) == 900
    assert percentile([], 0.5) == 0
