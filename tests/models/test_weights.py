"""What a body can weigh at most: found by passing over most of it, and never less than looking at each byte finds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.models.funding import most_input

PICTURES = re.compile(rb'"(?:image_url|input_image|image|source|inlineData|inline_data)"\s*:')
DOCUMENTS = re.compile(rb'"(?:file|file_data|file_id|file_url|fileData|document|video)"\s*:')
TOOLS = re.compile(rb'"(?:tools|toolConfig)"\s*:')
NAMES = ("image_url", "image", "source", "inlineData", "file", "file_id", "document", "video", "tools", "text", "role")
MORE = 4_096


def looked_through(body: bytes, window: int | None) -> int:
    """The same by looking at each byte."""
    tokens = len(body) + 512 + 50_000 * len(PICTURES.findall(body))
    tokens += 2_000 * bool(TOOLS.search(body)) + (window or 1_000_000) * bool(DOCUMENTS.search(body))
    return tokens if window is None else min(tokens, window)


pieces = some.one_of(
    some.sampled_from([f'"{name}"' for name in NAMES]).map(str.encode),
    some.sampled_from([b'"', b":", b" ", b"\\", b"{", b"}", b",", b"image"]),
    some.integers(MORE - 8, MORE + 8).map(lambda size: b"A" * size),
    some.integers(1, 2 * MORE).map(lambda size: b" " * size),
)
values = some.recursive(
    some.one_of(some.text(max_size=8), some.integers(1, 30).map(lambda times: "iVBORw0KGgo=" * 60 * times)),
    lambda inner: some.one_of(
        some.lists(inner, max_size=4), some.dictionaries(some.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(some.lists(pieces, max_size=24).map(b"".join), some.sampled_from([None, 8_000, 128_000]))
def test_no_body_weighs_less_than_each_of_its_bytes_says(body: bytes, window: int | None) -> None:
    assert most_input(body, window) >= looked_through(body, window)


@given(values, some.sampled_from([None, (", ", ": "), (",\n", " :\t")]))
def test_json_weighs_just_what_each_of_its_bytes_says(value: Any, separators: tuple[str, str] | None) -> None:
    body = json.dumps({"messages": value}, separators=separators).encode()

    assert most_input(body, None) == looked_through(body, None)


@pytest.mark.parametrize("name", [r"image\u005furl", r"\u0069mage", r"i\u006Dage"])
def test_a_letter_that_is_escaped_in_a_name_hides_no_picture(name: str) -> None:
    body = b'{"messages":[{"content":[{"%b":{"url":"https://example.org/a.png"}}]}]}' % name.encode()

    assert most_input(body, None) == len(body) + 512 + 50_000


def test_a_long_talk_whose_words_are_like_names_has_no_picture() -> None:
    said = [{"role": "user", "content": 'the "source" of an image in a file'} for _ in range(2_000)]
    body = json.dumps({"messages": said}).encode()

    assert most_input(body, None) == len(body) + 512
