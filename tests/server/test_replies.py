"""The exact reply to every command of the protocol, over cores that answer now or later."""

from typing import Final

import msgspec
import pytest

from server.desk import START_MS, Caller, Desk, job, many, one

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
OK = b'{"ok":true}'


@pytest.fixture
def caller(desk: Desk) -> Caller:
    return desk.caller()


def test_push_gives_an_id(caller: Caller) -> None:
    assert caller.ask(PUSH, PUSH) == [b'{"ok":true,"id":1}', b'{"ok":true,"id":2}']


def test_push_takes_every_field(desk: Desk, caller: Caller) -> None:
    line = (
        b'{"data":{"a": [1.50]},"queue":"\xc3\xa9","cmd":"push","priority":-7,"delay":20,'
        b'"max_attempts":2,"backoff":5,"jitter":false,"unheard_of":{}}'
    )
    assert caller.ask(line) == [b'{"ok":true,"id":1}']
    assert caller.ask(b'{"cmd":"PULL","queue":"\xc3\xa9","timeout":0}') == [one(b"null")]
    desk.tick(20)
    assert caller.ask(b'{"cmd":"PULL","queue":"\xc3\xa9"}') == [
        one(
            b'{"id":1,"queue":"\xc3\xa9","data":{"a": [1.50]},"priority":-7,'
            b'"created_at":%d,"run_at":%d,"attempts":1}' % (START_MS, START_MS + 20)
        )
    ]


def test_run_at_of_the_past_is_now(caller: Caller) -> None:
    assert caller.ask(b'{"cmd":"PUSH","queue":"q","data":1,"run_at":5}', PULL)[1:] == [
        one(job(1))
    ]


def test_push_batch(caller: Caller) -> None:
    line = (
        b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":"a"},{"data":[],"priority":1},'
        b'{"data":null,"delay":1}]}'
    )
    assert caller.ask(line) == [b'{"ok":true,"ids":[1,2,3]}']
    assert caller.ask(b'{"cmd":"PUSHB","queue":"q","jobs":[]}') == [b'{"ok":true,"ids":[]}']
    high = job(2, b"[]").replace(b'"priority":0', b'"priority":1')
    assert caller.ask(b'{"cmd":"PULLB","queue":"q","count":50}') == [
        many(high, job(1, b'"a"'))
    ]


def test_pull_and_ack(caller: Caller) -> None:
    assert caller.ask(PUSH, PULL, b'{"cmd":"ACK","id":1}')[1:] == [one(job(1)), OK]


def test_pull_with_nothing_there(caller: Caller) -> None:
    assert caller.ask(b'{"cmd":"PULL","queue":"q","timeout":0}') == [one(b"null")]
    assert caller.ask(b'{"cmd":"PULLB","queue":"q","count":3,"timeout":0}') == [many()]


def test_an_id_may_be_a_string(caller: Caller) -> None:
    caller.ask(PUSH, PULL)
    assert caller.ask(b'{"cmd":"ACK","id":"1"}') == [OK]


def test_ack_batch(caller: Caller) -> None:
    caller.ask(PUSH, PUSH, PUSH, b'{"cmd":"PULLB","queue":"q","count":3}')
    assert caller.ask(b'{"cmd":"ACKB","ids":[1,"2",{"id":3,"attempt":1},9]}') == [
        b'{"ok":true,"ids":[3],"acked":3,"missing":[9]}'
    ]


def test_fail_says_what_became_of_the_job(caller: Caller) -> None:
    caller.ask(
        PUSH,
        b'{"cmd":"PUSH","queue":"q","data":2,"backoff":50}',
        b'{"cmd":"PUSH","queue":"q","data":3,"max_attempts":1}',
        b'{"cmd":"PULLB","queue":"q","count":3}',
    )
    assert caller.ask(
        b'{"cmd":"FAIL","id":1,"error":"why"}',
        b'{"cmd":"FAIL","id":2}',
        b'{"cmd":"FAIL","id":3,"attempt":1}',
    ) == [
        b'{"ok":true,"state":"ready"}',
        b'{"ok":true,"state":"delayed"}',
        b'{"ok":true,"state":"dead"}',
    ]


def test_fail_batch(caller: Caller) -> None:
    caller.ask(PUSH, PUSH, b'{"cmd":"PULLB","queue":"q","count":2}')
    line = b'{"cmd":"FAILB","jobs":[{"id":1,"error":"why"},{"id":2},{"id":7}]}'
    assert caller.ask(line) == [b'{"ok":true,"failed":2,"missing":[7]}']


def test_heartbeat_of_one_and_of_many(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, PUSH, b'{"cmd":"PULLB","queue":"q","count":2,"lease":100}')
    assert caller.ask(b'{"cmd":"HEARTBEAT","ids":[1,2,3],"lease":900}') == [
        b'{"ok":true,"extended":2,"missing":[3]}'
    ]
    assert caller.ask(b'{"cmd":"HEARTBEAT","id":2,"lease":50}') == [
        b'{"ok":true,"extended":1,"missing":[]}'
    ]
    desk.tick(100)
    assert caller.ask(b'{"cmd":"PULL","queue":"q"}') == [one(job(2, attempts=2))]
    assert caller.ask(b'{"cmd":"PULL","queue":"q","timeout":0}') == [one(b"null")]


def test_stats_of_a_queue_and_of_all(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, PUSH, PULL, b'{"cmd":"PUSH","queue":"r","data":1,"delay":9}')
    desk.tick(7)
    (reply_of_queue,) = caller.ask(b'{"cmd":"STATS","queue":"q"}')
    assert reply_of_queue == (
        b'{"ok":true,"name":"q","queued":1,"processing":1,"delayed":0,"dead":0,'
        b'"paused":false,"pushed":2,"completed":0,"failed":0,"lost":0,"released":0,"expired":0,'
        b'"cancelled":0,"duplicates":0,"dropped":0,"oldest_ready_ms":7,"blocked":0}'
    )
    reply = msgspec.json.decode(caller.ask(b'{"cmd":"STATS"}')[0])
    assert reply.pop("memory_bytes") > 0
    assert reply.pop("ok") is True
    kept_of_this_line = 0 if desk.later is None else len(b'{"cmd":"STATS"}')
    assert reply.pop("input_bytes") == kept_of_this_line
    assert {name: count for name, count in reply.items() if count} == {
        "queued": 1,
        "processing": 1,
        "delayed": 1,
        "pushed": 3,
        "oldest_ready_ms": 7,
        "queues": 2,
        "content_bytes": 3 * len(b"1"),
        "connections": 1,
        "uptime_ms": 7,
    }
    zeros = {
        "dead",
        "paused",
        "completed",
        "failed",
        "lost",
        "released",
        "expired",
        "cancelled",
        "duplicates",
        "dropped",
        "blocked",
    }
    assert zeros | {"waiting"} <= set(reply)


def test_stats_of_an_unknown_queue_are_zeros(caller: Caller) -> None:
    reply = msgspec.json.decode(caller.ask(b'{"cmd":"STATS","queue":"new"}')[0])
    assert reply.pop("ok") is True
    assert reply.pop("name") == "new"
    assert not any(reply.values())
    assert caller.ask(b'{"cmd":"QUEUES"}') == [b'{"ok":true,"queues":[]}']


def test_queues_are_listed_by_pages(caller: Caller) -> None:
    for name in (b"b", b"mail.b", b"a", b"mail.a", b"mail.c"):
        caller.ask(b'{"cmd":"PUSH","queue":"%b","data":1}' % name)

    def page(more: bytes) -> tuple[list[str], str | None]:
        reply = msgspec.json.decode(caller.ask(b'{"cmd":"QUEUES",%b}' % more)[0])
        return [queue["name"] for queue in reply["queues"]], reply["next"]

    assert page(b'"count":2') == (["a", "b"], "b")
    assert page(b'"count":2,"after":"b"') == (["mail.a", "mail.b"], "mail.b")
    assert page(b'"count":2,"after":"mail.b"') == (["mail.c"], None)
    assert page(b'"count":9,"after":"no queue","sort":"name"') == ([], None)
    assert page(b'"count":2,"prefix":"mail."') == (["mail.a", "mail.b"], "mail.b")
    assert page(b'"count":3,"prefix":"mail.","after":"a"')[1] is None
    assert page(b'"count":9,"prefix":"mail.c"') == (["mail.c"], None)
    for wrong in (b'"after":"b"', b'"count":0', b'"count":2,"sort":"size"'):
        assert b"BAD_REQUEST" in caller.ask(b'{"cmd":"QUEUES",%b}' % wrong)[0]


def test_a_page_of_queues_has_a_bound(caller: Caller) -> None:
    push = b'{"cmd":"PUSH","queue":"q%d","data":1}'
    caller.ask(*(push % number for number in range(1001)))
    (reply,) = caller.ask(b'{"cmd":"QUEUES","count":5000}')
    assert len(msgspec.json.decode(reply)["queues"]) == 1000


def test_queues_are_listed_by_name(caller: Caller) -> None:
    caller.ask(PUSH, b'{"cmd":"PUSH","queue":"a","data":1}')
    reply = msgspec.json.decode(caller.ask(b'{"cmd":"QUEUES"}')[0])
    assert [(queue["name"], queue["queued"]) for queue in reply["queues"]] == [
        ("a", 1),
        ("q", 1),
    ]


def test_getjob_in_every_state(caller: Caller) -> None:
    get = b'{"cmd":"GETJOB","id":1}'
    head = (
        b'{"ok":true,"job":{"id":1,"queue":"q","data":1,"priority":0,"created_at":%d,'
        b'"run_at":%d,"attempts":' % (START_MS, START_MS)
    )
    caller.ask(b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":2}')
    assert caller.ask(get) == [
        head + b'0,"state":"ready","failures":0,"lost":0,"max_attempts":2,"error":null,'
        b'"lease_until":null,"reason":null,"died_at":null}}'
    ]
    caller.ask(b'{"cmd":"PULL","queue":"q","lease":500}')
    assert caller.ask(get) == [
        head + b'1,"state":"active","failures":0,"lost":0,"max_attempts":2,"error":null,'
        b'"lease_until":%d,"reason":null,"died_at":null}}' % (START_MS + 500)
    ]
    caller.ask(b'{"cmd":"FAIL","id":1,"error":"first"}', PULL)
    caller.ask(b'{"cmd":"FAIL","id":1,"error":"last"}')
    assert caller.ask(get) == [
        head + b'2,"state":"dead","failures":2,"lost":0,"max_attempts":2,"error":"last",'
        b'"lease_until":null,"reason":"failed","died_at":%d}}' % START_MS
    ]


def test_pause_and_resume(caller: Caller) -> None:
    assert caller.ask(PUSH, b'{"cmd":"PAUSE","queue":"q"}')[1:] == [OK]
    assert caller.ask(b'{"cmd":"PULL","queue":"q","timeout":0}') == [one(b"null")]
    assert caller.ask(b'{"cmd":"RESUME","queue":"q"}', PULL) == [OK, one(job(1))]


def test_drain_takes_ready_and_delayed_jobs(caller: Caller) -> None:
    caller.ask(PUSH, PUSH, b'{"cmd":"PUSH","queue":"q","data":1,"delay":9}', PULL)
    assert caller.ask(b'{"cmd":"DRAIN","queue":"q"}') == [b'{"ok":true,"removed":2}']
    assert caller.ask(b'{"cmd":"ACK","id":1}') == [OK]


def _bury(caller: Caller, count: int) -> None:
    for _ in range(count):
        pushed = caller.ask(b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":1}')[0]
        job_id = msgspec.json.decode(pushed)["id"]
        caller.ask(PULL, b'{"cmd":"FAIL","id":%d,"error":"x"}' % job_id)


def test_dead_letters_in_pages(caller: Caller) -> None:
    _bury(caller, 3)
    first = msgspec.json.decode(caller.ask(b'{"cmd":"DEAD","queue":"q","count":2}')[0])
    assert [(j["id"], j["reason"], j["error"]) for j in first["jobs"]] == [
        (1, "failed", "x"),
        (2, "failed", "x"),
    ]
    assert first["jobs"][0]["died_at"] == START_MS
    assert first["next"] == 2
    assert caller.ask(b'{"cmd":"DEAD","queue":"q","after":3}') == [
        b'{"ok":true,"jobs":[],"next":null}'
    ]


def test_retry_and_purge_of_dead_letters(caller: Caller) -> None:
    _bury(caller, 4)
    assert caller.ask(
        b'{"cmd":"RETRYDEAD","id":2}',
        b'{"cmd":"PURGEDEAD","id":1,"queue":"q"}',
        PULL,
        b'{"cmd":"RETRYDEAD","queue":"q"}',
        b'{"cmd":"PURGEDEAD","queue":"q"}',
    ) == [
        b'{"ok":true,"retried":1}',
        b'{"ok":true,"removed":1}',
        one(job(2)),
        b'{"ok":true,"retried":2}',
        b'{"ok":true,"removed":0}',
    ]


def test_ping(caller: Caller) -> None:
    assert caller.ask(b'{"cmd":"PING"}') == [b'{"ok":true,"pong":true}']


POLICIES: Final = (
    *("unique", "req_key", "ttl", "timeout", "results", "progress", "cancel"),
    *("flows", "limits", "multi_pull", "groups", "browse", "events", "cron"),
)


def test_hello_tells_what_the_server_is(desk: Desk, caller: Caller) -> None:
    reply = msgspec.json.decode(caller.ask(b'{"cmd":"HELLO","client":"me"}')[0])
    assert reply.pop("ok") is True
    assert reply == {
        "server": "magicqueue",
        "version": "1.2.3",
        "core": desk.engine.core.name,
        "protocol": 1,
        "persistence": "off",
        "limits": {
            "line_bytes_max": 64 * 2**20,
            "job_bytes_max": 2**20,
            "queue_name_bytes_max": 255,
            "push_jobs_max": 100_000,
            "pull_jobs_max": 10_000,
            "reply_payload_bytes_max": 16 * 2**20,
            "result_bytes_max": 2**16,
        },
        "capabilities": [
            *("batches", "priorities", "delays", "leases"),
            *("attempts", "retries", "dead_letters", "pause"),
            *("release", "fail_options", "batch_defaults", "queue_pages", "auth"),
            *(POLICIES if desk.later is None else ()),
        ],
    }


@pytest.mark.parametrize(
    "line",
    [
        PUSH,
        b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1}]}',
        b'{"cmd":"PULL","queue":"q","timeout":0}',
        b'{"cmd":"PULLB","queue":"q","count":1,"timeout":0}',
        b'{"cmd":"ACK","id":1}',
        b'{"cmd":"ACKB","ids":[1]}',
        b'{"cmd":"FAIL","id":1}',
        b'{"cmd":"FAILB","jobs":[]}',
        b'{"cmd":"HEARTBEAT","ids":[]}',
        b'{"cmd":"STATS"}',
        b'{"cmd":"STATS","queue":"q"}',
        b'{"cmd":"QUEUES"}',
        b'{"cmd":"GETJOB","id":1}',
        b'{"cmd":"PAUSE","queue":"q"}',
        b'{"cmd":"RESUME","queue":"q"}',
        b'{"cmd":"DRAIN","queue":"q"}',
        b'{"cmd":"DEAD","queue":"q"}',
        b'{"cmd":"RETRYDEAD","queue":"q"}',
        b'{"cmd":"PURGEDEAD","queue":"q"}',
        b'{"cmd":"PING"}',
        b'{"cmd":"HELLO"}',
        b'{"cmd":"NOPE"}',
    ],
)
@pytest.mark.parametrize("rid", [b"7", b"-1.50", b'"\\u00e9x"', b'""'])
def test_rid_is_echoed_as_it_came(desk: Desk, line: bytes, rid: bytes) -> None:
    (reply,) = desk.caller().ask(line[:-1] + b',"rid":%b}' % rid)
    assert reply.endswith(b',"rid":%b}' % rid)
