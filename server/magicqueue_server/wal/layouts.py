r"""What each kind of record is in bytes: the one table that `encode` and `decode` follow.

Kernels write some kinds by themselves, so what these have in common with all is theirs.

Every record starts with 16 bytes and is padded with zeros to a multiple of 8:

    01 00 06 00   kind 1 (Pushed), flags, length of the text (6)
    01 00 00 00   1 job
    58 00 00 00 00 00 00 00   88 bytes in all

Then what the kind has, in this order: fixed numbers, columns of 8-byte numbers, columns
of 4-byte numbers, columns of bytes, the text, texts, payloads. `Pushed` goes on, for the
job 7 of queue "emails" with data {"to":1}:

    07 00 00 00 00 00 00 00   first id
    00 68 e5 cf 8b 01 00 00   created
    00 68 e5 cf 8b 01 00 00   run_at of all jobs (0 if flag 1 says that a column follows)
    00 00 00 00 00 00 00 00   priority (flag 2)
    19 00 00 00 00 00 00 00   max_attempts (flag 4)
    00 00 00 00 00 00 00 00   backoff (flag 8); jitter is flag 16, or flag 32 for a column
    00 00 00 00 08 00 00 00   where payloads start and end: 0, 8 (one more than jobs)
    "emails"                  the text, here the queue's name
    {"to":1}                  the payloads, end to end
    00 00                     padding

With flag 64 payloads lie apart, as in a request line: the fixed numbers end with how many
bytes there are, and there are two columns, starts and ends, in place of one.

`Moved` has many columns: see `MOVED_NUMBERS`. All other kinds are as `LAYOUTS` says. Their
texts, and strings of bytes, are a column of lengths (4 bytes each, -1 for no text), padded,
then all of them end to end, padded; the first column of them begins at a multiple of 8.
"""

import struct
from typing import Any, Final, NamedTuple

from magicqueue_cores import records
from magicqueue_cores.kernels.record_layout import (
    ACKED,
    BACKOFFS,
    EXTENDED,
    FAILED,
    JITTER,
    JITTERS,
    LEASED,
    MAX_ATTEMPTS,
    PRIORITIES,
    PUSHED,
    RUN_ATS,
)

__all__ = [
    "APART",
    "BACKOFFS",
    "JITTER",
    "JITTERS",
    "KINDS",
    "LAYOUTS",
    "MAX_ATTEMPTS",
    "MOVED",
    "MOVED_BYTES",
    "MOVED_NUMBERS",
    "PADDING",
    "PAIR",
    "PRIORITIES",
    "PUSHED",
    "PUSHED_FIXED",
    "RECORD_HEAD",
    "RUN_ATS",
    "SPAN",
    "TRUTHS",
    "Layout",
]

RECORD_HEAD: Final = struct.Struct("<BBHIQ")
PUSHED_FIXED: Final = struct.Struct("<qqqqqq")
PAIR: Final = struct.Struct("<qq")
SPAN: Final = struct.Struct("<Q")
PADDING: Final = tuple(bytes(n) for n in range(8))

APART: Final = 64

MOVED_NUMBERS: Final = (
    "ids",
    "priorities",
    "created_ats_ms",
    "run_ats_ms",
    "max_attempts",
    "backoffs_ms",
    "sequences",
    "attempts",
    "failures",
    "losses",
    "sessions",
    "untils_ms",
    "died_ats_ms",
)
MOVED_BYTES: Final = ("jitters", "states", "returned")


class Layout(NamedTuple):
    """The number of a kind, and which fields of its record stand where.

    fixed: 8-byte numbers that there is one of, "" for a 0. columns: of 8-byte numbers.
    text: the one text. texts: columns of texts. blobs: columns of strings of bytes.
    """

    kind: int
    fixed: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    text: str = ""
    texts: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()

    @property
    def has_ids_alone(self) -> bool:
        """Whether there is nothing but a pair of fixed numbers and ids."""
        return len(self.fixed) == 2 and self[2:] == (("ids",), "", (), ())  # noqa: PLR2004 - a pair


_IDS: Final = ("ids",)
_NONE: Final = ("", "")

LAYOUTS: Final[dict[type[Any], Layout]] = {
    records.Matured: Layout(2, _NONE, _IDS),
    records.Leased: Layout(LEASED, ("session", "until_ms"), _IDS),
    records.Extended: Layout(EXTENDED, ("", "until_ms"), _IDS),
    records.Acked: Layout(ACKED, _NONE, _IDS),
    records.Failed: Layout(FAILED, ("at_ms", ""), ("ids", "run_ats_ms"), texts=("errors",)),
    records.Lost: Layout(7, _NONE, _IDS),
    records.Died: Layout(8, ("at_ms", ""), _IDS, "reason", ("errors",)),
    records.Removed: Layout(9, _NONE, _IDS, "cause"),
    records.Revived: Layout(10, ("at_ms", ""), _IDS),
    records.Paused: Layout(11, ("paused", ""), text="queue"),
    records.Released: Layout(13, ("", "run_at_ms"), _IDS),
    records.Postponed: Layout(14, ("by_ms", "at_ms")),
    records.Promoted: Layout(15, ("at_ms", ""), _IDS),
    records.Replaced: Layout(
        16, ("at_ms", ""), ("ids", "priorities", "run_ats_ms"), blobs=("payloads",)
    ),
    records.Marked: Layout(17, (), _IDS, "queue", blobs=("texts",)),
    records.Kept: Layout(18, text="space", blobs=("keys", "values")),
    records.Gone: Layout(19, text="space", blobs=("keys",)),
}
TRUTHS: Final = frozenset(("paused",))
"""Fixed numbers that are true or false."""
MOVED: Final = 12
KINDS: Final[dict[type[Any], int]] = {
    records.Pushed: PUSHED,
    records.Moved: MOVED,
    **{kind: layout.kind for kind, layout in LAYOUTS.items()},
}
