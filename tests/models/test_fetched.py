"""Pictures and documents named by address, for providers that take contents alone."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Audio, File, Image, Message, Request, Text
from dirigent.core.ports import Fetch, Fetched
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.google_generate import GoogleGenerate
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.net import Fetcher
from tests.net.providers import Manner, Provider, Visit, provider
from tests.upstream import answer
from tests.world import World

PNG = b"\x89PNG\r\n\x1a\nno more than this"
PDF = b"%PDF-1.7 no more than this"
WORDS = {"role": "assistant", "content": [{"text": "a cat"}]}
ANSWERS: dict[str, Any] = {
    "bedrock": {
        "output": {"message": WORDS},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13},
    },
    "google": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "a cat"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13},
    },
    "compatible": answer("a cat"),
}
SETTINGS = {"bedrock": {"region": "eu-central-1"}, "google": {}, "compatible": {}}


class Store:
    """Keeps what it is told to under any address, and notes what it was asked for (core.ports.Fetch)."""

    def __init__(self, *kept: Fetched | Invalid, pause: float = 0.0) -> None:
        self.kept = kept
        self.pause = pause
        self.asked: list[tuple[str, int]] = []
        self.now = self.most_at_once = self.left_early = 0

    async def fetch(self, url: str, most: int) -> Fetched:
        thing = self.kept[min(len(self.asked), len(self.kept) - 1)]
        self.asked.append((url, most))
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            if isinstance(thing, Invalid):
                await asyncio.sleep(0)
                raise thing
            await asyncio.sleep(self.pause)
        except asyncio.CancelledError:
            self.left_early += 1
            raise
        finally:
            self.now -= 1
        return thing


class Place(World):
    """Deployments `bedrock`, `google` and `compatible` at one scripted provider, and a router over two of them."""

    def __init__(self, vendor: Provider, fetch: Fetch | None, heard: list[dict[str, Any]]) -> None:
        base = {"api_key": {"env": "KEY"}, "base_url": f"http://127.0.0.1:{vendor.origin.port}"}
        super().__init__(
            {
                **{kind: {"type": "deployment", "provider": kind, "name": "m", "retries": 0} for kind in SETTINGS},
                "first": {"type": "router", "candidates": ["bedrock", "compatible"], "strategy": {"type": "fixed"}},
            },
            {kind: {"type": kind, **base, **settings} for kind, settings in SETTINGS.items()},
        )
        self.ports = msgspec.structs.replace(self.ports, fetch=fetch)
        self.heard = heard


@asynccontextmanager
async def place(fetch: Fetch | None) -> AsyncIterator[Place]:
    heard: list[dict[str, Any]] = []

    async def manner(visit: Visit) -> None:
        while True:
            head, body = await visit.request()
            heard.append(json.loads(body))
            kind = "bedrock" if "/converse" in head else "google" if "generateContent" in head else "compatible"
            said = json.dumps(ANSWERS[kind]).encode()
            fields = f"content-type: application/json\r\ncontent-length: {len(said)}"
            visit.say(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + said)

    async with provider(manner) as vendor:
        yield Place(vendor, fetch, heard)


def showing(*parts: Image | File | Audio | Text, **fields: Any) -> Request:
    return Request(model="m", messages=(Message("user", (Text("what is this?"), *parts)),), **fields)


def keeping(data: bytes, content_type: str) -> Manner:
    """Answers each request with this and ends the connection."""

    async def manner(visit: Visit) -> None:
        await visit.request()
        fields = f"content-type: {content_type}\r\ncontent-length: {len(data)}"
        visit.say(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + data)
        await visit.until_gone()

    return manner


async def test_a_picture_and_a_document_go_to_bedrock_as_they_stand_at_their_addresses() -> None:
    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with provider(keeping(PNG, "image/png")) as pictures, provider(keeping(PDF, "application/pdf")) as papers:
        picture = f"http://pictures.example:{pictures.origin.port}/cat.png"
        paper = f"HTTP://papers.example:{papers.origin.port}/a/Bericht%20eins.pdf?key=1"
        fetcher = Fetcher(permits=lambda address: address.is_loopback, resolve=here)
        async with place(fetcher) as world:
            response = await world.collect("bedrock", showing(Image(picture), File(url=paper), Image(picture)))

        assert len(pictures.visits) == len(papers.visits) == 1

    shown = {"image": {"format": "png", "source": {"bytes": b64encode(PNG).decode()}}}
    read = {"format": "pdf", "name": "Bericht eins pdf", "source": {"bytes": b64encode(PDF).decode()}}
    assert response.text == "a cat"
    assert world.heard[0]["messages"][0]["content"] == [{"text": "what is this?"}, shown, {"document": read}, shown]
    assert fetcher.working == 0


async def test_google_gets_the_picture_itself_from_a_caller_of_another_dialect() -> None:
    store = Store(Fetched(PNG, "image/png"))
    async with place(store) as world:
        await world.collect("google", showing(Image("https://a.example/x")))

    inline = {"mimeType": "image/png", "data": b64encode(PNG).decode()}
    assert world.heard[0]["contents"][0]["parts"][1] == {"inlineData": inline}


async def test_a_caller_who_speaks_googles_dialect_knows_what_google_takes_and_nothing_is_fetched() -> None:
    store = Store(Fetched(PNG, "image/png"))
    part = {"fileData": {"fileUri": "https://video.example/watch?v=1"}}
    asked = GoogleGenerate().read_request(
        json.dumps({"contents": [{"role": "user", "parts": [part]}]}).encode(), "/v1beta/models/m:generateContent"
    )
    async with place(store) as world:
        await world.collect("google", asked.changed())

    assert world.heard[0]["contents"][0]["parts"] == [part]
    assert store.asked == []


async def test_a_provider_that_takes_addresses_gets_them_and_nothing_is_fetched() -> None:
    store = Store(Fetched(PNG, "image/png"))
    async with place(store) as world:
        await world.collect("compatible", showing(Image("https://a.example/x")))

    assert world.heard[0]["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "https://a.example/x"},
    }
    assert store.asked == []


async def test_what_is_not_at_an_http_address_is_left_as_it_is() -> None:
    store = Store(Fetched(PNG, "image/png"))
    picture = f"data:image/png;base64,{b64encode(PNG).decode()}"
    async with place(store) as world:
        await world.collect(
            "bedrock", showing(Image(picture), Image("s3://bucket/x.png"), File(data="aGk=", name="a.txt"))
        )

    assert len(world.heard[0]["messages"][0]["content"]) == 4
    assert store.asked == []


async def test_where_nothing_is_fetched_an_address_is_refused_as_the_dialect_says() -> None:
    async with place(None) as world:
        with pytest.raises(Unsupported, match="not by its address"):
            await world.collect("bedrock", showing(Image("https://a.example/x")))

    assert world.heard == []


async def test_an_address_that_cannot_be_fetched_is_left_to_a_candidate_that_takes_addresses() -> None:
    async with place(Store(Invalid("the host a.example is not on the public internet"))) as world:
        response = await world.collect("first", showing(Image("https://a.example/x")))

    assert response.text == "a cat"
    assert world.heard[0]["messages"][0]["content"][1]["image_url"] == {"url": "https://a.example/x"}


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        (
            OpenAIChat(),
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a.example/"}}]}
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            AnthropicMessages(),
            {
                "max_tokens": 9,
                "system": "Be brief.",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "?"},
                            {"type": "image", "source": {"type": "url", "url": "http://a.example/"}},
                        ],
                    }
                ],
            },
            "messages[0].content[1].source.url",
        ),
    ],
)
@pytest.mark.parametrize("kept", [Invalid("nothing could be fetched from a.example"), Fetched(b"<p>", "text/html")])
async def test_what_is_wrong_with_an_address_names_where_the_caller_wrote_it(
    dialect: OpenAIChat | AnthropicMessages, body: dict[str, Any], param: str, kept: Fetched | Invalid
) -> None:
    asked = dialect.read_request(json.dumps({"model": "bedrock", **body}).encode())
    async with place(Store(kept)) as world:
        with pytest.raises(Unsupported) as refused:
            await world.collect("bedrock", asked)

    assert refused.value.param == param
    assert world.heard == []


async def test_eight_at_most_are_fetched_at_once() -> None:
    store = Store(Fetched(PNG, "image/png"), pause=0.02)
    async with place(store) as world:
        await world.collect("bedrock", showing(*(Image(f"https://a.example/{number}") for number in range(20))))

    assert len(store.asked) == 20
    assert store.most_at_once == 8


async def test_one_that_fails_ends_the_others_and_none_is_begun_any_more() -> None:
    fault = Invalid("nothing could be fetched from a.example")
    store = Store(Fetched(PNG, "image/png"), Fetched(PNG, "image/png"), fault, pause=60)
    async with place(store) as world:
        with pytest.raises(Unsupported, match=r"takes no addresses, and nothing could be fetched from a\.example$"):
            await world.collect("bedrock", showing(*(Image(f"https://a.example/{number}") for number in range(20))))

    assert len(store.asked) <= 9
    assert store.now == 0
    assert store.left_early >= 2


async def test_what_a_request_names_is_bounded_together() -> None:
    store = Store(Fetched(bytes(20 << 20), "image/png"))
    async with place(store) as world:
        with pytest.raises(Unsupported, match="more than 52428800 bytes together"):
            await world.collect("bedrock", showing(*(Image(f"https://a.example/{number}") for number in range(3))))
        with pytest.raises(Unsupported, match="names 101 addresses; at most 100"):
            await world.collect("bedrock", showing(*(Image(f"https://a.example/{number}") for number in range(101))))

    assert [most for _, most in store.asked] == [20 << 20] * 3
    assert world.heard == []


async def test_fetching_ends_with_the_time_of_the_run() -> None:
    store = Store(Fetched(PNG, "image/png"), pause=60)
    async with place(store) as world:
        with pytest.raises(Unsupported, match="time was over"):
            await world.collect("bedrock", showing(Image("https://a.example/x")), world.run(seconds=0.2))

    assert store.left_early == 1


async def test_a_document_that_is_a_picture_or_a_sound_is_sent_as_what_it_is() -> None:
    async with place(Store(Fetched(PNG, "image/png"), Fetched(b"ID3", "audio/mpeg"))) as world:
        await world.collect("bedrock", showing(File(url="https://a.example/1"), File(url="https://a.example/2")))

    _, picture, sound = world.heard[0]["messages"][0]["content"]
    assert picture["image"]["format"] == "png"
    assert sound["audio"] == {"format": "mp3", "source": {"bytes": b64encode(b"ID3").decode()}}
