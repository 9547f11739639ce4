"""Whatever a caller sends, it is answered in words, at once, and the server lives."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.node import Answered, Node
from tests.journeys.test_every_answer import assert_error_shape

PATIENCE = 60.0
"""Seconds after which a request that is there as a whole has certainly not been refused; it takes milliseconds."""
HELLO = [{"role": "user", "content": "hello"}]
GOOD: dict[str, Any] = {"model": "auto", "messages": HELLO}
MESSAGES: list[Any] = [
    None, "hello", [], {}, 7, [None], ["hello"], [{}], [[]], [{"role": "user"}], [{"content": "hello"}],
    [{"role": "king", "content": "hello"}], [{"role": 7, "content": "hello"}], [{"role": "user", "content": 7}],
    [{"role": "user", "content": {}}], [{"role": "user", "content": [7]}], [{"role": "user", "content": [{}]}],
    [{"role": "user", "content": [{"type": "text"}]}], [{"role": "user", "content": [{"type": "text", "text": 7}]}],
    [{"role": "user", "content": [{"type": "image_url"}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 7}}]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
    [{"role": "assistant", "tool_calls": [{}]}], [{"role": "assistant", "tool_calls": [{"id": 1}]}],
    [{"role": "tool", "content": "x", "tool_call_id": 7}],
]  # fmt: skip
FIELDS: dict[str, list[Any]] = {
    "model": [None, 7, "", [], {}, "x" * 10_000, "auto\0", "ä" * 50],
    "stream": ["yes", 1, {}],
    "stream_options": [7, "x", {"include_usage": 7}],
    "temperature": ["hot", [], {}],
    "top_p": ["x"],
    "max_tokens": [-1, 1.5, "many"],
    "max_completion_tokens": [-1, "many"],
    "n": [0, -1, 1000, "two", 1.5],
    "stop": [7, {}, [7]],
    "tools": [7, "x", [7], [{}], [{"type": "function"}], [{"type": "function", "function": {"name": ""}}]],
    "tool_choice": [7, "perhaps", {"type": "function"}],
    "response_format": [7, "json", {}, {"type": "yaml"}, {"type": "json_schema", "json_schema": 7}],
    "seed": ["x", 1.5],
    "logprobs": ["x"],
    "top_logprobs": [-1, 1000, "x"],
    "user": [7],
}
BODIES: list[bytes] = [
    b"", b" ", b"{", b"}", b"[]", b"7", b"null", b'"hello"', b"{}", b"\xff\xfe", b"\0" * 100, b"{'model': 'auto'}",
    b'{"model": "auto"', b'{"model": "auto", }', b'{"model": NaN, "messages": []}', b'{"model": "\\ud800"}',
    b"[" * 100_000, b'{"a":' * 100_000, b'{"model": 1e999999}', b"a=b&c=d", b'\xef\xbb\xbf{"model": "auto"',
    b'{"model": "auto", "messages": [{"role": "user", "content": "\xff"}]}',
    b'{"model": "auto", "messages": [{"role": "user", "content": "\x01"}]}',
]  # fmt: skip


def malformed() -> Iterator[tuple[str, bytes]]:
    for place, body in enumerate(BODIES):
        yield f"body {place}: {body[:24]!r}", body
    for place, messages in enumerate(MESSAGES):
        yield f"messages {place}", json.dumps({**GOOD, "messages": messages}).encode()
    for field, values in FIELDS.items():
        for value in values:
            yield f"{field}={value!r:.40}", json.dumps({**GOOD, field: value}).encode()


CORPUS = dict(malformed())
RAW: dict[str, bytes] = {
    "nonsense": b"hello there\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "an unknown version": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "a length and chunks": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a length that is no number": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n",
    "a length beyond all bounds": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "a body that is too large": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n",
    "chunks that are none": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    "an odd coding": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nhost: x\r\n: x\r\n\r\n",
    "a header over two lines": b"GET / HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n",
    "a head that is too long": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 70_000 + b"\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 500 + b"\r\n",
    "a target that is too long": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method that nobody knows": b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_malformed_body_is_refused_in_the_shape_of_openai(echo_node: Node, name: str) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", CORPUS[name])

    assert 400 <= answer.status < 500, answer.body
    assert answer.headers["x-request-id"]
    assert_error_shape(answer)


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_no_request_are_refused_in_the_shape_of_openai(echo_node: Node, name: str) -> None:
    answer = said(echo_node, RAW[name])

    assert answer is not None
    assert 400 <= answer.status < 500, answer.body
    assert answer.headers["x-request-id"]
    assert answer.headers["x-dirigent-run"]
    assert_error_shape(answer)


def test_three_hundred_mutilated_bodies_leave_the_server_alive(echo_node: Node) -> None:
    chance = random.Random(20_26)
    bodies = [mutilated(chance, json.dumps(rich()).encode()) for _ in range(300)]

    answers = [echo_node.call("POST", "/v1/chat/completions", body) for body in bodies]

    assert {answer.status for answer in answers} <= {200, 400, 404}
    for answer in answers:
        if answer.status != 200:
            assert_error_shape(answer)
    assert echo_node.chat().status == 200


def test_two_hundred_mutilated_requests_leave_the_server_alive(echo_node: Node) -> None:
    chance = random.Random(7)
    whole = request(echo_node.key, json.dumps(GOOD).encode())

    for _ in range(200):
        answer = said(echo_node, mutilated(chance, whole), patience=0.05)
        assert answer is None or answer.status < 500, answer.body
    assert echo_node.process.poll() is None
    assert echo_node.chat().status == 200


def test_mutilated_trees_are_never_a_fault_of_ours(echo_node: Node) -> None:
    chance = random.Random(3)

    for _ in range(300):
        answer = echo_node.call("POST", "/v1/chat/completions", json.dumps(grafted(chance, rich())).encode())
        assert answer.status in (200, 400, 404), answer.body


def test_the_explanation_refuses_nonsense_as_well(echo_node: Node) -> None:
    for body in (
        b"",
        b"7",
        b"{}",
        b'{"model": "auto"}',
        b'{"model": "auto", "text": ""}',
        b'{"model": 7, "text": "x"}',
    ):
        answer = echo_node.call("POST", "/api/v1/route/explain", body)
        assert answer.status == 400, body
        assert_error_shape(answer)


def rich() -> dict[str, Any]:
    """A request with a bit of everything."""
    return {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "hello"}], "name": "anna"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
            {"role": "user", "content": "and?"},
        ],
        "temperature": 0.5, "max_tokens": 10, "stop": ["x"], "user": "u", "stream_options": None,
        "metadata": {"a": "b"},
    }  # fmt: skip


def grafted(chance: random.Random, tree: Any) -> Any:
    """The tree with one value replaced by one of another kind."""
    odd: list[Any] = [None, True, 7, -1.5, "", "x", [], {}, [[]], {"type": "text"}, 10**40, "\ud7ff"]
    if isinstance(tree, dict) and tree and chance.random() < 0.85:
        key = chance.choice(list(tree))
        return {**tree, key: grafted(chance, tree[key])}
    if isinstance(tree, list) and tree and chance.random() < 0.85:
        place = chance.randrange(len(tree))
        return [*tree[:place], grafted(chance, tree[place]), *tree[place + 1 :]]
    return chance.choice(odd)


def mutilated(chance: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, lost, doubled or exchanged."""
    piece = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(piece))
        match chance.randrange(5):
            case 0:
                piece[at] = chance.randrange(256)
            case 1:
                del piece[at : at + chance.randint(1, 20)]
            case 2:
                piece[at:at] = piece[max(0, at - 10) : at]
            case 3:
                piece[at:at] = chance.choice([b"\0", b"\r\n", b"{", b'"', b"\xff", b"\\u0000", b": "])
            case _:
                del piece[at:]
        if not piece:
            return b"x"
    return bytes(piece)


def request(key: str, body: bytes) -> bytes:
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
    )
    return f"{head}\r\nconnection: close\r\n\r\n".encode() + body


def said(one: Node, data: bytes, patience: float = PATIENCE) -> Answered | None:
    """The first answer to these raw bytes; None where none came within `patience`."""
    with socket.create_connection(("127.0.0.1", one.port), timeout=patience) as caller:
        heard = b""
        try:
            caller.sendall(data)
            while piece := caller.recv(65_536):
                heard += piece
        except (TimeoutError, ConnectionError):
            pass
    head, found, body = heard.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", len(body)))
    return Answered(int(first.split(" ")[1]), headers, body[:length])
