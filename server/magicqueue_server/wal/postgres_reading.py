"""A log in PostgreSQL for tools to read, beside the server that has it.

All is read in one transaction that sees one moment, so the log is whole however much is
written or let go meanwhile. It sees nothing that a quorum has not.
"""

import contextlib
from collections.abc import Iterator

import psycopg

from magicqueue_server.wal.disk import Folder
from magicqueue_server.wal.journal import StoreFailed
from magicqueue_server.wal.postgres_schema import (
    connected,
    parameters_of,
    place_of,
    what_it_means,
)
from magicqueue_server.wal.store import Unsure, check_whole
from magicqueue_server.wal.store_folder import StoreFolder
from magicqueue_server.wal.store_postgres import READ_S, bytes_of, contents_of
from magicqueue_server.wal.verdict import Corrupt


class LogInPostgres:
    """See above; it is a `tools.Stored`."""

    def __init__(self, dsn: str) -> None:
        """Raises Refused if the DSN cannot be read."""
        self._parameters = parameters_of(dsn)
        self.name = place_of(self._parameters)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Folder]:
        """Give it as a folder, as of one moment. Raises Refused or StoreFailed."""
        try:
            with connected(self._parameters) as connection:
                connection.wait_s = READ_S
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                with connection.transaction():
                    there = contents_of(connection, self.name)
                    check_whole(there, self.name)
                    folder = StoreFolder(
                        there.segments, lambda held: bytes_of(connection, held), self.name
                    )
                    try:
                        yield folder
                    except Corrupt as error:
                        str(error)  # it looks at the chunks once, for that
                        raise
        except Unsure as error:
            raise StoreFailed(f"{self.name}: {error}") from None
        except psycopg.Error as error:
            raise StoreFailed(f"{self.name}: {what_it_means(error)}") from None
