"""Crons of the configuration file: `[cron.NAME]` with the fields of CRON.

They are upserted at each start, and those that an earlier file had and this one has not are
deleted; what clients asked for is left alone. Without a file nothing is done: there is none
that could say what vanished.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from magicqueue.errors import RequestError
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import Cron
from magicqueue_cores.contract import CoreError
from magicqueue_cores.policies import Crons
from magicqueue_server.columns import JobDefaults
from magicqueue_server.cron_commands import OF_ONE_PUSH, plan_of

_FIELDS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(Cron))
_NOT_IN_A_FILE: Final = frozenset({"rid", "name", *OF_ONE_PUSH})

Tables = Mapping[str, Mapping[str, Any]]


class BadFileCron(Exception):
    """A cron of the file cannot be: the text says which and why."""


def read_crons(tables: Any) -> dict[str, Cron]:
    """Read `[cron.NAME]` tables. Raises BadFileCron."""
    if not isinstance(tables, dict):
        raise BadFileCron("cron must be tables: write [cron.NAME] and its fields below")
    return {name: _read(name, table) for name, table in tables.items()}


def keep_crons(
    asked: Mapping[str, Cron],
    crons: Crons,
    limits: Limits,
    defaults: JobDefaults,
    now_ms: int,
) -> None:
    """Have the file's crons be so, and no other ones of a file. Raises BadFileCron."""
    for name, request in asked.items():
        try:
            plan = plan_of(request, limits, defaults, from_file=True)
            crons.set(name, plan, now_ms)
        except (RequestError, CoreError) as error:
            reason = str(error).removeprefix("CRON: ")
            raise BadFileCron(f"[cron.{name}]: {reason}") from None
    for cron in crons.page(None):
        if cron.plan.from_file and cron.name not in asked:
            crons.delete(cron.name)


def _read(name: str, table: Any) -> Cron:
    if not isinstance(table, dict):
        raise BadFileCron(f"[cron.{name}]: it must be a table with the fields of CRON")
    unknown = table.keys() - (_FIELDS - _NOT_IN_A_FILE)
    if unknown:
        raise BadFileCron(f"[cron.{name}]: {min(unknown)!r} is no field of a cron")
    fields = {field: value for field, value in table.items() if field != "data"}
    try:
        data = msgspec.Raw(msgspec.json.encode(table.get("data")))
        asked = msgspec.json.decode(
            msgspec.json.encode({"cmd": "CRON", "name": name, **fields}), type=Cron
        )
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise BadFileCron(f"[cron.{name}]: {error}") from None
    asked.data = data
    return asked
