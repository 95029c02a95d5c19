"""Two structures that several tables share: hash chains and skew heaps.

Chains grow by linear hashing (Litwin, 1980): whenever there are more records than
buckets, one bucket is split, so no insertion ever waits for a table to be rebuilt. Keys
are mixed with a secret of this start, since clients choose some of them (names of queues,
priorities, which ids stay) and could choose such that fall into one bucket. The links are
in the records, so the structure itself allocates only buckets. Skew heaps (Sleator and
Tarjan, 1986) need no memory but three links a record, so a queue may have any number of
them: O(log n) amortised, also to take a record out that is not first.
"""
# ruff: noqa: PLR0913, PLR0917 - there are no structs to pass

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_HASH_SHIFT: Final = np.uint64(33)


@inlined
def half(h: Words, i: int) -> int:
    """A half as a word."""
    return int(h[i])


@inlined
def _hash(w: Words, key: int) -> int:
    return int((np.uint64(np.int64(key ^ w[lo.S_HASH_SEED])) * _GOLDEN) >> _HASH_SHIFT)


@inlined
def _bucket(w: Words, table: int, key: int) -> int:
    mixed = _hash(w, key)
    low = w[table + 1]
    bucket = mixed & (2 * low - 1)
    if bucket >= w[table]:
        bucket = mixed & (low - 1)
    return bucket


@inlined
def chain_find(
    w: Words, h: Words, table: int, buckets_h: int, base_w: int, words: int, key: int
) -> int:
    """The record that has `key`, or 0. `words` is a record's size."""
    if w[table] == 0:
        return 0
    record = half(h, buckets_h + _bucket(w, table, key))
    while record != 0 and w[base_w + record * words] != key:
        record = half(h, 2 * (base_w + record * words) + lo.CHAIN_NEXT)
    return record


@inlined
def chain_insert(
    w: Words, h: Words, table: int, buckets_h: int, base_w: int, words: int, record: int
) -> None:
    """Add a record whose key is set."""
    if w[table] == 0:
        w[table] = 1
        w[table + 1] = 1
    bucket = buckets_h + _bucket(w, table, w[base_w + record * words])
    h[2 * (base_w + record * words) + lo.CHAIN_NEXT] = h[bucket]
    h[bucket] = record
    w[table + 2] += 1
    if w[table + 2] > w[table]:
        _split(w, h, table, buckets_h, base_w, words)


@part
def _split(w: Words, h: Words, table: int, buckets_h: int, base_w: int, words: int) -> None:
    """Add a bucket: it gets its part of the one that stood for both so far."""
    fresh = w[table]
    low = w[table + 1]
    record = half(h, buckets_h + fresh - low)
    h[buckets_h + fresh - low] = 0
    h[buckets_h + fresh] = 0
    while record != 0:
        link = 2 * (base_w + record * words) + lo.CHAIN_NEXT
        following = half(h, link)
        mixed = _hash(w, w[base_w + record * words])
        bucket = buckets_h + (mixed & (2 * low - 1))
        h[link] = h[bucket]
        h[bucket] = record
        record = following
    w[table] = fresh + 1
    if fresh + 1 == 2 * low:
        w[table + 1] = 2 * low


@inlined
def chain_remove(
    w: Words, h: Words, table: int, buckets_h: int, base_w: int, words: int, record: int
) -> None:
    """Take out a record that is there."""
    link = buckets_h + _bucket(w, table, w[base_w + record * words])
    while half(h, link) != record:
        link = 2 * (base_w + half(h, link) * words) + lo.CHAIN_NEXT
    h[link] = h[2 * (base_w + record * words) + lo.CHAIN_NEXT]
    w[table + 2] -= 1


@part
def skew_meld(w: Words, h: Words, base_w: int, a: int, b: int) -> int:
    """Make one heap of two and give its root, whose parent the caller sets."""
    if a == 0:
        return b
    if b == 0:
        return a
    if w[base_w + b * 8 + lo.HEAP_KEY] < w[base_w + a * 8 + lo.HEAP_KEY]:
        a, b = b, a
    root = a
    while True:
        at = 2 * (base_w + a * 8)
        right = half(h, at + lo.HEAP_RIGHT)
        h[at + lo.HEAP_RIGHT] = h[at + lo.HEAP_LEFT]
        if right == 0:
            h[at + lo.HEAP_LEFT] = b
            h[2 * (base_w + b * 8) + lo.HEAP_PARENT] = a
            return root
        if w[base_w + b * 8 + lo.HEAP_KEY] < w[base_w + right * 8 + lo.HEAP_KEY]:
            right, b = b, right
        h[at + lo.HEAP_LEFT] = right
        h[2 * (base_w + right * 8) + lo.HEAP_PARENT] = a
        a = right


@inlined
def skew_add(w: Words, h: Words, base_w: int, root: int, record: int) -> int:
    """Add one record; gives the root."""
    at = 2 * (base_w + record * 8)
    h[at + lo.HEAP_LEFT] = 0
    h[at + lo.HEAP_RIGHT] = 0
    root = skew_meld(w, h, base_w, root, record)
    h[2 * (base_w + root * 8) + lo.HEAP_PARENT] = 0
    return root


@part
def skew_drop(w: Words, h: Words, base_w: int, root: int, record: int) -> int:
    """Take a record out, wherever it is; gives the root, 0 if none is left."""
    at = 2 * (base_w + record * 8)
    parent = half(h, at + lo.HEAP_PARENT)
    below = skew_meld(w, h, base_w, half(h, at + lo.HEAP_LEFT), half(h, at + lo.HEAP_RIGHT))
    if below != 0:
        h[2 * (base_w + below * 8) + lo.HEAP_PARENT] = parent
    if parent == 0:
        return below
    above = 2 * (base_w + parent * 8)
    if half(h, above + lo.HEAP_LEFT) == record:
        h[above + lo.HEAP_LEFT] = below
    else:
        h[above + lo.HEAP_RIGHT] = below
    return root


@inlined
def skew_rest(w: Words, h: Words, base_w: int, root: int) -> int:
    """The heap without its root."""
    return skew_drop(w, h, base_w, root, root)
