"""JSON without its long strings: it is JSON where the whole is, with the same structure, and the whole comes back."""

from __future__ import annotations

import json
from base64 import b64encode
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.dialects.abridged import Abridged, AbridgedFields

LONG = b64encode(Random(1).randbytes(9_000)).decode()
OTHER = "word, " * 2_000


def left_out_of(body: bytes) -> int:
    """How many bytes are left out."""
    found = Abridged.of(body)
    return len(body) - len(found.text) if found is not None else 0


def test_pictures_are_left_out_and_come_back() -> None:
    body = json.dumps({"a": [f"data:image/png;base64,{LONG}", "b", {"c": OTHER}], "d": 1}).encode()

    found = Abridged.of(body)

    assert found is not None
    assert len(found.text) < 400
    assert list(json.loads(found.text)) == ["a", "d"]
    assert found.whole(found.text) == body


@pytest.mark.parametrize(
    "stretch",
    [
        "[" + "1, " * 5_000 + "1]",
        "[" + "true, null, " * 2_000 + "1]",
        '"' + "A\\/" * 5_000 + '"',
        '"' + "A" * 9_000 + '\\""',
        '"' + "ü" * 9_000 + '"',
        '"' + "A" * 3_000 + '"',
        '"' + "A\\n" + "12" * 5_000 + '"',
        '"' + "12" * 5_000 + '"',
    ],
    ids=["numbers", "words", "escaped", "a quotation mark", "umlauts", "too short", "a line", "digits"],
)
def test_what_may_be_no_string_or_mean_something_else_stays(stretch: str) -> None:
    assert left_out_of(f'{{"a":{stretch},"b":"c"}}'.encode()) == 0


def test_a_text_in_other_letters_may_stand_beside_a_picture() -> None:
    assert left_out_of(json.dumps({"a": "Größe", "b": LONG}, ensure_ascii=False).encode()) > 11_000


def test_a_text_with_the_mark_in_it_stays_as_it_is() -> None:
    assert left_out_of(json.dumps({"a": "\x7f", "b": LONG}, ensure_ascii=False).encode()) == 0


def test_a_field_comes_back_by_itself_where_it_alone_is_long() -> None:
    whole = {"a": [LONG, "b"], "c": {"d": 1}}
    found = Abridged.of(json.dumps(whole).encode())
    assert found is not None
    fields = AbridgedFields(found, msgspec.json.decode(found.text, type=dict[str, msgspec.Raw]), "a")

    assert {name: json.loads(bytes(raw)) for name, raw in fields.items()} == whole
    assert (len(fields), "a" in fields, "x" in fields) == (2, True, False)
    assert found.holds_all(fields.brief["a"])
    assert not found.holds_all(fields.brief["c"])


pieces = some.sampled_from(
    [
        *('{"a":', '"', '\\"', "\\\\", "\\", ",", ":", "[", "]", "{", "}", '"b"', "1", "null", " ", "\n", "ü", "\x7f"),
        *(LONG, LONG[:5_000], OTHER, "1," * 3_000, " " * 5_000, "\\u00", "true" * 2_000, '":"', '","'),
    ]
)


def structure(text: bytes) -> Any:
    """What a text is, its long strings cut; None where it is no JSON."""
    try:
        return cut(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def cut(value: Any) -> Any:
    match value:
        case str():
            return value[:64].partition("\x7f")[0]
        case list():
            return [cut(each) for each in value]
        case dict():
            return [(cut(key), cut(each)) for key, each in value.items()]
    return value


@given(told=some.lists(pieces, max_size=14))
def test_it_is_json_just_where_the_whole_is_with_the_same_structure(told: list[str]) -> None:
    body = "".join(told).encode()

    found = Abridged.of(body)

    if found is not None:
        assert structure(found.text) == structure(body)
        assert found.whole(found.text) == body


plain = some.recursive(
    some.none() | some.integers() | some.sampled_from(["x", "", LONG, OTHER, "\\", '"', f"\n{LONG}", f'{LONG}"']),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.sampled_from(["a", LONG, '"']), inner),
    max_leaves=8,
)


@given(value=plain, spaced=some.booleans())
def test_every_json_comes_back(value: Any, *, spaced: bool) -> None:
    body = json.dumps(value, separators=(", ", ": ") if spaced else (",", ":")).encode()

    found = Abridged.of(body)

    if found is not None:
        assert structure(found.text) == structure(body)
        assert found.whole(found.text) == body
