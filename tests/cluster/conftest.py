"""PostgreSQL for the tests of this folder: without it they are skipped, and say why."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from cluster.lives import Lives, Make
from cluster.postgres import Postgres, running, why_not
from magicqueue_server.wal.postgres_schema import make_tables

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server without standbys, for all tests that do not stop it."""
    if reason := why_not():
        pytest.skip(reason)
    with running() as servers:
        yield servers


@pytest.fixture(scope="session")
def three() -> Iterator[Postgres]:
    """A primary and two standbys, of which one has each commit; nobody breaks them."""
    if reason := why_not():
        pytest.skip(reason)
    with running(standbys=2) as servers:
        yield servers


@pytest.fixture
def log_at(postgres: Postgres) -> str:
    """The address of an empty log of its own."""
    address = postgres.new_database(f"log{next(_numbers)}")
    make_tables(address)
    return address


@pytest.fixture
def lives_of(tmp_path: Path) -> Iterator[Make]:
    made: list[Lives] = []

    def make(address: str, seed: int, *options: str) -> Lives:
        made.append(Lives(tmp_path, address, seed, *options))
        return made[-1]

    yield make
    for lives in made:
        lives.close()
