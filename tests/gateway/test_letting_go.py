"""What a request held goes with it: nothing waits for the collector, which looks rarely, and not for megabytes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from dirigent.core.messages import Request
from dirigent.gateway.call import Call
from tests.gateway.house import chat, house, until
from tests.net.providers import provider
from tests.upstream import DONE, answer, chunk, frames, streaming, whole

PATH = "/v1/chat/completions"
MODELS = {
    "m": {"type": "deployment", "provider": "up", "name": "m"},
    "echo": {"type": "echo"},
    "slow": {"type": "echo", "pause": 0.005},
    "r": {"type": "router", "candidates": ["m", "echo"]},
}
EVENTS = frames(chunk({"role": "assistant"}), chunk({"content": "Guten Tag"}), chunk(finish="stop"))


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _held() -> list[str]:
    """What is left of requests."""
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, Call | Request)]


@pytest.mark.parametrize(
    ("manner", "body"),
    [
        (whole(answer()), chat("m")),
        (streaming(EVENTS, DONE), chat("m", stream=True)),
        (whole(answer()), chat("r")),
        (whole(answer()), chat("echo")),
        (whole(answer()), chat("slow", stream=True)),
        (whole(answer()), chat("nobody")),
    ],
    ids=["whole", "streamed", "routed", "echo", "generated stream", "unknown model"],
)
async def test_a_request_that_is_over_holds_nothing_that_only_the_collector_would_free(
    manner: Any, body: dict[str, Any], no_collector: None
) -> None:
    async with provider(manner) as up:
        where = {"up": {"type": "compatible", "base_url": f"http://127.0.0.1:{up.origin.port}/v1"}}
        async with house(MODELS, where) as node:
            for _ in range(10):
                await node.raw("POST", PATH, body)
            gc.enable()
            gc.collect()
            gc.disable()
            before = len(_held())
            for _ in range(10):
                await node.raw("POST", PATH, body)

            await until(lambda: len(_held()) <= before + 2)
