"""What `execute` takes, and what it leaves to the common way, untouched."""

import os
import subprocess
import sys

import pytest

from conformance.driver import START_MS, answered, require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import MODE
from magicqueue_cores.line_contract import WireDefaults
from patience import PATIENCE_S

_TIMES = b'"created_at":%d,"run_at":%d' % (START_MS, START_MS)


@pytest.fixture
def core() -> ArrayCore:
    """A core with a queue q that has the jobs 1, ready, and 2, active in session 5."""
    require_core("array")
    made = ArrayCore(CoreOptions(), wire=WireDefaults(job_bytes_max=300, push_jobs_max=3))
    jobs = NewJobs(payloads=[b"10", b"20"], run_ats_ms=START_MS, priorities=[0, 1])
    made.push("q", jobs, START_MS)
    made.pull("q", 1, 1000, 60_000, 5, START_MS)
    return made


def run(core: ArrayCore, *lines: bytes) -> list[bytes]:
    """Run lines, all of which must be taken; gives the replies."""
    text = b"".join(line + b"\n" for line in lines)
    consumed, replies = core.execute(text, 5, START_MS)
    assert consumed == len(text), text[consumed:]
    core.check()
    return replies.split(b"\n")[:-1]


_TAKEN = (
    (b'{"cmd":"PUSH","queue":"q","data":{"a":1}}', b'{"ok":true,"id":3}'),
    (b'{"data":[ 1 ] , "queue":"q","cmd":"push"}', b'{"ok":true,"id":3}'),
    (b'{"cmd":"PUSH","queue":"q","data":1,"rid":7}', b'{"ok":true,"id":3,"rid":7}'),
    (b'{"cmd":"PUSH","queue":"q","data":1,"rid":"x"}', b'{"ok":true,"id":3,"rid":"x"}'),
    (b'{"cmd":"PUSH","queue":"q","data":1,"backoff":10,"jitter":true,"priority":-1}',
     b'{"ok":true,"id":3}'),
    (b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1}]}', b'{"ok":true,"ids":[3]}'),
    (b'{"jobs":[{"data":1},{"priority":2,"data":2}],"queue":"q","cmd":"PUSHB"}',
     b'{"ok":true,"ids":[3,4]}'),
    (b'{"cmd":"PUSHB","queue":"q","priority":3,"backoff":5,"jobs":[{"data":1}]}',
     b'{"ok":true,"ids":[3]}'),
    (b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"jitter":false}],"jitter":true}',
     b'{"ok":true,"ids":[3]}'),
    (b'{"jobs":[{"data":1}],"run_at":null,"cmd":"PUSHB","queue":"q","max_attempts":0}',
     b'{"ok":true,"ids":[3]}'),
    (b'{"cmd":"PULL","queue":"q"}',
     b'{"ok":true,"job":{"id":1,"queue":"q","data":10,"priority":0,' + _TIMES
     + b',"attempts":1}}'),
    (b'{"cmd":"PULLB","queue":"q","count":9}',
     b'{"ok":true,"jobs":[{"id":1,"queue":"q","data":10,"priority":0,' + _TIMES
     + b',"attempts":1}]}'),
    (b'{"cmd":"ACK","id":2}', b'{"ok":true}'),
    (b'{"cmd":"ACK","id":"2","attempt":1}', b'{"ok":true}'),
    (b'{"cmd":"ACKB","ids":[2,7]}', b'{"ok":true,"ids":[1],"acked":1,"missing":[7]}'),
    (b'{"cmd":"ACKB","ids":[]}', b'{"ok":true,"ids":[0],"acked":0,"missing":[]}'),
    (b'{"ids":[{"id":2},"8"],"cmd":"ackb"}',
     b'{"ok":true,"ids":[1],"acked":1,"missing":[8]}'),
    (b'{"cmd":"FAIL","id":2,"error":"why"}', b'{"ok":true,"state":"ready"}'),
    (
        b'{"cmd":"FAILB","jobs":[{"id":2},{"id":1}]}',
        b'{"ok":true,"failed":1,"missing":[1]}',
    ),
    (b'{"cmd":"HEARTBEAT","ids":[2,1]}', b'{"ok":true,"extended":1,"missing":[1]}'),
    (b'{"cmd":"HEARTBEAT","id":2,"lease":9}', b'{"ok":true,"extended":1,"missing":[]}'),
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reply"), _TAKEN, ids=[line[:40].decode() for line, _ in _TAKEN]
)
def test_takes(core: ArrayCore, line: bytes, reply: bytes) -> None:
    assert run(core, line) == [reply]


_LEFT = (
    b"{}",
    b"   ",
    b"[1]",
    b'{"cmd":"PING"}',
    b'{"cmd":"STATS"}',
    b'{"cmd":"PUSH","queue":"q"}',
    b'{"cmd":"PUSH","data":1}',
    b'{"cmd":"PUSH","queue":"new","data":1}',
    b'{"cmd":"PUSH","queue":"\\u0071","data":1}',
    b'{"c\\u006dd":"PUSH","queue":"q","data":1}',
    b'{"cmd":"PUSH","queue":"q","data":01}',
    b'{"cmd":"PUSH","queue":"q","data":1}x',
    b'{"cmd":"PUSH","queue":"q","data":1,"priority":1.0}',
    b'{"cmd":"PUSH","queue":"q","data":1,"priority":true}',
    b'{"cmd":"PUSH","queue":"q","data":1,"priority":2147483648}',
    b'{"cmd":"PUSH","queue":"q","data":1,"delay":-1}',
    b'{"cmd":"PUSH","queue":"q","data":1,"delay":1,"run_at":2}',
    b'{"cmd":"PUSH","queue":"q","data":1,"data":2}',
    b'{"cmd":"PUSH","queue":"q","data":1,"jitter":true,"jitter":true}',
    b'{"cmd":"PUSH","queue":"q","data":1,"backoff":9999999}',
    b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":03}',
    b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":2147483648}',
    b'{"cmd":"PUSHB","queue":"q","max_attempts":2147483648,"jobs":[{"data":1}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"max_attempts":2147483648}]}',
    b'{"cmd":"PUSH","queue":"q","data":1,"rid":[1]}',
    b'{"cmd":"PUSH","queue":"q","data":"' + b"x" * 300 + b'"}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[]}',
    b'{"cmd":"PUSHB","queue":"q","priority":"x","jobs":[{"data":1}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1}],"backoff":-1}',
    b'{"cmd":"PUSHB","queue":"q","delay":1,"run_at":1,"jobs":[{"data":1}]}',
    b'{"cmd":"PUSHB","queue":"q","jitter":true,"jobs":[{"data":1}],"jitter":true}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"priority":1},{"data":1,"priority":1]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"priority":1,"priority":1}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"priority":01}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"backoff":9999999}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{}]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},2]}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1},{"data":1},{"data":1}]}',
    b'{"cmd":"PULLB","queue":"q"}',
    b'{"cmd":"PULLB","queue":"q","count":0}',
    b'{"cmd":"PULLB","queue":"q","count":"1"}',
    b'{"cmd":"PULL","queue":"q","lease":0}',
    b'{"cmd":"ACK"}',
    b'{"cmd":"ACK","id":1}',
    b'{"cmd":"ACK","id":2,"attempt":9}',
    b'{"cmd":"ACK","id":2.0}',
    b'{"cmd":"ACKB","ids":[2,true]}',
    b'{"cmd":"ACKB","ids":[2,]}',
    b'{"cmd":"ACKB","ids":2}',
    b'{"cmd":"FAIL","id":1}',
    b'{"cmd":"FAIL","id":2,"error":7}',
    b'{"cmd":"FAIL","id":2,"error":"\\ud800"}',
    b'{"cmd":"FAILB","jobs":[2]}',
    b'{"cmd":"HEARTBEAT"}',
    b'{"cmd":"HEARTBEAT","id":2,"ids":[2]}',
)


@pytest.mark.parametrize("line", _LEFT, ids=lambda line: line[:40])
def test_leaves_alone(core: ArrayCore, line: bytes) -> None:
    before = core.stats(START_MS)
    consumed, replies = core.execute(line + b"\n", 5, START_MS)
    assert (consumed, replies) == (0, b"")
    core.check()
    assert core.stats(START_MS) == before


def test_stops_before_the_line_that_is_not_for_it(core: ArrayCore) -> None:
    good = b'\r\n\n{"cmd":"ACK","id":2}\r\n'
    text = good + b'{"cmd":"PING"}\n{"cmd":"ACK","id":1}\n'
    consumed, replies = core.execute(text, 5, START_MS)
    assert consumed == len(good)
    assert replies == b'{"ok":true}\n'


def test_behind_a_line_that_is_left_nothing_is_copied_again(
    core: ArrayCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[bytes] = []
    load = Memory.load_lines

    def counted(memory: Memory, lines: bytes, start: int, stop: int) -> None:
        loads.append(lines[start:stop])
        load(memory, lines, start, stop)

    monkeypatch.setattr(Memory, "load_lines", counted)
    good, left = b'{"cmd":"ACK","id":2}\n', b'{"cmd":"PING"}\n'
    push = b'{"cmd":"PUSH","queue":"q","data":{"x":[%d]}}\n'
    text = left * 3 + good + left + b"".join(push % n for n in (5, 6)) + b"rest"
    stop = len(text) - len(b"rest")
    at, replies = 0, b""
    for _ in range(5):
        consumed, reply = core.execute(text, 5, START_MS, at, stop)
        at, replies = at + consumed, replies + reply
        if at < stop:
            at += len(left)
    assert at == stop
    assert replies.splitlines()[0] == b'{"ok":true}'
    assert replies.count(b"\n") == 3
    assert loads == [text[:stop]]
    monkeypatch.undo()
    pull = b'{"cmd":"PULLB","queue":"q","count":9}'
    assert run(core, pull)[0].count(b'"data":{"x":[6]}') == 1


def test_a_verb_in_between_does_not_change_the_lines(core: ArrayCore) -> None:
    text = b'{"cmd":"PING"}\n{"cmd":"PUSH","queue":"q","data":"mine"}\n'
    assert core.execute(text, 5, START_MS) == (0, b"")
    core.push("other", NewJobs(payloads=[b"9" * 60] * 3, run_ats_ms=START_MS), START_MS)
    consumed, replies = core.execute(text, 5, START_MS, 15)
    assert (15 + consumed, replies) == (len(text), b'{"ok":true,"id":6}\n')
    assert b'"data":"mine"' in run(core, b'{"cmd":"PULLB","queue":"q","count":9}')[0]


def test_a_line_without_its_end_is_left(core: ArrayCore) -> None:
    assert core.execute(b'{"cmd":"ACK","id":2}', 5, START_MS) == (0, b"")
    assert core.execute(b"", 5, START_MS) == (0, b"")


def test_pulls_that_wait_and_queues_that_are_watched_are_left(core: ArrayCore) -> None:
    run(core, b'{"cmd":"PULL","queue":"q"}')
    for line in (
        b'{"cmd":"PULL","queue":"q"}\n',
        b'{"cmd":"PULL","queue":"q","timeout":5}\n',
    ):
        assert core.execute(line, 5, START_MS)[0] == 0
    empty = b'{"cmd":"PULL","queue":"q","timeout":0}'
    assert run(core, empty) == [b'{"ok":true,"job":null}']
    core.watch("q", watching=True)
    for line in (
        b'{"cmd":"FAIL","id":2}\n',
        b'{"cmd":"FAILB","jobs":[{"id":2}]}\n',
        b'{"cmd":"PULL","queue":"q","timeout":0}\n',
    ):
        assert core.execute(line, 5, START_MS)[0] == 0
    core.watch("q", watching=False)
    assert run(core, b'{"cmd":"PUSH","queue":"q","data":1}') == [b'{"ok":true,"id":3}']


def test_behind_a_push_to_a_watched_queue_no_line_runs() -> None:
    """Who waits is told, and served before anything else; a delayed job wakes nobody."""
    woken: list[str] = []
    core = ArrayCore(CoreOptions(), on_ready=woken.append)
    push, later = (
        b'{"cmd":"PUSH","queue":"q","data":1%b}\n' % more for more in (b"", b',"delay":5')
    )
    core.push("q", NewJobs(payloads=[b"1"], run_ats_ms=START_MS + 9), START_MS)
    core.watch("q", watching=True)
    assert core.execute(later + later, 5, START_MS)[0] == 2 * len(later)
    assert woken == []
    assert core.execute(later + push + push, 5, START_MS)[0] == len(later + push)
    assert woken == ["q"]
    assert core.execute(push, 5, START_MS)[0] == len(push)
    assert woken == ["q", "q"]
    core.watch("q", watching=False)
    assert core.execute(push + push, 5, START_MS)[0] == 2 * len(push)
    core.check()


def test_a_paused_queue_gives_nothing(core: ArrayCore) -> None:
    core.pause("q", paused=True, now_ms=START_MS)
    assert core.execute(b'{"cmd":"PULL","queue":"q"}\n', 5, START_MS)[0] == 0
    line = b'{"cmd":"PULLB","queue":"q","count":2,"timeout":0}'
    assert run(core, line) == [b'{"ok":true,"jobs":[]}']


def test_a_failure_that_kills_is_left(core: ArrayCore) -> None:
    run(core, b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":1,"priority":9}')
    run(core, b'{"cmd":"PULL","queue":"q"}')
    for line in (
        b'{"cmd":"FAIL","id":3}\n',
        b'{"cmd":"FAILB","jobs":[{"id":2},{"id":3}]}\n',
    ):
        assert core.execute(line, 5, START_MS)[0] == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"FAIL","id":1}',
        b'{"cmd":"FAILB","jobs":[{"id":1}]}',
        b'{"cmd":"PUSH","queue":"q","data":1}',
    ],
)
def test_what_has_to_wait_behind_due_jobs_is_left(line: bytes) -> None:
    require_core("array")
    core = ArrayCore(CoreOptions(step_jobs=1))
    core.push("q", NewJobs(payloads=[b"1"], run_ats_ms=0), START_MS)
    core.pull("q", 1, 1000, 60_000, 5, START_MS)
    core.push("q", NewJobs(payloads=[b"1"] * 3, run_ats_ms=START_MS + 5), START_MS)
    late_ms, lines = START_MS + 9, line + b"\n"
    for left in (2, 1):
        assert core.execute(lines, 5, late_ms) == (0, b"")
        assert sum(core.declined.values()) == 3 - left
    ran, _ = core.execute(lines, 5, late_ms)
    assert ran == len(lines), "the control: none is due any more"
    core.check()
    ready = core.pull("q", 9, 1000, 60_000, 5, late_ms).ids
    assert ready[:3] == [2, 3, 4]
    assert len(ready) == 4


def test_errors_of_lines_are_kept(core: ArrayCore) -> None:
    run(core, b'{"cmd":"FAIL","id":2,"error":"caf\\u00e9 \\"x\\""}')
    view = answered(core.job(2, START_MS))
    assert view is not None
    assert view.error == 'café "x"'
    run(core, b'{"cmd":"PULL","queue":"q"}', b'{"cmd":"FAIL","id":2}')
    view = answered(core.job(2, START_MS))
    assert view is not None
    assert view.error is None


def test_long_replies_make_it_give_way() -> None:
    require_core("array")
    core = ArrayCore(CoreOptions(), wire=WireDefaults(reply_bytes_a_call=100))
    core.push("q", NewJobs(payloads=[b"1"] * 20, run_ats_ms=START_MS), START_MS)
    line = b'{"cmd":"PULL","queue":"q"}\n'
    consumed, replies = core.execute(line * 20, 5, START_MS)
    assert consumed == len(line)
    assert replies.count(b"\n") == 1


@pytest.mark.skipif(MODE != "jit", reason="it compares this with uncompiled kernels")
def test_kernels_also_run_uncompiled() -> None:
    program = (
        "from magicqueue_cores.array_core import ArrayCore\n"
        "from magicqueue_cores.contract import CoreOptions, NewJobs\n"
        "from magicqueue_cores.kernels.entry import MODE\n"
        "core = ArrayCore(CoreOptions())\n"
        "jobs = NewJobs(payloads=[b'0'], run_ats_ms=9)\n"
        "core.push('q', jobs, 5)\n"
        'lines = b\'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":[2]}]}\\n\'\n'
        'lines += b\'{"cmd":"PULLB","queue":"q","count":5}\\n\'\n'
        "print(MODE, core.execute(lines, 1, 5))\n"
        "core.check()\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={
                **os.environ,
                "NUMBA_DISABLE_JIT": disabled,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout.partition(" ")
        for disabled in ("0", "1")
    ]
    assert [output[0] for output in outputs] == [MODE, "python"]
    assert outputs[0][2] == outputs[1][2]
    assert '"attempts":1}]}' in outputs[0][2]


@pytest.mark.skipif(MODE == "python", reason="minutes without compiled kernels")
def test_very_many_verdicts_are_worked_off_in_parts(core: ArrayCore) -> None:
    strangers = lo.ITEMS_MAX + 5
    line = b'{"cmd":"ACKB","ids":[%b2]}\n' % (b"9," * strangers)
    assert core.execute(line, 5, START_MS) == (0, b"")
    settled = answered(core.ack([9] * strangers + [2], None, START_MS))
    assert len(settled.missing) == strangers
    assert core.job(2, START_MS) is None
    core.check()
