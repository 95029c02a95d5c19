"""What can be asked over HTTP, as an OpenAPI document made of the routes and requests.

So it cannot say anything else than the server does. It is made when it is first asked for.
"""

from functools import cache
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from magicqueue.wire.requests import COMMANDS
from magicqueue_server.about import version
from magicqueue_server.http.messages import STATUS_OF
from magicqueue_server.http.routes import ALL, OPEN_TO_ALL, Target

_REPLY: Final = {
    "type": "object",
    "required": ["ok"],
    "properties": {"ok": {"const": True}},
}
_REFUSAL: Final = {
    "type": "object",
    "required": ["ok", "error", "code"],
    "properties": {
        "ok": {"const": False},
        "error": {"type": "string", "description": "a sentence for people"},
        "code": {"type": "string", "description": "a word for programs"},
    },
}
_QUEUE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$",
    "description": "a queue's name, of at most 255 bytes in UTF-8",
}
_JSON: Final = "application/json"
_IN_QUERY: Final[dict[type, Any]] = {
    int: {"type": "integer", "minimum": 1},
    str: {"type": "string"},
    list: {"type": "array", "items": {"type": "string"}},
}
_TEXTS: Final = {
    "/health": "Whether the event loop runs.",
    "/ready": "Whether the server does all that it should: 503 if it stops.",
    "/metrics": "Metrics in Prometheus's text format.",
    "/v1/openapi.json": "This document.",
    "/v1/events": "Events as they happen, as server-sent events; see SUBSCRIBE.",
    "/v1/token": "What the token of this request may do: its name, scopes and queues.",
}


@cache
def document() -> bytes:
    """Give the document."""
    return msgspec.json.format(msgspec.json.encode(described()), indent=1) + b"\n"


def described() -> dict[str, Any]:
    """Give what is in it."""
    _, schemas = msgspec.json.schema_components(
        [_described(kind) for kind in COMMANDS.values()],
        ref_template="#/components/schemas/{name}",
    )
    paths: dict[str, Any] = {}
    for target in sorted(ALL, key=lambda target: target.route):
        operations = paths.setdefault(target.route, {})
        operations[target.method.lower()] = _operation(target, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MagicQueue",
            "version": version(),
            "description": "The commands of the MagicQueue protocol over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Reply": _REPLY, "Refusal": _REFUSAL},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(target: Target, schemas: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {
        "operationId": f"{target.method.lower()}{target.route.replace('/', '_')}".replace(
            "{", ""
        ).replace("}", ""),
        "responses": _responses(target),
        "security": [{}] if target.route in OPEN_TO_ALL else [{}, {"token": []}],
    }
    parameters = [_in_path(name, target) for name in _named_in(target.route)]
    if not target.command:
        about["summary"] = _TEXTS[target.route]
        return about
    kind = COMMANDS[target.command]
    about["summary"] = (kind.__doc__ or target.command).splitlines()[0]
    parameters += [
        {
            "name": name,
            "in": "query",
            "schema": _IN_QUERY[of],
        }
        for name, of in target.query.items()
    ]
    if target.takes_body:
        body = _body(kind.__name__, schemas, set(_named_in(target.route)))
        about["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    if parameters:
        about["parameters"] = parameters
    return about


@cache
def _described(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Make a struct of what a body holds: no command, and nothing that has no schema."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        if field.name in {"rid", "token"}:
            continue
        of, default = _described_type(field.type), field.default
        if isinstance(default, msgspec.Raw):  # it stands for "not given"
            of, default = of | None, None
        fields.append((field.encode_name, of, default))
    return msgspec.defstruct(kind.__name__, fields, kw_only=True)


def _described_type(of: Any) -> Any:
    """Give a field's type, with structs in lists and choices described as well."""
    if isinstance(of, type) and issubclass(of, msgspec.Struct):
        return _described(of)
    parts = get_args(of)
    if get_origin(of) is list:
        return list[_described_type(parts[0])]  # type: ignore[misc]  # made at run time
    if get_origin(of) in {Union, UnionType}:
        return Union[tuple(map(_described_type, parts))]  # noqa: UP007 - made at run time
    return of


def _body(name: str, schemas: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    """Give the schema of a request object without what the path says."""
    whole = schemas[name]
    fields = {f: schema for f, schema in whole["properties"].items() if f not in left_out}
    if "queue" in fields:
        optional = "queue" not in whole.get("required", ())
        fields["queue"] = {"anyOf": [_QUEUE, {"type": "null"}]} if optional else _QUEUE
    fields["rid"] = {"type": ["string", "number", "null"]}
    required = [field for field in whole.get("required", ()) if field not in left_out]
    body = {"type": "object", "title": name, "properties": fields}
    return {**body, "required": required} if required else body


def _named_in(route: str) -> list[str]:
    return [part[1:-1] for part in route.split("/") if part.startswith("{")]


def _in_path(name: str, _target: Target) -> dict[str, Any]:
    kind = {"type": "string", "pattern": "^[0-9]{1,15}$"} if name == "id" else _QUEUE
    return {"name": name, "in": "path", "required": True, "schema": kind}


def _responses(target: Target) -> dict[str, Any]:
    if target.route == "/metrics":
        good: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    elif target.streams:
        good = {"text/event-stream": {"schema": {"type": "string"}}}
    elif target.route == "/v1/openapi.json":
        good = {_JSON: {"schema": {"type": "object"}}}
    else:
        good = {_JSON: {"schema": {"$ref": "#/components/schemas/Reply"}}}
    refusal = {_JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    statuses = {400, 401, 403, 408, 413, 415, 417, 429, 431, 501, 503, *STATUS_OF.values()}
    refusals = {
        str(status): {"description": "It was refused.", "content": refusal}
        for status in sorted(statuses)
    }
    return {"200": {"description": "It was done.", "content": good}, **refusals}
