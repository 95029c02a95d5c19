"""From a job's id to its record: pages of 64 consecutive ids, found by hash.

Ids rise, so the jobs of a batch share pages and their entries lie side by side: almost
always the page last used is the one that is wanted. A page goes when its last job does,
so old ids that stay cost a page each at worst, and the span of ids costs nothing.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.tables import chain_find, chain_insert, chain_remove, half


@part
def _find_page(w: Words, h: Words, key: int) -> int:
    page = chain_find(
        w, h, lo.S_PAGE_HASH, lo.PAGE_BUCKETS_H, lo.PAGES_W, lo.PAGE_WORDS, key
    )
    if page != 0:
        w[lo.S_LAST_KEY] = key
        w[lo.S_LAST_PAGE] = page
    return page


@inlined
def _page(w: Words, h: Words, key: int) -> int:
    page = w[lo.S_LAST_PAGE]
    if page != 0 and w[lo.S_LAST_KEY] == key:
        return page
    return _find_page(w, h, key)


@inlined
def find_job(w: Words, h: Words, job_id: int) -> int:
    """The job's record, or 0."""
    page = _page(w, h, job_id >> lo.PAGE_BITS)
    if page == 0:
        return 0
    return half(h, lo.PAGE_SLOTS_H + (page << lo.PAGE_BITS) + (job_id & lo.PAGE_MASK))


@part
def _add_page(w: Words, h: Words, key: int) -> int:
    page = w[lo.S_PAGE_FREE]
    if page != 0:
        w[lo.S_PAGE_FREE] = half(h, lo.PAGES_H + page * lo.PAGE_HALVES + lo.CHAIN_NEXT)
    else:
        page = w[lo.S_PAGE_HIGH] + 1
        w[lo.S_PAGE_HIGH] = page
    w[lo.PAGES_W + page * lo.PAGE_WORDS] = key
    chain_insert(w, h, lo.S_PAGE_HASH, lo.PAGE_BUCKETS_H, lo.PAGES_W, lo.PAGE_WORDS, page)
    w[lo.S_LAST_KEY] = key
    w[lo.S_LAST_PAGE] = page
    return page


@inlined
def index_job(w: Words, h: Words, job_id: int, slot: int) -> None:
    """Let a new id stand for a record."""
    key = job_id >> lo.PAGE_BITS
    page = _page(w, h, key)
    if page == 0:
        page = _add_page(w, h, key)
    h[lo.PAGE_SLOTS_H + (page << lo.PAGE_BITS) + (job_id & lo.PAGE_MASK)] = slot
    h[lo.PAGES_H + page * lo.PAGE_HALVES + lo.P_COUNT] += 1


@inlined
def unindex_job(w: Words, h: Words, job_id: int) -> None:
    """Forget an id that is there."""
    page = _page(w, h, job_id >> lo.PAGE_BITS)
    h[lo.PAGE_SLOTS_H + (page << lo.PAGE_BITS) + (job_id & lo.PAGE_MASK)] = 0
    count = half(h, lo.PAGES_H + page * lo.PAGE_HALVES + lo.P_COUNT) - 1
    h[lo.PAGES_H + page * lo.PAGE_HALVES + lo.P_COUNT] = count
    if count == 0:
        _remove_page(w, h, page)


@part
def _remove_page(w: Words, h: Words, page: int) -> None:
    chain_remove(w, h, lo.S_PAGE_HASH, lo.PAGE_BUCKETS_H, lo.PAGES_W, lo.PAGE_WORDS, page)
    h[lo.PAGES_H + page * lo.PAGE_HALVES + lo.CHAIN_NEXT] = w[lo.S_PAGE_FREE]
    w[lo.S_PAGE_FREE] = page
    w[lo.S_LAST_PAGE] = 0
