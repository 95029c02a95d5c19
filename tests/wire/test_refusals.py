"""What the codec refuses beyond JSON's grammar, with which code and in which words."""

from typing import Final

import pytest

from magicqueue.errors import BadJson, BadRequest, RequestError, TooLarge
from magicqueue.wire.decode import decode_request, rid_of
from magicqueue.wire.fields import check_queue, ids_of, payload_of, payloads_of
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import (
    NO_RID,
    FailBatch,
    PlainAck,
    PlainAckBatch,
    PlainItem,
    PlainPush,
    PlainPushBatch,
)

ID_MAX: Final = 2**53 - 1
PUSH: Final = '"cmd":"PUSH","queue":"q","data":1'
JOBS: Final = '"cmd":"PUSHB","queue":"q","jobs":'
AN_ID: Final = f"must be an integer or a string of its digits, of at most {ID_MAX}"
WITH_IDS: Final = {
    '"cmd":"ACK","id":{}': "ACK: id",
    '"cmd":"ACKB","ids":[1,{}]': "ACKB: ids[1]",
    '"cmd":"ACKB","ids":[{{"id":{}}}]': "ACKB: ids[0].id",
    '"cmd":"FAIL","id":{}': "FAIL: id",
    '"cmd":"FAILB","jobs":[{{"id":{}}}]': "FAILB: jobs[0].id",
    '"cmd":"HEARTBEAT","id":{}': "HEARTBEAT: id",
    '"cmd":"HEARTBEAT","ids":[{}]': "HEARTBEAT: ids[0]",
    '"cmd":"HEARTBEAT","ids":[{{"id":{}}}]': "HEARTBEAT: ids[0].id",
    '"cmd":"RELEASE","id":{}': "RELEASE: id",
    '"cmd":"RELEASE","ids":[{}]': "RELEASE: ids[0]",
    '"cmd":"RELEASE","ids":[{{"id":{}}}]': "RELEASE: ids[0].id",
    '"cmd":"GETJOB","id":{}': "GETJOB: id",
    '"cmd":"PROGRESS","id":{}': "PROGRESS: id",
    '"cmd":"CANCEL","id":{}': "CANCEL: id",
    '"cmd":"CANCEL","ids":[1,{}]': "CANCEL: ids[1]",
    '"cmd":"PROMOTE","ids":[{}]': "PROMOTE: ids[0]",
    '"cmd":"WAIT","ids":[{}]': "WAIT: ids[0]",
    '"cmd":"ACKB","ids":[{{"result":1,"id":{}}}]': "ACKB: ids[0].id",
    '"cmd":"DEAD","queue":"q","after":{}': "DEAD: after",
    '"cmd":"RETRYDEAD","id":{}': "RETRYDEAD: id",
    '"cmd":"PURGEDEAD","id":{}': "PURGEDEAD: id",
}

SENTENCES: Final = [
    ("", 'cmd is missing: name the command, as in {"cmd":"PING"}'),
    ('"cmd":null', "cmd must be a string"),
    ('"cmd":["PING"]', "cmd must be a string"),
    ('"cmd":"push","data":1', "PUSH: queue is missing"),
    ('"cmd":"PUSH","queue":"q"', "PUSH: data is missing"),
    ('"cmd":"PUSH","queue":null,"data":1', "PUSH: queue must be a string, not null"),
    ('"cmd":"PUSH","queue":7,"data":1', "PUSH: queue must be a string, not an integer"),
    (
        f'{PUSH},"priority":true',
        "PUSH: priority must be an integer or null, not true or false",
    ),
    (
        f'{PUSH},"priority":1.0',
        "PUSH: priority must be an integer or null, not a number with a fraction",
    ),
    (
        f'{PUSH},"priority":1e2',
        "PUSH: priority must be an integer or null, not a number with a fraction",
    ),
    (f'{PUSH},"priority":"1"', "PUSH: priority must be an integer or null, not a string"),
    (f'{PUSH},"priority":2147483648', "PUSH: priority must be an integer <= 2147483647"),
    (f'{PUSH},"priority":-2147483649', "PUSH: priority must be an integer >= -2147483648"),
    (f'{PUSH},"delay":-1', "PUSH: delay must be an integer >= 0"),
    (f'{PUSH},"delay":{2**53}', "PUSH: delay must be an integer <= 9007199254740991"),
    (f'{PUSH},"run_at":{2**64}', "PUSH: run_at must be an integer <= 9007199254740991"),
    (f'{PUSH},"run_at":{10**30}', "PUSH: run_at must be an integer <= 9007199254740991"),
    (
        f'{PUSH},"max_attempts":{2**31}',
        "PUSH: max_attempts must be an integer <= 2147483647",
    ),
    (
        f'{JOBS}[],"max_attempts":{2**31}',
        "PUSHB: max_attempts must be an integer <= 2147483647",
    ),
    (
        f'{JOBS}[{{"data":1}},{{"data":2,"max_attempts":{2**31}}}]',
        "PUSHB: jobs[1].max_attempts must be an integer <= 2147483647",
    ),
    (f'{PUSH},"backoff":{-(10**30)}', "PUSH: backoff must be an integer >= 0"),
    (
        f'{PUSH},"backoff":{"9" * 5000}',
        "PUSH: backoff must be an integer of at most 9007199254740991",
    ),
    (
        f'{PUSH},"max_attempts":1e999',
        "PUSH: max_attempts must be an integer of at most 9007199254740991",
    ),
    (f'{PUSH},"jitter":1', "PUSH: jitter must be true or false or null, not an integer"),
    (
        f'{PUSH},"rid":true',
        "PUSH: rid must be a string, or a number of at most 4300 characters",
    ),
    (
        f'{PUSH},"rid":[1]',
        "PUSH: rid must be a string, or a number of at most 4300 characters",
    ),
    (
        f'{PUSH},"rid":{{}}',
        "PUSH: rid must be a string, or a number of at most 4300 characters",
    ),
    (f'{PUSH},"unique_key":7', "PUSH: unique_key must be a string or null, not an integer"),
    (f'{PUSH},"unique":"ever"', "PUSH: unique must be done or start"),
    (f'{PUSH},"on_conflict":""', "PUSH: on_conflict must be return or reject or replace"),
    (f'{PUSH},"on_expire":"x"', "PUSH: on_expire must be remove or dead"),
    (f'{PUSH},"unique_for":0', "PUSH: unique_for must be an integer >= 1"),
    (f'{PUSH},"ttl":0', "PUSH: ttl must be an integer >= 1"),
    (f'{PUSH},"timeout":-1', "PUSH: timeout must be an integer >= 1"),
    (f'{PUSH},"keep_result":-1', "PUSH: keep_result must be an integer >= 0"),
    (f'{PUSH},"req_key":[]', "PUSH: req_key must be a string or null, not a list"),
    (
        f'{JOBS}[{{"data":1}},{{"data":1,"unique":"x"}}]',
        "PUSHB: jobs[1].unique must be done or start",
    ),
    (
        '"cmd":"PROGRESS","id":1,"percent":101',
        "PROGRESS: percent must be an integer <= 100",
    ),
    ('"cmd":"QUEUES","count":1,"sort":"x"', "QUEUES: sort must be name"),
    ('"cmd":"PUSHB","queue":"q"', "PUSHB: jobs is missing"),
    (
        f'{JOBS}[{{"data":1}}],"priority":"x"',
        "PUSHB: priority must be an integer or null, not a string",
    ),
    (f'{JOBS}[],"delay":-1', "PUSHB: delay must be an integer >= 0"),
    (
        f'{JOBS}[],"jitter":1',
        "PUSHB: jitter must be true or false or null, not an integer",
    ),
    (f"{JOBS}null", "PUSHB: jobs must be a list, not null"),
    (f'{JOBS}{{"data":1}}', "PUSHB: jobs must be a list, not an object"),
    (f'{JOBS}[{{"data":1}},5]', "PUSHB: jobs[1] must be an object, not an integer"),
    (f'{JOBS}[{{"data":1}},null]', "PUSHB: jobs[1] must be an object, not null"),
    (f'{JOBS}[{{"data":1}},{{"delay":1}}]', "PUSHB: jobs[1].data is missing"),
    (
        f'{JOBS}[{{"data":1}},{{"data":1}},{{"data":1}},{{"data":1,"priority":"x"}}]',
        "PUSHB: jobs[3].priority must be an integer or null, not a string",
    ),
    (
        f'{JOBS}[{{"data":1,"delay":-1}},{{"data":1,"priority":"x"}}]',
        "PUSHB: jobs[0].delay must be an integer >= 0",
    ),
    (
        f'{JOBS}[{{"data":1}},{{"data":1,"run_at":{2**70}}}]',
        "PUSHB: jobs[1].run_at must be an integer <= 9007199254740991",
    ),
    (
        f'{JOBS}[{{"data":1,"priority":0,"priority":1.5}}]',
        "PUSHB: jobs[0].priority must be an integer or null, not a number with a fraction",
    ),
    ('"cmd":"PULL","queue":"q","timeout":-1', "PULL: timeout must be an integer >= 0"),
    ('"cmd":"PULL","queue":"q","lease":0', "PULL: lease must be an integer >= 1"),
    ('"cmd":"PULLB","queue":"q"', "PULLB: count is missing"),
    ('"cmd":"PULLB","queue":"q","count":0', "PULLB: count must be an integer >= 1"),
    (
        '"cmd":"PULLB","queue":"q","count":null',
        "PULLB: count must be an integer, not null",
    ),
    ('"cmd":"ACK"', "ACK: id is missing"),
    ('"cmd":"ACK","id":null', "ACK: id must be an integer or a string, not null"),
    (
        '"cmd":"ACK","id":true',
        "ACK: id must be an integer or a string, not true or false",
    ),
    ('"cmd":"ACK","id":"x"', f"ACK: id {AN_ID}"),
    ('"cmd":"ACK","id":1,"attempt":0', "ACK: attempt must be an integer >= 1"),
    (
        '"cmd":"ACKB","ids":[1,2,"3x"]',
        f"ACKB: ids[2] {AN_ID}",
    ),
    (
        '"cmd":"ACKB","ids":[1,null]',
        "ACKB: ids[1] must be an integer or a string or an object, not null",
    ),
    ('"cmd":"ACKB","ids":[1,{"attempt":1}]', "ACKB: ids[1].id is missing"),
    (
        '"cmd":"ACKB","ids":[{"id":1,"attempt":-1}]',
        "ACKB: ids[0].attempt must be an integer >= 1",
    ),
    ('"cmd":"ACKB","ids":5', "ACKB: ids must be a list, not an integer"),
    (
        '"cmd":"FAIL","id":1,"error":5',
        "FAIL: error must be a string or null, not an integer",
    ),
    (
        '"cmd":"FAILB","jobs":[{"id":1},{"id":2,"error":[]}]',
        "FAILB: jobs[1].error must be a string or null, not a list",
    ),
    ('"cmd":"FAILB","jobs":[1]', "FAILB: jobs[0] must be an object, not an integer"),
    (
        '"cmd":"HEARTBEAT","ids":[1],"lease":1.5',
        "HEARTBEAT: lease must be an integer or null, not a number with a fraction",
    ),
    ('"cmd":"DEAD","queue":"q","count":0', "DEAD: count must be an integer >= 1"),
    ('"cmd":"PROGRESS"', "PROGRESS: id is missing"),
    (
        '"cmd":"HELLO","client":{}',
        "HELLO: client must be a string or null, not an object",
    ),
]


@pytest.mark.parametrize(("members", "sentence"), SENTENCES, ids=[s[1] for s in SENTENCES])
def test_the_sentence_names_command_field_and_index(members: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request(f"{{{members}}}".encode())
    assert caught.value.sentence == sentence
    with pytest.raises(BadRequest) as caught:
        decode_request(f' {{ "rid":1, "x":"\\u00e9"{members and ","}{members}}}'.encode())
    assert caught.value.sentence == sentence


@pytest.mark.parametrize(("members", "where"), WITH_IDS.items(), ids=WITH_IDS.values())
@pytest.mark.parametrize("number", [ID_MAX + 1, 2**63, 10**30])
def test_every_id_that_is_too_large_is_told_its_bound(
    members: str, where: str, number: int
) -> None:
    bound = f"{where} must be an integer <= {ID_MAX}"
    for written, sentence in ((number, bound), (f'"{number}"', f"{where} {AN_ID}")):
        with pytest.raises(BadRequest) as caught:
            decode_request(f"{{{members.format(written)}}}".encode())
        assert caught.value.sentence == sentence


def test_bad_json_says_what_is_wrong() -> None:
    for line, sentence in (
        ("[]", "the line is not a JSON object: send one object a line"),
        ('{"cmd":"PING"', "the line is not valid JSON: it ends too early"),
        ('{"cmd":"PING",}', "trailing comma in object (byte 14)"),
        ('{"cmd":"PING"}}', "trailing characters (byte 15)"),
        ("GET / HTTP/1.1", "invalid character (byte 0)"),
    ):
        with pytest.raises(BadJson) as caught:
            decode_request(line.encode())
        assert caught.value.sentence.endswith(sentence)


@pytest.mark.parametrize(
    "number", [0, 1, -1, 10**15, 10**15 - 1, ID_MAX - 1, ID_MAX, -ID_MAX]
)
def test_ids_as_numbers_and_as_decimal_strings(number: int) -> None:
    for written in (f"{number}", f'"{number}"'):
        request = decode_request(f'{{"cmd":"ACK","id":{written}}}'.encode())
        assert isinstance(request, PlainAck)
        assert int(request.id) == number


@pytest.mark.parametrize(
    "written",
    [
        *(
            f"{ID_MAX + 1}",
            f"{-ID_MAX - 1}",
            f'"{ID_MAX + 1}"',
            f'"-{ID_MAX + 1}"',
            f"{2**64}",
        ),
        *("1.0", "1e2", "-0.0", "9" * 4301, f'"{"9" * 4301}"', '"9999999999999999"'),
        *(
            '""',
            '"-"',
            '"+1"',
            '" 1"',
            '"1 "',
            '"1\\n"',
            '"\\n1"',
            '"1.0"',
            '"1e2"',
            '"0x1"',
        ),
        *('"1_0"', '"\u0661"', '"\uff11"', '"\u00b2"', "[]", "{}", "[1]", "true", "null"),
    ],
)
def test_no_ids(written: str) -> None:
    for line in (
        f'{{"cmd":"ACK","id":{written}}}',
        f'{{"cmd":"ACKB","ids":[1,{written}]}}',
    ):
        with pytest.raises(BadRequest):
            decode_request(line.encode())


def test_ids_of_a_batch_become_columns() -> None:
    for ids, columns in (
        ("[]", ([], None)),
        ("[3,1,2]", ([3, 1, 2], None)),
        ('[1,"2","-3"]', ([1, 2, -3], None)),
        ('[{"id":1},{"id":"2","attempt":null}]', ([1, 2], None)),
        ('[1,{"id":"2","attempt":5},"3"]', ([1, 2, 3], [0, 5, 0])),
    ):
        request = decode_request(f'{{"cmd":"ACKB","ids":{ids}}}'.encode())
        assert isinstance(request, PlainAckBatch)
        assert ids_of(request.ids) == columns
    request = decode_request(b'{"cmd":"FAILB","jobs":[{"id":"7"},{"id":8,"attempt":2}]}')
    assert isinstance(request, FailBatch)
    assert ids_of(request.jobs) == ([7, 8], [0, 2])


@pytest.mark.parametrize(
    "name", ["q", "q q", "/", "a\u00a0b", "\u2028", "😀", '"', "x" * 255]
)
def test_queue_names(name: str) -> None:
    assert check_queue(name, 255) == name


@pytest.mark.parametrize("char", ["x", "é", "€", "😀"])
def test_queue_name_limit_is_in_bytes(char: str) -> None:
    size = len(char.encode())
    at_limit = char * (255 // size) + "x" * (255 % size)
    assert check_queue(at_limit, 255) == at_limit
    assert check_queue(at_limit[:-1], 255) == at_limit[:-1]
    with pytest.raises(BadRequest, match=r"queue is a name of 256 bytes: the limit is 255"):
        check_queue(at_limit + "x", 255)
    with pytest.raises(BadRequest, match=f"name of {size} bytes: the limit is {size - 1}"):
        check_queue(char, size - 1)


def test_no_queue_names() -> None:
    with pytest.raises(BadRequest, match="queue is empty: name one"):
        check_queue("", 255)
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        with pytest.raises(BadRequest, match="queue has a control character"):
            check_queue(f"a{chr(code)}b", 255)
    with pytest.raises(BadRequest, match="queue has a lone surrogate"):
        check_queue("a\ud800", 255)


def _push(data: bytes) -> PlainPush:
    request = decode_request(b'{"cmd":"PUSH","queue":"q","data":%b}' % data)
    assert isinstance(request, PlainPush)
    return request


def _items(*datas: bytes) -> list[PlainItem]:
    jobs = b",".join(b'{"data":%b}' % data for data in datas)
    request = decode_request(b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}' % jobs)
    assert isinstance(request, PlainPushBatch)
    return request.jobs


def test_data_at_below_and_above_its_limit() -> None:
    limits = Limits(job_bytes_max=10)
    for size in (2, 9, 10):
        data = b'"' + b"x" * (size - 2) + b'"'
        assert payload_of(_push(data).data, limits) == data
        assert payloads_of(_items(b"1", data), limits) == [b"1", data]
    data = '"éééé1"'.encode()
    assert len(data) == 11
    with pytest.raises(
        TooLarge, match=r"^data is 11 bytes: the limit is 10 a job .* --max-job\)$"
    ):
        payload_of(_push(data).data, limits)
    with pytest.raises(TooLarge, match=r"^jobs\[2\]\.data is 11 bytes: the limit is 10"):
        payloads_of(_items(b"1", b"2", data, data), limits)
    assert payload_of(_push(b"  \t1\r \n    ").data, limits) == b"1"


def test_jobs_at_below_and_above_their_limit() -> None:
    limits = Limits(push_jobs_max=3)
    for count in (0, 1, 2, 3):
        assert payloads_of(_items(*[b"1"] * count), limits) == [b"1"] * count
    with pytest.raises(
        TooLarge, match=r"^jobs has 4 items: the limit is 3 a batch .*--max-push"
    ):
        payloads_of(_items(*[b"1"] * 4), limits)


def test_the_first_bad_item_is_the_one_named() -> None:
    limits = Limits(job_bytes_max=5000)
    deep = b"[" * 513 + b"]" * 513
    digits = b"1" * 4301
    large = b'"' + b"x" * 5000 + b'"'
    for datas, error, where in (
        ((b"1", deep, large, digits), BadJson, r"^jobs\[1\]\.data nests deeper than 512"),
        (
            (b"1", b"2", digits, large),
            BadJson,
            r"^jobs\[2\]\.data has a number of more than",
        ),
        ((large, deep, digits), TooLarge, r"^jobs\[0\]\.data is 5002 bytes"),
        ((b"1", large, deep), TooLarge, r"^jobs\[1\]\.data is 5002 bytes"),
    ):
        with pytest.raises(error, match=where):
            payloads_of(_items(*datas), limits)


@pytest.mark.parametrize(
    ("line", "rid"),
    [
        ('{"cmd":"NOPE","rid":"a"}', b'"a"'),
        ('{"rid":1.50}', b"1.50"),
        ('{"cmd":"PUSH","queue":7,"rid":-1e3}', b"-1e3"),
        ('{"cmd":"PING","rid":1,"rid":2,"x":"\udcff"}', b"2"),
        ('{"cmd":"PING","rid":2,"x":"\\ud800"}', b""),
        ('{"cmd":"PING","x":"\udcff","rid":"é"}', '"é"'.encode()),
        ('{"cmd":"PING","rid":"\udcff"}', b""),
        ('{"cmd":"PING","rid":"\\ud800"}', b""),
        ('{"cmd":"PING","rid":true}', b""),
        ('{"cmd":"NOPE","rid":null}', b""),
        ('{"cmd":"PING","rid":{"a":1}}', b""),
        ('{"cmd":"PING","rid":1', b""),
        ('{"cmd":"PING","rid":01}', b""),
        ("[1]", b""),
        ("", b""),
        ("[" * 100_000, b""),
    ],
)
def test_rid_of_a_refused_line(line: str, rid: bytes) -> None:
    raw = line.encode("utf-8", "surrogateescape")
    with pytest.raises(RequestError):
        decode_request(raw)
    assert bytes(rid_of(raw)) == rid
    assert (rid_of(raw) is NO_RID) == (not rid)
