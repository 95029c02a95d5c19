"""The OpenAPI document says what the routes are, and no more."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from magicqueue.errors import ERROR_CODES
from magicqueue.wire.requests import COMMANDS
from magicqueue_server.http.messages import STATUS_OF, Head, HttpError
from magicqueue_server.http.openapi import described, document
from magicqueue_server.http.routes import ALL, find

DOCUMENT: dict[str, Any] = described()
OPERATIONS = [
    (path, method.upper(), operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_it_is_json() -> None:
    assert json.loads(document()) == json.loads(msgspec.json.encode(DOCUMENT))


def test_it_has_every_route_and_no_other() -> None:
    assert {(path, method) for path, method, _ in OPERATIONS} == {
        (target.route, target.method) for target in ALL
    }
    assert len({op["operationId"] for _, _, op in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("path", "method"), [(p, m) for p, m, _ in OPERATIONS])
def test_every_path_is_found(path: str, method: str) -> None:
    filled = re.sub(r"\{\w+\}", "1", path)
    target, _ = find(Head(method=method, target=filled.encode()))
    assert (target.route, target.method) == (path, method)
    for other in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {method}:
        if (path, other) not in {(p, m) for p, m, _ in OPERATIONS}:
            with pytest.raises(HttpError) as caught:
                find(Head(method=other, target=filled.encode()))
            assert caught.value.status == 405


def test_bodies_are_the_requests_without_their_command() -> None:
    for target in ALL:
        if not target.takes_body:
            continue
        operation = DOCUMENT["paths"][target.route]["post"]
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        fields = set(COMMANDS[target.command].__struct_encode_fields__)
        in_path = {p["name"] for p in operation.get("parameters", ())}
        assert set(body["properties"]) == fields - in_path - {"token"}


def test_references_lead_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    text = document().decode()
    named = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text))
    assert named
    assert named <= set(schemas)


def test_every_status_of_a_code_is_told() -> None:
    for _, _, operation in OPERATIONS:
        assert {str(status) for status in STATUS_OF.values()} <= set(operation["responses"])


PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")


def test_the_page_names_every_short_way_and_every_code() -> None:
    for target in ALL:
        if target.route.count("/") > 1 and target.method == "GET":
            assert f"`GET {target.route}`" in PAGE
        if "{queue}" in target.route:
            assert f"/{target.route.rpartition('/')[2]}`" in PAGE
    assert {code for code in ERROR_CODES if f"`{code}`" not in PAGE} == set()
