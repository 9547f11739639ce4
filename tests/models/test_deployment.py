"""A deployment against a provider on a real socket: what goes out, what comes back, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Misconfigured,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
    Unsupported,
)
from dirigent.core.events import Answer, Event, Finished, TextDelta, UsageReported, Verbatim, collect
from dirigent.core.messages import Request
from dirigent.core.ports import Listing
from dirigent.core.run import MAX_TRIES, Run
from dirigent.core.tokens import estimated, estimated_request
from dirigent.core.usage import Money, Price, Usage
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.openai_chat import OpenAIChat
from tests.net.providers import Manner, Provider, provider
from tests.upstream import DONE, after, answer, chunk, frames, head, refusing, streaming, whole
from tests.world import KEY, World, request, until_it_fails

WHOLE = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "vendor_field": {"a": [1]}})
STREAMED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True})
SAID = frames(chunk({"role": "assistant", "content": ""}), chunk({"content": "Guten "}), chunk({"content": "Tag"}))
ENDED = frames(chunk(finish="stop"), chunk(usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}))


both_ways = pytest.mark.parametrize("way", ["typed", "verbatim"])


class Place(World):
    """A world with one deployment `m` at a scripted provider."""

    def __init__(self, vendor: Provider, deployment: dict[str, Any], compatible: dict[str, Any]) -> None:
        self.vendor = vendor
        base = {
            "type": "compatible",
            "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1",
            "api_key": {"env": "KEY"},
        }
        super().__init__(
            {"m": {"type": "deployment", "provider": "p", "name": "gpt-4o", "retries": 0, **deployment}},
            {"p": base | compatible},
        )


@asynccontextmanager
async def place(manner: Manner, deployment: dict[str, Any] | None = None, **compatible: Any) -> AsyncIterator[Place]:
    async with provider(manner) as vendor:
        yield Place(vendor, deployment or {}, compatible)


def verbatim(body: str = WHOLE) -> Request:
    """A request as a caller of the same dialect sends it."""
    return OpenAIChat().read_request(body.encode())


def single(way: str) -> Request:
    """A request for a whole answer: `typed`, in our own words, or `verbatim`, as it came in."""
    return request() if way == "typed" else verbatim()


def streamed(way: str) -> Request:
    """A request for a stream: `typed`, in our own words, or `verbatim`, as it came in."""
    return request(stream=True) if way == "typed" else verbatim(STREAMED)


async def failed(world: World, asked: Request | str = "hello", run: Run | None = None) -> DirigentError:
    """What asking raises."""
    with pytest.raises(DirigentError) as raised:
        await world.events("m", asked, run)
    return raised.value


def said(events: list[Event]) -> bytes:
    """The bytes of a verbatim answer."""
    return b"".join(event.data for event in events if isinstance(event, Verbatim))


# --- what goes out and comes back -------------------------------------------------------------------------------------


async def test_the_same_dialect_goes_through_verbatim_but_for_the_name_of_the_model() -> None:
    heard: list[tuple[str, bytes]] = []
    body = json.dumps(answer(system_fingerprint="fp_1", vendor_word=[None])).encode()

    async def manner(visit: Any) -> None:
        heard.append(await visit.request())
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with place(manner) as world:
        events = await world.events("m", verbatim())

    ((head_text, sent),) = heard
    assert head_text.startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"authorization: Bearer {KEY}" in head_text
    assert json.loads(sent) == {**json.loads(WHOLE), "model": "gpt-4o"}
    assert said(events) == body


async def test_a_verbatim_stream_asks_for_usage_and_hides_it_from_a_caller_who_did_not() -> None:
    heard: list[bytes] = []

    async def manner(visit: Any) -> None:
        heard.append((await visit.request())[1])
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + SAID + ENDED + DONE)

    async with place(manner) as world:
        run = world.run()
        events = await world.events("m", verbatim(STREAMED), run)

    assert json.loads(heard[0])["stream_options"] == {"include_usage": True}
    assert said(events) == SAID + frames(chunk(finish="stop")) + DONE
    assert run.record.usage == Usage(9, 4)


async def test_no_tokens_at_all_are_asked_for_in_the_providers_own_format_alone() -> None:
    own = verbatim(WHOLE.replace('{"model"', '{"max_tokens":0,"model"', 1))

    async with place(whole(answer())) as world:
        events = await world.events("m", own)
        error = await failed(world, own.changed(dialect="anthropic_messages"))

    assert own.max_output == 0
    assert said(events)
    assert isinstance(error, Unsupported)


async def test_a_request_in_our_own_words_is_written_and_its_answer_read() -> None:
    async with place(whole(answer())) as world:
        events = await world.events("m", request("hello", max_output=7))

    assert events == [TextDelta("Guten Tag"), Finished("stop"), UsageReported(Usage(9, 4))]


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_stream_cut_anywhere_by_the_network_gives_the_same_events(size: int) -> None:
    data = SAID + ENDED + DONE
    pieces = [data[at : at + size] for at in range(0, len(data), size)]

    async with place(streaming(*pieces)) as world:
        response = await world.collect("m", request(stream=True))
        passed = said(await world.events("m", verbatim(STREAMED)))

    assert (response.text, response.usage) == ("Guten Tag", Usage(9, 4))
    assert passed == SAID + frames(chunk(finish="stop")) + DONE


async def test_a_whole_answer_to_a_stream_is_passed_on_as_events() -> None:
    async with place(whole(answer())) as world:
        for asked in (request(stream=True), verbatim(STREAMED)):
            assert (await collect(world.answer("m", asked))).text == "Guten Tag"


# --- the three windows ------------------------------------------------------------------------------------------------

WINDOWS = {
    "before the head": (),
    "before the first event": (head(),),
    "in the stream": (head(), b"%x\r\n%b\r\n" % (len(SAID), SAID)),
    "in a whole answer": (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",),
}


@both_ways
@pytest.mark.parametrize("window", WINDOWS)
async def test_a_caller_who_leaves_closes_the_upstream_at_once(window: str, way: str) -> None:
    stream = window != "in a whole answer"
    asked = streamed(way) if stream else single(way)

    async with place(after(60, *WINDOWS[window])) as world:
        run = world.run()
        reading = asyncio.ensure_future(world.events("m", asked, run))
        await world.vendor.asked()
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(world.vendor.visits[0].gone.wait(), 30)

    assert [attempt.outcome for attempt in run.record.attempts] == ["abandoned"]
    assert run.record.known_cost is None
    assert world.vitals.healthy("m")


async def test_a_reader_who_stops_after_the_first_event_closes_the_upstream_at_once() -> None:
    async with place(after(60, *WINDOWS["in the stream"])) as world:
        run = world.run()
        async with aclosing(world.answer("m", request(stream=True), run)) as events:
            assert await anext(events) == TextDelta("Guten ")
        await asyncio.wait_for(world.vendor.visits[0].gone.wait(), 30)

    assert [attempt.outcome for attempt in run.record.attempts] == ["abandoned"]


# --- waits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits", "script", "words"),
    [
        ({"first_byte": 0.1}, (), "did not begin to answer within 0.1 s"),
        ({"idle": 0.1}, (head(), b"%x\r\n%b\r\n" % (len(SAID), SAID)), "fell silent"),
        ({"total": 0.1}, (head(),), "not complete within 0.1 s"),
    ],
)
async def test_each_wait_ends_in_words(waits: dict[str, float], script: tuple[bytes, ...], words: str) -> None:
    async with place(after(60, *script), {"timeouts": waits}) as world:
        error = await failed(world, request(stream=True))

    assert isinstance(error, TimedOut)
    assert words in error.message


async def test_no_wait_is_longer_than_the_run_has_left() -> None:
    async with place(after(60)) as world:
        error = await failed(world, run=world.run(seconds=0.2))

    assert isinstance(error, TimedOut)


async def test_nobody_who_listens_is_unavailable() -> None:
    async with place(whole(answer())) as world:
        pass

    assert isinstance(await failed(world), Unavailable)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, Misconfigured),
        (402, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (408, TimedOut),
        (410, Misconfigured),
        (413, TooLong),
        (418, Rejected),
        (422, Rejected),
        (429, RateLimited),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, TimedOut),
        (529, Unavailable),
        (302, Misconfigured),
        (202, BadAnswer),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"error":"no"}', b'{"error":{"code":{}}}', b"\xff<html>"])
async def test_each_status_has_one_meaning_whatever_the_body(
    status: int, kind: type[DirigentError], body: bytes
) -> None:
    async with place(refusing(status, body)) as world:
        run = world.run()
        error = await failed(world, run=run)

    assert type(error) is kind
    assert error.message
    assert [attempt.outcome for attempt in run.record.attempts] == [error.code]


async def test_a_refusal_of_the_request_keeps_the_providers_words_type_param_and_code() -> None:
    told = {"message": "Invalid schema", "type": "invalid_request_error", "param": "response_format", "code": "bad"}

    async with place(refusing(400, {"error": told})) as world:
        error = await failed(world)

    assert isinstance(error, Rejected)
    assert json.loads(OpenAIChat().write_error(error, 400, "x", "r"))["error"] == told
    assert not error.fallback
    assert world.vitals.healthy("m")


@pytest.mark.parametrize(
    "told",
    [
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens.",
                "code": "context_length_exceeded",
            }
        },
        {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
        {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "x"}},
        {"error": {"code": 400, "message": "no room", "type": "exceed_context_size_error"}},
    ],
)
async def test_a_prompt_that_does_not_fit_is_told_apart(told: dict[str, Any]) -> None:
    async with place(refusing(400, told)) as world:
        error = await failed(world)

    assert isinstance(error, TooLong)
    assert (error.fallback, error.param) == (True, "messages")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "7", "retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 99 Nov 2026 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
async def test_when_to_ask_again_is_what_the_provider_says(headers: dict[str, str], seconds: float | None) -> None:
    async with place(refusing(429, {"error": {"message": "slow down"}}, **headers)) as world:
        error = await failed(world)

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


async def test_a_date_says_when_to_ask_again_too() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    async with place(refusing(503, b"", retry_after=date)) as world:
        error = await failed(world)

    assert error.retry_after == pytest.approx(90, abs=2)


async def test_a_used_up_quota_is_the_operators_business_and_not_worth_another_try() -> None:
    told = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}}

    async with place(refusing(429, told)) as world:
        error = await failed(world)

    assert isinstance(error, Misconfigured)
    assert not error.retryable


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_a_provider_that_repeats_the_key_does_not_show_it_to_the_caller(status: int) -> None:
    told = {"error": {"message": f"you sent Authorization: Bearer {KEY} and that is wrong"}}

    async with place(refusing(status, told)) as world:
        run = world.run()
        error = await failed(world, run=run)

    assert KEY not in f"{error.message} {error} {run.record.attempts}"


async def test_a_web_page_in_the_place_of_an_answer_is_named_by_its_title() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>" + b"x" * 5_000

    async with place(refusing(502, page, "text/html")) as world:
        error = await failed(world)

    assert error.message == "the provider failed (status 502): a web page: 502 Bad Gateway"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"hello", b'{"choices":[]}', b'{"choices":null}', b"\xff"])
@both_ways
async def test_an_answer_that_is_none_lets_the_next_candidate_try(body: bytes, way: str) -> None:
    async with place(whole(body)) as world:
        error = await failed(world, single(way))

    assert isinstance(error, BadAnswer)
    assert error.fallback


@both_ways
async def test_an_error_in_a_body_that_says_all_is_well_is_told_in_its_words(way: str) -> None:
    async with place(whole({"error": {"message": "Provider returned error", "code": 502}})) as world:
        errors = [await failed(world, request(stream=stream)) for stream in (False, True)]
        errors += [await failed(world, verbatim(body)) for body in (WHOLE, STREAMED)]

    assert all(isinstance(error, Unavailable) for error in errors)
    assert all("Provider returned error" in error.message for error in errors)


# --- errors inside a stream -------------------------------------------------------------------------------------------

BROKEN = frames({"error": {"message": "the engine died", "type": "server_error", "param": None, "code": None}})


@both_ways
async def test_an_error_before_anything_was_said_raises_before_the_first_event(way: str) -> None:
    role = frames(chunk({"role": "assistant", "content": ""}))

    for script in (BROKEN, role + BROKEN, b": still working\n\n" + role + BROKEN + DONE):
        async with place(streaming(script)) as world:
            answer_ = world.answer("m", streamed(way))
            with pytest.raises(Unavailable, match="the engine died"):
                await anext(answer_)


@both_ways
@pytest.mark.parametrize("script", [BROKEN, BROKEN + DONE, frames(chunk({"content": ""}, finish="error"))])
async def test_an_error_after_the_first_event_is_raised_once_and_never_passed_on(way: str, script: bytes) -> None:
    async with place(streaming(SAID, script, pause=0.01)) as world:
        run = world.run()
        heard, error = await until_it_fails(world.answer("m", streamed(way), run))

    assert isinstance(error, Unavailable)
    assert "broke off" in error.message
    assert heard == [TextDelta("Guten "), TextDelta("Tag")] if way == "typed" else said(heard) == SAID
    assert [attempt.outcome for attempt in run.record.attempts] == ["unavailable"]
    assert run.record.unpriced


@both_ways
@pytest.mark.parametrize("end", ["connection cut", "stream ended"])
async def test_a_stream_that_stops_in_the_middle_is_never_a_finished_answer(way: str, end: str) -> None:
    talks_of_the_end = frames(chunk({"content": 'then it sends data: [DONE] and "finish_reason":"stop"'}))
    begun = frames(chunk(finish="stop"))[:-30]

    async with place(streaming(SAID, talks_of_the_end, begun, cut=end == "connection cut")) as world:
        run = world.run()
        error = await failed(world, streamed(way), run)

    assert isinstance(error, Unavailable | BadAnswer)
    assert run.record.deployment == "m"
    assert run.record.known_cost is None


# --- what is known of it, and what it costs ---------------------------------------------------------------------------


def test_the_file_wins_over_what_is_published_and_nothing_is_made_up() -> None:
    listing = Listing(Price(Decimal(1), Decimal(2)), 8192, 1024, frozenset({"tools"}))
    known = {("mistral", "known"): listing}
    own = {"price": {"input": 5}, "context_window": 99, "max_output": 9, "capabilities": [], "region": "de"}
    at = {"type": "deployment", "provider": "p"}

    world = World(
        {"listed": at | {"name": "known"}, "own": at | {"name": "known"} | own, "unknown": at | {"name": "other"}},
        {"p": {"type": "compatible", "vendor": "mistral", "api_key": {"env": "KEY"}}},
        listings=known,
    )

    listed, given, unknown = (world.catalog.profile(name) for name in ("listed", "own", "unknown"))
    assert (listed.price, listed.context_window, listed.max_output) == (listing.price, 8192, 1024)
    assert (listed.capabilities, listed.region) == (frozenset({"tools"}), "eu")
    assert (given.price, given.context_window, given.max_output) == (Price(Decimal(5)), 99, 9)
    assert (given.capabilities, given.region) == (frozenset(), "de")
    assert (unknown.price, unknown.context_window, unknown.capabilities) == (None, None, None)


@both_ways
@pytest.mark.parametrize("form", ["streamed", "whole"])
async def test_an_answer_is_settled_once_at_its_price(way: str, form: str) -> None:
    stream = form == "streamed"
    manner = streaming(SAID, ENDED, DONE) if stream else whole(answer())

    async with place(manner, {"price": {"input": "2.50", "output": "10"}}) as world:
        run = world.run()
        await world.events("m", streamed(way) if stream else single(way), run)

    assert run.record.usage == Usage(9, 4)
    assert run.record.known_cost == Money(9 * 2_500 + 4 * 10_000)
    assert [(attempt.model, attempt.outcome) for attempt in run.record.attempts] == [("m", "answered")]


MARK, LONG, SHORT = (
    {"type": "ephemeral", **ttl} for ttl in ({}, {"ttl": "1h"}, {"ttl": "5m"})
)  # how callers ask for a cache of five minutes, of an hour, and of five minutes in so many words
SPLIT = {"ephemeral_5m_input_tokens": 70, "ephemeral_1h_input_tokens": 30}


def remembering(*marks: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A request to Anthropic's Messages, in which a text stands before each of the marks."""
    blocks = [{"type": "text", "text": f"part {number}", "cache_control": mark} for number, mark in enumerate(marks)]
    said = {"role": "user", "content": [*blocks, {"type": "text", "text": "hi"}]}
    return {"model": "m", "max_tokens": 9, "messages": [said], **fields}


@both_ways
@pytest.mark.parametrize("form", ["streamed", "whole"])
@pytest.mark.parametrize(
    ("asked", "split", "cost"),
    [
        (remembering(MARK), None, 100 * 4),
        (remembering(SHORT), None, 100 * 4),
        (remembering(LONG), None, 100 * 6),
        (remembering(LONG, MARK), None, 100 * 6),  # how much of it is kept for longer, nobody says
        (remembering(LONG, MARK), SPLIT, 70 * 4 + 30 * 6),
        (remembering(LONG), {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0}, 100 * 4),
        (remembering(LONG), {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 0}, 60 * 4 + 40 * 6),
        (remembering(MARK, system=[{"type": "text", "text": "be", "cache_control": LONG}]), None, 100 * 6),
        (remembering(tools=[{"name": "t", "input_schema": {"type": "object"}, "cache_control": LONG}]), None, 100 * 6),
        (remembering(cache_control=LONG), None, 100 * 6),  # Anthropic puts the mark itself
        (remembering(MARK, metadata={"user_id": '"ttl": "1h"'}), None, 100 * 4),
    ],
)
async def test_what_is_written_to_a_cache_is_booked_for_as_long_as_the_caller_asks_where_nobody_says(
    way: str, form: str, asked: dict[str, Any], split: dict[str, int] | None, cost: int
) -> None:
    told = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 0,
        "output_tokens": 5,
        **({} if split is None else {"cache_creation": split}),
    }
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    text = {"type": "text", "text": "hi"}
    answered = json.dumps({**message, "content": [text], "stop_reason": "end_turn", "usage": told}).encode()
    stream = form == "streamed"
    events = frames(
        {"type": "message_start", "message": {**message, "content": [], "usage": {**told, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {**text, "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    sent = AnthropicMessages().read_request(json.dumps({**asked, "stream": stream}).encode())
    price = {"input": 3, "output": 15, "cache_write": 4, "cache_write_hour": 6}

    async with provider(streaming(events) if stream else whole(answered)) as vendor:
        world = World(
            {"m": {"type": "deployment", "provider": "p", "name": "claude", "price": price}},
            {
                "p": {
                    "type": "anthropic",
                    "base_url": f"http://127.0.0.1:{vendor.origin.port}",
                    "api_key": {"env": "KEY"},
                }
            },
        )
        run = world.run()
        await world.events("m", sent if way == "verbatim" else sent.changed(), run)

    assert run.record.known_cost == Money(1_000 * (10 * 3 + 5 * 15 + cost))


WORDS = "Die Antwort auf alle Fragen lautet zweiundvierzig, und sie wird lange und mit vielen Worten gegeben. " * 20
TOKENS = estimated(WORDS)


def spoken(text: str) -> list[bytes]:
    """A stream that says the text word by word, with neither an end nor usage."""
    return [frames(chunk({"content": f"{word} "})) for word in text.split()]


@both_ways
@pytest.mark.parametrize("form", ["streamed", "whole"])
async def test_an_answer_without_a_report_of_usage_is_counted_here_and_says_so(way: str, form: str) -> None:
    stream = form == "streamed"
    manner = (
        streaming(*spoken(WORDS), frames(chunk(finish="stop")), DONE) if stream else whole(answer(WORDS, usage=None))
    )

    async with place(manner, {"price": {"input": 1, "output": 1}}) as world:
        run = world.run()
        await world.events("m", streamed(way) if stream else single(way), run)

    usage = run.record.usage
    assert usage is not None
    assert usage.estimated
    assert usage.input_tokens == estimated_request(single(way))
    assert usage.output_tokens == pytest.approx(TOKENS, rel=0.1)
    assert run.record.known_cost == Money(1_000 * (usage.input_tokens + usage.output_tokens))


@both_ways
@pytest.mark.parametrize("end", ["broken off", "left"])
async def test_an_answer_that_ends_early_is_paid_for_as_far_as_it_was_heard_and_once(way: str, end: str) -> None:
    async with place(streaming(*spoken(WORDS), cut=True, pause=0.0005), {"price": {"input": 1, "output": 1}}) as world:
        run = world.run()
        async with aclosing(world.answer("m", streamed(way), run)) as events:
            with suppress(Unavailable):
                async for heard, _ in enumerate_(events):
                    if end == "left" and heard == 100:
                        break

    usage = run.record.usage
    assert usage is not None
    assert usage.estimated
    assert 20 < usage.output_tokens < TOKENS * 1.1
    if end == "broken off":
        assert usage.output_tokens > TOKENS * 0.9
    assert run.record.known_cost == Money(1_000 * (usage.input_tokens + usage.output_tokens))
    assert len(run.record.attempts) == 1


async def test_who_leaves_before_the_first_word_pays_for_what_was_asked_and_who_leaves_a_queue_for_nothing() -> None:
    settings = {"price": {"input": 1, "output": 1}, "concurrency": 1}
    async with place(after(60), settings) as world:
        runs = [world.run(), world.run()]
        asking = [asyncio.ensure_future(world.events("m", "hello", run)) for run in runs]
        await world.vendor.asked()
        for one in reversed(asking):
            one.cancel()
        await asyncio.wait(asking)

    assert [run.record.usage for run in runs] == [Usage(estimated_request(request()), 0, estimated=True), None]
    assert [run.record.attempts[0].outcome for run in runs] == ["abandoned", "abandoned"]
    assert runs[1].record.tries == MAX_TRIES


async def enumerate_(events: Answer) -> AsyncIterator[tuple[int, Event]]:
    """The events with their numbers."""
    number = 0
    async for event in events:
        yield number, event
        number += 1


async def test_a_refused_request_costs_nothing() -> None:
    async with place(refusing(503), {"price": {"input": 1, "output": 1}}) as world:
        run = world.run()
        await failed(world, run=run)

    assert not run.record.unpriced


async def test_three_failures_in_a_row_let_it_rest_and_refusals_of_the_request_do_not() -> None:
    async with place(refusing(400)) as world:
        for _ in range(5):
            await failed(world)
        assert world.vitals.healthy("m")
    async with place(refusing(500)) as world:
        for _ in range(3):
            await failed(world)
        assert not world.vitals.healthy("m")
