"""Where facts are: the short way of keeping it agrees with the plain one."""

import random
from collections.abc import Sequence

import pytest

from magicqueue_server.wal.facts import Facts


class PlainFacts:
    """One dict, looked through whenever anything is asked."""

    def __init__(self) -> None:
        self.homes: dict[tuple[str, bytes], int] = {}

    def kept(self, name: str, keys: Sequence[bytes], segment: int) -> None:
        self.homes |= dict.fromkeys([(name, key) for key in keys], segment)

    def gone(self, name: str, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.homes.pop((name, key), None)

    def of(self, oldest: int) -> dict[str, set[bytes]]:
        found: dict[str, set[bytes]] = {}
        for (name, key), segment in self.homes.items():
            if segment == oldest:
                found.setdefault(name, set()).add(key)
        return found

    def forget(self, oldest: int) -> None:
        self.homes = {fact: home for fact, home in self.homes.items() if home != oldest}


@pytest.mark.parametrize("seed", range(30))
def test_facts_are_where_they_were_kept_last(seed: int) -> None:
    rng = random.Random(seed)
    facts, plain = Facts(), PlainFacts()
    oldest, newest = 1, 1
    for _ in range(400):
        name = rng.choice("ab")
        keys = [b"%d" % rng.randrange(40) for _ in range(rng.randrange(5))]
        choice = rng.randrange(8)
        for one in (facts, plain):
            if choice < 4:
                one.kept(name, keys, newest)
            elif choice == 4:
                one.gone(name, keys)
        if choice == 5:
            newest += rng.randrange(3)
        elif choice == 6 and oldest < newest:
            found = list(facts.of(oldest))
            assert {space: set(some) for space, some in found} == plain.of(oldest)
            assert sum(len(some) for _, some in found) == sum(
                map(len, plain.of(oldest).values())
            )
            again = rng.random() < 0.5
            for one in (facts, plain):
                for space, some in found if again else ():
                    one.kept(space, some[::2], newest)
                one.forget(oldest)
            oldest += 1
        assert len(facts) == len(plain.homes)
        assert all(facts.segment(*fact) == home for fact, home in plain.homes.items())
        assert facts.segment(name, b"unknown") is None
