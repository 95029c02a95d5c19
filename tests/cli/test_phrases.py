"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta

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
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert phrases.when(now + timedelta(seconds=seconds), now) == text


def test_counts_and_rates() -> None:
    assert phrases.jobs(1) == "1 job"
    assert phrases.jobs(1_234_567) == "1,234,567 jobs"
    assert phrases.rate(0.52) == "0.5/s"
    assert phrases.rate(12_345.6) == "12,346/s"


def test_control_characters_cannot_reach_a_terminal() -> None:
    assert phrases.printable("a\x1b[2J\x9bz\x7f\n") == "a\\x1b[2J\\x9bz\\x7f\n"
    assert phrases.short("two\nlines\x1b and more", 14) == "two lines\\x1b…"
