"""Lines come out the same however their bytes come in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicqueue.errors import TooLarge
from magicqueue.wire.framing import LineBuffer


def _feed_all(pieces: list[bytes], line_bytes_max: int) -> tuple[bytes, bool, int]:
    """Give all whole lines, whether a line was over the limit, and the bytes kept."""
    buffer = LineBuffer(line_bytes_max)
    lines = b""
    for piece in pieces:
        try:
            lines += buffer.feed(memoryview(piece))
        except TooLarge:
            return lines + buffer.lines_before_error, True, 0
    return lines, False, buffer.kept_bytes


def _expected(stream: bytes, line_bytes_max: int) -> tuple[bytes, bool, int]:
    """Say the same by the rule: a line is what stands before \\n or \\r\\n."""
    lines = b""
    *whole, rest = stream.split(b"\n")
    for line in whole:
        if len(line.removesuffix(b"\r")) > line_bytes_max:
            return lines, True, 0
        lines += line + b"\n"
    if len(rest) > line_bytes_max + 1:
        return lines, True, 0
    return lines, False, len(rest)


def _cut(stream: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(6)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(
    st.lists(
        st.sampled_from([b"a", b"bb", b"\n", b"\r", b"\r\n", b"{}\n", b"\xff", b"x" * 7])
    ),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_whole_byte_by_byte_and_in_pieces(
    parts: list[bytes], line_bytes_max: int, rng: random.Random
) -> None:
    stream = b"".join(parts)
    expected = _expected(stream, line_bytes_max)
    assert _feed_all([stream], line_bytes_max) == expected
    assert _feed_all([bytes([byte]) for byte in stream], line_bytes_max) == expected
    assert _feed_all(_cut(stream, rng), line_bytes_max) == expected


def test_a_piece_is_copied() -> None:
    buffer = LineBuffer(100)
    piece = bytearray(b"one\ntwo")
    lines = buffer.feed(memoryview(piece))
    piece[:] = b"XXXXXXX"
    assert lines == b"one\n"
    assert buffer.feed(memoryview(b"\n")) == b"two\n"


def test_kept_bytes_are_those_of_the_unfinished_line() -> None:
    buffer = LineBuffer(100)
    assert buffer.kept_bytes == 0
    assert buffer.feed(memoryview(b"abc")) == b""
    assert buffer.kept_bytes == 3
    assert buffer.feed(memoryview(b"d\nefg\nhi")) == b"abcd\nefg\n"
    assert buffer.kept_bytes == 2
    assert buffer.feed(memoryview(b"\n")) == b"hi\n"
    assert buffer.kept_bytes == 0
    assert buffer.feed(memoryview(b"")) == b""


def test_several_lines_may_be_longer_than_one_is_allowed() -> None:
    lines = b"12345\n" * 50
    assert LineBuffer(5).feed(memoryview(lines)) == lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_limit_leaves_the_line_end_out(end: bytes) -> None:
    for size in (9, 10):
        line = b"x" * size + end
        assert LineBuffer(10).feed(memoryview(line)) == line
    with pytest.raises(TooLarge, match=r"over the limit of 10 bytes: .*--max-line$"):
        LineBuffer(10).feed(memoryview(b"x" * 11 + end))


def test_limit_holds_before_the_line_is_whole() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(memoryview(b"x" * 11)) == b""
    with pytest.raises(TooLarge):
        buffer.feed(memoryview(b"x"))
    assert buffer.kept_bytes <= 11


def test_only_one_carriage_return_belongs_to_the_line_end() -> None:
    with pytest.raises(TooLarge):
        LineBuffer(3).feed(memoryview(b"abc\r\r\n"))


@pytest.mark.parametrize("bad", [b"x" * 12, b"x" * 11 + b"\n", b"x" * 99 + b"\nlater\n"])
def test_lines_before_one_too_long_are_not_lost(bad: bytes) -> None:
    buffer = LineBuffer(10)
    buffer.feed(memoryview(b"on"))
    with pytest.raises(TooLarge):
        buffer.feed(memoryview(b"e\ntwo\r\n" + bad))
    assert buffer.lines_before_error == b"one\ntwo\r\n"


def test_a_long_line_in_small_pieces() -> None:
    buffer = LineBuffer(2**20)
    piece = memoryview(b"y" * 64)
    for _ in range(2**20 // 64):
        assert buffer.feed(piece) == b""
    assert buffer.kept_bytes == 2**20
    assert buffer.feed(memoryview(b"\n")) == b"y" * 2**20 + b"\n"
