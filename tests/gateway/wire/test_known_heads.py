"""A head that came before is compared instead of being read again, and means exactly what it meant."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from dirigent.gateway.wire import Limits
from dirigent.gateway.wire.reading import Head, Known, Reader, Refused

POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\nContent-Length: %d\r\nx-a: b\r\n\r\n"
)
GET = b"GET /v1/models?a=b HTTP/1.1\r\nhost: a\r\n\r\n"
ODD = (
    b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    b"POST /b HTTP/1.1\r\nhost: b\r\ncontent-length:2\r\n\r\nhi",
    b"GET /v1/models?a=b HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n",
)

bodies = some.binary(max_size=40) | some.just(GET) | some.just(POST % 3)
requests = bodies.map(lambda body: POST % len(body) + body) | some.just(GET) | some.sampled_from(ODD)

Read = tuple[str, str, str, dict[bytes, bytes], bytes]


def read(pieces: list[bytes], known: Known | None = None) -> list[Read]:
    """The requests in these pieces, by one reader."""
    found: list[Read] = []

    def arrived(head: Head, body: bytes) -> None:
        found.append((head.method, head.path, head.query, head.headers, body))

    reader = Reader(Limits(), arrived, known)
    for piece in pieces:
        reader.feed(piece)
    return found


def each_for_itself(requests: list[bytes]) -> list[Read]:
    """The same requests, each by a reader that has seen nothing before."""
    return [one for request in requests for one in read([request])]


@given(some.lists(requests, max_size=8), some.lists(some.integers(0, 2_000), max_size=10))
@example([POST % 2 + b"ab", POST % 3 + b"abc", POST % 0, GET, GET], [])
def test_requests_on_one_connection_are_read_as_each_would_be_alone(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(sent)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[begin:end] for begin, end in pairwise(places)]

    assert read(pieces) == each_for_itself(sent)
    assert read(sent) == each_for_itself(sent)


def test_a_head_of_the_same_form_is_not_read_again() -> None:
    heads: list[Head] = []
    known = Known()
    for body in (b"abc", b"abcdefghijkl", b""):
        Reader(Limits(), lambda head, _: heads.append(head), known).feed(POST % len(body) + body)

    assert heads[0] is heads[1] is heads[2]


@pytest.mark.parametrize(
    "length",
    [b"", b"+3", b"-3", b" 3", b"3 ", b"0x3", b"3_0", b"\xd9\xa3", b"3, 3", b"3\r\ncontent-length: 4", b"9" * 13],
)
def test_a_length_that_is_none_is_refused_or_read_as_without_the_form(length: bytes) -> None:
    odd = POST.replace(b"%d", length) + b"abc"

    def outcome(before: list[bytes]) -> object:
        try:
            return read([*before, odd])[len(before) :]
        except Refused as refused:
            return refused.status

    assert outcome([POST % 3 + b"abc"]) == outcome([])


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as refused:
        read([POST % 3 + b"abc", POST % (Limits().body + 1) + b"a"])

    assert refused.value.status == 413


def test_a_caller_whose_heads_all_differ_is_read_as_well() -> None:
    sent = [GET.replace(b"a=b", b"a=%d" % number) for number in range(40)]

    assert read(sent) == each_for_itself(sent)
