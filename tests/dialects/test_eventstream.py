"""AWS event streams: framed as AWS's own SDK reads them, read however they are cut, refused where they are damaged."""

from __future__ import annotations

from binascii import crc32
from struct import pack

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import BadAnswer
from dirigent.dialects.eventstream import EventMessages, framed
from tests.upstream import pieces

names = some.text("abcdefgh:-", min_size=1, max_size=12)
messages = some.lists(some.tuples(some.dictionaries(names, some.text(max_size=20), max_size=3), some.binary()))


@given(told=messages, cuts=some.lists(some.integers(0, 10**6), max_size=20))
def test_what_is_framed_is_read_the_same_however_it_is_cut(
    told: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(framed(headers.items(), payload) for headers, payload in told)
    cutter = EventMessages()

    read = [message for piece in pieces(stream, cuts) for message in cutter.feed(piece)]

    assert [(message.headers, message.payload) for message in read] == told
    assert b"".join(message.whole for message in read) == stream
    assert cutter.empty


@given(told=messages)
def test_what_is_framed_is_read_by_the_sdk_of_aws(told: list[tuple[dict[str, str], bytes]]) -> None:
    buffer = EventStreamBuffer()

    buffer.add_data(b"".join(framed(headers.items(), payload) for headers, payload in told))

    assert [(event.headers, event.payload) for event in buffer] == told


@given(at=some.integers(0, 10**6), bit=some.integers(0, 7))
def test_a_single_wrong_bit_is_noticed(at: int, bit: int) -> None:
    stream = bytearray(framed(((":event-type", "messageStart"),), b'{"role":"assistant"}'))
    stream[at % len(stream)] ^= 1 << bit

    with pytest.raises(BadAnswer):
        EventMessages().feed(bytes(stream))


def test_headers_that_are_no_texts_are_passed_over() -> None:
    values = b"\x01a\x00" + b"\x01b\x03\x00\x05" + b"\x01c\x06\x00\x02xx" + b"\x01d\x08" + bytes(8)
    text = b"\x01e\x07\x00\x02ok"
    headers = values + text
    prelude = pack(">II", 16 + len(headers) + 2, len(headers))
    whole = prelude + pack(">I", crc32(prelude)) + headers + b"{}"

    (message,) = EventMessages().feed(whole + pack(">I", crc32(whole)))

    assert message.headers == {"e": "ok"}
    assert message.payload == b"{}"


@pytest.mark.parametrize("headers", [b"\x05ab", b"\x01a\x63", b"\x01a\x07\xff\xffx", b"\x01a\x07\x00\x01\xff"])
def test_headers_that_cannot_be_read_are_refused(headers: bytes) -> None:
    prelude = pack(">II", 16 + len(headers), len(headers))
    whole = prelude + pack(">I", crc32(prelude)) + headers

    with pytest.raises(BadAnswer, match="headers"):
        EventMessages().feed(whole + pack(">I", crc32(whole)))
