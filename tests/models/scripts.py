"""Several scripted providers in one world, each a deployment of the same name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.net.providers import Manner, Provider, Visit, provider
from tests.upstream import answer, chunk, frames
from tests.world import World

__all__ = ["CUT", "FAILED", "SAID", "Scripted", "one_after_the_other", "scripted", "slow", "told"]

SAID = frames(chunk({"role": "assistant", "content": ""}), chunk({"content": "Guten Tag"}))
CUT = b""
"""In the place of an answer: the connection is cut."""


def told(text: str = "Guten Tag", status: int = 200, **headers: str) -> bytes:
    """A whole answer, or a refusal with this status, as bytes."""
    body = json.dumps(answer(text) if status == 200 else {"error": {"message": text}}).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return b"HTTP/1.1 %d Word\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines.encode(), len(body), body)


FAILED = told("no", 500)


def one_after_the_other(*answers: bytes) -> Manner:
    """Answers the requests of all connections with these, then with the last for ever."""
    coming = list(answers)

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            said = coming.pop(0) if len(coming) > 1 else coming[0]
            if said == CUT:
                return
            visit.say(said)

    return manner


def slow(seconds: float, text: str = "late") -> Manner:
    """Answers each request after so many seconds."""

    async def manner(visit: Visit) -> None:
        while True:
            await visit.request()
            await asyncio.sleep(seconds)
            visit.say(told(text))

    return manner


class Scripted(World):
    """A world with a deployment for each scripted provider."""

    def __init__(
        self, vendors: Mapping[str, Provider], models: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.vendors = vendors
        at = {
            name: {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}
            for name, vendor in vendors.items()
        }
        deployments = {
            name: {"type": "deployment", "provider": name, "name": "x", **settings.get(name, {})} for name in vendors
        }
        super().__init__({**deployments, **models}, at)

    @property
    def in_flight(self) -> int:
        """Requests in flight at all of them."""
        return sum(self.vitals.standing(name).in_flight for name in self.vendors)


@asynccontextmanager
async def scripted(
    models: Mapping[str, Any] | None = None, settings: Mapping[str, Mapping[str, Any]] | None = None, **manners: Manner
) -> AsyncIterator[Scripted]:
    """Deployments at providers of these manners, and the models that ask them."""
    async with AsyncExitStack() as stack:
        vendors = {name: await stack.enter_async_context(provider(manner)) for name, manner in manners.items()}
        yield Scripted(vendors, models or {}, settings or {})
