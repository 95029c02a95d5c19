"""From a line to a request, one of three ways.

- *plain*: the line begins `{"cmd":"NAME"` in capitals, and decodes into NAME's plain
  struct, if there is one;
- *straight*: it begins so, and decodes into NAME's struct;
- *again*: anything else, and anything that failed. The object is read as a table of raw
  fields, so that a duplicate key counts by its last value and `cmd` by its letters in any
  case, and is decoded once more. What fails now is the sender's error, and only here is a
  sentence made for it.
"""

import re
from typing import Final, get_args

import msgspec
from msgspec import Raw

from magicqueue.errors import BadJson, BadRequest, UnknownCommand
from magicqueue.wire.limits import ID_MAX, NUMBER_CHARS_MAX
from magicqueue.wire.payload import check_text
from magicqueue.wire.requests import COMMANDS, NO_RID, PLAIN, Request
from magicqueue.wire.values import (
    Deed,
    EventKind,
    JobOrder,
    Missed,
    OnConflict,
    OnExpire,
    OnParentFailure,
    Order,
    Overlap,
    State,
    Until,
)

_DECODERS: Final = {
    b'{"cmd":"%b"' % name.encode(): msgspec.json.Decoder(kind)
    for name, kind in COMMANDS.items()
}
_FIRST: Final = _DECODERS | {
    b'{"cmd":"%b"' % name.encode(): msgspec.json.Decoder(kind)
    for name, kind in PLAIN.items()
}
_TABLE: Final = msgspec.json.Decoder(dict[str, Raw])
_TABLES: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_ENCODER: Final = msgspec.json.Encoder()
_RID_STARTS: Final = frozenset(b"%c" % byte for byte in b'"-0123456789')
_NAME_START: Final = len(b'{"cmd":"')


def decode_request(line: bytes) -> Request:
    """Make a request of a line, without its line end.

    Raises BadJson, BadRequest or UnknownCommand. Queue names and payloads are not looked
    into yet: see `check_queue`, `payload_of` and `payloads_of`.
    """
    if line.find(b"\\") >= 0 or not line.isascii():
        check_text(line)
    start = line[: line.find(b'"', _NAME_START) + 1]
    decoder = _FIRST.get(start)
    while decoder is not None:
        try:
            request = decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            wide = _DECODERS[start]
            decoder = None if decoder is wide else wide
        else:
            if request.rid is NO_RID or is_rid(request.rid):
                return request
            break
    return _decode_again(line)


def rid_of(line: bytes) -> Raw:
    """Find the `rid` of a line that could not be decoded as a request, if it has one."""
    try:
        rid = _TABLE.decode(line).get("rid", NO_RID)
        check_text(bytes(rid))
    except (BadJson, msgspec.MsgspecError, RecursionError, ValueError):
        return NO_RID
    return rid if is_rid(rid) else NO_RID


def is_rid(rid: Raw) -> bool:
    """Tell whether a raw value is one a `rid` can have: a string or a number.

    Not a number too long for some reader of the reply that echoes it.
    """
    text = bytes(rid)
    if text[:1] == b'"':
        return True
    return text[:1] in _RID_STARTS and len(text) <= NUMBER_CHARS_MAX


def _decode_again(line: bytes) -> Request:
    try:
        fields = _TABLE.decode(line)
    except RecursionError:
        raise BadJson("the line nests too deep: flatten it") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadJson(_json_sentence(str(error))) from None
    written = _command_name(fields)
    name = written.upper() if written.isascii() else written
    kind = COMMANDS.get(name)
    if kind is None:
        known = ", ".join(sorted(COMMANDS))
        raise UnknownCommand(f"there is no command {written[:40]!r}; there are {known}")
    fields["cmd"] = Raw(_ENCODER.encode(name))
    rid = fields.get("rid")
    if rid is not None and bytes(rid) != b"null" and not is_rid(rid):
        raise BadRequest(
            f"{name}: rid must be a string, or a number of at most 4300 characters"
        )
    if rid is not None and bytes(rid) == b"null":
        del fields["rid"]
    decoder = _DECODERS[b'{"cmd":"%b"' % name.encode()]
    try:
        try:
            return decoder.decode(_ENCODER.encode(fields))
        except msgspec.ValidationError:
            anew = _last_values_of(kind, fields)
            if not anew:
                raise
            fields |= anew
            return decoder.decode(_ENCODER.encode(fields))
    except msgspec.ValidationError as error:
        raise BadRequest(f"{name}: {_field_sentence(name, str(error))}") from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadJson(f"{name}: {_json_sentence(str(error))}") from None


def _command_name(fields: dict[str, Raw]) -> str:
    cmd = fields.get("cmd")
    if cmd is None:
        raise BadRequest('cmd is missing: name the command, as in {"cmd":"PING"}')
    try:
        return _TEXT.decode(cmd)
    except msgspec.MsgspecError:
        raise BadRequest("cmd must be a string") from None


def _last_values_of(kind: type[Request], fields: dict[str, Raw]) -> dict[str, Raw]:
    """Write the fields that have objects in them anew."""
    anew = {name: _last_value(fields[name]) for name in kind.OBJECTS if name in fields}
    if kind.BATCH is not None and kind.BATCH in fields:
        anew[kind.BATCH] = _last_values(fields[kind.BATCH])
    return anew


def _last_values(items: Raw) -> Raw:
    """Write a list's objects anew, each duplicate key with its last value only."""
    try:
        raws = _TABLES.decode(items)
    except msgspec.ValidationError:
        return items
    return Raw(
        _ENCODER.encode(
            [_TABLE.decode(raw) if bytes(raw)[:1] == b"{" else raw for raw in raws]
        )
    )


def _last_value(value: Raw) -> Raw:
    """Write an object, and those in it, anew, each duplicate key with its last value."""
    if bytes(value)[:1] != b"{":
        return value
    table = _TABLE.decode(value)
    return Raw(_ENCODER.encode({name: _last_value(raw) for name, raw in table.items()}))


_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_WANTED: Final = re.compile(r"^Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`$")
_BOUND: Final = re.compile(r"^Expected `(?:int|float)` (?P<bound>[<>]=? -?\d+)$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_CHOICES: Final = {
    "unique": get_args(Until),
    "on_conflict": get_args(OnConflict),
    "on_expire": get_args(OnExpire),
    "missed": get_args(Missed),
    "overlap": get_args(Overlap),
    "on_parent_failure": get_args(OnParentFailure),
    "sort": ("name",),
    "state": get_args(State),
    "do": get_args(Deed),
    "order": get_args(Order),
    "JOBS.order": get_args(JobOrder),
    "kinds[...]": get_args(EventKind),
}
_KINDS: Final = {
    "int": "an integer",
    "float": "a number with a fraction",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}


def _field_sentence(command: str, message: str) -> str:
    """Say a ValidationError of msgspec in the words of the protocol."""
    where = _PATH.search(message)
    path = where["path"] if where else ""
    message = _PATH.sub("", message)
    if missing := _MISSING.match(message):
        field = missing["field"]
        return f"{path}.{field} is missing" if path else f"{field} is missing"
    return _value_sentence(command, path or "the request", message)


def _value_sentence(command: str, path: str, message: str) -> str:
    """Say what is wrong with the value at a place."""
    if bound := _BOUND.match(message):
        return f"{path} must be an integer {bound['bound']}"
    if wanted := _WANTED.match(message):
        kinds = " or ".join(_KINDS.get(k, k) for k in wanted["wanted"].split(" | "))
        return f"{path} must be {kinds}, not {_KINDS.get(wanted['got'], wanted['got'])}"
    field = path.rpartition(".")[2]
    choices = _CHOICES.get(f"{command}.{field}", _CHOICES.get(field))
    if choices and message.startswith("Invalid enum value"):
        return f"{path} must be {' or '.join(choices)}"
    if "out of range" in message:
        return f"{path} must be an integer of at most {ID_MAX}"
    if "matching regex" in message:
        return f"{path} must be an integer or a string of its digits, of at most {ID_MAX}"
    return f"{path}: {message}"


def _json_sentence(message: str) -> str:
    if "Expected `object`" in message:
        return "the line is not a JSON object: send one object a line"
    if message == "Input data was truncated":
        return "the line is not valid JSON: it ends too early"
    reason = message.removeprefix("JSON is malformed: ")
    return f"the line is not valid JSON: {reason}"
