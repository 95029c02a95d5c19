"""Calendars against an oracle that shares nothing with them, at both turns of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from magicqueue_cores.policies import BadCron
from magicqueue_server.calendars import Calendar, Calendars
from policies.cron_oracle import ticks

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Sydney", "America/Santiago"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Chatham", "Asia/Kathmandu"),
    *("Europe/Dublin", "America/St_Johns", "Pacific/Auckland", "Asia/Tehran"),
)
"""Twelve: turns in the north and in the south, of an hour and of half an hour, odd offsets,
a winter time that is the other one (Dublin), turns for Ramadan, ones that were given up."""
TEXTS = (
    *("30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "7 * * * SUN", "0 4 L * *"),
    *("*/20 3 * * *", "5 */6 * * 1-5", "59 23 31 12 *", "0 2 * * SUN#2", "30 1 13 * 5"),
)


def found(text: str, tz: str, wanted: list[int]) -> list[int]:
    """As many ticks as there are to be, walked one by one."""
    calendar, told = Calendar(text, tz), list[int]()
    at = calendar.after(wanted[0] - 1)
    while at is not None and len(told) < len(wanted):
        told.append(at)
        at = calendar.after(at)
    assert calendar.latest(wanted[0], wanted[-1] + 1, 3) == wanted[-3:]
    return told


def oracle(text: str, tz: str, begin: datetime, end: datetime) -> list[int]:
    return [
        (tick - EPOCH) // timedelta(milliseconds=1) for tick in ticks(text, tz, begin, end)
    ]


@pytest.mark.parametrize("tz", ZONES)
def test_a_year_of_ticks_is_as_the_oracle_says(tz: str) -> None:
    begin, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    for text in (*TEXTS[:6], "45 * 1-7 * SUN"):
        wanted = oracle(text, tz, begin, end)
        assert found(text, tz, wanted) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("text", TEXTS)
def test_ten_years_of_ticks_are_as_the_oracle_says(text: str, tz: str) -> None:
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    wanted = oracle(text, tz, begin, end)
    assert found(text, tz, wanted) == wanted


def local(text: str, tz: str, day: str, count: int) -> list[str]:
    """The first ticks from the beginning of a day in UTC on, in local time."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - as the server does

    at = (datetime.fromisoformat(f"{day}T00:00Z") - EPOCH) // timedelta(milliseconds=1) - 1
    told = []
    for _ in range(count):
        at = Calendar(text, tz).after(at) or 0
        moment = (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(tz))
        told.append(f"{moment:%d %H:%M %z}")
    return told


def test_a_time_that_is_skipped_runs_right_after_the_gap() -> None:
    assert local("30 2 * * *", "Europe/Berlin", "2026-03-28", 3) == [
        "28 02:30 +0100",
        "29 03:00 +0200",
        "30 02:30 +0200",
    ]


def test_a_time_that_comes_twice_runs_at_the_first() -> None:
    assert local("30 2 * * *", "Europe/Berlin", "2026-10-24", 3) == [
        "24 02:30 +0200",
        "25 02:30 +0200",
        "26 02:30 +0100",
    ]


def test_with_a_star_real_time_counts() -> None:
    assert local("30 * * * *", "Europe/Berlin", "2026-10-25", 3) == [
        "25 02:30 +0200",
        "25 02:30 +0100",
        "25 03:30 +0100",
    ]


@pytest.mark.parametrize(
    ("text", "day", "wanted"),
    [
        ("*/30 3 * * *", "2026-10-03", ["04 03:00 +1100", "04 03:30 +1100"]),
        ("*/30 3 * * *", "2026-04-04", ["05 03:00 +1030", "05 03:30 +1030"]),
        (
            "45 * 5 4 *",
            "2026-04-04",
            ["05 00:45 +1100", "05 01:45 +1100", "05 01:45 +1030"],
        ),
        (
            "10 * 4 10 *",
            "2026-10-03",
            ["04 00:10 +1030", "04 01:10 +1030", "04 03:10 +1100"],
        ),
    ],
)
def test_a_clock_put_by_half_an_hour_hides_no_tick(
    text: str, day: str, wanted: list[str]
) -> None:
    assert local(text, "Australia/Lord_Howe", day, len(wanted)) == wanted


def test_seconds_are_first_and_follow_the_same_rules() -> None:
    plain, with_seconds = (
        Calendar("30 2 * * *", "Europe/Berlin"),
        Calendar("15 30 2 * * *", "Europe/Berlin"),
    )
    at, also = 1_760_000_000_000, 1_760_000_000_000
    for _ in range(400):
        at, also = plain.after(at) or 0, with_seconds.after(also) or 0
        assert also == at + 15_000
    assert Calendar("*/10 * * * * *", "UTC").after(0) == 10_000


@pytest.mark.parametrize(
    ("text", "tz"),
    [
        ("* * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("@often", "UTC"),
        ("", "UTC"),
        ("0 0 * * *", "Mars/Olympus"),
        ("0 0 * * *", "../etc/passwd"),
        ("0 0 * * *", ""),
        ("0 " * 200, "UTC"),
    ],
)
def test_what_is_no_calendar_is_refused(text: str, tz: str) -> None:
    with pytest.raises(BadCron):
        Calendars()(text, tz)


@pytest.mark.parametrize("name", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"])
def test_the_five_names_are_the_texts_they_stand_for(name: str) -> None:
    texts = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0"}
    texts |= {"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *"}
    named, spelt = Calendars()(name, "UTC"), Calendars()(texts[name], "UTC")
    assert named.after(1_760_000_000_000) == spelt.after(1_760_000_000_000)
