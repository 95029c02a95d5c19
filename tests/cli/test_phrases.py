"""Numbers and times as people read them."""

import pytest

from magicqueue.cli import phrases


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0324, "32 ms"),
        (1, "1 s"),
        (3.14, "3.1 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert phrases.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "3 s ago"), (120, "in 2 min"), (0.4, "now"), (-0.4, "now")],
)
def test_moments(seconds: float, text: str) -> None:
    now_ms = 1_893_456_000_000
    assert phrases.when(now_ms + round(seconds * 1000), now_ms) == text


@pytest.mark.parametrize(
    ("moment_ms", "text"),
    [
        (253_402_300_799_999, "in 7,969 y 304 d"),
        (253_402_300_800_000, "in the year 10,000 (253402300800000 ms)"),
        (1_700_000_000_000_000, "in the year 55,840 (1700000000000000 ms)"),
        (2**53 - 1, "in the year 287,396 (9007199254740991 ms)"),
        (-(2**53), "285,480 y 336 d ago"),
    ],
)
def test_moments_beyond_the_calendar(moment_ms: int, text: str) -> None:
    assert phrases.when(moment_ms, 1_893_456_000_000) == text


def test_counts_and_rates() -> None:
    assert phrases.jobs(1) == "1 job"
    assert phrases.jobs(1_234_567) == "1,234,567 jobs"
    assert phrases.rate(0.52) == "0.5/s"
    assert phrases.rate(12_345.6) == "12,346/s"


def test_a_shortened_text_is_one_harmless_line() -> None:
    assert phrases.short("two\nlines\x1b and more", 14) == "two lines\\x1b…"
