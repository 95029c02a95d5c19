"""Each reply of the protocol's command table, byte for byte, and how a client reads it."""

import json
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from magicqueue.errors import ERROR_CODES, Duplicate, RequestError, error_from_reply
from magicqueue.wire import replies
from magicqueue.wire.decode import decode_request
from magicqueue.wire.limits import Limits
from magicqueue.wire.replies import (
    AckBatchReply,
    CancelReply,
    CountReply,
    DeadReply,
    EndedJob,
    FailBatchReply,
    FailReply,
    HeartbeatReply,
    JobDetail,
    JobInfo,
    JobOut,
    JobReply,
    PromoteReply,
    PullBatchReply,
    PullReply,
    PushBatchReply,
    PushReply,
    QueueCounts,
    QueuesReply,
    Reply,
    ServerCounts,
    ServerInfo,
    WaitReply,
)

ROW: Final = (3, 1760000000000, 1760000000500, 1)
JOB: Final = (
    '{"id":1,"queue":"q","data":{"a":1.50},"priority":3,"created_at":1760000000000,'
    '"run_at":1760000000500,"attempts":1}'
)
COUNTS: Final[dict[str, int]] = {
    "queued": 1,
    "processing": 2,
    "delayed": 3,
    "blocked": 19,
    "dead": 4,
    "pushed": 5,
    "completed": 6,
    "failed": 7,
    "lost": 8,
    "released": 0,
    "expired": 0,
    "cancelled": 11,
    "duplicates": 12,
    "dropped": 9,
    "oldest_ready_ms": 10,
}
COUNTS_TEXT: Final = (
    '"pushed":5,"completed":6,"failed":7,"lost":8,"released":0,"expired":0,"cancelled":11,'
    '"duplicates":12,"dropped":9,'
    '"oldest_ready_ms":10'
)
DETAIL: Final = JobDetail(
    id=1,
    queue="q",
    data=Raw(b'{"a":1.50}'),
    priority=3,
    created_at=1760000000000,
    run_at=1760000000500,
    attempts=1,
    state="active",
    failures=0,
    lost=0,
    max_attempts=25,
    error=None,
    lease_until=1760000030000,
)
INFO: Final = JobInfo(**msgspec.structs.asdict(DETAIL))
ENDED: Final = EndedJob(
    id=1, state="done", queue="q", result=Raw(b"[1.50]"), finished_at=5, attempts=1
)
DETAIL_TEXT: Final = (
    f'{JOB[:-1]},"state":"active","failures":0,"lost":0,"max_attempts":25,"error":null,'
    '"lease_until":1760000030000,"reason":null,"died_at":null}'
)


def _job(job_id: int = 1) -> list[bytes]:
    return replies.job_objects("q", [job_id], [b'{"a":1.50}'], [ROW])


def test_ok() -> None:
    assert replies.ok() == b'{"ok":true}\n'
    assert replies.ok() is replies.OK


ROWS: Final[list[tuple[str, bytes, str]]] = [
    ("PUSH", replies.pushed(1), '{"ok":true,"id":1}'),
    ("PUSHB", replies.pushed_batch([1, 2, 3]), '{"ok":true,"ids":[1,2,3]}'),
    ("PUSHB of a range", replies.pushed_batch(range(7, 10)), '{"ok":true,"ids":[7,8,9]}'),
    ("PUSHB of none", replies.pushed_batch([]), '{"ok":true,"ids":[]}'),
    (
        "PUSH of a key that is held",
        replies.pushed_under_policies(PushReply(ok=True, id=12, duplicate=True)),
        '{"ok":true,"id":12,"duplicate":true}',
    ),
    (
        "PUSHB again",
        replies.pushed_under_policies(PushBatchReply(ok=True, ids=[1, 2], repeated=True)),
        '{"ok":true,"ids":[1,2],"repeated":true}',
    ),
    (
        "WAIT",
        replies.counted(jobs=[ENDED, EndedJob(id=9, state="unknown")]),
        (
            '{"ok":true,"jobs":[{"id":1,"state":"done","queue":"q","result":[1.50],'
            '"finished_at":5,"attempts":1},{"id":9,"state":"unknown"}]}'
        ),
    ),
    ("PULL", replies.pulled(_job()), f'{{"ok":true,"job":{JOB}}}'),
    ("PULL of none", replies.pulled([]), '{"ok":true,"job":null}'),
    ("PULLB", replies.pulled_batch(_job()), f'{{"ok":true,"jobs":[{JOB}]}}'),
    ("PULLB of none", replies.pulled_batch([]), '{"ok":true,"jobs":[]}'),
    ("ACK", replies.ok(), '{"ok":true}'),
    ("ACKB", replies.acked_batch(3, []), '{"ok":true,"ids":[3],"acked":3,"missing":[]}'),
    (
        "ACKB lacks",
        replies.acked_batch(1, [2, -3]),
        '{"ok":true,"ids":[1],"acked":1,"missing":[2,-3]}',
    ),
    ("FAIL", replies.failed("ready"), '{"ok":true,"state":"ready"}'),
    ("FAIL delayed", replies.failed("delayed"), '{"ok":true,"state":"delayed"}'),
    ("FAIL dead", replies.failed("dead"), '{"ok":true,"state":"dead"}'),
    ("FAILB", replies.counted(failed=2, missing=[]), '{"ok":true,"failed":2,"missing":[]}'),
    (
        "HEARTBEAT",
        replies.counted(extended=2, missing=[4]),
        '{"ok":true,"extended":2,"missing":[4]}',
    ),
    ("DRAIN", replies.counted(removed=5), '{"ok":true,"removed":5}'),
    ("RETRYDEAD", replies.counted(retried=5), '{"ok":true,"retried":5}'),
    ("PURGEDEAD", replies.counted(removed=0), '{"ok":true,"removed":0}'),
    ("PING", replies.counted(pong=True), '{"ok":true,"pong":true}'),
    ("GETJOB", replies.counted(job=DETAIL), f'{{"ok":true,"job":{DETAIL_TEXT}}}'),
    (
        "DEAD",
        replies.counted(jobs=[DETAIL], next=1),
        f'{{"ok":true,"jobs":[{DETAIL_TEXT}],"next":1}}',
    ),
    (
        "DEAD of none",
        replies.counted(jobs=[], next=None),
        '{"ok":true,"jobs":[],"next":null}',
    ),
    (
        "QUEUES",
        replies.counted(queues=[QueueCounts(name="q", paused=True, **COUNTS)]),
        (
            '{"ok":true,"queues":[{"queued":1,"processing":2,"delayed":3,"blocked":19,"dead":4,"paused":true,'
            f'{COUNTS_TEXT},"name":"q"}}]}}'
        ),
    ),
    (
        "STATS of a queue",
        replies.described(QueueCounts(name="q", paused=False, **COUNTS)),
        (
            '{"ok":true,"queued":1,"processing":2,"delayed":3,"blocked":19,"dead":4,"paused":false,'
            f'{COUNTS_TEXT},"name":"q"}}'
        ),
    ),
    (
        "STATS",
        replies.described(
            ServerCounts(
                paused=1,
                queues=11,
                content_bytes=10,
                memory_bytes=12,
                connections=13,
                waiting=14,
                input_bytes=16,
                output_bytes=17,
                uptime_ms=15,
                marked=18,
                **COUNTS,
            )
        ),
        (
            '{"ok":true,"queued":1,"processing":2,"delayed":3,"blocked":19,"dead":4,"paused":1,'
            f'{COUNTS_TEXT},"queues":11,"content_bytes":10,"memory_bytes":12,'
            '"connections":13,"waiting":14,"input_bytes":16,"output_bytes":17,'
            '"uptime_ms":15,"marked":18,"unique_keys":0,"windows":0,"req_keys":0,'
            '"results":0,"result_bytes":0,"cancelling":0,"groups":0,"limited":0,"throttled":0,'
            '"windows_dropped":0,'
            '"req_keys_dropped":0,"results_dropped":0,"progress_dropped":0,'
            '"subscribers":0,"events_dropped":0,"crons":0,"cron_fired":0,'
            '"cron_skipped":0,"cron_missed":0,"cron_refused":0}'
        ),
    ),
    (
        "HELLO",
        replies.described(
            ServerInfo(
                server="magicqueue",
                version="0.1.0",
                core="python",
                protocol=1,
                persistence="none",
                limits=Limits(line_bytes_max=9),
                capabilities=["rid"],
            )
        ),
        (
            '{"ok":true,"server":"magicqueue","version":"0.1.0","core":"python","protocol":1,'
            '"persistence":"none","limits":{"line_bytes_max":9,"job_bytes_max":1048576,'
            '"queue_name_bytes_max":255,"push_jobs_max":100000,"pull_jobs_max":10000,'
            '"reply_payload_bytes_max":16777216,"result_bytes_max":65536},"capabilities":["rid"]}'
        ),
    ),
]


@pytest.mark.parametrize(("row", "reply", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_row(row: str, reply: bytes, text: str) -> None:
    assert row
    assert reply == text.encode() + b"\n"
    assert json.loads(reply)["ok"] is True


RIDS: Final = ("7", "1.50", "1e3", "-9" + "9" * 30, '"a"', '"\\u00e9\\/é😀"', '""')


@pytest.mark.parametrize("rid", RIDS)
def test_rid_is_echoed_last_with_its_exact_text(rid: str) -> None:
    raw = decode_request(f'{{"cmd":"PING","rid": {rid} }}'.encode()).rid
    every = [
        (replies.ok(raw), replies.ok()),
        (replies.pushed(1, raw), replies.pushed(1)),
        (replies.pushed_batch([1], raw), replies.pushed_batch([1])),
        (replies.pulled(_job(), raw), replies.pulled(_job())),
        (replies.pulled([], raw), replies.pulled([])),
        (replies.pulled_batch(_job(), raw), replies.pulled_batch(_job())),
        (replies.acked_batch(1, [2], raw), replies.acked_batch(1, [2])),
        (replies.failed("dead", raw), replies.failed("dead")),
        (replies.counted(raw, removed=1), replies.counted(removed=1)),
        (
            replies.described(QueueCounts(name="q", paused=False, **COUNTS), raw),
            replies.described(QueueCounts(name="q", paused=False, **COUNTS)),
        ),
        (replies.refused(RequestError("x"), raw), replies.refused(RequestError("x"))),
    ]
    for with_rid, without in every:
        assert with_rid == without[:-2] + f',"rid":{rid}}}\n'.encode()
        assert msgspec.json.decode(with_rid, type=Reply).rid == raw


@pytest.mark.parametrize("code", ERROR_CODES)
def test_errors(code: str) -> None:
    kind = type(error_from_reply(code, "no"))
    assert kind is not RequestError
    error = kind('queue "é" is\nfull: \x00 wait')
    assert error.code == code
    reply = replies.refused(error)
    assert (
        reply
        == (
            '{"ok":false,"error":"queue \\"é\\" is\\nfull: \\u0000 wait",'
            f'"code":"{code}"}}\n'
        ).encode()
    )
    read = msgspec.json.decode(reply, type=PushReply)
    assert (read.ok, read.code, read.error) == (False, code, error.sentence)
    assert read.error is not None
    shown = error_from_reply(code, read.error)
    assert str(shown) == 'queue "é" is\\nfull: \\x00 wait'


def test_a_duplicate_names_the_job_that_holds_the_key() -> None:
    error = Duplicate("no")
    error.job_id = 12
    reply = replies.refused(error, Raw(b"7"))
    assert reply == b'{"ok":false,"error":"no","code":"DUPLICATE","id":12,"rid":7}\n'
    read = error_from_reply("DUPLICATE", "no", 12)
    assert isinstance(read, Duplicate)
    assert read.job_id == 12


def test_the_codes_are_those_of_the_protocol() -> None:
    assert set(ERROR_CODES) == {
        *("BAD_JSON", "BAD_REQUEST", "UNKNOWN_COMMAND", "NOT_FOUND", "STALE", "DUPLICATE"),
        *("TOO_LARGE", "FULL", "PAUSED", "UNAUTHORIZED", "FORBIDDEN", "READ_ONLY"),
        *("SHUTTING_DOWN", "INTERNAL"),
    }
    assert type(error_from_reply("NEW_CODE", "x")) is RequestError


def test_jobs_in_a_row_share_only_what_is_alike() -> None:
    name = 'a"\\é\u2028😀'
    ids = [5, 6, 7, 2**53 - 1]
    payloads = [
        b"1",
        b'{"a":1,"a":2}',
        b'"\\ud83d\\ude00"',
        b"123456789012345678901234567890",
    ]
    rows = [(0, 1, 1, 1), (0, 1, 1, 1), (-(2**31), 1, 2, 1), (0, 1, 1, 2)]
    reply = replies.pulled_batch(replies.job_objects(name, ids, payloads, rows))
    read = msgspec.json.decode(reply, type=PullBatchReply).jobs
    assert [job.id for job in read] == ids
    assert {job.queue for job in read} == {name}
    assert [bytes(job.data) for job in read] == payloads
    assert [(j.priority, j.created_at, j.run_at, j.attempts) for j in read] == rows
    assert reply.count(b"\n") == 1


@pytest.mark.parametrize("name", ["g", 'say "g"', "back\\slash", "gr\u00fcn", "a,b"])
def test_a_job_tells_its_group_if_it_has_one(name: str) -> None:
    fields = replies.group_fields([name, None, name, "other"])
    reply = replies.pulled_batch(
        replies.job_objects("q", [1, 2, 3, 4], [b"1"] * 4, [ROW] * 4, fields)
    )
    jobs = json.loads(reply)["jobs"]
    assert [job.get("group") for job in jobs] == [name, None, name, "other"]
    assert jobs[0] == jobs[1] | {"id": 1, "group": name}
    assert [job["id"] for job in jobs] == [1, 2, 3, 4]
    assert replies.group_fields([]) == []
    assert replies.group_fields([None, None]) == [b"", b""]


def test_columns_of_unequal_length_are_a_bug_not_a_reply() -> None:
    with pytest.raises(ValueError, match="zip"):
        replies.job_objects("q", [1, 2], [b"1"], [ROW, ROW])


READS: Final[list[tuple[bytes, type[Reply], dict[str, Any]]]] = [
    (replies.pushed(5), PushReply, {"id": 5}),
    (replies.pushed_batch([5, 6]), PushBatchReply, {"ids": [5, 6]}),
    (
        replies.pulled(_job()),
        PullReply,
        {"job": JobOut(1, "q", Raw(b'{"a":1.50}'), *ROW)},
    ),
    (replies.pulled([]), PullReply, {"job": None}),
    (replies.pulled_batch([]), PullBatchReply, {"jobs": []}),
    (replies.acked_batch(1, [9]), AckBatchReply, {"acked": 1, "missing": [9]}),
    (replies.failed("dead"), FailReply, {"state": "dead"}),
    (replies.counted(failed=2, missing=[1]), FailBatchReply, {"failed": 2, "missing": [1]}),
    (
        replies.counted(extended=1, missing=[]),
        HeartbeatReply,
        {"extended": 1, "missing": []},
    ),
    (
        replies.counted(queues=[QueueCounts(name="q", paused=True, **COUNTS)]),
        QueuesReply,
        {"queues": [QueueCounts(name="q", paused=True, **COUNTS)]},
    ),
    (replies.counted(job=DETAIL), JobReply, {"job": INFO}),
    (
        replies.counted(cancelled=[1], cancelling=[2], missing=[3]),
        CancelReply,
        {"cancelled": [1], "cancelling": [2], "missing": [3]},
    ),
    (
        replies.counted(promoted=1, missing=[3]),
        PromoteReply,
        {"promoted": 1, "missing": [3]},
    ),
    (
        replies.counted(jobs=[ENDED, EndedJob(id=9, state="unknown")]),
        WaitReply,
        {"jobs": [ENDED, EndedJob(id=9, state="unknown")]},
    ),
    (
        replies.pushed_under_policies(PushReply(ok=True, id=5, duplicate=True)),
        PushReply,
        {"id": 5, "duplicate": True, "replaced": False, "repeated": False},
    ),
    (
        replies.pushed_under_policies(
            PushBatchReply(ok=True, ids=[5, 5], duplicates=[1], replaced=[1], repeated=True)
        ),
        PushBatchReply,
        {"ids": [5, 5], "duplicates": [1], "replaced": [1], "repeated": True},
    ),
    (replies.counted(jobs=[DETAIL], next=3), DeadReply, {"jobs": [DETAIL], "next": 3}),
    (replies.counted(removed=4), CountReply, {"removed": 4, "retried": 0}),
    (replies.counted(retried=4), CountReply, {"removed": 0, "retried": 4}),
]


@pytest.mark.parametrize(
    ("reply", "kind", "fields"),
    READS,
    ids=[f"{kind.__name__}-{i}" for i, (_, kind, _) in enumerate(READS)],
)
def test_client_reads_what_the_server_writes(
    reply: bytes, kind: type[Reply], fields: dict[str, Any]
) -> None:
    read = msgspec.json.decode(reply[:-2] + b',"new":{"field":[]}}', type=kind)
    assert read.ok
    assert {name: getattr(read, name) for name in fields} == fields
