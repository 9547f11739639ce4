"""The description of the control plane: sound in itself, and true to the table of operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from dirigent.admin.openapi import described, path_of
from dirigent.control import OPERATIONS
from dirigent.core.schema import field_help
from tests.admin.house import House
from tests.admin.things import TABLE


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described(OPERATIONS, ())


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inside(inner)


def test_every_operation_stands_in_it_once_by_the_method_that_it_needs(document: dict[str, Any]) -> None:
    for operation in OPERATIONS.values():
        (method,) = document["paths"][path_of(operation)]
        assert method == ("post" if operation.changes else "get")

    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert sorted(names) == sorted(OPERATIONS)


def test_every_schema_is_a_proper_one_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    for name, schema in schemas.items():
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name
    for each in _inside(document):
        if "$ref" in each:
            assert each["$ref"].removeprefix("#/components/schemas/") in schemas


def test_what_is_said_about_a_field_stands_beside_it(document: dict[str, Any]) -> None:
    said = 0
    for operation in OPERATIONS.values():
        order: type[msgspec.Struct] = operation.order
        properties = document["components"]["schemas"][order.__name__]["properties"]
        names = {field.name: field.encode_name for field in msgspec.structs.fields(order)}
        for name, words in field_help(order).items():
            assert properties[names[name]]["description"] == " ".join(words.split())
            said += 1
    assert said > 20


def test_an_order_takes_no_field_that_it_does_not_know(document: dict[str, Any]) -> None:
    for operation in OPERATIONS.values():
        assert document["components"]["schemas"][operation.order.__name__]["additionalProperties"] is False


def test_a_list_may_stand_in_a_query_several_times() -> None:
    (tags, most, _, _) = described(TABLE, ())["paths"]["/api/v1/things/list"]["get"]["parameters"]

    assert (tags["style"], tags["explode"], tags["schema"]["type"]) == ("form", True, "array")
    assert most["schema"] == {"type": "integer"}


def test_it_is_served_to_everybody_with_the_paths_of_signing_in(things: House) -> None:
    served = things.call("GET", "/api/v1/openapi.json", key=None).json

    assert served["openapi"] == "3.1.0"
    assert {"/api/v1/session", "/api/v1/session/link", "/api/v1/things/put"} <= set(served["paths"])
    assert served["paths"]["/api/v1/session"]["post"]["security"] == []
