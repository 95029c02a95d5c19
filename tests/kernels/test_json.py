"""The JSON scanner accepts what a strict reader accepts under the protocol's rules."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import require_core
from kernels.probe import ID, INTEGER, SKIP, Probe
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import MODE
from wire.strict_json import NotJsonError, parse

_NESTING_MAX, _NUMBER_CHARS_MAX = 512, 4300
_MUTANTS = 300_000 if MODE != "python" else 400
_ACCEPTED: tuple[bytes, ...] = (
    b"0", b"-0", b"1", b"-1", b"10", b"1234567", b"12345678", b"123456789", b"0.5",
    b"-0.5e-10", b"1E+2", b"1e2", b"1.25E0", b"9" * 4300, b"true", b"false", b"null",
    b'""', b'"a"', b'"1234567"', b'"12345678"', b'"123456789"', b'"\\""', b'"\\\\"',
    b'"\\/\\b\\f\\n\\r\\t"', b'"\\u0000"', b'"\\uD83D\\uDE00"', b'"\\uFFFF"', b'"\x7f"',
    b'"\xc2\x80"', b'"\xdf\xbf"', b'"\xe0\xa0\x80"', b'"\xed\x9f\xbf"', b'"\xef\xbf\xbf"',
    b'"\xf0\x90\x80\x80"', b'"\xf4\x8f\xbf\xbf"', b'"1234567\xc3\xa9"', b"[]", b"{}",
    b"[ ]", b"{ }", b"[1]", b"[1,2]", b"[ 1 , 2 ]", b'{"a":1}', b'{ "a" : 1 , "b" : [] }',
    b'{"":0}', b'{"a":1,"a":2}', b"[[],{}]", b'[{"a":[{"b":[]}]}]', b"[\t\r 1]",
    b"[" * 512 + b"]" * 512, b'{"a":' * 512 + b"1" + b"}" * 512, b'["' + b"x" * 99 + b'"]',
)  # fmt: skip
_REFUSED: tuple[bytes, ...] = (
    b"", b" ", b"-", b"+1", b"01", b"-01", b"00", b"1.", b".5", b"1.e1", b"1e", b"1e+",
    b"0x1", b"1_0", b"NaN", b"Infinity", b"-Infinity", b"nan", b"9" * 4301,
    b"1." + b"0" * 4299, b"tru", b"True", b"nul", b"fals", b"truee", b'"', b'"a', b'"\\',
    b'"\\x41"', b'"\\u12"', b'"\\u12g4"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"',
    b'"\\ud800\\ud800"', b'"\\ud800x"', b'"\\ud800\\n"', b'"\t"', b'"\x00"', b'"\x1f"',
    b'"\x80"', b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xc2"', b'"\xc2\x41"', b'"\xe0\x9f\xbf"',
    b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"', b'"\xe2\x82"', b'"\xf0\x8f\xbf\xbf"',
    b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xff"', b'"\xfe\xff"', b"[", b"]",
    b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"[1}", b"{", b"}", b'{"a"', b'{"a":',
    b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{,"a":1}', b"{a:1}", b"{1:1}", b"{'a':1}",
    b'{"a" 1}', b'{"a"::1}', b'{"a":1]', b'{"a":1 "b":2}', b"[1]]", b"1 2", b"[]{}",
    b"\xef\xbb\xbf1", b"[1,\x0b2]", b"[1,\x0c2]", b"[1]//x", b"/*x*/1", b"<null>",
    b"[" * 513 + b"]" * 513, b'{"a":' * 513 + b"1" + b"}" * 513, b"[[[", b'[""', b'{"a":"',
)  # fmt: skip


@pytest.fixture(scope="module")
def scanned() -> Callable[[bytes], bool]:
    """Whether the scanner takes a text for one value and nothing else."""
    require_core("array")
    tested = Probe()
    return lambda text: tested.read(SKIP, text) == len(text)


def _strict(text: bytes) -> bool:
    try:
        value = parse(text)
    except NotJsonError:
        return False
    if value.start != 0 or value.end != len(text):
        return False
    return value.depth <= _NESTING_MAX and value.number_chars <= _NUMBER_CHARS_MAX


@pytest.mark.parametrize("text", _ACCEPTED, ids=lambda text: repr(text[:20]))
def test_accepts(scanned: Callable[[bytes], bool], text: bytes) -> None:
    assert _strict(text)
    assert scanned(text)


@pytest.mark.parametrize("text", _REFUSED, ids=lambda text: repr(text[:20]))
def test_refuses(scanned: Callable[[bytes], bool], text: bytes) -> None:
    assert not _strict(text)
    assert not scanned(text)


def test_every_two_byte_character(scanned: Callable[[bytes], bool]) -> None:
    for first in range(0x80, 0x100):
        for second in range(0x7E, 0x100, 1 if first < 0xE0 else 16):
            text = b'"%c%c"' % (first, second)
            assert scanned(text) == _strict(text), text


def test_agrees_on_mutants(scanned: Callable[[bytes], bool]) -> None:
    rng = random.Random(7)
    sources = [
        text for text in (*_ACCEPTED, *_ACCEPTED, *_ACCEPTED, *_REFUSED) if len(text) < 100
    ]
    pieces = [b"d8", b"{", b"}", b"[", b"]", b",", b":", b"0", b"1",
              b"e", b".", b"-", b" ", b"\xc3", b"\xa9", b"\xed", b"\x1f", b"true",
              b'"', b"\\", b"\\u"]  # fmt: skip
    agreed = [0, 0]
    for _ in range(_MUTANTS):
        text = rng.choice(sources)
        if rng.random() < 0.5:
            text = b"[" + text + b"," + rng.choice(sources) + b"]"
        for _ in range(rng.choice((0, 0, 1, 1, 3))):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(pieces) + text[at + rng.randrange(3) :]
        expected = _strict(text)
        assert scanned(text) is expected, text
        agreed[expected] += 1
    assert min(agreed) > _MUTANTS // 10, "the mutants are nearly all of one kind"


@settings(max_examples=200 if MODE != "python" else 20, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 30))
def test_agrees_on_noise(noise: bytes, at: int) -> None:
    scanner = Probe()
    text = (b'{"key":["' + noise + b'",1.5]}')[at:].replace(b"\n", b"")
    assert (scanner.read(SKIP, text) == len(text)) is _strict(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"0", 0), (b"-0", 0), (b"7", 7), (b"-7", -7), (b"12345678", 12345678),
     (b"123456789", 123456789), (b"9007199254740991", 2**53 - 1), (b"null", None)],
)  # fmt: skip
def test_reads_integers(text: bytes, value: int | None) -> None:
    require_core("array")
    tested = Probe()
    assert tested.read(INTEGER, text, -(2**53), 2**53) == len(text)
    read = tested.memory.state[lo.R_INTEGER]
    assert read == (value if value is not None else lo.ABSENT)


@pytest.mark.parametrize(
    "text",
    [b"01", b"1.0", b"1e3", b"-", b"--1", b"true", b'"1"', b"99999999999999999", b"+1"],
)
def test_refuses_what_is_no_integer(text: bytes) -> None:
    require_core("array")
    assert Probe().read(INTEGER, text, -(2**53), 2**53) != len(text)


def test_reads_ids_as_numbers_and_strings() -> None:
    require_core("array")
    tested = Probe()
    for text in (b"7", b'"7"', b'"007"', b"9007199254740991", b'"9007199254740991"'):
        assert tested.read(ID, text) == len(text)
        assert tested.memory.state[lo.R_INTEGER] == int(text.strip(b'"'))
    for text in (b"9007199254740992", b'"x"', b'""', b"-1", b'"1', b"null", b"[1]"):
        assert tested.read(ID, text) is None


def test_integers_stop_at_their_bounds() -> None:
    require_core("array")
    tested = Probe()
    assert tested.read(INTEGER, b"5", 0, 5) == 1
    assert tested.read(INTEGER, b"6", 0, 5) is None
    assert tested.read(INTEGER, b"-1", 0, 5) is None
