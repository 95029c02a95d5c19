"""Memory stays flat over many marked jobs, however they end."""

import gc
import tracemalloc

import pytest

from conformance.driver import answered
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.policies import Policies, PolicyOptions, Wishes

BATCH = 100


def rounds(policies: Policies, now_ms: int, count: int) -> int:
    """Let batches of jobs with all wishes come and end in each way; gives the time."""
    core = policies._core
    for number in range(count):
        wishes = [
            Wishes(
                unique_key=f"{number}-{n}",
                unique_for_ms=500 if n % 10 == 0 else None,
                ttl_ms=500 + n,
                timeout_ms=100 + n,
                keep_result_ms=200,
                on_expire="dead" if n % 2 else "remove",
            )
            for n in range(BATCH)
        ]
        jobs = NewJobs(payloads=[b"1"] * BATCH, run_ats_ms=now_ms, max_attempts=1)
        policies.push("q", jobs, wishes, f"{number}", now_ms)
        ids = answered(core.pull("q", 60, 10_000, 1000, 1, now_ms)).ids
        policies.settle(now_ms)
        for job_id in ids[:50]:
            policies.progress(job_id, 1, 5, "note", None, now_ms)
        policies.ack(ids[:20], None, [b"1"] * 20, now_ms)
        policies.cancel(ids[20:30], now_ms)
        policies.fail(ids[20:40], None, ["no"] * 20, now_ms)
        policies.close_session(1, now_ms)
        policies.pull("q", 5, 10_000, 1000, 2, now_ms)
        policies.cancel(range(ids[-1] + 1, ids[-1] + 11), now_ms)
        now_ms += 1 + number % 1_000
        policies.advance(now_ms)
        if number % 3 == 0:
            policies.drain("q", now_ms)
        policies.purge_dead("q", None, now_ms)
    policies.drain("q", now_ms)
    for _ in range(3):  # what is at work, then what is kept
        now_ms += 100_000_000
        policies.advance(now_ms)
        policies.end_leases(now_ms, now_ms)
        policies.purge_dead("q", None, now_ms)
        policies.drain("q", now_ms)
    return now_ms


def held_bytes(name: str, warm: int, count: int) -> int:
    core = make_core(name, CoreOptions())
    policies = Policies(core, PolicyOptions(results_max=1000, windows_max=100))
    now_ms = rounds(policies, 1_000, warm)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rounds(policies, now_ms, count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    policies.check()
    assert core.outside_bytes == 0
    assert policies.stats().marked == 0
    return after - before


def test_nothing_is_left_of_jobs_that_ended(core_name: str) -> None:
    assert held_bytes(core_name, 20, 160) < 100_000, "6 bytes a job"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_left_of_a_million_jobs_that_ended(core_name: str) -> None:
    assert held_bytes(core_name, 1_000, 10_000) < 1_000_000, "a byte a job"
