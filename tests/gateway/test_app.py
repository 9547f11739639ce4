from __future__ import annotations

import msgspec
import pytest

from tests.gateway.house import chat, house


async def test_what_is_noted_of_a_request_names_who_and_what_and_never_a_word_of_it() -> None:
    async with house({"echo": {"type": "echo"}}) as node:
        await node.call("POST", "/v1/chat/completions", chat())

        assert (node.last.tenant, node.last.project, node.last.key) == ("acme", "sales", "a")
        assert (node.last.model, node.last.deployment, node.last.status) == ("echo", "echo", 200)
        assert "hello" not in repr(node.last)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("GET", "/api/v1/runs/run-1", 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_said_in_the_shape_of_every_other_error(
    method: str, path: str, status: int, code: str
) -> None:
    async with house({"echo": {"type": "echo"}}) as node:
        given, headers, body = await node.call(method, path)

        assert (given, body["error"]["code"]) == (status, code)
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert headers["x-request-id"]
        assert headers["x-dirigent-run"]


async def test_a_fault_of_our_own_is_a_500_that_names_the_line_in_the_log_and_nothing_else() -> None:
    async with house({"s": {"type": "stumbling"}}) as node:
        status, headers, body = await node.call("POST", "/v1/chat/completions", chat("s"))

        assert status == 500
        assert headers["x-request-id"] in body["error"]["message"]
        assert "ZeroDivision" not in body["error"]["message"]


async def test_a_fault_of_our_own_in_the_middle_of_a_stream_is_told_in_the_stream() -> None:
    async with house({"s": {"type": "stumbling", "says": 2}}) as node:
        status, _, body = await node.call("POST", "/v1/chat/completions", chat("s", stream=True))

        *_, last = body.strip().split("\n\n")
        assert status == 200
        assert msgspec.json.decode(last.removeprefix("data: "))["error"]["code"] == "internal_error"
        assert "[DONE]" not in body


async def test_a_caller_may_name_its_request_and_nonsense_is_replaced() -> None:
    async with house({"echo": {"type": "echo"}}) as node:
        _, named, _ = await node.call("POST", "/v1/chat/completions", chat(), x_request_id="order-4711")
        _, nonsense, _ = await node.call("POST", "/v1/chat/completions", chat(), x_request_id="a b<c>")

        assert named["x-request-id"] == "order-4711"
        assert nonsense["x-request-id"] == nonsense["x-dirigent-run"]


async def test_a_run_is_shown_to_its_own_tenant_only() -> None:
    async with house({"echo": {"type": "echo"}}) as node:
        _, headers, _ = await node.call("POST", "/v1/chat/completions", chat())
        path = f"/api/v1/runs/{headers['x-dirigent-run']}"

        own, _, body = await node.call("GET", path)
        foreign, _, _ = await node.call("GET", path, key="bert")

        assert (own, body["deployment"], body["cost"]) == (200, "echo", "0 USD")
        assert foreign == 404


async def test_an_unknown_priority_is_refused_by_the_name_of_its_header() -> None:
    async with house({"echo": {"type": "echo"}}) as node:
        status, _, body = await node.call("POST", "/v1/chat/completions", chat(), x_dirigent_priority="urgent")

        assert (status, body["error"]["param"]) == (400, "x-dirigent-priority")
