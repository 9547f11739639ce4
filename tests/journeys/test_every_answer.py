"""What a caller can count on in every answer, errors too: who was asked, under which id, and in which shape."""

from __future__ import annotations

import json
import re

import pytest

from tests.journeys.node import Answered, Node

ASK = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
CALLS = {
    "an answer": ("POST", "/v1/chat/completions", ASK, 200),
    "a stream": ("POST", "/v1/chat/completions", {**ASK, "stream": True}, 200),
    "the models": ("GET", "/v1/models", None, 200),
    "one model": ("GET", "/v1/models/auto", None, 200),
    "the catalog": ("GET", "/api/v1/models", None, 200),
    "an explanation": ("POST", "/api/v1/route/explain", {"model": "auto", "text": "hello"}, 200),
    "alive": ("GET", "/health/live", None, 200),
    "ready": ("GET", "/health/ready", None, 200),
    "no such path": ("GET", "/v1/nothing", None, 404),
    "no such method": ("DELETE", "/v1/chat/completions", None, 405),
    "no such model": ("POST", "/v1/chat/completions", {**ASK, "model": "nobody"}, 404),
    "no body": ("POST", "/v1/chat/completions", b"", 400),
    "no candidate": ("POST", "/v1/chat/completions", {**ASK, "model": "hopeless"}, 503),
    "no such run": ("GET", "/api/v1/runs/run-0", None, 404),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_answer_names_its_request_and_its_run(echo_node: Node, name: str) -> None:
    method, path, body, status = CALLS[name]

    answer = echo_node.call(method, path, body)

    assert answer.status == status
    assert answer.headers["x-request-id"]
    assert re.fullmatch(r"run-[0-9a-f]{24}", answer.headers["x-dirigent-run"])
    if status >= 400:
        assert_error_shape(answer)


def test_an_answer_says_who_gave_it_at_what_cost_by_which_revision_and_why(echo_node: Node) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", ASK)

    assert answer.headers["x-dirigent-model"] == "echo"
    assert answer.headers["x-dirigent-cost"] == "0 USD"
    assert answer.headers["x-dirigent-revision"] == echo_node.revision
    assert answer.headers["x-dirigent-route"]


def test_the_head_of_a_stream_says_who_answers_as_soon_as_that_is_known(echo_node: Node) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", {**ASK, "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-dirigent-model"] == "echo"
    assert answer.headers["x-dirigent-revision"] == echo_node.revision
    assert "x-dirigent-cost" not in answer.headers  # nobody knows it yet
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_a_request_keeps_the_id_that_its_caller_gave_it(echo_node: Node) -> None:
    given = echo_node.call("POST", "/v1/chat/completions", ASK, {"x-request-id": "order-4711"})
    hostile = echo_node.call("POST", "/v1/chat/completions", ASK, {"x-request-id": "a b<script>"})

    assert given.headers["x-request-id"] == "order-4711"
    assert re.fullmatch(r"[A-Za-z0-9._:-]+", hostile.headers["x-request-id"])


def test_an_error_has_the_id_of_its_request_too(echo_node: Node) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", {**ASK, "model": "nobody"}, {"x-request-id": "order-1"})

    assert answer.headers["x-request-id"] == "order-1"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no key was given"),
        ({"authorization": "Bearer "}, "no key was given"),
        ({"authorization": "Bearer dk-wrong"}, "not valid"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "Bearer KEY"),
        ({"x-api-key": "dk-wrong"}, "not valid"),
    ],
)
def test_without_a_valid_key_nobody_is_asked(echo_node: Node, headers: dict[str, str], words: str) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", ASK, headers, key=None)

    assert answer.status == 401
    assert answer.json["error"]["code"] == "invalid_api_key"
    assert words in answer.json["error"]["message"]
    assert "dk-wrong" not in answer.body.decode()


def test_the_key_is_taken_as_a_bearer_or_as_an_api_key(echo_node: Node) -> None:
    by_header = echo_node.call("POST", "/v1/chat/completions", ASK, {"x-api-key": echo_node.key}, key=None)

    assert by_header.status == 200
    assert echo_node.call("POST", "/v1/chat/completions", ASK).status == 200


def test_a_run_can_be_looked_up_by_the_id_in_its_answer(echo_node: Node) -> None:
    answer = echo_node.call("POST", "/v1/chat/completions", ASK)

    run = echo_node.call("GET", f"/api/v1/runs/{answer.headers['x-dirigent-run']}").json

    assert (run["model"], run["deployment"], run["status"]) == ("auto", "echo", 200)
    assert run["cost"] == "0 USD"
    assert "hello" not in json.dumps(run)


def test_what_was_said_stands_in_no_note_of_the_node(echo_node: Node) -> None:
    secret = "the-launch-code-is-0000"
    run = echo_node.chat("auto", secret).headers["x-dirigent-run"]
    notes = echo_node.data / "logs" / "served.jsonl"

    echo_node.until(lambda: notes.exists() and run in notes.read_text(encoding="utf-8"))

    assert secret not in notes.read_text(encoding="utf-8")
    assert secret not in echo_node.log


def assert_error_shape(answer: Answered) -> None:
    """The body is OpenAI's error object and nothing else."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert isinstance(error["code"], str)
