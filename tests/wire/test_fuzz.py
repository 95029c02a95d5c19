"""The codec against the reference, on lines that are mostly a little wrong.

A run takes 200,000 lines; MAGICQUEUE_FUZZ_LINES takes any number more, from other seeds
(MAGICQUEUE_FUZZ_SEED), as `MAGICQUEUE_FUZZ_LINES=5000000 pytest tests/wire/test_fuzz.py`.
"""

import os
import random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicqueue.wire.limits import Limits
from wire.reference import codec_reads, read_line
from wire.samples import LINES, MEMBERS, PIECES, VALUES

SHARES: Final = 8
LINES_A_SHARE: Final = int(os.environ.get("MAGICQUEUE_FUZZ_LINES", "200000")) // SHARES
FIRST_SEED: Final = int(os.environ.get("MAGICQUEUE_FUZZ_SEED", "1"))
TIGHT: Final = Limits(job_bytes_max=60, push_jobs_max=3, queue_name_bytes_max=9)
WIDE: Final = Limits()


def _mutate(line: bytes, rng: random.Random) -> bytes:
    """Change a line: in half of the turns, it stays well-formed if it was."""
    if rng.random() < 0.5:
        return _break(line, rng)
    at = rng.randrange(len(line) + 1)
    if rng.random() < 0.6:
        start, end = _token(line, at)
        return line[:start] + rng.choice(VALUES) + line[end:]
    comma = line.find(rng.choice((b",", b"{")), at) + 1 or 1
    return line[:comma] + rng.choice(MEMBERS) + line[comma:]


def _break(line: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(line) + 1)
    until = min(len(line), at + rng.choice((0, 1, 1, 2, 5, 12)))
    start, end = _token(line, at)
    other = rng.choice(LINES)
    return rng.choice(
        (
            line[:at] + bytes([rng.randrange(256)]) + line[at + 1 :],
            line[:at] + line[until:],
            line[:at] + line[at:until] * 2 + line[until:],
            line[:at] + line[at:until].swapcase() + line[until:],
            line[:at] + rng.choice(PIECES) + line[until:],
            line[:start] + rng.choice(PIECES) + line[end:],
            line[:at] + other[rng.randrange(len(other)) :],
        )
    )


def _token(line: bytes, at: int) -> tuple[int, int]:
    """Find a value's place: from behind a colon to before the next comma or end."""
    colon = line.find(b":", at) + 1 or line.find(b":") + 1
    ends = [end for mark in (b",", b"}", b"]") if (end := line.find(mark, colon)) >= 0]
    return colon, min(ends, default=len(line))


def _compare(line: bytes, limits: Limits) -> bool:
    expected = read_line(line, limits)
    assert codec_reads(line, limits) == expected, line
    return not isinstance(expected, str)


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.timeout(24 * 3600 if LINES_A_SHARE > 10**5 else 600)
def test_mutated_lines_are_read_as_the_reference_reads_them(share: int) -> None:
    rng = random.Random(FIRST_SEED * SHARES + share)
    accepted = 0
    for turn in range(LINES_A_SHARE):
        line = rng.choice(LINES)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            line = _mutate(line, rng)
        accepted += _compare(line, TIGHT if turn % 4 == 0 else WIDE)
    assert LINES_A_SHARE // 20 < accepted < LINES_A_SHARE * 19 // 20


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_cut_anywhere_is_bad_json(line: bytes) -> None:
    assert _compare(line, WIDE)
    for end in range(len(line)):
        assert codec_reads(line[:end], WIDE) == "BAD_JSON"
        assert read_line(line[:end], WIDE) == "BAD_JSON"


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_each_byte_replaced_by_each_kind_of_byte(line: bytes) -> None:
    for at in range(len(line)):
        for byte in b'\x00\x1f "\\,:{}[]0-.eu\x7f\x80\xc3\xff':
            _compare(line[:at] + bytes([byte]) + line[at + 1 :], WIDE)


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_at_all(line: bytes) -> None:
    _compare(line, WIDE)


_TEXT: Final = st.text(st.characters(exclude_categories=()), max_size=8)
_RAW_STRING: Final = st.lists(
    st.one_of(
        st.sampled_from(["\\ud800", "\\udBff", "\\uDc00", "\\udfff", "\\\\", "\\u0041"]),
        st.sampled_from(
            ["\\", "\\u", "ud800", "\\ud83d\\ude00", "\\n", "]", "[", "{", "7"]
        ),
    ),
    max_size=8,
).map("".join)


@settings(max_examples=1500, deadline=None)
@given(_RAW_STRING, st.sampled_from(["data", "new", "rid", "queue", "error"]))
def test_escapes_in_any_order_in_any_field(string: str, field: str) -> None:
    line = f'{{"cmd":"PUSH","queue":"q","data":1,"{field}":"{string}"}}'
    _compare(line.encode(), WIDE)


@settings(max_examples=1500, deadline=None)
@given(_TEXT, _TEXT, _TEXT)
def test_any_characters_in_name_key_and_data(name: str, key: str, data: str) -> None:
    line = f'{{"cmd":"PUSH","queue":"{name}","{key}":0,"data":"{data}"}}'
    _compare(line.encode("utf-8", "surrogatepass"), WIDE)


_NUMBER: Final = st.text("0123456789-+.eE", min_size=1, max_size=7)


@settings(max_examples=1500, deadline=None)
@given(_NUMBER, st.sampled_from(["data", "priority", "delay", "rid", "new"]))
def test_any_mix_of_number_characters(number: str, field: str) -> None:
    line = f'{{"cmd":"PUSH","queue":"q","data":1,"{field}":{number}}}'
    _compare(line.encode(), WIDE)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["[", "]", '{"a":', "}", '"]["', '"\\"["', "1", ","])),
    st.sampled_from([0, 1, 300, 510, 511, 512, 513]),
)
def test_depth_is_counted_as_the_reference_counts_it(middle: list[str], depth: int) -> None:
    data = "[" * depth + "".join(middle) + "]" * depth
    line = f'{{"cmd":"PUSH","queue":"q","data":[{data},"{"[" * 600}"]}}'
    _compare(line.encode(), WIDE)
