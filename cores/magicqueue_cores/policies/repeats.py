"""Request keys: what a push was answered with, so that it may be sent again."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from magicqueue_cores.policies.answers import BadRepeat, PushAnswer
from magicqueue_cores.policies.ground import REQUEST, Ground, named

_ids_to_bytes = msgspec.msgpack.Encoder().encode
_ids_from_bytes = msgspec.msgpack.Decoder(list[int]).decode


class Repeats:
    """Keeps the ids that pushes were answered with, by queue and key, as facts."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def known(self, queue: str, req_key: str, count: int, now_ms: int) -> PushAnswer | None:
        """Return what a push of so many jobs was answered with, if it is made again."""
        known = self.answered(queue, req_key, now_ms)
        return None if known is None else _repeated(known, count, req_key)

    def remember(self, queue: str, req_key: str, ids: Sequence[int], now_ms: int) -> None:
        """Keep what a push with a request key is answered with."""
        until_ms = now_ms + self._ground.options.req_key_ttl_ms
        self._ground.keep(REQUEST, {named(queue, req_key): (until_ms, _packed(ids))})

    def answered(self, queue: str, req_key: str, now_ms: int) -> Sequence[int] | None:
        """Return the ids that a push with this request key was answered with."""
        requests = self._ground.requests
        body = requests.get(named(queue, req_key), now_ms) if len(requests) else None
        return None if body is None else _unpacked(body)


def _packed(ids: Sequence[int]) -> bytes:
    """Return ids in short: a list, or of a range its first and minus its length."""
    if len(ids) > 1 and ids[-1] - ids[0] == len(ids) - 1 and _rise(ids):
        return _ids_to_bytes([ids[0], -len(ids)])
    return _ids_to_bytes(list(ids))


def _unpacked(body: bytes) -> Sequence[int]:
    ids = _ids_from_bytes(body)
    if len(ids) > 1 and ids[-1] < 0:
        return range(ids[0], ids[0] - ids[-1])
    return ids


def _rise(ids: Sequence[int]) -> bool:
    return isinstance(ids, range) or all(b - a == 1 for a, b in pairwise(ids))


def _repeated(ids: Sequence[int], count: int, req_key: str) -> PushAnswer:
    if len(ids) != count:
        raise BadRepeat(
            f"req_key {req_key!r} was used for a push of {len(ids):,} jobs, and this one "
            f"has {count:,}: repeat the push as it was, or use another req_key"
        )
    return PushAnswer(ids, [], [], repeated=True)
