"""Which values fit a JSON Schema, and the words where they do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.models.conformity import fault_in

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2, "uniqueItems": True},
        "home": {"$ref": "#/$defs/place"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"in": {"$ref": "#/$defs/place"}, "at": {"const": 1}}}},
}
OK: dict[str, Any] = {"name": "x", "age": 3}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (OK, None),
        (OK | {"age": 3.0, "tags": ["a", "b"], "home": {"in": {"in": {"at": 1.0}}}}, None),
        ([], "it is not of type object"),
        ({"age": 1}, "name is missing"),
        (OK | {"more": 1}, "more may not be there"),
        (OK | {"name": ""}, "name has fewer than 1 characters"),
        (OK | {"age": 3.5}, "age is not of type integer"),
        (OK | {"age": True}, "age is not of type integer"),
        (OK | {"age": -1}, "age is less than 0"),
        (OK | {"age": 150}, "age is not less than 150"),
        (OK | {"tags": ["c"]}, "tags[0] is none of a, b"),
        (OK | {"tags": ["a", "a"]}, "tags says something twice"),
        (OK | {"tags": ["a", "b", "a"]}, "tags says something twice"),
        (OK | {"home": {"in": {"at": True}}}, "home.in.at is not 1"),
    ],
)
def test_the_first_place_that_does_not_fit_is_named(value: object, words: str | None) -> None:
    assert fault_in(value, PERSON) == words


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, [None, "x"], [1]),
        ({"oneOf": [{"minimum": 3}, {"multipleOf": 5}]}, [4, 0], [5, 1]),
        ({"allOf": [{"type": "number"}, {"maximum": 2}]}, [1.5], ["x", 3]),
        ({"not": {"type": "string"}}, [1], ["x"]),
        ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 1}}, ["ab", 1], ["a", 0]),
        ({"type": ["string", "null"]}, ["x", None], [1, False]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [["a", 1], []], [[1], ["a", "b"]]),
        ({"contains": {"const": 1}, "maxContains": 1}, [[1, 2]], [[2], [1, 1]]),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
        ({"dependentRequired": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"dependentSchemas": {"a": {"minProperties": 2}}}, [{"b": 1}], [{"a": 1}]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"multipleOf": 0.1}, [0.3, 1], [0.35]),
        ({"enum": [1, "1", None, {"a": [True]}]}, [1.0, None, {"a": [True]}], [True, 2, {"a": [1]}]),
        ({"properties": {"a": False}}, [{}], [{"a": 1}]),
        (False, [], [1, None]),
        (True, [1], []),
    ],
)
def test_each_word_of_the_vocabulary_means_what_the_standard_says(
    schema: object, good: list[Any], bad: list[Any]
) -> None:
    assert [fault_in(value, schema) for value in good] == [None] * len(good)
    assert all(fault_in(value, schema) for value in bad)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/gone"},
        {"$ref": "https://example.com/other.json"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"pattern": "(a+)+$", "format": "email"},
        {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
    ],
)
def test_what_is_not_checked_rules_nothing_out_and_takes_no_time(schema: object) -> None:
    assert fault_in({"x": "a" * 40}, schema) is None
    assert fault_in("a" * 40 + "!", schema) is None


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                [
                    "type",
                    "items",
                    "properties",
                    "required",
                    "enum",
                    "minimum",
                    "minLength",
                    "anyOf",
                    "$ref",
                    "not",
                    "contains",
                    "minContains",
                    "multipleOf",
                    "uniqueItems",
                    "dependentRequired",
                    "a",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything, anything)
def test_no_schema_however_odd_makes_it_stumble(value: object, schema: object) -> None:
    fault = fault_in(value, schema)

    assert fault is None or fault


@given(
    some.recursive(some.none() | some.integers() | some.text(max_size=3), lambda inner: some.lists(inner, max_size=3))
)
def test_every_value_fits_itself(value: object) -> None:
    assert fault_in(msgspec.json.decode(msgspec.json.encode(value)), {"const": value}) is None
