"""Who sends one line at a time is answered between the turns of those who send a flood."""

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from conformance.driver import CORES
from server.process import BlockingPeer, ServerProcess

FLOOD_LINES = 10_000
FLOODS = 2
TURNS_SEEN_LEAST = 10
PUSH = b'{"cmd":"PUSH","queue":"q","data":"%b"}' % (b"x" * 200)
STATS = b'{"cmd":"STATS"}'


def _flood(peer: BlockingPeer, accepted: list[int]) -> None:
    """Send all at once, as fast as the server takes it, and read the replies meanwhile."""
    sender = threading.Thread(target=peer.send, args=[PUSH] * FLOOD_LINES)
    sender.start()
    accepted.append(sum(b'"ok":true' in peer.line() for _ in range(FLOOD_LINES)))
    sender.join()


def _pushed(peer: BlockingPeer) -> int:
    pushed = msgspec.json.decode(peer.ask(STATS))["pushed"]
    assert isinstance(pushed, int)
    return pushed


@pytest.mark.parametrize("place", ["memory", "log"])
@pytest.mark.parametrize("core", CORES)
def test_who_asks_one_by_one_is_answered_during_a_flood(
    core: str, place: str, tmp_path: Path
) -> None:
    """With a control: the floods themselves are answered, line by line."""
    options: Sequence[str] = ("--core", core)
    if place == "log":
        options = (*options, "--persist", "--data-dir", str(tmp_path / "data"))
    accepted: list[int] = []
    seen = {0}
    with (
        ServerProcess(*options) as server,
        server.connect() as asker,
        server.connect() as one,
        server.connect() as two,
    ):
        floods = [
            threading.Thread(target=_flood, args=(peer, accepted)) for peer in (one, two)
        ]
        for flood in floods:
            flood.start()
        while max(seen) < FLOODS * FLOOD_LINES:
            seen.add(_pushed(asker))
        for flood in floods:
            flood.join()
        assert accepted == [FLOOD_LINES] * FLOODS
        between = seen - {0, FLOODS * FLOOD_LINES}
        assert len(between) >= TURNS_SEEN_LEAST, f"answered {len(between)} times meanwhile"
