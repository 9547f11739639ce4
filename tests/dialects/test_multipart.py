from __future__ import annotations

from contextlib import suppress
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import Invalid
from dirigent.dialects.multipart import Form, written
from tests.dialects.forms import BOUNDARY, form

TYPE = f"multipart/form-data; boundary={BOUNDARY}"
names = some.text("abc[]_-ü ", min_size=1, max_size=8)
contents = some.binary(max_size=60) | some.sampled_from(
    [b"", b"\r\n", b"--", b"\r\n--", b"\r\n--" + BOUNDARY[:-1].encode()]
)
fields = some.lists(some.tuples(names, some.none() | names, contents), min_size=1, max_size=6)


@given(fields=fields)
def test_what_is_written_is_read_again(fields: list[tuple[str, str | None, bytes]]) -> None:
    read = Form(written(fields, BOUNDARY), TYPE)

    assert [(part.name, part.filename, read.contents(part)) for part in read.parts] == fields


@given(fields=fields)
def test_what_is_written_is_read_the_same_by_another_reader(fields: list[tuple[str, str | None, bytes]]) -> None:
    body = written(fields, BOUNDARY)
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(f"content-type: {TYPE}\r\n\r\n".encode() + body)

    assert len(list(message.iter_parts())) == len(fields)


@given(fields=fields, at=some.integers(0, 5), new=some.binary(max_size=20))
def test_a_part_with_other_contents_leaves_every_other_byte(
    fields: list[tuple[str, str | None, bytes]], at: int, new: bytes
) -> None:
    at %= len(fields)
    read = Form(written(fields, BOUNDARY), TYPE)

    changed = read.replaced(read.parts[at], new)

    name, filename, _ = fields[at]
    assert changed == written([*fields[:at], (name, filename, new), *fields[at + 1 :]], BOUNDARY)


@given(fields=fields, name=names, new=some.binary(max_size=20))
def test_a_field_that_joins_stands_in_front_and_leaves_every_other_byte(
    fields: list[tuple[str, str | None, bytes]], name: str, new: bytes
) -> None:
    read = Form(written(fields, BOUNDARY), TYPE)

    assert read.joined(name, new) == written([(name, None, new), *fields], BOUNDARY)


@pytest.mark.parametrize(
    "before", [b"", b"preamble\r\n", b"--" + BOUNDARY.encode()[:-1] + b"\r\n", b"x--" + BOUNDARY.encode() + b"\r\n"]
)
def test_a_field_joins_behind_what_stands_before_the_first_boundary(before: bytes) -> None:
    joined = Form(before + form(("a", b"1")), TYPE).joined("model", b"m")

    assert joined.startswith(before)
    assert [(part.name, part.end - part.begin) for part in Form(joined, TYPE).parts] == [("model", 1), ("a", 1)]


@pytest.mark.parametrize(
    "content_type",
    [
        TYPE,
        f'Multipart/Form-Data;charset=utf-8; boundary="{BOUNDARY}"',
        f"multipart/form-data;BOUNDARY={BOUNDARY}",
    ],
)
def test_the_boundary_is_found_however_it_is_spelled(content_type: str) -> None:
    assert Form(form(("a", b"1")), content_type).text("a") == "1"


def test_what_stands_before_the_first_and_behind_the_last_boundary_means_nothing() -> None:
    body = b"preamble\r\n" + form(("a", b"1")) + b"epilogue"

    assert Form(body, TYPE).text("a") == "1"


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (form(("a", b"1")), "application/json", "send it as `multipart/form-data`"),
        (form(("a", b"1")), "multipart/form-data", "names its boundary"),
        (form(("a", b"1")), "multipart/form-data; boundary=", "names its boundary"),
        (form(("a", b"1")), f"multipart/form-data; boundary={'x' * 71}", "names its boundary"),
        (form(("a", b"1")), "multipart/form-data; boundary=other", "does not hold the boundary"),
        (b"", TYPE, "does not hold the boundary"),
        (form(("a", b"1"))[:-10], TYPE, "cut off"),
        (form(("a", b"1"))[:50], TYPE, "no end of its head"),
        (f"--{BOUNDARY}junk\r\n\r\n".encode(), TYPE, "something else behind it"),
        (f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--".encode(), TYPE, "cannot be read"),
        (f"--{BOUNDARY}\r\ncontent-type: a/b\r\n\r\nx\r\n--{BOUNDARY}--".encode(), TYPE, "which field it is"),
        (form(*((f"f{number}", b"") for number in range(300))), TYPE, "more than 256 parts"),
        (
            f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="a"\r\ncontent-transfer-encoding: base64\r\n\r\nx'
            f"\r\n--{BOUNDARY}--".encode(),
            TYPE,
            "without a transfer encoding",
        ),
    ],
)
def test_what_is_no_whole_form_is_refused_in_words(body: bytes, content_type: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        Form(body, content_type)


def test_a_field_that_must_be_one_is_refused_where_it_comes_twice() -> None:
    read = Form(form(("model", b"a"), ("model", b"b")), TYPE)

    with pytest.raises(Invalid) as refused:
        read.text("model")

    assert refused.value.param == "model"


@given(body=some.binary(max_size=200), whole=some.booleans())
def test_nonsense_is_refused_and_nothing_else(body: bytes, whole: bool) -> None:  # noqa: FBT001  made up by Hypothesis
    with suppress(Invalid):
        Form(form(("a", body))[: None if whole else -7].replace(b"form-data", body[:9], 1), TYPE)


def test_a_large_form_is_read_in_no_time() -> None:
    sound = bytes(range(256)) * 100_000

    read = Form(form(("file", sound, "a.wav"), ("model", b"m")), TYPE)

    assert read.text("model") == "m"
