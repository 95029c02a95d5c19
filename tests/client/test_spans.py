"""Spans of time as people write them, on the command line and in the server's options."""

import pytest

from magicqueue.spans import span_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        *(("0", 0), ("250ms", 250), ("500ms", 500), ("30s", 30_000), ("5m", 300_000)),
        *(("1.5h", 5_400_000), ("2d", 172_800_000), (" 7 s ", 7000), ("1.005s", 1005)),
        *(("1h30m", 5_400_000), ("1h 30min", 5_400_000), ("1m30.5s", 90_500)),
        *(("2d3h4m5s6ms", 183_845_006), ("90min", 5_400_000), ("0.5ms", 1), (".4ms", 0)),
        ("9007199254740991ms", 2**53 - 1),
    ],
)
def test_what_people_write(text: str, ms: int) -> None:
    assert span_ms(text) == ms
    assert span_ms(text, plain_ms=1000) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "5x",
        "-1s",
        "1e3",
        "1 m s",
        "30m1h",
        "1h1h",
        "1.5h30m",
        "1h30",
        "٣s",
        "s",
    ],
)
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a span of time such as"):
        span_ms(text, plain_ms=1000)


def test_a_plain_number_means_what_its_reader_says() -> None:
    assert span_ms("1.5", plain_ms=1000) == 1500
    with pytest.raises(ValueError, match=r'^needs a unit: "30s" or "30ms"$'):
        span_ms("30")


@pytest.mark.parametrize(
    "text", ["9007199254740992ms", "9" * 400, "9" * 17 + "d", "104249992d"]
)
def test_what_is_too_long(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be at most 9007199254740991ms$"):
        span_ms(text)
