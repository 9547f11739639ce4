"""A caller hangs up in the middle of an answer; whoever computes it must not go on for nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.journeys.node import Node, node
from tests.journeys.upstream import Manners, Upstream, upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEFT = '"code":"caller_gone"'
CONFIG = """\
    providers:
      vendor: {{type: compatible, base_url: "{url}"}}
    models:
      far:  {{type: deployment, provider: vendor, name: m}}
      auto: {{type: router, candidates: [far]}}
    """


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Node, Upstream]]:
    async with upstream() as far:
        with node(tmp_path_factory.mktemp("leaving") / "data", CONFIG.format(url=far.url)) as one:
            yield one, far


@pytest.mark.parametrize(
    ("manners", "stream"),
    [
        pytest.param(Manners(delay=60), False, id="while a whole answer is awaited"),
        pytest.param(Manners(delay=60), True, id="before the first piece of a stream"),
        pytest.param(Manners(pause=0.02, repeats=3_000), True, id="in the middle of a stream"),
        pytest.param(Manners(pause=0.0, repeats=50_000), True, id="while the caller does not read"),
    ],
)
async def test_a_caller_who_hangs_up_ends_the_work_upstream_while_it_is_going_on(
    served: tuple[Node, Upstream], manners: Manners, *, stream: bool
) -> None:
    one, far = served
    far.manners = manners
    far.began.clear()
    far.gone.clear()
    before = notes_of(one).count(LEFT)

    writer = await asking(one, stream=stream)
    await asyncio.wait_for(far.began.wait(), 30)
    await asyncio.sleep(0.2)
    writer.transport.abort()
    await asyncio.wait_for(far.gone.wait(), 30)  # half of the time that the answer would still take

    await asyncio.to_thread(one.until, lambda: notes_of(one).count(LEFT) == before + 1)


async def test_the_local_model_is_free_again_when_its_caller_has_gone(local_node: Node) -> None:
    before = notes_of(local_node).count(LEFT)
    body = {"model": "local", "messages": [{"role": "user", "content": "Count to a thousand."}], "max_tokens": 1000}
    for _ in range(4):  # twice as many as it has slots
        writer = await asking(local_node, **body, stream=True)
        await asyncio.sleep(0.3)
        writer.transport.abort()

    answer = await asyncio.to_thread(local_node.chat, "local", "Say hello.", max_tokens=4)

    assert answer.status == 200
    await asyncio.to_thread(local_node.until, lambda: notes_of(local_node).count(LEFT) >= before + 4)


async def asking(one: Node, **fields: object) -> asyncio.StreamWriter:
    """The caller's end of a connection on which a question is on its way."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hello"}], **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {one.key}\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", one.port, limit=1024)
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return writer


def notes_of(one: Node) -> str:
    """The node's notes of the requests that it has served."""
    notes = one.data / "logs" / "served.jsonl"
    return notes.read_text(encoding="utf-8") if notes.exists() else ""
