"""`wal dump` shows marks and facts in words; what is none of them is left as it is."""

from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.policies import Policies, PolicyOptions, Wishes
from magicqueue_cores.policies.shown import shown_fact, shown_mark
from magicqueue_cores.records import Gone, Kept, Marked, Record
from wal.simulated import START_MS as NOW_MS


def _records() -> list[Record]:
    """Give what is recorded of one job with all wishes, from its push to its end."""
    told: list[Record] = []
    core = make_core("python", CoreOptions(), record=told.append)
    policies = Policies(core, PolicyOptions(), told.append)
    wishes = Wishes(
        unique_key="k", unique_for_ms=5000, ttl_ms=900, timeout_ms=80, keep_result_ms=7
    )
    jobs = NewJobs(payloads=[b"1"], run_ats_ms=NOW_MS)
    policies.push("q", jobs, [wishes], "r", NOW_MS)
    core.pull("q", 1, 99, 1000, 1, NOW_MS)
    policies.settle(NOW_MS)
    policies.ack([1], None, [b"[1.50]"], NOW_MS + 1)
    return told


def test_marks_and_facts_are_shown_in_words() -> None:
    told = _records()
    marks = [
        shown_mark(text) for one in told if isinstance(one, Marked) for text in one.texts
    ]
    assert marks[0] is not None
    assert marks[0]["key"] == "k"
    assert marks[0]["ttl_ms"] == 900
    assert marks[0]["timeout_ms"] == 80
    assert marks[-1] is not None
    assert marks[-1]["attempt_until_ms"] == NOW_MS + 80
    facts = {
        one.space: shown_fact(one.space, one.values[0])
        for one in told
        if isinstance(one, Kept)
    }
    window, request, result = (facts[name] for name in ("window", "request", "result"))
    assert window is not None
    assert (window["until_ms"], window["value"]) == (NOW_MS + 5000, 1)
    assert request is not None
    assert request["value"] == [1]
    assert result is not None
    assert result["until_ms"] == NOW_MS + 8
    assert "[1.50]" in result["value"]
    assert not any(isinstance(one, Gone) for one in told)


def test_what_is_neither_is_not_shown() -> None:
    assert shown_mark(b"") == {}
    assert shown_mark(b"plain") is None
    assert shown_fact("result", b"short") is None
    assert shown_fact("result", b"\xff" * 20) is None
