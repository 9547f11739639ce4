"""Jobs beside chat, through the gateway: by OpenAI's own client, to a provider on a real socket and to this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2 as httpx
import msgspec
import pytest
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, BadRequestError, RateLimitError

from dirigent.core.errors import Invalid, Unavailable
from dirigent.core.messages import Segment, Sound, Transcript, Word
from dirigent.core.usage import Money
from dirigent.dialects.multipart import Form
from dirigent.memory import NoEmbedder
from tests.gateway.house import House, house, until
from tests.net.providers import Manner, Provider, Visit, provider
from tests.upstream import DONE, frames, head, refusing, streaming, whole

PRICE = {"input": "1", "output": "4"}
deprecated = pytest.mark.filterwarnings("ignore:deprecated")  # by the client; still asked for
SOUND = b"RIFF\x00--\r\n\xff a sound"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Heard:
    """A provider that remembers what it was asked and answers as `manner` says."""

    def __init__(self, status: int, body: bytes, content_type: str) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self._answer = head(status, content_type) + piece(body) + b"0\r\n\r\n"

    async def __call__(self, visit: Visit) -> None:
        while True:
            self.asked.append(await visit.request())
            visit.say(self._answer)


def heard(body: object, content_type: str = "application/json") -> Heard:
    return Heard(200, body if isinstance(body, bytes) else msgspec.json.encode(body), content_type)


@asynccontextmanager
async def served(manner: Manner) -> AsyncGenerator[tuple[House, AsyncOpenAI, Provider], None]:
    """A gateway whose model `far` is a deployment at a provider of this manner."""
    async with provider(manner) as vendor:
        at = {"p": {"type": "jobs", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}}
        models = {"far": {"type": "deployment", "provider": "p", "name": "their-name", "price": PRICE, "retries": 0}}
        async with house(models, at) as node, client(node) as asking:
            yield node, asking, vendor


@asynccontextmanager
async def client(node: House) -> AsyncGenerator[AsyncOpenAI, None]:
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{node.port}/v1", api_key="anna", max_retries=0) as asking:
        yield asking


# --- to a provider ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
async def test_vectors_of_a_provider_come_back_with_their_cost(times: int) -> None:
    """Once by the general way, and once more by the straight one, where a connection waits already."""
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "model": "their-name",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    manner = heard(answer)
    async with served(manner) as (node, asking, _):
        answers = [
            await asking.embeddings.with_raw_response.create(
                model="far", input="hello", encoding_format="float", dimensions=2
            )
            for _ in range(times)
        ]
        made, note = answers[-1], node.last

    assert made.parse().data[0].embedding == [0.5, -0.25]
    assert made.headers["x-dirigent-cost"] == "0.000008 USD"
    assert (note.input_tokens, note.cost) == (8, Money(8_000))
    asked, body = manner.asked[-1]
    assert asked.startswith("POST /v1/embeddings ")
    sent = {"model": "their-name", "input": "hello", "encoding_format": "float", "dimensions": 2}
    assert msgspec.json.decode(body) == sent


async def test_a_sound_reaches_the_caller_while_it_is_still_spoken() -> None:
    said = asyncio.Event()

    async def speaking(visit: Visit) -> None:
        await visit.request()
        visit.say(head(200, "audio/mpeg") + piece(b"ID3 first "))
        await said.wait()
        visit.say(piece(b"second") + b"0\r\n\r\n")
        await visit.until_gone()

    async with served(speaking) as (node, asking, _):
        async with asking.audio.speech.with_streaming_response.create(model="far", voice="echo", input="hi") as answer:
            pieces = answer.iter_bytes(5)
            first = await anext(pieces)
            said.set()
            rest = b"".join([piece async for piece in pieces])
            kind = answer.headers["content-type"]
        await until(lambda: node.noted)

    assert first + rest == b"ID3 first second"
    assert kind == "audio/mpeg"
    assert node.last.cost is None  # no provider says what a sound costs, and unknown is not nothing


async def test_a_sound_that_breaks_off_never_looks_whole() -> None:
    async def breaking(visit: Visit) -> None:
        await visit.request()
        visit.say(head(200, "audio/mpeg") + piece(b"ID3 half"))
        await asyncio.sleep(0.1)

    async with served(breaking) as (node, asking, _):
        with pytest.raises((APIConnectionError, httpx.HTTPError)):
            await asking.audio.speech.create(model="far", voice="echo", input="hi")
        await until(lambda: node.noted)

    assert node.last.code == "unavailable"


async def test_a_sound_on_the_straight_way_says_what_it_is_and_never_looks_whole_when_it_breaks_off() -> None:
    async def breaking(visit: Visit) -> None:
        await visit.request()
        visit.say(head(200, "audio/wav") + piece(b"RIFF whole") + b"0\r\n\r\n")
        await visit.request()
        visit.say(head(200, "audio/wav") + piece(b"RIFF half"))
        await asyncio.sleep(0.1)

    body = {"model": "far", "input": "hi", "response_format": "wav"}
    async with served(breaking) as (node, _, vendor):
        first = await node.raw("POST", "/v1/audio/speech", body)
        answer = await node.open("POST", "/v1/audio/speech", body)
        with pytest.raises(Unavailable):
            await answer.read()
        await until(lambda: len(node.noted) == 2)

    assert first[2] == b"RIFF whole"
    assert first[1]["content-type"] == answer.headers["content-type"] == "audio/wav"
    assert node.last.code == "unavailable"
    assert len(vendor.visits) == 1


async def test_a_caller_who_leaves_a_sound_closes_its_provider_at_once() -> None:
    async def speaking(visit: Visit) -> None:
        await visit.request()
        visit.say(head(200, "audio/mpeg") + piece(b"ID3 first "))
        await visit.until_gone()

    async with served(speaking) as (node, asking, vendor):
        async with asking.audio.speech.with_streaming_response.create(model="far", voice="echo", input="hi") as answer:
            await anext(answer.iter_bytes(5))
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)
        await until(lambda: node.noted)

    assert node.last.status == 499


async def test_a_transcription_goes_out_as_the_form_that_came_in() -> None:
    manner = heard({"text": "Guten Tag", "usage": {"type": "duration", "seconds": 2}})
    async with served(manner) as (_, asking, _):
        made = await asking.audio.transcriptions.create(
            model="far", file=("hello.wav", SOUND), language="de", timestamp_granularities=["word"]
        )

    asked, body = manner.asked[0]
    fields = dict(line.split(": ", 1) for line in asked.split("\r\n")[1:] if line)
    form = Form(body, fields["content-type"])
    assert made.text == "Guten Tag"
    assert asked.startswith("POST /v1/audio/transcriptions ")
    assert {part.name: form.contents(part) for part in form.parts} == {
        "model": b"their-name",
        "language": b"de",
        "timestamp_granularities[]": b"word",
        "file": SOUND,
    }


@pytest.mark.parametrize("format", ["text", "srt", "vtt"])
async def test_a_transcript_that_is_plain_text_says_so(format: Literal["text", "srt", "vtt"]) -> None:
    async with served(heard(b"Guten Tag\n", "text/plain; charset=utf-8")) as (_, asking, _):
        made = await asking.audio.transcriptions.with_raw_response.create(
            model="far", file=("hello.wav", SOUND), response_format=format
        )

    assert made.text == "Guten Tag\n"
    assert made.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_transcript_streams() -> None:
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
    stream = frames(
        {"type": "transcript.text.delta", "delta": "Guten Tag"},
        {"type": "transcript.text.done", "text": "Guten Tag", "usage": tokens},
    )
    async with served(streaming(stream[:30], stream[30:])) as (node, asking, _):
        said = await asking.audio.transcriptions.create(model="far", file=("a.wav", SOUND), stream=True)
        types = [event.type async for event in said]
        await until(lambda: node.noted)

    assert types == ["transcript.text.delta", "transcript.text.done"]
    assert node.last.cost == Money(14_000 + 12_000)


@deprecated
async def test_a_translation_goes_to_its_own_path() -> None:
    manner = heard({"text": "Good day"})
    async with served(manner) as (_, asking, _):
        made = await asking.audio.translations.create(model="far", file=("a.wav", SOUND))

    assert made.text == "Good day"
    assert manner.asked[0][0].startswith("POST /v1/audio/translations ")


@deprecated
async def test_pictures_are_made_changed_and_varied() -> None:
    manner = heard({"created": 1, "data": [{"b64_json": "aGk="}]})
    async with served(manner) as (_, asking, _):
        made = await asking.images.generate(model="far", prompt="a cat", size="1024x1024")
        changed = await asking.images.edit(model="far", image=[b"one", b"two"], prompt="a hat")
        varied = await asking.images.create_variation(model="far", image=b"one")

    assert [each.data and each.data[0].b64_json for each in (made, changed, varied)] == ["aGk="] * 3
    paths = [asked.split(" ")[1] for asked, _ in manner.asked]
    assert paths == ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations"]
    assert all(b"their-name" in body and b'"far"' not in body for _, body in manner.asked)


async def test_pictures_stream_as_they_get_better() -> None:
    stream = frames(
        {"type": "image_generation.partial_image", "b64_json": "aA==", "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": "aGk=", "usage": {"input_tokens": 5, "output_tokens": 9}},
    )
    async with served(streaming(stream)) as (node, asking, _):
        said = await asking.images.generate(model="far", prompt="a cat", stream=True, partial_images=1)
        types = [event.type async for event in said]
        await until(lambda: node.noted)

    assert types == ["image_generation.partial_image", "image_generation.completed"]
    assert node.last.cost == Money(5_000 + 36_000)


async def test_a_verdict_is_passed_on_as_it_came() -> None:
    answer = {"id": "modr-1", "model": "their-name", "results": [{"flagged": True, "invented": 1}]}
    async with served(heard(answer)) as (node, _, _):
        _, _, body = await node.call("POST", "/v1/moderations", {"model": "far", "input": ["a"]})

    assert body == answer


async def test_the_old_completions_stream_without_the_usage_that_nobody_asked_for() -> None:
    stream = frames(
        {"id": "c", "choices": [{"index": 0, "text": "Guten Tag", "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    )
    async with served(streaming(stream + DONE)) as (node, asking, _):
        said = await asking.completions.create(model="far", prompt="Say", stream=True)
        chunks = [chunk async for chunk in said]
        await until(lambda: node.noted)

    assert [chunk.choices[0].text for chunk in chunks] == ["Guten Tag"]
    assert (node.last.input_tokens, node.last.output_tokens) == (3, 2)


async def test_a_providers_refusal_keeps_its_words() -> None:
    async with served(refusing(400, {"error": {"message": "no such voice", "param": "voice"}})) as (_, asking, _):
        with pytest.raises(BadRequestError) as refused:
            await asking.audio.speech.create(model="far", voice="nobody", input="hi")

    assert refused.value.param == "voice"
    assert "no such voice" in refused.value.message


async def test_a_provider_that_asks_to_slow_down_is_heard_by_the_caller() -> None:
    async with served(refusing(429, {"error": {"message": "slow"}}, retry_after="30")) as (_, asking, _):
        with pytest.raises(RateLimitError) as refused:
            await asking.embeddings.create(model="far", input="hi")

    assert refused.value.response.headers["retry-after"] == "30"


async def test_an_answer_that_is_none_is_told_as_one() -> None:
    async with served(whole(b"<html>login</html>", content_type="text/html")) as (_, asking, _):
        with pytest.raises(APIStatusError) as refused:
            await asking.embeddings.create(model="far", input="hi")

    assert refused.value.status_code == 502


# --- to this machine --------------------------------------------------------------------------------------------------


class Words(NoEmbedder):
    """Vectors that tell what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], str, str]] = []

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        self.asked.append((texts, side, scope))
        return [[float(len(text)), *([0.0] * 383)] for text in texts]


class Voices:
    """A machine that speaks and listens."""

    async def speak(self, text: str, *, voice: str, format: str, speed: float) -> Sound:
        if voice == "nobody":
            raise Invalid("voice: there is no such voice", param="voice")
        return Sound(f"{format}:{voice}:{speed}:{text}".encode(), f"audio/{format}", 1.0)

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str | None,
        prompt: str | None,
        translate: bool,
        words: bool,
        temperature: float,
    ) -> Transcript:
        text = f"{len(audio)} bytes, {language}, {translate}"
        return Transcript(text, language or "de", 2.5, (Segment(0, 2.5, text),), (Word(0, 1, "bytes"),) * words)


LOCAL: dict[str, Any] = {
    "embeddings": {"type": "local_embedding"},
    "passages": {"type": "local_embedding", "side": "passage"},
    "speech": {"type": "local_speech"},
    "transcription": {"type": "local_transcription"},
}


@pytest.mark.parametrize("format", [None, "float", "base64"])
async def test_vectors_are_made_here_for_nothing(format: Literal["float", "base64"] | None) -> None:
    embedder = Words()
    given: Mapping[str, Any] = {} if format is None else {"encoding_format": format}
    async with house(LOCAL, embedder=embedder) as node, client(node) as asking:
        made = await asking.embeddings.with_raw_response.create(model="embeddings", input=["one", "three"], **given)
        parsed = made.parse()

    assert made.headers["x-dirigent-cost"] == "0 USD"
    assert made.headers["x-dirigent-model"] == "embeddings"
    assert embedder.asked == [(["one", "three"], "query", "acme")]
    assert parsed.usage.prompt_tokens == 3
    if format != "base64":  # the client unpacks what it has packed itself, and no more
        assert [vector.embedding[0] for vector in parsed.data] == [3.0, 5.0]


async def test_the_side_of_a_text_comes_from_the_request_or_from_the_configuration() -> None:
    embedder = Words()
    async with house(LOCAL, embedder=embedder) as node, client(node) as asking:
        await asking.embeddings.create(model="passages", input="a")
        await asking.embeddings.create(model="passages", input="a", extra_body={"input_type": "query"})
        await asking.embeddings.create(model="embeddings", input="a", extra_body={"input_type": "search_document"})

    assert [side for _, side, _ in embedder.asked] == ["passage", "query", "passage"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"dimensions": 256}, "dimensions"), ({"input": [1, 2]}, "input"), ({"input": "x" * 32_001}, "input")],
)
async def test_what_cannot_be_embedded_here_is_refused_by_its_field(fields: dict[str, Any], param: str) -> None:
    embedder = Words()
    async with house(LOCAL, embedder=embedder) as node, client(node) as asking:
        with pytest.raises(BadRequestError) as refused:
            await asking.embeddings.create(**{"model": "embeddings", "input": "a", **fields})

    assert refused.value.param == param
    assert embedder.asked == []


async def test_a_text_is_spoken_here() -> None:
    async with house(LOCAL, speech=Voices()) as node, client(node) as asking:
        spoken = await asking.audio.speech.create(
            model="speech", voice="echo", input="hi", response_format="wav", speed=1.5
        )
        with pytest.raises(BadRequestError) as refused:
            await asking.audio.speech.create(model="speech", voice="nobody", input="hi")

    assert spoken.content == b"wav:echo:1.5:hi"
    assert spoken.response.headers["content-type"] == "audio/wav"
    assert refused.value.param == "voice"


@deprecated
@pytest.mark.parametrize("translate", [False, True])
async def test_what_is_said_is_written_down_here(*, translate: bool) -> None:
    async with house(LOCAL, speech=Voices()) as node, client(node) as asking:
        made: Any
        if translate:
            made = await asking.audio.translations.create(model="transcription", file=("a.wav", SOUND))
        else:
            made = await asking.audio.transcriptions.create(model="transcription", file=("a.wav", SOUND), language="de")
        note = node.last

    assert made.text == f"{len(SOUND)} bytes, {None if translate else 'de'}, {translate}"
    assert (note.deployment, note.cost, note.attempts) == ("transcription", Money(0), 1)


async def test_a_transcript_made_here_streams_and_comes_in_every_layout() -> None:
    async with house(LOCAL, speech=Voices()) as node, client(node) as asking:
        file = ("a.wav", SOUND)
        said = await asking.audio.transcriptions.create(model="transcription", file=file, stream=True)
        types = [event.type async for event in said]
        verbose = await asking.audio.transcriptions.create(
            model="transcription", file=file, response_format="verbose_json", timestamp_granularities=["word"]
        )
        srt = await asking.audio.transcriptions.create(model="transcription", file=file, response_format="srt")

    assert types == ["transcript.text.delta", "transcript.text.done"]
    assert [word.word for word in verbose.words or ()] == ["bytes"]
    assert str(srt).startswith("1\n00:00:00,000 --> 00:00:02,500\n")


@pytest.mark.parametrize("model", ["embeddings", "speech"])
async def test_what_is_not_installed_is_unavailable_in_words(model: str) -> None:
    async with house(LOCAL) as node, client(node) as asking:
        path = {"embeddings": "/embeddings", "speech": "/audio/speech"}[model]
        with pytest.raises(APIStatusError) as refused:
            await asking.post(path, body={"model": model, "input": "hi"}, cast_to=dict[str, Any])

    assert refused.value.status_code == 503
    assert node.last.attempts == 1


async def test_a_router_asks_only_candidates_that_can_do_the_task() -> None:
    models = {
        **LOCAL,
        "auto": {"type": "router", "candidates": ["speech", "embeddings"], "strategy": {"type": "fixed"}},
    }
    async with house(models, embedder=Words(), speech=Voices()) as node, client(node) as asking:
        made = await asking.embeddings.with_raw_response.create(model="auto", input="one", encoding_format="float")
        with pytest.raises(APIStatusError) as refused:
            await asking.moderations.create(model="auto", input="one")

    assert made.headers["x-dirigent-model"] == "embeddings"
    assert refused.value.status_code == 400
