"""What a PUSHB says beside `jobs` holds for each that does not say its own.

For every core and path there is a control: the same jobs, pushed one by one.
"""

import itertools
import json
import random
from typing import Any, Final

import pytest

from conformance.driver import require_core
from differential.twins import START_MS, Side
from magicqueue.wire.limits import ID_MAX, Limits

Options = dict[str, Any]
CLOCK_AHEAD_MS: Final = 250
WARM: Final = {"cmd": "PUSH", "queue": "q", "data": 0}
"""Kernels push to queues that they know."""

_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "priority": (0, 7, -7, 12_345_678, 2**31 - 1, None),
    "delay": (0, 40, ID_MAX, None),
    "run_at": (1, START_MS + 90, None),
    "max_attempts": (0, 3, 123_456_789, None),
    "backoff": (0, 20, 3_600_000, None),
    "jitter": (True, False, None),
}
_WHEN: Final = {"delay", "run_at"}


class Engine:
    """An engine over a core, asked with requests."""

    def __init__(self, core_name: str) -> None:
        self._side = Side(require_core(core_name), Limits())
        self._side.open(START_MS)
        self._side.engine.clock_ahead(CLOCK_AHEAD_MS)

    def ask(self, request: Options) -> Options:
        line = json.dumps(request, separators=(",", ":")).encode()
        self._side.feed(0, line + b"\n", START_MS)
        reply: Options = json.loads(self._side.replies()[0])
        return reply

    def pushed(self, push_batch: Options) -> list[Options]:
        """Push a batch, and give all that is known of its jobs but their ids."""
        self.ask(WARM)
        return self._described(self.ask(push_batch)["ids"])

    def pushed_singly(self, jobs: list[Options]) -> list[Options]:
        """Push jobs one by one, and give what is known of them."""
        self.ask(WARM)
        known = []
        for job in jobs:
            known += self._described([self.ask(WARM | job)["id"]])
        return known

    def _described(self, ids: list[int]) -> list[Options]:
        made = self._side.records[-1]
        jobs = [self.ask({"cmd": "GETJOB", "id": n})["job"] for n in ids]
        assert self._side.core is not None
        self._side.core.check()
        for k, job in enumerate(jobs):
            del job["id"]
            for column in ("backoffs_ms", "jitters"):
                of_jobs = getattr(made, column)
                job[column] = int(of_jobs if isinstance(of_jobs, int) else of_jobs[k])
        return jobs


def written_out(batch: Options, jobs: list[Options]) -> list[Options]:
    """Give each job all that it says or the batch says for it."""
    shared = {key: value for key, value in batch.items() if value is not None}
    spelled = []
    for job in jobs:
        own = {key: value for key, value in job.items() if value is not None}
        says_when = own.keys() & _WHEN
        spelled.append(
            {k: v for k, v in shared.items() if not (says_when and k in _WHEN)} | own
        )
    return spelled


def push_batch(jobs: list[Options], batch: Options, *, behind: bool = False) -> Options:
    head = {"cmd": "PUSHB", "queue": "q"}
    return {**head, "jobs": jobs, **batch} if behind else {**head, **batch, "jobs": jobs}


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("key", _VALUES)
def test_each_option_and_what_a_job_says_of_it(
    core_name: str, key: str, *, behind: bool
) -> None:
    engine, control = Engine(core_name), Engine(core_name)
    for shared in _VALUES[key]:
        items: list[Options] = [{"data": 1}]
        items += [{"data": 2, key: own} for own in _VALUES[key]] * 2
        batch = {key: shared}
        told = engine.pushed(push_batch(items, batch, behind=behind))
        expected = control.pushed_singly(written_out(batch, items))
        assert told == expected


def test_a_job_that_says_when_heeds_neither_of_the_batch(core_name: str) -> None:
    engine, control = Engine(core_name), Engine(core_name)
    for shared, own in itertools.product(({"delay": 40}, {"run_at": START_MS}), repeat=2):
        items: list[Options] = [
            {"data": 1, **own},
            {"data": 2},
            {"data": 3, "run_at": None},
        ]
        told = engine.pushed(push_batch(items, shared))
        assert told == control.pushed_singly(written_out(shared, items))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": 1}, {"priority": 2}),
        ({"priority": 123456}, {"priority": 223456}),
        ({"backoff": 10, "max_attempts": 3}, {"backoff": 20, "max_attempts": 3}),
        ({"max_attempts": 3, "backoff": 10}, {"max_attempts": 4, "backoff": 10}),
        ({"delay": 70, "jitter": True}, {"delay": 71, "jitter": True}),
        ({"jitter": None, "backoff": 5}, {"jitter": True, "backoff": 5}),
        ({"x": "}", "priority": 8}, {"x": "]", "priority": 8}),
    ],
)
def test_neighbours_that_say_nearly_the_same(
    core_name: str, first: Options, second: Options
) -> None:
    engine, control = Engine(core_name), Engine(core_name)
    says = [first, first, second, first, {}, second, second]
    items = [{"data": {"i": k}} | one for k, one in enumerate(says)]
    assert engine.pushed(push_batch(items, {})) == control.pushed_singly(items)


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture(core_name: str, seed: int) -> None:
    rng = random.Random(seed)

    def options(chance: float) -> Options:
        keys = [key for key in _VALUES if rng.random() < chance]
        if set(keys) >= _WHEN:
            keys.remove(rng.choice(sorted(_WHEN)))
        rng.shuffle(keys)
        return {key: rng.choice(_VALUES[key]) for key in keys}

    engine, control = Engine(core_name), Engine(core_name)
    for _ in range(10):
        usual = options(0.5)
        items = [
            {"data": k} | (usual if rng.random() < 0.7 else options(0.3))
            for k in range(rng.choice((1, 2, 9)))
        ]
        batch = options(0.5)
        line = push_batch(items, batch, behind=rng.random() < 0.5)
        told = engine.pushed(line)
        assert told == control.pushed_singly(written_out(batch, items))


@pytest.mark.parametrize(
    ("batch", "jobs", "sentence"),
    [
        (
            {"priority": 2**31},
            [{"data": 1}],
            "PUSHB: priority must be an integer <= 2147483647",
        ),
        (
            {"delay": 1, "run_at": 2},
            [{"data": 1, "delay": 1, "run_at": 2}],
            "PUSHB: give delay or run_at, not both",
        ),
        (
            {"delay": 1},
            [{"data": 1}, {"data": 1, "delay": 3, "run_at": 2}],
            "PUSHB: jobs[1]: give delay or run_at, not both",
        ),
        (
            {"backoff": 1},
            [{"data": 1, "jitter": True}] * 2 + [{"data": 1, "jitter": 1}, {"data": 1}],
            "PUSHB: jobs[2].jitter must be true or false or null, not an integer",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_stored(
    core_name: str, batch: Options, jobs: list[Options], sentence: str
) -> None:
    engine = Engine(core_name)
    engine.ask(WARM)
    for behind in (False, True):
        reply = engine.ask(push_batch(jobs, batch, behind=behind))
        assert (reply["code"], reply["error"]) == ("BAD_REQUEST", sentence)
    assert engine.ask({"cmd": "STATS"})["pushed"] == 1


def test_data_beside_jobs_is_nobody_s(core_name: str) -> None:
    engine, control = Engine(core_name), Engine(core_name)
    items = [{"data": 1}, {"data": 2, "jitter": False}]
    batch = {"priority": 5, "backoff": 7, "jitter": True}
    expected = control.pushed_singly(written_out(batch, items))
    for odd in (
        {"data": [9], **push_batch(items, batch, behind=True)},
        {"data": [9], **push_batch(items, batch)},
        {"jobs": items, "data": 9, **batch, "cmd": "PUSHB", "queue": "q"},
    ):
        assert engine.pushed(odd) == expected


def test_a_batch_of_none_and_other_keys_beside_it(core_name: str) -> None:
    engine = Engine(core_name)
    assert engine.ask(push_batch([], {"priority": 1, "backoff": 5}))["ids"] == []
    engine.ask(WARM)
    odd = {"data": "not a job's", "id": [], "lease": 0, "colour": 5}
    assert len(engine.ask(push_batch([{"data": 1}], odd))["ids"]) == 1
