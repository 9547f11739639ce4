from __future__ import annotations

import pytest

from dirigent.core.run import MAX_TRIES, Record
from dirigent.gateway.headers import told, trace_of, tries_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_proper_traceparent_goes_on_as_it_is() -> None:
    assert trace_of({b"traceparent": TRACE.encode()}) == TRACE
    assert trace_of({}) is None


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"nonsense",
        TRACE.upper().encode(),
        TRACE.replace("00-", "ff-", 1).encode(),
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        TRACE.encode() + b"\xff",
        TRACE.encode() + b" x",
    ],
)
def test_a_malformed_traceparent_counts_as_none(given: bytes) -> None:
    assert trace_of({b"traceparent": given}) is None


@pytest.mark.parametrize(
    ("given", "tries"),
    [
        (b"0", MAX_TRIES),
        (b"2", MAX_TRIES - 2),
        (b"999", 1),
        (b"-1", MAX_TRIES),
        (b"two", MAX_TRIES),
        (b"1234567890", MAX_TRIES),
    ],
)
def test_the_tries_of_the_callers_sdk_come_out_of_ours(given: bytes, tries: int) -> None:
    assert tries_of({b"x-stainless-retry-count": given}) == tries


def test_an_answer_tells_what_was_left_out_and_given_again_and_the_providers_limits() -> None:
    record = Record()
    quiet = list(told(record))
    record.left_out, record.reused = ("top_k", "seed"), "run-1"
    record.forwarded = (("x-ratelimit-remaining-requests", "9"),)

    headers = dict(told(record))

    assert quiet == []
    assert headers == {
        "x-dirigent-left-out": "top_k, seed",
        "x-dirigent-cache": "hit",
        "x-ratelimit-remaining-requests": "9",
    }
