"""Each row of the protocol's command table: from a line to a request, and back."""

import itertools
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from magicqueue.errors import UnknownCommand
from magicqueue.wire.decode import decode_request
from magicqueue.wire.requests import (
    COMMANDS,
    NO_RID,
    Ack,
    AckBatch,
    Auth,
    Bulk,
    Cancel,
    Cron,
    CronDelete,
    CronList,
    CronPause,
    CronResume,
    CronRun,
    Dead,
    Done,
    Drain,
    Fail,
    FailBatch,
    Failure,
    FlowItem,
    GetJob,
    GroupLimit,
    Groups,
    Heartbeat,
    Hello,
    Jobs,
    Limit,
    Pause,
    Ping,
    PlainAck,
    PlainAckBatch,
    PlainDone,
    PlainItem,
    PlainPush,
    PlainPushBatch,
    Progress,
    Promote,
    Pull,
    PullBatch,
    PurgeDead,
    Push,
    PushBatch,
    PushFlow,
    PushItem,
    Queues,
    RateLimit,
    Release,
    Request,
    Resume,
    RetryDead,
    StatsRequest,
    Subscribe,
    Throttle,
    Verdict,
    Wait,
    encode_request,
)
from wire.reference import TABLE

ROWS: Final[list[tuple[str, Request]]] = [
    ('{"cmd":"PUSH","queue":"q","data":{"a":1}}', Push(queue="q", data=Raw(b'{"a":1}'))),
    (
        '{"cmd":"PUSH","queue":"q","data":[1.50],"priority":0,"delay":null}',
        Push(queue="q", data=Raw(b"[1.50]"), priority=0),
    ),
    (
        (
            '{"cmd":"PUSH","queue":"q","data":null,"priority":-2147483648,"run_at":1760000000000,'
            '"max_attempts":0,"backoff":250,"jitter":true}'
        ),
        Push(
            queue="q",
            data=Raw(b"null"),
            priority=-(2**31),
            run_at=1760000000000,
            max_attempts=0,
            backoff=250,
            jitter=True,
        ),
    ),
    (
        (
            '{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"priority":2147483647,"delay":0},'
            '{"data":"x"},{"data":2,"delay":5,"max_attempts":3,"backoff":1,"jitter":false}]}'
        ),
        PushBatch(
            queue="q",
            jobs=[
                PushItem(data=Raw(b"1"), priority=2**31 - 1, delay=0),
                PushItem(data=Raw(b'"x"')),
                PushItem(data=Raw(b"2"), delay=5, max_attempts=3, backoff=1, jitter=False),
            ],
        ),
    ),
    ('{"cmd":"PUSHB","queue":"q","jobs":[]}', PushBatch(queue="q", jobs=[])),
    (
        (
            '{"cmd":"PUSHB","queue":"q","priority":-1,"delay":5,"run_at":null,"max_attempts":0,'
            '"backoff":250,"jitter":false,"jobs":[{"data":1}]}'
        ),
        PushBatch(
            queue="q",
            priority=-1,
            delay=5,
            max_attempts=0,
            backoff=250,
            jitter=False,
            jobs=[PushItem(data=Raw(b"1"))],
        ),
    ),
    (
        (
            '{"cmd":"PUSH","queue":"q","data":1,"unique_key":"user:7","unique":"start",'
            '"on_conflict":"reject","ttl":5,"on_expire":"dead","timeout":6,"keep_result":0,'
            '"req_key":"é"}'
        ),
        Push(
            queue="q",
            data=Raw(b"1"),
            unique_key="user:7",
            unique="start",
            on_conflict="reject",
            ttl=5,
            on_expire="dead",
            timeout=6,
            keep_result=0,
            req_key="é",
        ),
    ),
    (
        (
            '{"cmd":"PUSHB","queue":"q","on_conflict":"return","ttl":5,"req_key":"r","jobs":['
            '{"data":1,"unique_key":"a","unique_for":1,"on_conflict":"replace"},{"data":2}]}'
        ),
        PushBatch(
            queue="q",
            on_conflict="return",
            ttl=5,
            req_key="r",
            jobs=[
                PushItem(
                    data=Raw(b"1"), unique_key="a", unique_for=1, on_conflict="replace"
                ),
                PushItem(data=Raw(b"2")),
            ],
        ),
    ),
    (
        (
            '{"cmd":"PUSH","queue":"q","data":1,"depends_on":[1,"2"],'
            '"on_parent_failure":"fail"}'
        ),
        Push(queue="q", data=Raw(b"1"), depends_on=[1, "2"], on_parent_failure="fail"),
    ),
    (
        (
            '{"cmd":"PUSHB","queue":"q","depends_on":[1],"on_parent_failure":"wait","jobs":['
            '{"data":1,"depends_on":[],"on_parent_failure":"run"},{"data":2}]}'
        ),
        PushBatch(
            queue="q",
            depends_on=[1],
            on_parent_failure="wait",
            jobs=[
                PushItem(data=Raw(b"1"), depends_on=[], on_parent_failure="run"),
                PushItem(data=Raw(b"2")),
            ],
        ),
    ),
    (
        (
            '{"cmd":"PUSHF","jobs":[{"queue":"x","ref":"é","data":1,"unique_key":"k"},'
            '{"queue":"y","data":2,"priority":3,"depends_on":["é",7],'
            '"on_parent_failure":"run"}]}'
        ),
        PushFlow(
            jobs=[
                FlowItem(queue="x", ref="é", data=Raw(b"1"), unique_key="k"),
                FlowItem(
                    queue="y",
                    data=Raw(b"2"),
                    priority=3,
                    depends_on=["é", 7],
                    on_parent_failure="run",
                ),
            ]
        ),
    ),
    ('{"cmd":"PUSHF","jobs":[],"req_key":"r"}', PushFlow(jobs=[], req_key="r")),
    ('{"cmd":"PULL","queue":"é"}', Pull(queue="é")),
    (
        '{"cmd":"PULL","queue":"q","timeout":0,"lease":1}',
        Pull(queue="q", timeout=0, lease=1),
    ),
    ('{"cmd":"PULLB","queue":"q","count":50}', PullBatch(queue="q", count=50)),
    (
        '{"cmd":"PULLB","queue":"q","count":9007199254740991,"timeout":5,"lease":6}',
        PullBatch(queue="q", count=2**53 - 1, timeout=5, lease=6),
    ),
    ('{"cmd":"ACK","id":1}', Ack(id=1)),
    ('{"cmd":"ACK","id":1,"attempt":2}', Ack(id=1, attempt=2)),
    ('{"cmd":"ACK","id":"12"}', Ack(id="12")),
    ('{"cmd":"ACKB","ids":[1,2,3]}', AckBatch(ids=[1, 2, 3])),
    (
        '{"cmd":"ACKB","ids":[1,"2",{"id":"3","attempt":4}]}',
        AckBatch(ids=[1, "2", Done("3", 4)]),
    ),
    ('{"cmd":"ACK","id":1,"result":1.50}', Ack(id=1, result=Raw(b"1.50"))),
    ('{"cmd":"ACK","id":1,"result":null}', Ack(id=1, result=Raw(b"null"))),
    (
        '{"cmd":"ACKB","ids":[1,{"id":2,"attempt":3,"result":"a"}]}',
        AckBatch(ids=[1, Done(2, 3, Raw(b'"a"'))]),
    ),
    ('{"cmd":"FAIL","id":1,"error":"why"}', Fail(id=1, error="why")),
    ('{"cmd":"FAIL","id":1,"error":null,"attempt":2}', Fail(id=1, attempt=2)),
    (
        '{"cmd":"FAILB","jobs":[{"id":1,"error":"why"},{"id":"2","attempt":3}]}',
        FailBatch(jobs=[Failure(1, None, "why"), Failure("2", 3)]),
    ),
    ('{"cmd":"FAIL","id":1,"retry":false}', Fail(id=1, retry=False)),
    (
        '{"cmd":"FAILB","jobs":[{"id":1,"delay":5},{"id":2,"retry":true}]}',
        FailBatch(jobs=[Failure(1, delay=5), Failure(2, retry=True)]),
    ),
    (
        '{"cmd":"RELEASE","ids":[1,{"id":2,"attempt":3}],"delay":9}',
        Release(ids=[1, Verdict(2, 3)], delay=9),
    ),
    ('{"cmd":"RELEASE","id":1,"attempt":2}', Release(id=1, attempt=2)),
    ('{"cmd":"HEARTBEAT","ids":[1,2],"lease":30000}', Heartbeat(ids=[1, 2], lease=30000)),
    (
        '{"cmd":"HEARTBEAT","ids":[{"id":1,"attempt":2}]}',
        Heartbeat(ids=[Verdict(1, 2)]),
    ),
    ('{"cmd":"HEARTBEAT","id":1,"attempt":2}', Heartbeat(id=1, attempt=2)),
    ('{"cmd":"HEARTBEAT","id":1,"wait":0}', Heartbeat(id=1, wait=0)),
    (
        '{"cmd":"PROGRESS","id":1,"attempt":2,"percent":100,"note":"x","lease":5}',
        Progress(id=1, attempt=2, percent=100, note="x", lease=5),
    ),
    ('{"cmd":"CANCEL","ids":[1,"2"]}', Cancel(ids=[1, "2"])),
    ('{"cmd":"CANCEL","id":1}', Cancel(id=1)),
    ('{"cmd":"PROMOTE","ids":[]}', Promote(ids=[])),
    ('{"cmd":"PROMOTE","id":"1"}', Promote(id="1")),
    ('{"cmd":"WAIT","ids":[1,"2"],"timeout":5}', Wait(ids=[1, "2"], timeout=5)),
    ('{"cmd":"WAIT","queue":"q","req_key":"r"}', Wait(queue="q", req_key="r")),
    ('{"cmd":"GETJOB","queue":"q","req_key":"r"}', GetJob(queue="q", req_key="r")),
    (
        '{"cmd":"PULL","queues":["a","b"],"order":"turns","timeout":0}',
        Pull(queues=["a", "b"], order="turns", timeout=0),
    ),
    (
        '{"cmd":"PULLB","queues":["a"],"count":2}',
        PullBatch(queues=["a"], count=2),
    ),
    (
        (
            '{"cmd":"LIMIT","queue":"q","concurrency":10,'
            '"rate":{"jobs":100,"per":60000,"burst":20},"group":{"concurrency":1}}'
        ),
        Limit(
            queue="q",
            concurrency=10,
            rate=RateLimit(100, 60_000, 20),
            group=GroupLimit(1),
        ),
    ),
    ('{"cmd":"LIMIT","queue":"q","rate":null}', Limit(queue="q", rate=None)),
    ('{"cmd":"LIMIT","queue":"q"}', Limit(queue="q")),
    ('{"cmd":"THROTTLE","queue":"q","for":5}', Throttle(queue="q", for_ms=5)),
    (
        '{"cmd":"GROUPS","queue":"q","count":2,"after":"g"}',
        Groups(queue="q", count=2, after="g"),
    ),
    (
        '{"cmd":"CRON","name":"c","queue":"q","schedule":"@daily","tz":"UTC","ttl":5}',
        Cron(name="c", queue="q", schedule="@daily", tz="UTC", ttl=5),
    ),
    ('{"cmd":"CRONLIST","after":"a"}', CronList(after="a")),
    ('{"cmd":"CRONDELETE","name":"c"}', CronDelete(name="c")),
    ('{"cmd":"CRONPAUSE","name":"c"}', CronPause(name="c")),
    ('{"cmd":"CRONRESUME","name":"c"}', CronResume(name="c")),
    ('{"cmd":"CRONRUN","name":"c"}', CronRun(name="c")),
    ('{"cmd":"STATS"}', StatsRequest()),
    ('{"cmd":"STATS","queue":"q"}', StatsRequest(queue="q")),
    ('{"cmd":"QUEUES"}', Queues()),
    (
        '{"cmd":"JOBS","queue":"q","state":"ready","order":"turn","count":2,"after":"r1"}',
        Jobs(queue="q", state="ready", order="turn", count=2, after="r1"),
    ),
    ('{"cmd":"JOBS"}', Jobs()),
    (
        '{"cmd":"BULK","do":"purge","queue":"q","contains":"x","dry":true}',
        Bulk(do="purge", queue="q", contains="x", dry=True),
    ),
    (
        '{"cmd":"SUBSCRIBE","kinds":["dead","stats"],"queues":["q"],"every":100}',
        Subscribe(kinds=["dead", "stats"], queues=["q"], every=100),
    ),
    ('{"cmd":"GETJOB","id":9007199254740991}', GetJob(id=2**53 - 1)),
    ('{"cmd":"GETJOB","id":"9007199254740991"}', GetJob(id="9007199254740991")),
    ('{"cmd":"PAUSE","queue":"q"}', Pause(queue="q")),
    ('{"cmd":"RESUME","queue":"q"}', Resume(queue="q")),
    ('{"cmd":"DRAIN","queue":"q"}', Drain(queue="q")),
    ('{"cmd":"DEAD","queue":"q"}', Dead(queue="q")),
    (
        '{"cmd":"DEAD","queue":"q","count":100,"after":7}',
        Dead(queue="q", count=100, after=7),
    ),
    ('{"cmd":"RETRYDEAD","queue":"q"}', RetryDead(queue="q")),
    ('{"cmd":"RETRYDEAD","id":7}', RetryDead(id=7)),
    ('{"cmd":"PURGEDEAD","queue":"q","id":"7"}', PurgeDead(queue="q", id="7")),
    ('{"cmd":"PING"}', Ping()),
    ('{"cmd":"HELLO","client":"name"}', Hello(client="name")),
    ('{"cmd":"HELLO"}', Hello()),
    ('{"cmd":"HELLO","token":"mq_1"}', Hello(token="mq_1")),
    ('{"cmd":"AUTH","token":"mq_1"}', Auth(token="mq_1")),
]


def _plain(full: Any) -> Any:
    """Give the plain kind of a request or an item of one, or itself."""
    plain: dict[Any, Any] = {
        Push: PlainPush,
        PushBatch: PlainPushBatch,
        Ack: PlainAck,
        AckBatch: PlainAckBatch,
        PushItem: PlainItem,
        Done: PlainDone,
    }
    return plain.get(type(full), type(full))


def _defaults(full: Any) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(type(full))}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Raw) and isinstance(other, Raw):
        return bytes(one) == bytes(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(other, "__struct_fields__"):
        kinds = {type(other), _plain(other)}
        return type(one) in kinds and all(
            _same(getattr(one, name, default), getattr(other, name))
            for name, default in _defaults(other).items()
        )
    return bool(one == other) and type(one) is type(other)


def _reads(line: str, request: Request) -> bool:
    return _same(decode_request(line.encode()), request)


each_row = pytest.mark.parametrize(("line", "request_"), ROWS, ids=[row[0] for row in ROWS])


def test_every_command_has_a_row() -> None:
    kinds = {type(request) for _, request in ROWS}
    assert set(COMMANDS.values()) == kinds
    assert set(COMMANDS) == set(TABLE)


@each_row
def test_line_gives_request(line: str, request_: Request) -> None:
    assert _reads(line, request_)


@each_row
def test_line_written_of_a_request_gives_it_back(line: str, request_: Request) -> None:
    written = encode_request(request_)
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1
    assert written.startswith(b'{"cmd":"')
    assert len(written) <= len(line.encode()) + 1
    assert _same(decode_request(written[:-1]), request_)


@each_row
@pytest.mark.parametrize(
    "spelling",
    [str.lower, str.title, str.swapcase, lambda name: f"\\u{ord(name[0]):04x}{name[1:]}"],
)
def test_cmd_in_any_case(
    line: str, request_: Request, spelling: Callable[[str], str]
) -> None:
    name = str(request_.__struct_config__.tag)
    assert _reads(line.replace(name, spelling(name), 1), request_)


@pytest.mark.parametrize(
    "name", ["\u017ftats", "p\u0131ng", "PING ", " PING", "", "PINGS", "PIN"]
)
def test_cmd_is_no_other_name(name: str) -> None:
    with pytest.raises(UnknownCommand, match=re.escape(f"no command {name!r}")):
        decode_request(f'{{"cmd":"{name}","rid":1}}'.encode())


def test_long_cmd_is_not_said_back_whole() -> None:
    said = []
    for length in (40, 10_000):
        with pytest.raises(UnknownCommand) as caught:
            decode_request(b'{"cmd":"%b"}' % (b"x" * length))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"there is no command '{'x' * 40}'; there are ACK, ")


@each_row
def test_white_space_anywhere(line: str, request_: Request) -> None:
    space = " \t\r\n"
    spaced = re.sub(r'("[^"]*"|[{}\[\],:])', rf"{space}\1{space}", line)
    request = decode_request(spaced.encode())
    if isinstance(request, PlainPush | Push):
        request.data = Raw(re.sub(rb"\s", b"", bytes(request.data)))
    assert _same(request, request_)


@each_row
def test_unknown_fields_are_ignored(line: str, request_: Request) -> None:
    unknown = '"new":{"cmd":"STATS","queue":[1,{"data":2}]},"":null,"Queue":5,"DATA":1'
    assert _reads(f"{line[:-1]},{unknown}}}", request_)
    assert _reads(f"{{{unknown},{line[1:]}", request_)


@each_row
def test_optional_null_is_absent(line: str, request_: Request) -> None:
    absent = [
        name for name in request_.__struct_fields__ if getattr(request_, name) is None
    ]
    nulls = "".join(f',"{name}":null' for name in [*absent, "rid"])
    assert _reads(f"{line[:-1]}{nulls}}}", request_)


def test_keys_in_any_order() -> None:
    members = ['"cmd":"PUSH"', '"queue":"q"', '"data":[1]', '"priority":2', '"rid":"x"']
    expected = Push(queue="q", data=Raw(b"[1]"), priority=2, rid=Raw(b'"x"'))
    for order in itertools.permutations(members):
        assert _reads(f"{{{','.join(order)}}}", expected)


def test_unknown_and_null_fields_of_items() -> None:
    assert _reads(
        '{"cmd":"PUSHB","queue":"q","jobs":[{"x":[],"data":1,"delay":null,"jitter":null,'
        '"run_at":null,"priority":null,"max_attempts":null,"backoff":null,"":{}}]}',
        PushBatch(queue="q", jobs=[PushItem(data=Raw(b"1"))]),
    )
    assert _reads(
        '{"cmd":"ACKB","ids":[{"x":1,"id":3,"attempt":null}]}',
        AckBatch(ids=[Done(3)]),
    )
    assert _reads(
        '{"cmd":"FAILB","jobs":[{"x":1,"id":3,"attempt":null,"error":null}]}',
        FailBatch(jobs=[Failure(3)]),
    )


DUPLICATES: Final[list[tuple[str, Request]]] = [
    ('{"cmd":"PING","cmd":"STATS"}', StatsRequest()),
    ('{"cmd":"NOPE","cmd":"PING"}', Ping()),
    ('{"cmd":1,"cmd":"ping"}', Ping()),
    ('{"cmd":"PING","c\\u006dd":"STATS"}', StatsRequest()),
    ('{"c\\u006dd":"PING","cmd":"STATS","queue":[],"queue":"q"}', StatsRequest(queue="q")),
    ('{"cmd":"STATS","queue":"a","queue":null}', StatsRequest()),
    (
        '{"cmd":"PUSH","queue":"a","data":1,"queue":"b","data":2}',
        Push(queue="b", data=Raw(b"2")),
    ),
    (
        '{"cmd":"PUSH","queue":1,"data":1,"queu\\u0065":"b"}',
        Push(queue="b", data=Raw(b"1")),
    ),
    (
        '{"cmd":"PUSH","queue":"q","data":1,"priority":1.5,"priority":"x","priority":3}',
        Push(queue="q", data=Raw(b"1"), priority=3),
    ),
    (
        f'{{"cmd":"PUSH","queue":"q","data":1,"delay":{"9" * 5000},"delay":4}}',
        Push(queue="q", data=Raw(b"1"), delay=4),
    ),
    ('{"cmd":"PING","rid":true,"rid":1}', Ping(rid=Raw(b"1"))),
    ('{"cmd":"PING","rid":1,"rid":null}', Ping()),
    (
        '{"cmd":"PUSHB","queue":"q","jobs":5,"jobs":[{"data":1}]}',
        PushBatch(queue="q", jobs=[PushItem(data=Raw(b"1"))]),
    ),
    (
        (
            '{"cmd":"PUSHB","queue":"q","jobs":[{"data":0,"data":{"a":1,"a":2}},'
            '{"priority":"x","data":1,"pri\\u006frity":2}]}'
        ),
        PushBatch(
            queue="q",
            jobs=[
                PushItem(data=Raw(b'{"a":1,"a":2}')),
                PushItem(data=Raw(b"1"), priority=2),
            ],
        ),
    ),
    (
        '{"cmd":"ACKB","ids":[{"id":"x","attempt":0,"id":4,"attempt":1},5]}',
        AckBatch(ids=[Done(4, 1), 5]),
    ),
    (
        '{"cmd":"FAILB","jobs":[{"id":1,"error":5,"error":"e","id":"2"}]}',
        FailBatch(jobs=[Failure("2", None, "e")]),
    ),
    ('{"cmd":"HEARTBEAT","ids":[{"id":[],"id":2}]}', Heartbeat(ids=[Verdict(2)])),
]


@pytest.mark.parametrize(
    ("line", "request_"), DUPLICATES, ids=[row[0][:80] for row in DUPLICATES]
)
def test_last_of_a_duplicate_key_counts(line: str, request_: Request) -> None:
    assert _reads(line, request_)


@pytest.mark.parametrize(
    "rid",
    [
        *("0", "-0", "7", "-1", "1.50", "1e3", "-2.5E-07", "9007199254740993", "9" * 400),
        *('""', '"a"', '"é😀"', '"\\u00e9\\/\\ud83d\\ude00"', '"{\\"cmd\\":1}"', '"  "'),
    ],
)
def test_rid_keeps_its_exact_text(rid: str) -> None:
    for line in (
        f'{{"cmd":"PING","rid":{rid}}}',
        f'{{ "rid" : {rid} , "cmd" : "ping" }}',
        f'{{"cmd":"PING","rid":1,"r\\u0069d":{rid}}}',
    ):
        assert bytes(decode_request(line.encode()).rid) == rid.encode()


def test_no_rid_is_no_rid() -> None:
    for line in ('{"cmd":"PING"}', '{"cmd":"ping"}', '{"cmd":"PING","rid":null}'):
        assert decode_request(line.encode()).rid is NO_RID


@pytest.mark.parametrize(
    "data",
    [
        *("123456789012345678901234567890", "1.10", "1E5", "-0", "-0.0", "1e-400", "1e400"),
        *('{"b":1,"a":2}', '{"a":1,"a":1.0}', '{ "a" :\t[ 1 , 2 ] }', '"\\u0041\\/\\n"'),
        *('"\\ud83d\\ude00😀"', '{"\\u0061":1,"a":2}', '"\x7f\u2028"', "[[], {} ]"),
    ],
)
def test_data_keeps_its_exact_bytes(data: str) -> None:
    for line in (
        f'{{"cmd":"PUSH","queue":"q","data":{data}}}',
        f'{{"data": \t{data}\r ,"queue":"q","cmd":"push","x":1}}',
    ):
        request = decode_request(line.encode())
        assert isinstance(request, PlainPush | Push)
        assert bytes(request.data) == data.encode()
    for line in (
        f'{{"cmd":"PUSHB","queue":"q","jobs":[{{"data":{data}}},{{"data": {data} }}]}}',
        (
            f'{{"cmd":"PUSHB","queue":"q","jobs":[{{"delay":[],"data":{data},"delay":1}},'
            f'{{"x":1,"data":0,"data":{data}}}]}}'
        ),
    ):
        request = decode_request(line.encode())
        assert isinstance(request, PlainPushBatch | PushBatch)
        assert [bytes(item.data) for item in request.jobs] == [data.encode()] * 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"cmd":"PUSH","queue":"q","data":1,"priority":2}', PlainPush),
        ('{"cmd":"PUSH","queue":"q","data":1,"ttl":2}', Push),
        ('{"cmd":"PUSH","queue":"q","data":1,"new":2}', Push),
        ('{"cmd":"PUSHB","queue":"q","jobs":[{"data":1,"delay":2}]}', PlainPushBatch),
        ('{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1,"ttl":1}]}', PushBatch),
        ('{"cmd":"PUSHB","queue":"q","req_key":"r","jobs":[]}', PushBatch),
        ('{"cmd":"ACK","id":1,"attempt":2}', PlainAck),
        ('{"cmd":"ACK","id":1,"result":2}', Ack),
        ('{"cmd":"ACKB","ids":[1,{"id":2}]}', PlainAckBatch),
        ('{"cmd":"ACKB","ids":[1,{"id":2,"result":3}]}', AckBatch),
    ],
)
def test_a_plain_struct_takes_no_field_that_it_does_not_name(
    line: str, kind: type[Request]
) -> None:
    assert type(decode_request(line.encode())) is kind
    in_small = line.replace('"cmd"', '"c\\u006dd"')
    assert type(decode_request(in_small.encode())) in COMMANDS.values()
