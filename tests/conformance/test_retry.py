"""Backoff to the millisecond: every core and every log depends on these very numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicqueue_cores.retry import retry_delay_ms, splitmix64

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("x", "mixed"),
    [
        (0, 0xE220A8397B1DCDAF),
        (1, 0x910A2DEC89025CC1),
        (2, 0x975835DE1C9756CE),
        (2**64 - 1, 0xE4D971771B652C20),
    ],
)
def test_splitmix64(x: int, mixed: int) -> None:
    assert splitmix64(x) == mixed


@pytest.mark.parametrize(
    ("job_id", "failures", "backoff_ms", "jitter", "delay_ms"),
    [
        (1, 1, 1000, False, 1000),
        (1, 3, 1000, False, 4000),
        (1, 20, 1000, False, HOUR_MS),
        (7, 500, 5, False, HOUR_MS),
        (1, 1, 0, False, 0),
        (1, 1, 1000, True, 68),
        (2, 1, 1000, True, 521),
        (1, 2, 1000, True, 1543),
        (123456789, 7, 250, True, 7572),
        (2**53 - 1, 1023, 1, True, 378637),
        (5, 1, 0, True, 0),
        (1, 1, 1, True, 1),
        (42, 25, 1000, True, 2641183),
    ],
)
def test_golden_delays(
    *, job_id: int, failures: int, backoff_ms: int, jitter: bool, delay_ms: int
) -> None:
    got = retry_delay_ms(
        job_id=job_id,
        failures=failures,
        backoff_ms=backoff_ms,
        jitter=jitter,
        backoff_ms_max=HOUR_MS,
    )
    assert got == delay_ms


@given(
    job_id=st.integers(1, 2**53 - 1),
    failures=st.integers(1, 10**6),
    backoff_ms=st.integers(0, 2**53 - 1),
    backoff_ms_max=st.integers(0, 2**53 - 1),
)
def test_jitter_stays_below_the_plain_delay(
    job_id: int, failures: int, backoff_ms: int, backoff_ms_max: int
) -> None:
    plain, jittered = (
        retry_delay_ms(
            job_id=job_id,
            failures=failures,
            backoff_ms=backoff_ms,
            jitter=jitter,
            backoff_ms_max=backoff_ms_max,
        )
        for jitter in (False, True)
    )
    assert 0 <= jittered <= plain <= backoff_ms_max


def test_jitter_spreads_over_the_whole_range() -> None:
    tenths = [0] * 10
    for job_id in range(1, 2001):
        delay_ms = retry_delay_ms(
            job_id=job_id, failures=1, backoff_ms=999, jitter=True, backoff_ms_max=HOUR_MS
        )
        tenths[delay_ms // 100] += 1
    assert 140 < min(tenths) <= max(tenths) < 260
