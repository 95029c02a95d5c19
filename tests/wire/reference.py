"""What the protocol says of a request line, as a table, to check the codec against.

`read_line` gives either the fields a line stands for or the code of its refusal. The table
is written from the protocol, not from the codec's types. `codec_reads` does the same by the
codec, in the order a server does it, so that the two can be compared.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from magicqueue.errors import RequestError
from magicqueue.wire.decode import decode_request
from magicqueue.wire.fields import (
    check_key,
    check_queue,
    payload_of,
    payloads_of,
    result_of,
)
from magicqueue.wire.limits import NUMBER_CHARS_MAX, Limits
from magicqueue.wire.requests import (
    COMMANDS,
    NO_RESULT,
    NO_RID,
    Cron,
    Failure,
    FlowItem,
    GroupLimit,
    PlainAck,
    PlainItem,
    PlainPush,
    PlainPushBatch,
    Push,
    PushBatch,
    PushFlow,
    PushItem,
    RateLimit,
    Throttle,
    Verdict,
)
from wire.strict_json import NotJsonError, Value, parse

Fields = dict[str, Any]
Kind = str | tuple[int, int] | frozenset[str]

EXACT: Final = 2**53 - 1
TIME: Final = (0, EXACT)
POSITIVE: Final = (1, EXACT)
_OPTIONS: Final[dict[str, Kind]] = {
    "priority": (-(2**31), 2**31 - 1),
    "delay": TIME,
    "run_at": TIME,
    "max_attempts": (0, 2**31 - 1),
    "backoff": TIME,
    "jitter": "bool",
}
_POLICIES: Final[dict[str, Kind]] = {
    "unique_key": "key",
    "unique": frozenset(("done", "start")),
    "unique_for": POSITIVE,
    "on_conflict": frozenset(("return", "reject", "replace")),
    "ttl": POSITIVE,
    "on_expire": frozenset(("remove", "dead")),
    "timeout": POSITIVE,
    "keep_result": TIME,
    "group": "string",
}
_RULE: Final[dict[str, Kind]] = {"on_parent_failure": frozenset(("wait", "fail", "run"))}
_LINK: Final[dict[str, Kind]] = {"depends_on": "bare ids", **_RULE}
_JOB: Final[dict[str, Kind]] = {"data!": "data", **_OPTIONS, **_POLICIES, **_LINK}
_FLOW_JOB: Final[dict[str, Kind]] = {
    "queue!": "string",
    "ref": "string",
    **_JOB,
    "depends_on": "refs",
}
_REPEAT: Final[dict[str, Kind]] = {"req_key": "key"}
_VERDICT: Final[dict[str, Kind]] = {"id!": "id", "attempt": POSITIVE}
_DONE: Final[dict[str, Kind]] = {**_VERDICT, "result": "raw"}
_FAILURE: Final[dict[str, Kind]] = {
    **_VERDICT,
    "error": "string",
    "retry": "bool",
    "delay": TIME,
}
_PULL: Final[dict[str, Kind]] = {
    "queue": "string",
    "queues": "names",
    "order": frozenset(("strict", "turns")),
    "timeout": TIME,
    "lease": POSITIVE,
}
_TOKENS: Final = (1, 10**9)
_RATE: Final[dict[str, Kind]] = {"jobs!": _TOKENS, "per!": POSITIVE, "burst": _TOKENS}
_GROUP: Final[dict[str, Kind]] = {"concurrency": _TOKENS, "rate": "rate"}
_QUEUE: Final[dict[str, Kind]] = {"queue!": "string"}
_ONE_OR_ALL: Final[dict[str, Kind]] = {"queue": "string", "id": "id"}
_ONE_OR_MANY: Final[dict[str, Kind]] = {"ids": "bare ids", "id": "id"}

_BY: Final = frozenset(("name",))
_STATE: Final = frozenset(("ready", "delayed", "active", "blocked", "dead"))
_ORDER: Final = frozenset(("id", "turn"))
_MISSED: Final = frozenset(("one", "skip", "all"))
_OVERLAP: Final = frozenset(("skip", "allow"))
_NAMED: Final[dict[str, Kind]] = {"name!": "string"}
_EVENT: Final = frozenset(
    (
        "stats",
        "failed",
        "lost",
        "dead",
        "revived",
        "cancelled",
        "expired",
        "removed",
        "paused",
        "cron",
    )
)
_DEED: Final = frozenset(("cancel", "promote", "retry", "purge"))

TABLE: Final[dict[str, dict[str, Kind]]] = {
    "PUSH": {"queue!": "string", **_JOB, **_REPEAT},
    "PUSHB": {
        "queue!": "string",
        **_OPTIONS,
        **_POLICIES,
        **_LINK,
        **_REPEAT,
        "jobs!": "jobs",
    },
    "PUSHF": {"jobs!": "flow jobs", **_REPEAT},
    "PULL": _PULL,
    "PULLB": {**_PULL, "count!": POSITIVE},
    "ACK": _DONE,
    "ACKB": {"ids!": "done ids"},
    "FAIL": _FAILURE,
    "FAILB": {"jobs!": "failures"},
    "HEARTBEAT": {
        "ids": "ids",
        "id": "id",
        "attempt": POSITIVE,
        "lease": POSITIVE,
        "wait": TIME,
    },
    "PROGRESS": {
        **_VERDICT,
        "percent": (0, 100),
        "note": "string",
        "lease": POSITIVE,
    },
    "CANCEL": _ONE_OR_MANY,
    "PROMOTE": _ONE_OR_MANY,
    "WAIT": {"ids": "bare ids", "queue": "string", **_REPEAT, "timeout": TIME},
    "RELEASE": {"ids": "ids", "id": "id", "attempt": POSITIVE, "delay": TIME},
    "LIMIT": {
        "queue!": "string",
        "?concurrency": _TOKENS,
        "?rate": "rate",
        "?group": "group",
    },
    "THROTTLE": {"queue!": "string", "group": "string", "for!": TIME},
    "GROUPS": {"queue!": "string", "count": POSITIVE, "after": "string"},
    "STATS": {"queue": "string"},
    "QUEUES": {"count": POSITIVE, "after": "string", "prefix": "string", "sort": _BY},
    "JOBS": {
        "queue": "string",
        "state": _STATE,
        "order": _ORDER,
        "count": POSITIVE,
        "after": "string",
        "contains": "string",
        "data_max": TIME,
    },
    "BULK": {
        "do!": _DEED,
        "queue!": "string",
        "state": _STATE,
        "contains": "string",
        "after": "string",
        "dry": "bool",
    },
    "SUBSCRIBE": {"kinds!": "kinds", "queues": "names", "every": (100, EXACT)},
    "GETJOB": {"id": "id", "queue": "string", **_REPEAT},
    "PAUSE": _QUEUE,
    "RESUME": _QUEUE,
    "DRAIN": _QUEUE,
    "DEAD": {"queue!": "string", "count": POSITIVE, "after": "id"},
    "RETRYDEAD": _ONE_OR_ALL,
    "PURGEDEAD": _ONE_OR_ALL,
    "PING": {},
    "HELLO": {"client": "string", "token": "string"},
    "AUTH": {"token!": "string"},
    "CRON": {
        "name!": "string",
        "queue!": "string",
        "data": "data",
        "schedule": "string",
        "every": POSITIVE,
        "offset": TIME,
        "tz": "string",
        "start": TIME,
        "end": TIME,
        "limit": POSITIVE,
        "spread": TIME,
        "missed": _MISSED,
        "catchup": TIME,
        "overlap": _OVERLAP,
        **_OPTIONS,
        **_POLICIES,
        **_LINK,
        **_REPEAT,
    },
    "CRONLIST": {"count": POSITIVE, "after": "string", "name": "string", "runs": POSITIVE},
    **dict.fromkeys(("CRONDELETE", "CRONPAUSE", "CRONRESUME", "CRONRUN"), _NAMED),
}


class RefusedError(Exception):
    """The line is to be refused; the argument is the code."""


def read_line(line: bytes, limits: Limits) -> Fields | str:
    """Give a line's fields, None where absent, or the code it must be refused with."""
    try:
        value = parse(line)
    except NotJsonError:
        return "BAD_JSON"
    if value.kind != "object":
        return "BAD_JSON"
    try:
        return _request(line, value.members(), limits)
    except RefusedError as refused:
        return str(refused)


def _request(  # noqa: C901, PLR0912 - rule after rule
    line: bytes, members: dict[str, Value], limits: Limits
) -> Fields:
    cmd = members.get("cmd")
    if cmd is None or cmd.kind != "string":
        raise RefusedError("BAD_REQUEST")
    name = re.sub("[a-z]+", lambda letters: letters[0].upper(), cmd.text)
    if name not in TABLE:
        raise RefusedError("UNKNOWN_COMMAND")
    rid = members.get("rid")
    if rid is not None and rid.kind not in {"string", "int", "float", "null"}:
        raise RefusedError("BAD_REQUEST")
    if rid and rid.kind in {"int", "float"} and rid.end - rid.start > NUMBER_CHARS_MAX:
        raise RefusedError("BAD_REQUEST")
    fields = _fields(line, members, TABLE[name])
    fields["cmd"] = name
    fields["rid"] = line[rid.start : rid.end] if rid and rid.kind != "null" else None
    if isinstance(queue := fields.get("queue"), str):
        _check_name(queue, limits)
    if name == "PUSH":
        fields["data"] = _payload(line, fields["data"], limits)
    if name == "CRON":
        data = fields["data"]
        fields["data"] = b"null" if data is None else _payload(line, data, limits)
    if name in {"PUSHB", "PUSHF"}:
        if len(fields["jobs"]) > limits.push_jobs_max:
            raise RefusedError("TOO_LARGE")
        for job in fields["jobs"]:
            job["data"] = _payload(line, job["data"], limits)
    for one in (fields, *(fields["jobs"] if name in {"PUSHB", "PUSHF"} else ())):
        for key in (one.get("unique_key"), one.get("req_key")):
            if key is not None:
                _check_name(key, Limits())
    if name == "ACK":
        _result(members.get("result"), limits)
    return fields


def _fields(line: bytes, members: dict[str, Value], kinds: dict[str, Kind]) -> Fields:
    fields: Fields = {}
    for field, kind in kinds.items():
        name = field.removesuffix("!").removeprefix("?")
        value = members.get(name)
        if value is None and field[0] == "?":
            fields[name] = UNSET
        elif value is not None and kind == "data":
            fields[name] = value
        elif kind == "raw":
            fields[name] = line[value.start : value.end] if value else b""
        elif value is None or (value.kind == "null" and field[-1] != "!"):
            if field[-1] == "!":
                raise RefusedError("BAD_REQUEST")
            fields[name] = None
        else:
            fields[name] = _field(line, value, kind)
    return fields


def _field(  # noqa: C901, PLR0911, PLR0912 - kind after kind
    line: bytes, value: Value, kind: Kind
) -> Any:
    if isinstance(kind, tuple):
        return _integer(value, *kind)
    if kind in {"bool", "string", "key"}:
        if value.kind != ("bool" if kind == "bool" else "string"):
            raise RefusedError("BAD_REQUEST")
        return value.text == "true" if kind == "bool" else value.text
    if isinstance(kind, frozenset):
        if value.kind != "string" or value.text not in kind:
            raise RefusedError("BAD_REQUEST")
        return value.text
    if kind == "id":
        return _job_id(value)
    if kind in {"rate", "group"}:
        return _item(line, value, _RATE if kind == "rate" else _GROUP)
    if value.kind != "array":
        raise RefusedError("BAD_REQUEST")
    if kind == "names":
        return [_field(line, item, "string") for item in value.items]
    if kind == "kinds":
        return [_field(line, item, _EVENT) for item in value.items]
    if kind == "bare ids":
        return [_job_id(item) for item in value.items]
    if kind == "refs":
        return [
            item.text if item.kind == "string" else _integer(item, -EXACT, EXACT)
            for item in value.items
        ]
    if kind in {"ids", "done ids"}:
        kinds, rest = (_VERDICT, (None,)) if kind == "ids" else (_DONE, (None, b""))
        return [
            _item(line, item, kinds) if item.kind == "object" else (_job_id(item), *rest)
            for item in value.items
        ]
    kinds = {"jobs": _JOB, "flow jobs": _FLOW_JOB, "failures": _FAILURE}[kind]
    return [_item(line, item, kinds) for item in value.items]


def _item(line: bytes, item: Value, kinds: dict[str, Kind]) -> Any:
    if item.kind != "object":
        raise RefusedError("BAD_REQUEST")
    fields = _fields(line, item.members(), kinds)
    return tuple(fields.values()) if kinds in (_VERDICT, _DONE) else fields


def _integer(value: Value, least: int, most: int) -> int:
    if value.kind != "int" or value.number_chars > 20:
        raise RefusedError("BAD_REQUEST")
    if not least <= int(value.text) <= most:
        raise RefusedError("BAD_REQUEST")
    return int(value.text)


def _job_id(value: Value) -> int:
    if value.kind != "string":
        return _integer(value, -EXACT, EXACT)
    if not re.fullmatch("-?[0-9]{1,16}", value.text) or abs(int(value.text)) > EXACT:
        raise RefusedError("BAD_REQUEST")
    return int(value.text)


def _check_name(queue: str, limits: Limits) -> None:
    controls = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in queue)
    if not 1 <= len(queue.encode()) <= limits.queue_name_bytes_max or controls:
        raise RefusedError("BAD_REQUEST")


def _payload(line: bytes, data: Value, limits: Limits) -> bytes:
    payload = line[data.start : data.end]
    if len(payload) > limits.job_bytes_max:
        raise RefusedError("TOO_LARGE")
    if data.depth > 512 or data.number_chars > 4300:
        raise RefusedError("BAD_JSON")
    return payload


def _result(result: Value | None, limits: Limits) -> None:
    if result is None:
        return
    if result.end - result.start > limits.result_bytes_max:
        raise RefusedError("TOO_LARGE")
    if result.depth > 512 or result.number_chars > 4300:
        raise RefusedError("BAD_JSON")


def codec_reads(  # noqa: C901, PLR0912 - as a server goes about it
    line: bytes, limits: Limits
) -> Fields | str:
    """Say the same of a line by the codec: decode it, then look into names and data."""
    try:
        request = decode_request(line)
        queue = getattr(request, "queue", None)
        if queue is not None:
            check_queue(queue, limits.queue_name_bytes_max)
        cmd = str(request.__struct_config__.tag)
        fields = _all_fields(request, COMMANDS[cmd].__struct_fields__)
        if isinstance(request, PlainPush | Push | Cron):
            fields["data"] = payload_of(request.data, limits)
        if isinstance(request, PlainPushBatch | PushBatch | PushFlow):
            payloads = payloads_of(request.jobs, limits)
            assert payloads == [job["data"] for job in fields["jobs"]]
        for one in (fields, *(fields.get("jobs") or ())):
            for name in ("unique_key", "req_key"):
                if one.get(name) is not None:
                    check_key(one[name], name)
        if isinstance(request, PlainAck):
            result_of(getattr(request, "result", NO_RESULT), "result", limits)
        if isinstance(request, Throttle):
            fields["for"] = fields.pop("for_ms")
        by_name = {"JOBS", "BULK", "CRONLIST", "GROUPS", "QUEUES"}
        for name in ("id",) if cmd in by_name else ("id", "after"):
            if fields.get(name) is not None:
                fields[name] = int(fields[name])
        for one in (fields, *(fields["jobs"] if cmd == "PUSHB" else ())):
            if one.get("depends_on") is not None:
                one["depends_on"] = [int(job_id) for job_id in one["depends_on"]]
        if isinstance(ids := fields.get("ids"), list):
            fields["ids"] = [_item_of_ids(cmd, item) for item in ids]
    except RequestError as error:
        return error.code if error.sentence else "an error without a sentence"
    fields["cmd"] = cmd
    fields["rid"] = None if request.rid is NO_RID else bytes(request.rid)
    return fields


def _all_fields(value: Any, names: tuple[str, ...]) -> Fields:
    """Give the fields of a struct, those too that only its wide one has."""
    absent = {"result": NO_RESULT}
    return {name: _plain(getattr(value, name, absent.get(name))) for name in names}


def _item_of_ids(cmd: str, item: Any) -> Any:
    if cmd in {"WAIT", "CANCEL", "PROMOTE"}:
        return int(item)
    if not isinstance(item, tuple):
        item = (int(item), None)
    return (*item, b"")[:3] if cmd == "ACKB" else item


def _plain(value: Any) -> Any:  # noqa: PLR0911 - kind after kind
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Failure):
        return {**msgspec.structs.asdict(value), "id": int(value.id)}
    if isinstance(value, Verdict):
        said = _all_fields(value, value.__struct_fields__)
        return (int(value.id), *list(said.values())[1:])
    if isinstance(value, RateLimit | GroupLimit):
        return _all_fields(value, value.__struct_fields__)
    if isinstance(value, FlowItem):
        return _all_fields(value, value.__struct_fields__)
    if isinstance(value, PlainItem):
        return _all_fields(value, PushItem.__struct_fields__)
    return value
