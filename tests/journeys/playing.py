"""A provider who plays what a request asks for, in pieces of seven bytes, and notes what reached it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.node import Node, node
from tests.net.providers import Visit, provider

__all__ = ["Asked", "Played", "Playing", "between", "play_named", "whole"]


@dataclass
class Asked:
    """A request that reached the provider."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Played:
    """An answer; its body goes out in pieces, and where `breaks` stands it waits, so that what is before is heard."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    breaks: int | None = None


@dataclass
class Playing:
    """A node between an SDK and such a provider."""

    node: Node
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.port}"


def play_named(text: str) -> str | None:
    """The golden exchange that a request names."""
    words = [word for word in text.replace('"', " ").replace("\\", " ").split() if word.startswith("play:")]
    return words[-1].removeprefix("play:") if words else None


def whole(status: int, told: object) -> Played:
    return Played(json.dumps(told).encode(), status)


@asynccontextmanager
async def between(
    data: Path, config: str, plays: Callable[[Asked], Played], key: str, pause: float = 1.0
) -> AsyncIterator[Playing]:
    """A node with this configuration, in which `{port}` stands for the provider's."""
    asked: list[Asked] = []

    async def manner(visit: Visit) -> None:
        while True:
            top, sent = await visit.request()
            line, *lines = top.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
            one = Asked(line.split()[1], headers, json.loads(sent))
            asked.append(one)
            played = plays(one)
            head = f"HTTP/1.1 {played.status} Word\r\ncontent-type: {played.content_type}\r\n"
            visit.say(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            at = len(played.body) if played.breaks is None else played.breaks
            for part in (played.body[:at], played.body[at:]):
                visit.say(b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in _sevens(part)))
                await asyncio.sleep(pause if played.breaks is not None and part is not played.body[at:] else 0)
            visit.say(b"0\r\n\r\n")

    async with provider(manner) as upstream:
        with node(data, config.replace("{port}", str(upstream.origin.port)), environment={"KEY": key}) as one:
            yield Playing(one, asked)


def _sevens(data: bytes) -> list[bytes]:
    return [data[at : at + 7] for at in range(0, len(data), 7)]
