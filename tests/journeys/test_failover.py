"""The first candidate dies while two hundred callers wait for it, and none of them notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI

from tests.journeys.node import node
from tests.journeys.upstream import Manners, standing, upstream

CONFIG = """\
    providers:
      first:  {{type: compatible, base_url: "{first}"}}
      second: {{type: compatible, base_url: "{second}"}}
    models:
      one:  {{type: deployment, provider: first, name: m, price: {{input: 1, output: 1}}}}
      two:  {{type: deployment, provider: second, name: m, price: {{input: 1, output: 1}}}}
      auto: {{type: router, candidates: [one, two]}}
    """
CALLERS = 200
QUESTION: Any = [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_killing_the_first_candidate_under_load_fails_no_request(data: Path, *, stream: bool) -> None:
    with standing("first", delay=0.2) as first:
        async with upstream(Manners("second")) as second:
            with node(data, CONFIG.format(first=first.url, second=second.url)) as one:
                heard: Counter[str] = Counter()

                async with one.async_openai() as client:

                    async def caller() -> None:
                        for _ in range(4):
                            heard[await said(client, stream=stream)] += 1

                    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
                    while heard["first"] < CALLERS:  # noqa: ASYNC110  counting is all that can be waited for
                        await asyncio.sleep(0.01)
                    first.kill()
                    await asyncio.gather(*callers)

    assert heard.total() == 4 * CALLERS
    assert set(heard) == {"first", "second"}
    assert heard["second"] > CALLERS


async def test_a_dead_candidate_rests_and_is_not_knocked_at_for_each_request(data: Path) -> None:
    async with upstream(Manners(status=500)) as first, upstream() as second:
        with node(data, CONFIG.format(first=first.url, second=second.url)) as one:
            answers = [await asyncio.to_thread(one.chat) for _ in range(12)]

    assert {answer.status for answer in answers} == {200}
    assert len(first.asked) == 3
    assert len(second.asked) == 12


async def test_an_answer_that_has_begun_breaks_off_with_an_error_and_no_second_voice(data: Path) -> None:
    async with upstream(Manners("a b c d", cuts_after=3)) as first, upstream() as second:
        with node(data, CONFIG.format(first=first.url, second=second.url)) as one:
            async with one.async_openai() as client:
                stream = await client.chat.completions.create(model="auto", messages=QUESTION, stream=True)
                pieces: list[str] = []
                with pytest.raises(APIError) as broken:
                    pieces.extend([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert "unavailable" in str(broken.value.body)
    assert second.asked == []


async def test_when_every_candidate_fails_the_error_names_each_with_its_reason(data: Path) -> None:
    async with upstream(Manners(status=500)) as first, upstream(Manners(status=429)) as second:
        with node(data, CONFIG.format(first=first.url, second=second.url)) as one:
            refused = await asyncio.to_thread(one.chat)

    assert refused.status == 503
    assert refused.json["error"]["code"] == "no_candidate"
    assert "one:" in refused.json["error"]["message"]
    assert "two:" in refused.json["error"]["message"]


async def said(client: AsyncOpenAI, *, stream: bool) -> str:
    """What came back, however it came."""
    if not stream:
        answer = await client.chat.completions.create(model="auto", messages=QUESTION)
        return answer.choices[0].message.content or ""
    chunks = await client.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
