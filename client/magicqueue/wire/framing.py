"""From bytes as they arrive to whole lines, without I/O.

A connection's bytes come in any pieces. `LineBuffer.feed` gives back everything up to the
last line end, as one bytes object that may hold many lines, and keeps the rest; so the
cost is one search and one copy a read, not one a line. A long line grows the kept part in
place (amortised O(bytes)), and a line over the limit raises at once, before it is whole.
Whole lines that came before it in the same piece are not lost: they are in
`lines_before_error`.
"""

from typing import Final

from magicqueue.errors import TooLarge

LINE_TOO_LONG: Final = "the line is over the limit"
"""How the sentence begins of the one refusal for size after which the server hangs up."""

_LINE_END: Final = b"\n"


class LineBuffer:
    """Reassembles lines of at most `line_bytes_max` bytes."""

    __slots__ = ("_kept", "line_bytes_max", "lines_before_error")

    def __init__(self, line_bytes_max: int) -> None:
        self.line_bytes_max: int = line_bytes_max
        self.lines_before_error: bytes = b""
        self._kept = bytearray()

    @property
    def kept_bytes(self) -> int:
        """Bytes of a line that is not whole yet."""
        return len(self._kept)

    def feed(self, piece: memoryview) -> bytes:
        """Take what arrived and give the whole lines there are now, ends included.

        Raises TooLarge when a line is over the limit; then `lines_before_error` has the
        whole lines before it, and the buffer is of no more use. The piece is copied,
        never kept.
        """
        data = piece.tobytes()
        end = data.rfind(_LINE_END) + 1
        if not end:
            self._keep(data, b"")
            return b""
        kept = self._kept
        if kept:
            first = data.index(_LINE_END)
            if len(kept) + first > self.line_bytes_max + 1:
                raise self._too_large(b"")
            kept += memoryview(data)[:end]
            lines = bytes(kept)
            self._kept = bytearray()
        else:
            lines = data if end == len(data) else data[:end]
        if len(lines) > self.line_bytes_max:
            self._check_lines(lines)
        if end < len(data):
            self._keep(data[end:], lines)
        return lines

    def _keep(self, data: bytes, lines: bytes) -> None:
        if len(self._kept) + len(data) > self.line_bytes_max + 1:
            raise self._too_large(lines)
        self._kept += data

    def _check_lines(self, lines: bytes) -> None:
        start = 0
        while (end := lines.find(_LINE_END, start)) >= 0:
            if len(lines[start:end].removesuffix(b"\r")) > self.line_bytes_max:
                raise self._too_large(lines[:start])
            start = end + 1

    def _too_large(self, lines_before: bytes) -> TooLarge:
        self.lines_before_error = lines_before
        return TooLarge(
            f"{LINE_TOO_LONG} of {self.line_bytes_max} bytes:"
            " send smaller batches, or start the server with a larger --max-line"
        )
