"""What holds for every kind of model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

import msgspec
import pytest

from dirigent.core.events import Embedded, Finished, Spoken, Transcribed, UsageReported, Verbatim
from dirigent.core.messages import Embedding, Request, Sound, Speech, Transcript, Transcription
from dirigent.core.model import Model
from dirigent.core.ports import Listings, Secrets
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.memory import MemoryListings, MemorySecrets, NoEmbedder
from dirigent.models import MODELS
from dirigent.net import HttpClient
from tests.net.providers import Manner, provider
from tests.upstream import DONE, after, chunk, frames, head, streaming
from tests.world import READER, World, request

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
SAID = frames(chunk({"role": "assistant", "content": ""}), chunk({"content": "Guten "}), chunk({"content": "Tag"}))
WHOLE = SAID + frames(chunk(finish="stop"), chunk(usage=USAGE)) + DONE
DEPLOYMENT = {"type": "deployment", "provider": "p", "name": "gpt-4o", "price": {"input": "2.5", "output": "10"}}
EXAMPLES: dict[str, dict[str, Any]] = {
    "deployment": {**DEPLOYMENT, "timeouts": {"connect": 1.0}, "quality": 0.5, "capabilities": ["tools"]},
    "router": {"type": "router", "candidates": ["leaf"], "fallback": ["spare"], "strategy": {"type": "cheapest"}},
    "pipeline": {"type": "pipeline", "steps": [{"type": "ask", "name": "draft", "model": "leaf"}]},
    "echo": {"type": "echo", "says": "Guten Tag", "pause": 0.01},
    "local_embedding": {"type": "local_embedding", "side": "passage"},
    "local_speech": {"type": "local_speech"},
    "local_transcription": {"type": "local_transcription"},
}
"""A configuration for each kind; it may mention `leaf` and `spare`, deployments at a scripted provider `p`."""

JOBS: dict[str, Request] = {
    "local_embedding": Request(model="m", task="embeddings", job=Embedding(("Guten Tag",))),
    "local_speech": Request(model="m", task="speech", job=Speech("Guten Tag")),
    "local_transcription": Request(model="m", task="transcriptions", job=Transcription(b"RIFF")),
}
"""What a kind is asked that does not chat."""

every_model = pytest.mark.parametrize("kind", sorted(MODELS.kinds))


class Here(NoEmbedder):
    """A machine that can do everything by itself."""

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        await asyncio.sleep(0.01)
        return [[0.0] * 384 for _ in texts]

    async def speak(self, text: str, *, voice: str, format: str, speed: float) -> Sound:
        await asyncio.sleep(0.01)
        return Sound(b"ID3", "audio/mpeg")

    async def transcribe(self, audio: bytes, **how: Any) -> Transcript:
        await asyncio.sleep(0.01)
        return Transcript("Guten Tag", "de", 1.0)


class Nobody:
    """A survey in which nothing else is known."""

    listings: Listings = MemoryListings()
    secrets: Secrets = MemorySecrets()

    def profile(self, name: str) -> Profile:
        return Profile()

    def provider(self, name: str) -> Kind | None:
        return None

    def source(self, name: str) -> None:
        return None

    def source_names(self) -> Iterable[str]:
        return ()

    def provider_names(self) -> Iterable[str]:
        return ()


@asynccontextmanager
async def upstream(kind: str, manner: Manner) -> AsyncIterator[tuple[World, Any]]:
    """A world in which the model `m` is of this kind, and the provider behind it."""
    async with provider(manner) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        models = {"leaf": DEPLOYMENT, "spare": DEPLOYMENT, "m": EXAMPLES[kind]}
        world = World(models, at)
        world.ports = msgspec.structs.replace(world.ports, embedder=Here(), speech=Here())
        yield world, vendor


def read(settings: Mapping[str, Any]) -> Model | None:
    return READER.read(Model, settings, ("m",))[0]


@pytest.fixture(params=["typed", "verbatim"])
def asked(request: pytest.FixtureRequest) -> Request:
    """A streamed request, in our own words alone and as it came in; or the job that this kind is there for."""
    job = JOBS.get(request.node.callspec.params["kind"])
    return job if job is not None else streamed(verbatim=request.param == "verbatim")


def streamed(*, verbatim: bool) -> Request:
    body = b'{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true}'
    return OpenAIChat().read_request(body) if verbatim else request(stream=True)


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == MODELS.kinds.keys()


@every_model
def test_it_says_what_it_is_and_what_each_setting_does(kind: str) -> None:
    assert len(MODELS.kinds[kind].help()) > 20


@every_model
def test_an_unknown_setting_is_refused_with_its_path_and_the_nearest_known_one(kind: str) -> None:
    field = msgspec.structs.fields(MODELS.kinds[kind])[0].encode_name

    _, faults = READER.read(Model, EXAMPLES[kind] | {f"{field}x": 1}, ("models", "m"))

    assert [fault.path for fault in faults] == [("models", "m", f"{field}x")]
    assert f"did you mean '{field}'?" in faults[0].message


@every_model
def test_its_configuration_survives_a_round_trip_through_json(kind: str) -> None:
    model = read(EXAMPLES[kind])
    assert model is not None

    written = written_out(model)
    again = read(msgspec.json.decode(msgspec.json.encode(written)))

    assert again == model


def written_out(value: Any) -> Any:
    """A kind as a configuration has it, and whatever stands within it."""
    if isinstance(value, tuple):
        return [written_out(each) for each in value]
    if not isinstance(value, Kind):
        return msgspec.to_builtins(value)
    settings = {field.name: written_out(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
    return {"type": value.type_name(), **settings}


@every_model
def test_what_is_known_of_it_is_told_without_raising_however_little_that_is(kind: str) -> None:
    model = read(EXAMPLES[kind])
    assert model is not None

    assert isinstance(model.profile(Nobody()), Profile)
    assert all(fault.message for fault in model.faults(Nobody()))
    assert all(isinstance(name, str) for _, name in model.mentions())


@every_model
async def test_its_events_keep_the_law(kind: str, asked: Request) -> None:
    async with upstream(kind, streaming(WHOLE)) as (world, _):
        events = await world.events("m", asked)

    verbatim = [event for event in events if isinstance(event, Verbatim)]
    if verbatim:
        assert verbatim == events
        return
    spoken = [
        event for event in events if not isinstance(event, UsageReported | Verbatim | Embedded | Spoken | Transcribed)
    ]
    for choice in {event.choice for event in spoken}:
        of_it = [event for event in spoken if event.choice == choice]
        assert [isinstance(event, Finished) for event in of_it] == [False] * (len(of_it) - 1) + [True]


@every_model
async def test_it_notes_who_answered_and_settles_once(kind: str, asked: Request) -> None:
    async with upstream(kind, streaming(WHOLE)) as (world, _):
        run = world.run()
        await world.events("m", asked, run)

    assert run.record.deployment in ("m", "leaf")
    assert [attempt.outcome for attempt in run.record.attempts] == ["answered"]
    assert run.record.usage is not None
    assert run.record.known_cost is not None


@every_model
@pytest.mark.parametrize("when", ["after the first event", "before it"])
async def test_an_abandoned_answer_closes_its_upstream_at_once(kind: str, asked: Request, when: str) -> None:
    script = (head(), b"%x\r\n%b\r\n" % (len(SAID), SAID)) if when == "after the first event" else (head(),)

    async with upstream(kind, after(60, *script)) as (world, vendor):
        run = world.run()
        async with aclosing(world.answer("m", asked, run)) as events:
            first = asyncio.ensure_future(anext(events))
            if kind not in {*JOBS, "echo"}:  # these ask nobody
                await vendor.asked()
            await asyncio.wait([first], timeout=0.1)
            if not first.done():
                first.cancel()
                await asyncio.wait([first])
        for visit in vendor.visits:
            await asyncio.wait_for(visit.gone.wait(), 30)

    assert isinstance(world.ports.http, HttpClient)
    assert (world.ports.http.working, world.ports.http.resting) == (0, 0)
    assert all(attempt.outcome == "abandoned" for attempt in run.record.attempts)
    assert len(run.record.attempts) == len(vendor.visits) or kind in JOBS


@every_model
async def test_explaining_it_asks_nobody(kind: str, asked: Request) -> None:
    async with upstream(kind, streaming(WHOLE)) as (world, vendor):
        run = world.run()
        await run.explain("m", asked)

    assert vendor.visits == []
    assert run.record.attempts == []
