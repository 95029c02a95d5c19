"""Values to JSON and back, by type hints.

msgspec does it: numbers, strings, bytes (as base64), datetime, date, time, timedelta, UUID,
Decimal (as a string), Enum, dataclasses, attrs classes, TypedDict, NamedTuple, Struct, and
lists, dicts, sets, tuples, optionals and unions of them. Where a hint mentions a type of
pydantic's, pydantic does it for that hint. No value is made anything else than its hint
says: "3" is no int, so a mistake is an error and never a guess.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, get_args

import msgspec
from msgspec import Raw

from magicqueue.encoding import json_of
from magicqueue.job import _decode as decode

Read: TypeAlias = Callable[[Raw], Any]
"""Makes a value of JSON. Raises ValueError that says what is wrong."""
Write: TypeAlias = Callable[[Any], bytes]
"""Makes JSON of a value that only pydantic knows how to write."""

_PYDANTIC_MARKS: Final = ("__pydantic_core_schema__", "__get_pydantic_core_schema__")


def to_json(value: Any) -> bytes:
    """Encode a value by what it is. Raises NotJson that names the type or the place."""
    try:
        encoded = _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json_of(value)  # which says what is wrong
    if encoded.find(b"null") >= 0:
        # NaN becomes null: look through what may hold one, and refuse it
        json_of(msgspec.to_builtins(value, enc_hook=_plain, str_keys=True))
    return encoded


def from_json(hint: Any, where: str) -> tuple[Read, Write | None]:
    """Make what reads values of a type hint, and what writes them if that is needed.

    Raises TypeError that names `where` the hint stands and the type that cannot be read.
    """
    if hint is Any:
        return decode, None
    if _mentions_pydantic(hint):
        adapter = sys.modules["pydantic"].TypeAdapter(hint)

        def read_model(raw: Raw) -> Any:
            return adapter.validate_json(bytes(raw))

        return read_model, adapter.dump_json
    try:
        strangers = list(_strangers(msgspec.inspect.type_info(hint), set()))
        decoder = msgspec.json.Decoder(hint, dec_hook=_model_of)
    except TypeError as error:
        raise TypeError(f"{where} cannot be read from JSON: {error}") from None
    if strangers:
        raise TypeError(
            f"{where} cannot be read from JSON: there is no way to make a"
            f" {strangers[0].__qualname__}. Take a dataclass, a msgspec.Struct or a"
            " pydantic model, or what it is made of"
        )
    return decoder.decode, None


def _mentions_pydantic(hint: Any) -> bool:
    if "pydantic" not in sys.modules:
        return False
    is_pydantics = type(hint).__module__.partition(".")[0] == "pydantic"  # a Field, say
    if is_pydantics or any(hasattr(hint, mark) for mark in _PYDANTIC_MARKS):
        return True
    return any(_mentions_pydantic(part) for part in get_args(hint))


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "model_validate") and hasattr(kind, _PYDANTIC_MARKS[0])


def _strangers(node: Any, seen: set[int]) -> Iterator[type]:
    """Find the classes in a type that msgspec leaves to others, but for models."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, msgspec.inspect.CustomType):
        if not _is_model(node.cls):
            yield node.cls
    elif isinstance(node, tuple | list):
        for part in node:
            yield from _strangers(part, seen)
    elif isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            yield from _strangers(getattr(node, name), seen)


def _model_of(kind: type, plain: Any) -> Any:
    """Make a pydantic model that stands inside of something that msgspec reads."""
    return kind.model_validate(plain)  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    """Give what msgspec can write of a value that it does not know."""
    if _is_model(type(value)):
        return value.model_dump(mode="json")
    if isinstance(value, Raw):  # pydantic has written it
        return msgspec.json.decode(value)
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain, decimal_format="string")
