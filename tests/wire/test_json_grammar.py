"""Strict JSON, case by case, in the manner of the JSONTestSuite: yes, no, and our choice.

Each case stands as a job's data, as a batch item's data and in a field that nobody knows,
and is judged by the codec and by the reference alike.
"""

from typing import Final

import pytest

from magicqueue.errors import BadJson
from magicqueue.wire.decode import decode_request
from magicqueue.wire.fields import payload_of, payloads_of
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import PlainPush, PushBatch
from wire.strict_json import NotJsonError, parse

LIMITS: Final = Limits()

YES: Final = (
    *(b"0", b"-0", b"1", b"-1", b"123456789", b"0.0", b"-0.0", b"0.5", b"-1.25", b"10.010"),
    *(b"1e1", b"1E1", b"1e+1", b"1e-1", b"0e0", b"0E+00", b"-0e-0", b"1.5e300", b"20e1"),
    *(b"9007199254740993", b"18446744073709551616", b"-9223372036854775809", b"1" * 4300),
    *(b"-" + b"1" * 4299, b"1." + b"0" * 4298, b"1e" + b"0" * 4297 + b"1", b"0.1e-400"),
    *(b"1e400", b"-1e400", b"1e-400", b"123.456e78", b"123e65", b"1e0000000000000000005"),
    *(b"true", b"false", b"null", b"[]", b"{}", b'""', b"[null]", b"[[],[]]", b'{"a":{}}'),
    *(b'[1,"a",true,null,{}]', b"[ ]", b"{ }", b"[\t1\r,\t2 ]", b'{ "a" : 1 , "b" : 2 }'),
    *(b'{"":0}', b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'{"a":{"a":1},"a":[]}', b'{"1":1}'),
    *(b'{"\\u0061":1,"a":2}', b'{"cmd":"PING","queue":7}', b'{"min":-1e28,"max":1e28}'),
    *(b'"a"', b'" "', b'"\\""', b'"\\\\"', b'"\\/"', b'"/"', b'"\\b\\f\\n\\r\\t"'),
    *(b'"\\u0041"', b'"\\u00e9"', b'"\\u0000"', b'"\\u001f"', b'"\\uFFFF"', b'"\\uabCD"'),
    *(
        b'"\\ud7ff"',
        b'"\\ue000"',
        b'"\\ud83d\\ude00"',
        b'"\\uD83D\\uDE00"',
        b'"\\uDBFF\\udfff"',
    ),
    *(
        b'"\\ud800\\udc00\\ud800\\udc00"',
        b'"\\\\ud800"',
        b'"\\\\\\\\ud800"',
        b'"\\\\\\ud83d\\ude00"',
    ),
    *(b'"\\\\u"', b'"\\\\uzzzz"', b'"\x7f"', b'"{}[],:"', b'"//"', b'"/*x*/"', b'"\'"'),
    *('"é"'.encode(), '"€"'.encode(), '"😀"'.encode(), '"\u2028\u2029"'.encode()),
    *('"\ufeff"'.encode(), '"\ufffe\uffff\ufdd0"'.encode(), '"\x80\x9f"'.encode()),
    *('"\ud7ff\ue000"'.encode(), '"\U0010ffff"'.encode(), '{"é😀":"é😀"}'.encode()),
    *(
        b"[" * 512 + b"]" * 512,
        b'{"a":' * 512 + b"1" + b"}" * 512,
        b"[" + b"[]," * 600 + b"1]",
    ),
    *(b'["' + b"[" * 600 + b'"]', b'["\\"' + b"[{" * 600 + b'"]', b'["\\\\",[["]]"]]]'),
    *(
        b'"' + b"7" * 4301 + b'"',
        b'{"' + b"7" * 5000 + b'":0}',
        b'"\\"' + b"1" * 5000 + b'"',
    ),
)

NO: Final = (
    *(b"", b" ", b"nan", b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"undefined"),
    *(b"+1", b"++1", b"--1", b"-", b"+", b".5", b"-.5", b"1.", b"-1.", b"0.", b"1.e1"),
    *(b"01", b"-01", b"00", b"-00", b"012", b"0.e1", b"0e", b"0e+", b"1e", b"1E", b"1e-"),
    *(b"1e1.5", b"1e1e1", b"1.2.3", b"1-1", b"1+2", b"1 000", b"1_000", b"1a", b"1,"),
    *(b"0x10", b"0b1", b"0o7", b"1f", b"1L", b"$1", b"- 1", b"1 e5", b"1e 5", b"-e1"),
    *("\uff11".encode(), "\u0661".encode(), b"\xc2\xa01", b"\x0b1", b"\x0c1", b"\x001"),
    *(b"tru", b"truE", b"TRUE", b"True", b"fals", b"falsy", b"nul", b"Null", b"nulll"),
    *(b"truefalse", b"true false", b"[true,fals]", b"[nul]", b"[tru]", b"None", b"t", b"n"),
    *(b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[1:2]"),
    *(b"[1;2]", b"[1]]", b"[[1]", b"[1}", b"(1)", b"<1>", b"[*]", b"[-]", b"[a]", b"[1,\n"),
    *(b'["a"', b'["a",', b'["a"1]', b'["":1]', b"[\x00]", b"['a']", b"[[][]]", b"[{}{}]"),
    *(b"{", b"{]", b'{"a"', b'{"a":', b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1,}'),
    *(b'{,"a":1}', b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"a" 1}', b'{"a",1}', b'{"a"=1}'),
    *(b"{a:1}", b"{'a':1}", b"{1:1}", b"{null:1}", b"{true:1}", b"{[]:1}", b"{{}:1}"),
    *(
        b'{:"b"}',
        b'{"a"::1}',
        b'{"a":1}}',
        b'{"a":1]',
        b'{"a":"b",c}',
        b'{"a":1:2}',
        b"{\xff}",
    ),
    *(b'{"a":/*c*/1}', b'{"a":1}//c', b'{"a":1}#c', b"/**/1", b"1/**/", b'{"a":1;}'),
    *(b'"', b'"a', b'"\\"', b'"\\', b'"a"b', b'"a""b"', b"'a'", b"a", b'a"', b'"\\\\\\"'),
    *(b'"\t"', b'"\n"', b'"\r"', b'"\x00"', b'"\x01"', b'"\x1f"', b'{"\x1f":1}', b'"\\\t"'),
    *(
        b'"\\x41"',
        b'"\\a"',
        b'"\\v"',
        b'"\\0"',
        b'"\\\'"',
        b'"\\U0041"',
        b'"\\ "',
        b'"\\N"',
    ),
    *(
        b'"\\u"',
        b'"\\u0"',
        b'"\\u00"',
        b'"\\u004"',
        b'"\\u004g"',
        b'"\\u 041"',
        b'"\\u+041"',
    ),
    *(
        b'"\\u{41}"',
        b'"\\ug041"',
        b'"\\u00\\u0041"',
        b'{"\\u":1}',
        b'"\\\xc3\xa9"',
        b'"\\u00\xc3\xa9"',
    ),
)

NO_SURROGATE: Final = (
    *(b'"\\ud800"', b'"\\uD800"', b'"\\udbff"', b'"\\uDBFF"', b'"\\udc00"', b'"\\uDFFF"'),
    *(
        b'"\\ud800x"',
        b'"x\\ud800"',
        b'"\\ud800\\n"',
        b'"\\ud800\\\\udc00"',
        b'"\\ud800\\u0041"',
    ),
    *(b'"\\ud800\\ud800\\udc00"', b'"\\ud800\\udc00\\udc00"', b'"\\udc00\\ud800"'),
    *(b'"\\ud800\\ud800"', b'"\\udc00\\udc00"', b'"\\ud800 \\udc00"', b'"\\\\\\ud800"'),
    *(b'"\\ud800","\\udc00"', b'{"\\ud800":"\\udc00"}', b'{"\\udead":1}', b'["\\uDEAD"]'),
    *(
        '"\\ud83d😀"'.encode(),
        '"é\\udc00"'.encode(),
        b'"\\\\\\\\\\udc00"',
        b'"\\ud800\\ue000"',
    ),
)

NO_UTF8: Final = (
    *(
        b'"\xff"',
        b'"\xfe"',
        b'"\x80"',
        b'"\xbf"',
        b'"\xc3"',
        b'"\xe9"',
        b'"\xc3("',
        b'"\xa0\xa1"',
    ),
    *(b'"\xc0\x80"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\x80"', b'"\xe0\x9f\xbf"'),
    *(b'"\xf0\x80\x80\x80"', b'"\xf0\x8f\xbf\xbf"', b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"'),
    *(
        b'"\xed\xa0\xbd\xed\xb8\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"\xf5\x80\x80\x80"',
        b'"\xe2\x82"',
    ),
    *(
        b'"\xf0\x9f\x98"',
        b'"\xf8\x88\x80\x80\x80"',
        b'"\xfc\x84\x80\x80\x80\x80"',
        b"\xff",
        b"\x80",
    ),
    *(b'{"\xff":1}', b'["\xe4"]', b'"\\u00e9\xe9"', b"\xef\xbb\xbf1"[:2], b'"\\\xff"'),
)

TOO_MUCH: Final = (
    *(
        b"[" * 513 + b"]" * 513,
        b'{"a":' * 513 + b"1" + b"}" * 513,
        b'[{"a":' * 257 + b"1" + b"}]" * 257,
    ),
    *(b"[" * 512 + b'"]",{}' + b"]" * 512, b'["\\"]",' * 513 + b"1" + b"]" * 513),
    *(b'["\\\\",' * 513 + b"1" + b"]" * 513, b"[" * 700 + b"]" * 700),
    *(b"1" * 4301, b"-" + b"1" * 4300, b"1." + b"0" * 4299, b"1e" + b"0" * 4298 + b"1"),
    *(
        b'{"a":' + b"1" * 4301 + b"}",
        b'["",' + b"7" * 4301 + b"]",
        b"1" * 4000 + b".5e-" + b"1" * 400,
    ),
)


def _payload(data: bytes) -> bytes:
    request = decode_request(b'{"cmd":"PUSH","queue":"q","data":%b}' % data)
    assert isinstance(request, PlainPush)
    return payload_of(request.data, LIMITS)


def _batch_payloads(data: bytes) -> list[bytes]:
    line = (
        b'{"jobs":[{"data":0},{"priority":1,"data":%b}],"queue":"q","cmd":"PUSHB"}' % data
    )
    request = decode_request(line)
    assert isinstance(request, PushBatch)
    return payloads_of(request.jobs, LIMITS)


def test_there_are_enough_cases() -> None:
    assert len({*YES, *NO, *NO_SURROGATE, *NO_UTF8, *TOO_MUCH}) > 300


@pytest.mark.parametrize("data", YES, ids=lambda data: repr(data[:30]))
def test_yes(data: bytes) -> None:
    value = parse(data)
    assert (value.start, value.end) == (0, len(data))
    assert value.depth <= 512
    assert value.number_chars <= 4300
    assert _payload(b" \t" + data + b"\r ") == data
    assert _batch_payloads(data)[1] == data
    decode_request(b'{"cmd":"PING","new":%b}' % data)


@pytest.mark.parametrize(
    "data", NO + NO_SURROGATE + NO_UTF8, ids=lambda data: repr(data[:30])
)
def test_no(data: bytes) -> None:
    with pytest.raises(NotJsonError):
        parse(data)
    with pytest.raises(BadJson):
        _payload(data)
    with pytest.raises(BadJson):
        _batch_payloads(data)
    with pytest.raises(BadJson):
        decode_request(b'{"cmd":"PING","new":%b}' % data)


@pytest.mark.parametrize("data", NO_SURROGATE, ids=repr)
def test_no_half_of_a_surrogate_pair_says_so(data: bytes) -> None:
    with pytest.raises(BadJson, match="surrogate escape"):
        _payload(data)


@pytest.mark.parametrize("data", NO_UTF8, ids=repr)
def test_no_bad_utf8_says_where(data: bytes) -> None:
    with pytest.raises(BadJson, match=r"not valid UTF-8 \(at byte \d+\)"):
        _payload(data)


@pytest.mark.parametrize("data", TOO_MUCH, ids=lambda data: repr(data[:30]))
def test_grammatical_but_refused_as_data(data: bytes) -> None:
    value = parse(data)
    assert value.depth > 512 or value.number_chars > 4300
    with pytest.raises(
        BadJson, match=r"^data (nests deeper than 512|has a number of more)"
    ):
        _payload(data)
    with pytest.raises(BadJson, match=r"^jobs\[1\]\.data (nests deeper|has a number of)"):
        _batch_payloads(data)
    decode_request(b'{"cmd":"PING","new":%b}' % data)


@pytest.mark.parametrize("brackets", [b"[]", b'{"a":}'], ids=["lists", "objects"])
def test_nesting_far_too_deep_is_refused_without_a_crash(brackets: bytes) -> None:
    opening, closing = brackets[:-1], brackets[-1:]
    for depth in (2_000, 200_000):
        for data in (opening * depth + b"1" + closing * depth, opening * depth):
            with pytest.raises(BadJson):
                _payload(data)
            with pytest.raises(BadJson):
                _batch_payloads(data)


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b" ",
            b"[]",
            b"1",
            b"null",
            b'"PING"',
            b"true",
            b"GET / HTTP/1.1",
            b"\x16\x03\x01",
        ),
        *(
            b'{"cmd":"PING"}x',
            b'{"cmd":"PING"}{}',
            b'{"cmd":"PING"},',
            b'{"cmd":"PING"}\x00',
        ),
        *(
            b'\xef\xbb\xbf{"cmd":"PING"}',
            b'\x00{"cmd":"PING"}',
            b'{"cmd":"PING"} {"cmd":"PING"}',
        ),
        *(
            b'{"cmd":"PING",}',
            b'{"cmd":"PING"',
            b'{"cmd":"PING}',
            b"{cmd:PING}",
            b'[{"cmd":"PING"}]',
        ),
        *('{"cmd":"PING"}'.encode("utf-16-le"), '{"cmd":"PING"}'.encode("utf-32-be")),
        *(b'{"cmd":"PING","\xff":1}', b'{"cmd":"PING","rid":"\xff"}', b'{"cmd":"\xff"}'),
        *(
            b'{"cmd":"PING","rid":"\\ud800"}',
            b'{"cmd":"PING","\\udc00":1}',
            b'{"cmd":"\\ud800"}',
        ),
        b'{"cmd":"PING","cmd":}',
    ],
    ids=repr,
)
def test_no_line(line: bytes) -> None:
    with pytest.raises(BadJson):
        decode_request(line)
