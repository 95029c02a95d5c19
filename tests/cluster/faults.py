"""A fault, for the controls: PostgreSQL is not asked who may write."""

from magicqueue_server.wal import store_postgres


def forget_the_epoch() -> None:
    """Append behind whatever is there, and take any epoch for one's own."""
    named = "where shard = %(log)s and epoch = %(epoch)s and tail = %(tail)s"
    append = store_postgres._APPEND
    append = append.replace(f"{named} returning 1", "where shard = %(log)s returning tail")
    append = append.replace(
        "%(tail)s + n", "own.tail - cardinality(%(bodies)b::bytea[]) + n"
    )
    for name, text in {
        "_APPEND": append,
        "_LIVES": store_postgres._LIVES.replace(named, "where shard = %(log)s"),
    }.items():
        assert text != getattr(store_postgres, name)
        setattr(store_postgres, name, text)
