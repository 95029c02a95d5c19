"""Lines that kernels leave alone, such as those with a field they cannot name; and why."""

import pytest

from conformance.driver import START_MS, require_core
from magicqueue_cores import make_core
from magicqueue_cores.array_core.core import ArrayCore
from magicqueue_cores.contract import CoreOptions, JobState, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.line_contract import WireDefaults


@pytest.fixture
def core() -> ArrayCore:
    """A core whose queue q has the jobs 1, ready, and 2, active, with one attempt left."""
    require_core("array")
    made = ArrayCore(CoreOptions(jobs_max=3), wire=WireDefaults(job_bytes_max=300))
    jobs = NewJobs(
        payloads=[b"10", b"20"], run_ats_ms=START_MS, priorities=[0, 1], max_attempts=[9, 1]
    )
    made.push("q", jobs, START_MS)
    made.pull("q", 1, 1000, 60_000, 5, START_MS)
    return made


def why(core: ArrayCore, line: bytes) -> str:
    """Why a line is declined; nothing may have changed."""
    before = core.declined
    assert core.execute(line + b"\n", 5, START_MS) == (0, b"")
    core.check()
    view = core.job(2, START_MS)
    assert view is not None
    assert view.state is JobState.ACTIVE
    (reason,) = (each for each, count in core.declined.items() if count != before[each])
    assert core.declined[reason] == before[reason] + 1
    return reason


_FIELDS = {
    b'"cmd":"PUSH","queue":"q","data":1,%b': (b"rid", b"priority", b"delay", b"jitter"),
    b'"cmd":"PUSHB","queue":"q","jobs":[{"data":1}],%b': (b"rid", b"priority", b"run_at"),
    b'"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1,%b}]': (b"backoff",),
    b'"cmd":"PUSHB","queue":"q","jobs":[{%b,"data":1}]': (b"priority",),
    b'"cmd":"PULL","queue":"q","timeout":0,%b': (b"rid", b"lease"),
    b'"cmd":"PULLB","queue":"q","count":1,"timeout":0,%b': (b"rid", b"lease"),
    b'"cmd":"ACK","id":2,%b': (b"rid", b"attempt"),
    b'"cmd":"ACKB","ids":[2],%b': (b"rid",),
    b'"cmd":"ACKB","ids":[1,{"id":2,%b}]': (b"attempt",),
    b'"cmd":"FAIL","id":2,%b': (b"rid", b"attempt"),
    b'"cmd":"FAILB","jobs":[{"id":2}],%b': (b"rid",),
    b'"cmd":"FAILB","jobs":[{"id":2,%b}]': (b"attempt",),
    b'"cmd":"HEARTBEAT","ids":[2],%b': (b"rid", b"lease"),
    b'"cmd":"HEARTBEAT","id":2,%b': (b"rid", b"attempt"),
    b'"cmd":"HEARTBEAT","ids":[{"id":2,%b}]': (b"attempt",),
}
"""Lines that run, with a place for one more field, and fields that may be there."""
_OTHERS = (b"result", b"wait", b"unique_key", b"queues", b"ttl", b"x", b"max_attempt")


def _shown(field: bytes) -> bytes:
    value = b"true" if field == b"jitter" else b"1"
    return b'"%b":%b' % (field, value)


@pytest.mark.parametrize("form", _FIELDS)
@pytest.mark.parametrize("field", _OTHERS)
def test_a_field_that_kernels_cannot_name_is_not_passed_over(
    core: ArrayCore, form: bytes, field: bytes
) -> None:
    assert why(core, b"{" + form % _shown(field) + b"}") == "unknown_field"


@pytest.mark.parametrize(
    ("form", "field"), [(form, field) for form, own in _FIELDS.items() for field in own]
)
def test_a_field_of_the_command_is_read(core: ArrayCore, form: bytes, field: bytes) -> None:
    line = b"{" + form % _shown(field) + b"}\n"
    core.execute(line, 5, START_MS)
    assert core.declined["unknown_field"] == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"PUSH","queue":"q","data":1,"id":1}',
        b'{"cmd":"PUSHB","queue":"q","data":1,"jobs":[{"data":1}]}',
        b'{"cmd":"PULL","queue":"q","count":1,"timeout":0}',
        b'{"cmd":"PULL","queue":"q","data":1,"timeout":0}',
        b'{"cmd":"ACK","id":2,"queue":"q"}',
        b'{"cmd":"ACK","id":2,"error":"x"}',
        b'{"cmd":"ACKB","ids":[{"id":2,"error":"x"}]}',
        b'{"cmd":"ACKB","ids":[{"id":2,"delay":1}]}',
        b'{"cmd":"ACKB","ids":[2],"jobs":[]}',
        b'{"cmd":"HEARTBEAT","ids":[2],"timeout":1}',
        b'{"cmd":"FAIL","id":2,"lease":1}',
    ],
)
def test_a_field_of_another_command_is_unknown(core: ArrayCore, line: bytes) -> None:
    assert why(core, line) == "unknown_field"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"cmd":"STATS"}', "other_command"),
        (b'{"cmd":"PUSH","queue":"new","data":1}', "unknown_queue"),
        (b'{"cmd":"PULL","queue":"idle"}', "would_wait"),
        (b'{"cmd":"PULL","queue":"watched","timeout":0}', "watched"),
        (b'{"cmd":"PUSH","queue":"q","data":"' + b"x" * 300 + b'"}', "large"),
        (b'{"cmd":"FAIL","id":2}', "death"),
        (b'{"cmd":"FAILB","jobs":[{"id":2}]}', "death"),
        (b'{"cmd":"ACK","id":77}', "error"),
        (b'{"cmd":"FAIL","id":77}', "error"),
        (b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":2}]}', "error"),
        (b'{"queue":"q"}', "error"),
        (b'{"cmd":"PUSH","queue":"q","data":1,"rid":[1]}', "not_fast"),
        (b'{"c\\u006dd":"PUSH","queue":"q","data":1}', "not_fast"),
        (b'{"cmd":"FAIL","id":2,"retry":false}', "not_fast"),
        (b'{"cmd":"FAIL","id":2,"delay":1}', "not_fast"),
        (b'{"cmd":"PUSH","queue":"q","data":1,"data":1}', "not_fast"),
        (b"hello", "not_fast"),
    ],
)
def test_the_reason_is_counted(core: ArrayCore, line: bytes, reason: str) -> None:
    core.watch("watched", watching=True)
    for name in ("idle", "watched"):
        core.pause(name, paused=True, now_ms=START_MS)
    assert why(core, line) == reason


def test_a_line_counts_once_where_a_call_begins_with_it(core: ArrayCore) -> None:
    ping, ack = b'{"cmd":"PING"}\n', b'{"cmd":"ACKB","ids":[]}\n'
    lines = ack + ping + ack
    ran, _ = core.execute(lines, 5, START_MS)
    assert ran == len(ack)
    assert sum(core.declined.values()) == 0
    assert core.execute(lines, 5, START_MS, ran) == (0, b"")
    ran, _ = core.execute(lines, 5, START_MS, ran + len(ping))
    assert ran == len(ack)
    assert {why: n for why, n in core.declined.items() if n} == {"other_command": 1}


def test_lines_stay_where_they_are_while_one_is_taken_the_common_way() -> None:
    require_core("array")
    core = ArrayCore(CoreOptions())
    core.push("q", NewJobs(payloads=[b"1"], run_ats_ms=START_MS), START_MS)
    push = b'{"cmd":"PUSH","queue":"q","data":[7]}\n'
    rare = b'{"cmd":"PUSH","queue":"q","data":[8],"x":1}\n'
    lines, at, ids = (push + rare) * 3, 0, []
    for _ in range(3):
        at += core.execute(lines, 1, START_MS, at)[0]
        for payloads in ([b"[8]"], [b"[8]", b"[9]"]):
            core.push("q", NewJobs(payloads=payloads, run_ats_ms=START_MS), START_MS)
        at += len(rare)
        assert core._store.memory.loaded is lines
    assert at == len(lines)
    while pulled := core.pull("q", 100, 10**6, 1000, 1, START_MS).payloads:
        ids += pulled
    assert ids == [b"1", *[b"[7]", b"[8]", b"[8]", b"[9]"] * 3]
    core.check()


def test_payloads_take_the_place_of_lines_where_there_is_no_room_behind_them() -> None:
    require_core("array")
    core = ArrayCore(CoreOptions())
    lines = b'{"cmd":"PING"}\n'
    core.execute(lines, 1, START_MS)
    memory = core._store.memory
    assert memory.loaded is lines
    memory.loaded_stop = memory.loaded_start + lo.INPUT_BYTES_MAX
    core.push("q", NewJobs(payloads=[b"[1]"], run_ats_ms=START_MS), START_MS)
    assert memory.loaded is None
    assert core.pull("q", 1, 10, 1000, 1, START_MS).payloads == [b"[1]"]


def test_the_words_for_reasons_are_told_from_the_start() -> None:
    require_core("array")
    core = make_core("array", CoreOptions())
    assert isinstance(core, ArrayCore)
    assert core.declined == dict.fromkeys(lo.DECLINED, 0)
