"""Hypothesis drives `Policies` above a core and the naive model alike.

At the end all records are replayed by a new layer above each core, which must know and do
the same.
"""

import gc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, require_core
from machines import run_machine
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreError, CoreOptions, NewJobs
from magicqueue_cores.policies import BadRepeat, PolicyOptions, Wishes
from magicqueue_cores.records import Origin, sequence_span
from policies.layered import Layered
from policies.naive_policies import NaivePolicies

OPTIONS = {"lost_max": 1, "dead_jobs_max": 3, "jobs_max": 15}
BOUNDS = PolicyOptions(req_key_ttl_ms=60, req_keys_max=2, windows_max=2, results_max=3)
PHASES = tuple(Phase)
QUEUES = st.sampled_from(["a", "a", "a", "b"])
SPANS_MS = st.sampled_from([0, 1, 5, 10, 30])
WISHES = st.fixed_dictionaries(
    {},
    optional={
        "unique_key": st.sampled_from("kl"),
        "until": st.sampled_from(["done", "start"]),
        "unique_for_ms": st.sampled_from([5, 30]),
        "on_conflict": st.sampled_from(["return", "replace", "replace", "reject"]),
        "ttl_ms": st.sampled_from([10, 15, 40]),
        "on_expire": st.sampled_from(["remove", "dead"]),
        "timeout_ms": st.sampled_from([5, 20]),
        "keep_result_ms": st.sampled_from([10, 50]),
    },
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "payload": st.binary(min_size=1, max_size=3),
            "delay_ms": st.sampled_from([0, 0, 0, 4]),
            "priority": st.integers(0, 1),
            "max_attempts": st.integers(1, 3),
            "wishes": st.none() | WISHES,
        }
    ),
    min_size=1,
    max_size=4,
)


class PolicyMachine(RuleBasedStateMachine):
    """A layer beside the model."""

    name = "python"

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layered(self.name, BOUNDS, **OPTIONS)
        self.model = NaivePolicies(CoreOptions(**OPTIONS), BOUNDS)

    @property
    def now(self) -> int:
        return self.layer.now

    def some_ids(self, data: st.DataObject) -> list[int]:
        last = self.model.core.last_id
        here = [job.view.id for job in self.model.core.all]
        known = here * 3 + list(range(max(1, last - 3), last + 2))
        return data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))

    def some_attempts(self, data: st.DataObject, ids: Sequence[int]) -> list[int]:
        right = [job.view.attempts if (job := self.model.view(i)) else 1 for i in ids]
        return [max(0, n + data.draw(st.sampled_from([0, 0, 0, -1, 1]))) for n in right]

    def compare(self) -> None:
        layer, model = self.layer, self.model
        layer.check()
        assert sorted(layer.ended) == sorted(model.ended)
        for job_id in range(1, model.core.last_id + 1):
            assert layer.view(job_id) == model.core.job(job_id, self.now), job_id
            known, wished = layer.policies.known_of(job_id), model.jobs.get(job_id)
            assert known.cancelled == (wished is not None and wished.cancelled)
            end = model.ends.get(job_id)
            told = layer.policies.ending(job_id, self.now)
            if end is not None:
                assert told is not None
                assert (told.state, told.result) == (end.state, end.result)
                assert told.finished_at_ms == end.finished_at_ms
                assert told.attempts == end.attempts
            else:
                assert told is None or told.state == "dead"
        for queue in "ab":
            ours = layer.core.queue_stats(queue, self.now)
            assert ours == model.core.queue_stats(queue, self.now)
            for key in "kl":
                holder = layer.policies._pushing.holder(queue, key, self.now)
                assert holder == model.holder(queue, key)
        stats = layer.policies.stats()
        assert stats.results == len(model.ends)
        assert stats.windows == len(model.windows)
        assert stats.req_keys == len(model.requests)

    @rule(
        queue=QUEUES,
        items=ITEMS,
        req_key=st.sampled_from([None, None, None, "r", "s", "t"]),
    )
    def push(self, queue: str, items: list[dict[str, Any]], req_key: str | None) -> None:
        flat = []
        for item in items:
            wishes = item.pop("wishes")
            flat.append({**item, **(wishes or {})})
        expected: Any
        fitting = self.model.requests.get((queue, req_key or ""), (0, []))[1]
        self.model.advance(self.now)
        batch_wishes = [
            Wishes(**{k: v for k, v in item.items() if k in Wishes.__struct_fields__})
            if item.keys() & set(Wishes.__struct_fields__)
            else None
            for item in flat
        ]
        if (
            req_key
            and (queue, req_key) in self.model.requests
            and len(fitting) != len(flat)
        ):
            with pytest.raises(BadRepeat):
                self.layer.push_items(*flat, queue=queue, req_key=req_key)
            return self.compare()
        batch = _batch(flat, self.now)
        try:
            expected = self.model.push(queue, batch, batch_wishes, req_key, self.now)
        except CoreError as refusal:
            with pytest.raises(type(refusal), match=r"\w+ \w+|\d"):
                self.layer.push_items(*flat, queue=queue, req_key=req_key)
        else:
            answer = self.layer.push_items(*flat, queue=queue, req_key=req_key)
            assert list(answer.ids) == list(expected.ids)
            assert answer.duplicates == expected.duplicates
            assert answer.replaced == expected.replaced
            assert answer.repeated == expected.repeated
        return self.compare()

    @rule(
        queue=QUEUES,
        count=st.integers(1, 4),
        lease_ms=st.sampled_from([3, 12, 100]),
        session=st.integers(0, 2),
    )
    def pull(self, queue: str, count: int, lease_ms: int, session: int) -> None:
        expected = self.model.pull(queue, count, lease_ms, session, self.now)
        self.layer.policies.advance(self.now)
        pulled = self.layer.pull(count, queue, lease_ms=lease_ms, session=session)
        assert pulled == expected
        self.compare()

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        ids = self.some_ids(data)
        attempts = self.some_attempts(data, ids)
        results = [data.draw(st.sampled_from([None, b"1", b"2"])) for _ in ids]
        expected = self.model.ack(ids, attempts, results, self.now)
        got = self.layer.ack(*ids, attempts=attempts, results=results)
        assert (got.missing, got.stale) == (expected.missing, expected.stale)
        self.compare()

    @rule(data=st.data(), verb=st.sampled_from(["fail", "fail", "release"]))
    def give_back(self, data: st.DataObject, verb: str) -> None:
        ids = list(dict.fromkeys(self.some_ids(data)))
        attempts = self.some_attempts(data, ids)
        expected = self.model.fail_or_release(verb, ids, attempts, self.now)
        policies = self.layer.policies
        if verb == "fail":
            got = policies.fail(ids, attempts, ["no"] * len(ids), self.now)
            for job_id in got.ended:
                assert self.model.view(job_id) is None
        else:
            got = policies.release(ids, attempts, 0, self.now)  # type: ignore[assignment]
        assert (got.missing, got.stale) == (expected.missing, expected.stale)
        self.compare()

    @rule(data=st.data(), lease_ms=SPANS_MS)
    def beat(self, data: st.DataObject, lease_ms: int) -> None:
        ids = self.some_ids(data)
        self.model.advance(self.now)
        expected = self.model.core.heartbeat(ids, None, lease_ms, self.now)
        got = self.layer.heartbeat(*ids, lease_ms=lease_ms)
        assert got.missing == expected.missing
        self.compare()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = self.some_ids(data)
        expected = self.model.cancel(ids, self.now)
        got = self.layer.cancel(*ids)
        assert (got.cancelled, got.cancelling, got.missing) == expected
        self.compare()

    @rule(data=st.data())
    def promote_and_say(self, data: st.DataObject) -> None:
        ids = self.some_ids(data)
        self.model.advance(self.now)
        self.model.core.promote(ids, self.now)
        self.layer.policies.promote(ids, self.now)
        for job_id in ids:
            self.layer.policies.progress(job_id, 0, 5, "note", None, self.now)
        self.compare()

    @rule(span_ms=SPANS_MS, ends=st.booleans())
    def let_time_pass(self, span_ms: int, *, ends: bool) -> None:
        self.layer.now += span_ms
        if ends:
            self.model.end_leases(self.now)
            assert self.layer.policies.end_leases(self.now, self.now)
        else:
            self.model.advance(self.now)
            self.layer.policies.advance(self.now)
        self.compare()

    @rule(session=st.integers(0, 2))
    def close(self, session: int) -> None:
        self.model.close_session(session, self.now)
        self.layer.close_session(session)
        self.compare()

    @rule(queue=QUEUES, what=st.sampled_from(["drain", "purge", "retry", "retry"]))
    def clear(self, queue: str, what: str) -> None:
        self.model.advance(self.now)
        if what == "drain":
            expected = self.model.core.drain(queue, self.now)
            self.model.look(self.now)
        elif what == "purge":
            expected = self.model.core.purge_dead(queue, None, self.now)
            self.model.look(self.now)
        else:
            expected = self.model.retry(queue, None, self.now)
        assert getattr(self.layer, what)(queue=queue) == expected
        self.compare()

    @rule(data=st.data(), queue=QUEUES)
    def retry_one(self, data: st.DataObject, queue: str) -> None:
        job_id = self.some_ids(data)[0]
        try:
            self.model.retry(queue, job_id, self.now)
        except CoreError as refusal:
            with pytest.raises(type(refusal)):
                self.layer.retry(job_id, queue)
        else:
            assert self.layer.retry(job_id, queue) == 1
        self.compare()

    def teardown(self) -> None:
        """Replay everything above each core: it knows the same, and does the same."""
        image = self.layer.image()
        for name in CORES:
            if make_core(name, CoreOptions()).name != name:
                continue
            again = self.layer.restarted(name)
            assert again.image() == image
            moved = self.moved(name)
            assert moved.image() == image
            for each in (again, moved):
                for queue in "ab":
                    expected = [job.view.id for job in self.model.core.in_order(queue)]
                    assert each.pull(99, queue) == expected, (each is again, queue)
            del again, moved, each
            gc.collect()  # array cores reserve address space until they are

    def moved(self, name: str) -> Layered:
        """A layer that was told what a log has from which all old records were left out."""
        policies = self.layer.policies
        other = Layered(name, BOUNDS, **OPTIONS)
        other.now = self.now
        sequence = sum(map(sequence_span, self.layer.records))
        other.policies.replay(Origin(self.model.core.last_id, sequence))
        for record in policies.export(range(1, self.model.core.last_id + 1)):
            other.policies.replay(record)
        for space, shelf in policies._ground.shelves.items():
            keys = [*shelf._facts, b"not here"]
            other.policies.replay(policies.export_facts(space, keys))
        other.check()
        return other


def _batch(items: list[dict[str, Any]], now_ms: int) -> NewJobs:
    return NewJobs(
        payloads=[item["payload"] for item in items],
        run_ats_ms=[now_ms + item["delay_ms"] for item in items],
        priorities=[item["priority"] for item in items],
        max_attempts=[item["max_attempts"] for item in items],
    )


def run(core_name: str, examples: int, steps: int = 50) -> None:
    machine = type("Machine", (PolicyMachine,), {"name": require_core(core_name)})
    run_machine(machine, examples, steps, phases=PHASES)


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
def test_the_layer_does_what_the_model_does(core_name: str) -> None:
    run(core_name, 20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_layer_does_what_the_model_does_for_long(core_name: str) -> None:
    run(core_name, 1_000, 80)
