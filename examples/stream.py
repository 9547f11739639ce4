"""A streamed answer, and how many answers come in at once: OpenAI's asynchronous client.

export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=$(cat .dirigent/first-key)
python examples/stream.py
"""

from __future__ import annotations

import asyncio
from time import monotonic

from openai import AsyncOpenAI

QUESTIONS = ("Name a colour.", "Name an animal.", "Name a city.")


async def told(client: AsyncOpenAI, question: str) -> str:
    """One line about one answer: the words, and the seconds to the first and to the last of them."""
    began = monotonic()
    first = None
    said: list[str] = []
    stream = await client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": question}],
        max_tokens=60,
        stream=True,
        stream_options={"include_usage": True},
    )
    tokens = 0
    # Leaving this block early, by an exception or a `break`, closes the connection; Dirigent then closes its own to the
    # provider at once, so that nobody computes, or bills, what nobody reads.
    async with stream:
        async for chunk in stream:
            if chunk.usage is not None:
                tokens = chunk.usage.completion_tokens
            for choice in chunk.choices:
                if choice.delta.content:
                    first = first if first is not None else monotonic() - began
                    said.append(choice.delta.content)
    words = " ".join("".join(said).split())
    seconds = monotonic() - began
    return f"{question} {words} [{tokens} tokens, first after {first or 0:.2f} s, last after {seconds:.2f} s]"


async def main() -> None:
    """Asks all questions at the same time."""
    async with AsyncOpenAI() as client:
        for line in asyncio.as_completed([told(client, question) for question in QUESTIONS]):
            print(await line)


asyncio.run(main())
