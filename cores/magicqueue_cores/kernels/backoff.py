"""When a failed job may run again: what `magicqueue_cores.retry` says, as kernels."""

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.jobs import block_of, lost_of
from magicqueue_cores.kernels.tables import half

_DOUBLINGS_MAX: Final = 62
_U30: Final = np.uint64(30)
_U27: Final = np.uint64(27)
_U31: Final = np.uint64(31)
_U53: Final = np.uint64(53)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


@part
def _mixed(x: np.uint64) -> np.uint64:
    """The splitmix64 of a number, as in `retry`."""
    x = x + _GOLDEN
    x = (x ^ (x >> _U30)) * _MIX_1
    x = (x ^ (x >> _U27)) * _MIX_2
    return x ^ (x >> _U31)


@inlined
def _signed(x: np.uint64) -> int:
    return int(x)


@part
def retry_at(w: Words, h: Words, slot: int, now: int) -> int:
    """When an active job that fails now may run again: `retry.retry_delay_ms`."""
    header = lo.ARENA_H + 2 * block_of(w, slot)
    backoff = half(h, header + lo.B_BACKOFF) & 0xFFFFFFFF
    failures = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_ATTEMPTS)
    failures -= lost_of(w, h, slot)
    doublings = min(failures - 1, _DOUBLINGS_MAX)
    most = w[lo.S_BACKOFF_MAX]
    delay = most if backoff > most >> doublings else backoff << doublings
    if half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_JITTER == 0:
        return min(now + delay, lo.TIME_MAX_MS)
    if delay != 0:
        job_id = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
        spread = _mixed(np.uint64(job_id) ^ (np.uint64(failures) << _U53))
        delay = _signed(spread % np.uint64(delay + 1))
    return min(now + delay, lo.TIME_MAX_MS)
