"""What holds for every dialect: what is written is read again, however the network cuts it; nonsense is refused."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Invalid,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unavailable,
    UnknownModel,
)
from dirigent.core.events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    folded,
)
from dirigent.core.messages import (
    Audio,
    File,
    FinishReason,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Schema,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Wire,
)
from dirigent.core.usage import Usage
from dirigent.dialects import DIALECTS
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.eventstream import framed
from tests.upstream import pieces

every_dialect = pytest.mark.parametrize(
    "dialect", [kind() for kind in DIALECTS.kinds.values() if kind.task == "chat"], ids=lambda one: one.name
)

# --- where a dialect says less than OpenAI chat completions, or says it otherwise -------------------------------------


class Words(msgspec.Struct, frozen=True):
    """What a dialect has words for."""

    choices: int = 3
    """The most answers that one body or stream of it holds."""
    always_tells_usage: bool = False
    """Whether its streams tell what was used, asked or not."""
    says: Callable[[Request], Request] = lambda request: request
    """A request as far as this dialect can say it."""
    tells: Callable[[Sequence[Event]], list[Event]] = list
    """An answer as far as this dialect can tell it."""
    errors_name_fields: bool = True
    named_in_path: bool = False
    """Whether the path names the model, and the body does not."""
    binary: bool = False
    """Whether its streams are none of lines, so that they cannot be dressed otherwise."""
    endless: bytes = b"data: "
    """How an event begins that never ends."""


def in_responses(request: Request) -> Request:
    """Without what OpenAI responses do not know; the turns of an assistant have no borders in them."""
    turns: list[Message] = []
    for message in request.messages:
        parts = tuple(
            msgspec.structs.replace(part, id="rs_1", sealed="x", issuer="openai_responses")
            if isinstance(part, Reasoning)
            else part
            for part in message.parts
        )
        if turns and turns[-1].role == message.role == "assistant":
            parts = (*turns.pop().parts, *parts)
        turns.append(msgspec.structs.replace(message, parts=parts, name=None))
    return request.changed(messages=tuple(turns), stop=(), seed=None, choices=1)


def in_anthropic(request: Request) -> Request:
    """Without what Anthropic messages do not know; sides change from turn to turn, results come before words."""
    choice, alone = request.tool_choice, request.parallel_tool_calls is False
    return request.changed(
        messages=in_turns(request, anthropic_part, anthropic_id),
        tools=with_objects(request),
        parallel_tool_calls=False if alone and choice is not None and choice.mode != "none" else None,
        structure=Schema(request.structure.schema) if request.structure and request.structure.schema else None,
        max_output=request.max_output or 100,
        stop=tuple(each for each in request.stop if each.strip()),
        seed=None,
        choices=1,
    )


def in_turns(request: Request, part_of: Callable[[Part], Part], id_of: Callable[[str], str]) -> tuple[Message, ...]:
    """The messages where sides change from turn to turn and results come before words."""
    turns: list[list[Message]] = []
    for message in request.messages:
        role: Role = "system" if message.role == "developer" else message.role
        parts = tuple(part_of(part) for part in message.parts if not isinstance(part, Refusal))
        call = None if message.call is None else id_of(message.call)
        side = "user" if role == "tool" else role
        if not turns or turns[-1][0].role.replace("tool", "user") != side:
            turns.append([])
        turn = turns[-1]
        if role == "tool":
            turn.insert(sum(each.role == "tool" for each in turn), Message(role, parts, call=call))
        elif turn and turn[-1].role == role:
            turn.append(Message(role, (*turn.pop().parts, *parts)))
        else:
            turn.append(Message(role, parts))
    messages = [message for turn in turns for message in turn if message.parts]
    if all(message.role == "system" for message in messages):
        messages.append(Message("user", (Text("Well?"),)))
    return tuple(messages)


def with_objects(request: Request) -> tuple[Tool, ...]:
    """The tools, whose arguments are objects."""
    return tuple(
        msgspec.structs.replace(tool, parameters={"type": "object", **(tool.parameters or {})})
        for tool in request.tools
        if isinstance(tool, Tool)
    )


def anthropic_part(part: Part) -> Part:
    match part:
        case Image(url=url):
            return Image(f"https://example.org/{url}")
        case Audio(data=data):
            return Text(data)
        case File(data=str(data), name=name):
            return File(b64encode(data.encode()).decode(), name, media_type="application/pdf")
        case File(name=name, reference=reference):
            return File(name=name, url=f"https://example.org/{reference}")
        case Reasoning():
            return msgspec.structs.replace(part, signature="x", issuer="anthropic_messages")
        case ToolCall(id=id, arguments=arguments):
            said = msgspec.json.encode({"said": arguments}).decode()
            return msgspec.structs.replace(part, id=anthropic_id(id), arguments=said)
        case _:
            return part


def anthropic_id(id: str) -> str:
    return "toolu_" + id.encode().hex()


def with_whole_arguments(events: Sequence[Event]) -> list[Event]:
    """Without refusals; what a call is given is an object."""
    told: list[Event] = []
    for event in events:
        if isinstance(event, ToolCallDelta):
            text = msgspec.json.encode(event.arguments).decode()[1:-1]
            opening, closing = '{"said":"' if event.id else "", '"}' if event.arguments == "{}" else ""
            told.append(msgspec.structs.replace(event, arguments=opening + text + closing))
        elif not isinstance(event, RefusalDelta):
            told.append(event)
    return told


def by_anthropic(events: Sequence[Event]) -> list[Event]:
    """Without refusals; what a call is given is an object, and what was used is always told."""
    told = [
        UsageReported(msgspec.structs.replace(event.usage, input_tokens=event.usage.input_tokens or 1))
        if isinstance(event, UsageReported)  # no prompt is shorter
        else event
        for event in with_whole_arguments(events)
    ]
    return told if any(isinstance(event, UsageReported) for event in told) else [*told, UsageReported(Usage(3, 1))]


def in_google(request: Request) -> Request:
    """Without what Google does not know; instructions have one place, at the top."""
    system: list[Part] = []
    messages: list[Message] = []
    for message in request.messages:
        parts = tuple(google_part(part) for part in message.parts if not isinstance(part, Refusal))
        if message.role in ("system", "developer"):
            system += parts
        elif parts:
            messages.append(Message(message.role, parts, call=message.call))
    messages = messages or [Message("user", (Text("Well?"),))]
    return request.changed(
        messages=(*([Message("system", tuple(system))] if system else []), *messages),
        parallel_tool_calls=None,
        structure=Schema(request.structure.schema) if request.structure else None,
        user=None,
    )


def google_part(part: Part) -> Part:
    match part:
        case File(data=str(data)):
            return File(b64encode(data.encode()).decode(), media_type="application/pdf")
        case File(name=name):
            return File(url=f"https://example.org/{(name or 'x').encode().hex()}")
        case Reasoning():
            return msgspec.structs.replace(part, signature="c2ln", issuer="google_generate")
        case Image(url=url):
            return Image(f"https://example.org/{url.encode().hex()}")
        case _:
            return anthropic_part(part) if isinstance(part, ToolCall) else part


def in_google_ids(request: Request) -> Request:
    """The same; results bear the ids of their calls as those are told."""
    said = in_google(request)
    return said.changed(
        messages=tuple(
            msgspec.structs.replace(each, call=anthropic_id(each.call)) if each.call is not None else each
            for each in said.messages
        )
    )


def in_bedrock(request: Request) -> Request:
    """Without what Bedrock does not know; the same turns as Anthropic's."""
    structure = request.structure
    return request.changed(
        messages=in_turns(request, bedrock_part, bedrock_id),
        tools=with_objects(request),
        tool_choice=request.tool_choice if request.tool_choice and request.tool_choice.mode != "none" else None,
        parallel_tool_calls=None,
        structure=structure if structure and structure.schema is not None else None,
        seed=None,
        user=None,
        choices=1,
    )


def bedrock_part(part: Part) -> Part:
    match part:
        case Text(text=text):
            return Text(f"- {text}")
        case Image(url=url):
            return Image(f"data:image/png;base64,{b64encode(url.encode()).decode()}")
        case File(data=data):
            return File(b64encode((data or "x").encode()).decode(), "document", media_type="application/pdf")
        case Reasoning():
            return msgspec.structs.replace(part, signature="x", issuer="bedrock_converse")
        case ToolCall(id=id):
            return msgspec.structs.replace(anthropic_part(part), id=bedrock_id(id))
        case _:
            return part


def bedrock_id(id: str) -> str:
    return f"tooluse_{id.encode().hex()[:48]}"


def by_bedrock(events: Sequence[Event]) -> list[Event]:
    """As Anthropic does, without a word of how much was thought."""
    return [
        UsageReported(msgspec.structs.replace(event.usage, reasoning_tokens=0))
        if isinstance(event, UsageReported)
        else event
        for event in by_anthropic(events)
    ]


WORDS: dict[str, Words] = {
    "anthropic_messages": Words(
        choices=1, always_tells_usage=True, says=in_anthropic, tells=by_anthropic, errors_name_fields=False
    ),
    "bedrock_converse": Words(
        choices=1,
        always_tells_usage=True,
        says=in_bedrock,
        tells=by_bedrock,
        errors_name_fields=False,
        named_in_path=True,
        binary=True,
        endless=framed((), b"x" * 17 * 1_048_576)[:12],
    ),
    "google_generate": Words(
        always_tells_usage=True, says=in_google_ids, tells=with_whole_arguments, named_in_path=True
    ),
    "openai_responses": Words(choices=1, always_tells_usage=True, says=in_responses),
}


def words_of(dialect: Dialect) -> Words:
    return WORDS.get(dialect.name, Words())


def within(dialect: Dialect, events: Sequence[Event]) -> list[Event]:
    """Those of the events that one answer of this dialect can tell."""
    most = words_of(dialect).choices
    return words_of(dialect).tells([event for event in events if getattr(event, "choice", 0) < most])


# --- requests, responses and streams as Hypothesis makes them up ------------------------------------------------------

words = some.text(some.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = some.text("abcdefgh_-", min_size=1, max_size=8)
plain = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | words,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
schemas = some.dictionaries(words, plain, max_size=3)
maybe_words = some.none() | words
fraction = some.none() | some.floats(0, 2).map(lambda number: round(number, 3))
contents = some.lists(
    some.builds(Text, words)
    | some.builds(Image, words, maybe_words)
    | some.builds(Audio, words, names)
    | some.builds(File, maybe_words, maybe_words, maybe_words),
    min_size=1,
    max_size=3,
)
calls = some.lists(
    some.builds(ToolCall, words, names, some.text(max_size=9)), max_size=2, unique_by=lambda call: call.id
)


@some.composite
def own_words(draw: some.DrawFn) -> Message:
    """A message of the model: thought, text, refusal and calls, in that order, one of them at least."""
    parts: list[Part] = [Text(draw(words))] if draw(some.booleans()) else []
    if draw(some.booleans()):
        parts.insert(0, Reasoning(draw(words)))
    if draw(some.booleans()):
        parts.append(Refusal(draw(words)))
    parts += draw(calls)
    return Message("assistant", tuple(parts) or (Text(draw(words)),))


said = some.lists(
    some.builds(
        Message, some.sampled_from(["system", "developer", "user"]), contents.map(tuple), name=some.none() | names
    )
    | some.builds(Message, some.just("tool"), some.tuples(some.builds(Text, words)), call=words)
    | own_words(),
    min_size=1,
    max_size=4,
)
requests = some.builds(
    Request,
    model=some.just("m"),
    messages=said.map(tuple),
    tools=some.lists(some.builds(Tool, names, maybe_words, some.none() | schemas), min_size=1, max_size=2).map(tuple),
    tool_choice=some.none()
    | some.builds(ToolChoice, some.sampled_from(["auto", "none", "required"]))
    | some.builds(ToolChoice, some.just("named"), names),
    parallel_tool_calls=some.none() | some.booleans(),
    structure=some.none() | some.just(Schema()) | some.builds(Schema, schemas, names, maybe_words),
    max_output=some.none() | some.integers(1, 9_999),
    temperature=fraction,
    top_p=fraction,
    stop=some.lists(words, max_size=3).map(tuple),
    seed=some.none() | some.integers(0, 2**31),
    choices=some.integers(1, 4),
    user=maybe_words,
    stream=some.booleans(),
)
reasons: some.SearchStrategy[FinishReason] = some.sampled_from(["stop", "length", "content_filter"])
usages = some.none() | some.builds(
    lambda total, cached, made, thought: Usage(total + cached, made + thought, cached, 0, thought),
    *(some.integers(0, 10**6) for _ in range(4)),
)


@some.composite
def answers(draw: some.DrawFn, most: int = 3) -> list[Event]:
    """The events of an answer that keep the law, fragments of several choices mixed."""
    choices: list[list[Event]] = []
    for index in range(draw(some.integers(1, most))):
        told: list[Event] = [TextDelta(text, index) for text in draw(some.lists(words, max_size=3))]
        told += [RefusalDelta(text, index) for text in draw(some.lists(words, max_size=1))]
        told = [*(ReasoningDelta(text, index) for text in draw(some.lists(words, max_size=2))), *told]
        for number, call in enumerate(draw(calls)):
            fragments = [*draw(some.lists(words, max_size=2)), "{}"]
            told += [ToolCallDelta(number, call.id, call.name, fragments[0], index)]
            told += [ToolCallDelta(number, arguments=fragment, choice=index) for fragment in fragments[1:]]
        called = any(isinstance(event, ToolCallDelta) for event in told)
        choices.append([*told, Finished("tool_calls" if called else draw(reasons), index)])
    mixed: list[Event] = []
    while choices:
        one = draw(some.sampled_from(choices))
        mixed.append(one.pop(0))
        if not one:
            choices.remove(one)
    usage = draw(usages)
    return [*mixed, UsageReported(usage)] if usage is not None else mixed


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def lone_cr(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


def commented(data: bytes) -> bytes:
    return b": hello\n\n" + data.replace(b"\n\n", b"\n: still here\n\n: and here\n\n")


def other_fields(data: bytes) -> bytes:
    return data.replace(b"data: ", b"id: 1\nevent: message\nretry: 5\ndata:")


def several_lines(data: bytes) -> bytes:
    """Each event over several data lines, cut where JSON has room for a line break."""
    return data.replace(b',"choices"', b'\ndata: ,"choices"').replace(b'"delta":', b'"delta":\ndata: ')


def unclosed(data: bytes) -> bytes:
    return data.removesuffix(b"\n\n")


dressings: some.SearchStrategy[Callable[[bytes], bytes]] = some.sampled_from(
    [bytes, crlf, lone_cr, commented, other_fields, several_lines, unclosed]
)
cuts = some.lists(some.integers(0, 10**6), max_size=30)


def read_again(dialect: Dialect, request: Request) -> Request:
    """The request as it is read where it was written."""
    return dialect.read_request(dialect.write_request(request, "m"), dialect.path("m", stream=request.stream))


def dressed(dialect: Dialect, dress: Callable[[bytes], bytes], stream: bytes) -> bytes:
    """The stream dressed otherwise, where it is one of lines."""
    return stream if words_of(dialect).binary else dress(stream)


def closing(dialect: Dialect, dress: Callable[[bytes], bytes]) -> bytes:
    """What a witness adds to a stream that was dressed so."""
    return b"\n\n" if dress is unclosed and not words_of(dialect).binary else b""


def asking(*, include_usage: bool = True) -> Request:
    return Request(model="m", messages=(), stream=True, include_usage=include_usage)


def stream_of(dialect: Dialect, events: Iterable[Event], request: Request) -> bytes:
    """The stream that this dialect writes."""
    writer = dialect.writer(request, "id-1", 1_760_000_000)
    return b"".join([writer.write(event) for event in events]) + writer.end()


def read(dialect: Dialect, stream: Sequence[bytes]) -> list[Event]:
    """The events of a stream that arrives in these pieces."""
    reader = dialect.reader()
    return [event for piece in stream for event in reader.feed(piece)] + list(reader.end())


def watched(dialect: Dialect, stream: Sequence[bytes], choices: int, *, hide_usage: bool) -> tuple[bytes, Usage | None]:
    """What a witness sends on of a stream that arrives in these pieces, and the usage that it learnt."""
    witness = dialect.witness(hide_usage=hide_usage, choices=choices)
    passed = b"".join([witness.feed(piece) for piece in stream]) + witness.end()
    return passed, witness.usage


# --- the laws ---------------------------------------------------------------------------------------------------------


@every_dialect
@given(request=requests)
def test_a_request_that_is_written_and_read_again_is_the_same(dialect: Dialect, request: Request) -> None:
    asked = words_of(dialect).says(request).changed(dialect=dialect.name)

    again = read_again(dialect, asked).changed(include_usage=False)

    assert msgspec.structs.replace(again, messages=tuple(again.messages)) == asked


@every_dialect
@given(request=requests)
def test_a_request_that_is_spliced_says_the_same_under_another_name(dialect: Dialect, request: Request) -> None:
    asked = words_of(dialect).says(request)
    wire = read_again(dialect, asked).wire
    assert isinstance(wire, Wire)

    spliced = dialect.splice(wire, "other", report_usage=False)

    named = {} if words_of(dialect).named_in_path else {"model": "other"}
    assert msgspec.json.decode(spliced) == msgspec.json.decode(wire.body) | named


@every_dialect
@given(events=answers())
def test_a_whole_answer_that_is_written_and_read_again_is_the_same(dialect: Dialect, events: list[Event]) -> None:
    response = folded(within(dialect, events))

    body = dialect.write_response(response, asking(), "id-1", 1_760_000_000)

    assert folded(dialect.read_response(body)) == response
    assert dialect.usage_of(body) == response.usage


@every_dialect
@given(events=answers(), dress=dressings, at=cuts)
def test_a_stream_is_read_the_same_however_it_is_dressed_and_cut(
    dialect: Dialect, events: list[Event], dress: Callable[[bytes], bytes], at: list[int]
) -> None:
    events = within(dialect, events)
    stream = dressed(dialect, dress, stream_of(dialect, events, asking()))

    in_pieces = read(dialect, pieces(stream, at))

    assert in_pieces == read(dialect, [stream])
    assert folded(in_pieces) == folded(events)


@every_dialect
@given(events=answers(most=1), dress=dressings)
@settings(max_examples=20)
def test_a_stream_is_read_the_same_byte_by_byte(
    dialect: Dialect, events: list[Event], dress: Callable[[bytes], bytes]
) -> None:
    events = within(dialect, events)
    stream = dressed(dialect, dress, stream_of(dialect, events, asking()))

    assert folded(read(dialect, [stream[at : at + 1] for at in range(len(stream))])) == folded(events)


@every_dialect
@given(events=answers(), dress=dressings, at=cuts)
def test_a_witness_passes_every_byte_and_learns_the_usage(
    dialect: Dialect, events: list[Event], dress: Callable[[bytes], bytes], at: list[int]
) -> None:
    events = within(dialect, events)
    stream, response = dressed(dialect, dress, stream_of(dialect, events, asking())), folded(events)

    passed, usage = watched(dialect, pieces(stream, at), len(response.choices), hide_usage=False)

    assert passed == stream + closing(dialect, dress)
    assert usage == response.usage


@every_dialect
def test_a_witness_passes_the_last_half_of_a_line_break_that_comes_alone(dialect: Dialect) -> None:
    events = within(dialect, [TextDelta("a"), Finished("stop"), UsageReported(Usage(3, 1))])
    stream = dressed(dialect, crlf, stream_of(dialect, events, asking()))

    for hide_usage in (False, True):
        passed, _ = watched(dialect, [stream[:-1], stream[-1:]], 1, hide_usage=hide_usage)
        assert passed.endswith(stream[-1:])
        assert hide_usage or passed == stream


@every_dialect
@given(events=answers(), dress=dressings, at=cuts)
def test_a_witness_hides_nothing_but_the_usage_that_was_not_asked_for(
    dialect: Dialect, events: list[Event], dress: Callable[[bytes], bytes], at: list[int]
) -> None:
    events = within(dialect, events)
    told, response = dressed(dialect, dress, stream_of(dialect, events, asking())), folded(events)
    quiet = [event for event in events if not isinstance(event, UsageReported)]

    passed, usage = watched(dialect, pieces(told, at), len(response.choices), hide_usage=True)

    assert usage == response.usage
    if words_of(dialect).always_tells_usage:
        assert passed == told + closing(dialect, dress)
        return
    assert read(dialect, [passed]) == read(dialect, [stream_of(dialect, quiet, asking())])
    assert response.usage is None or dress is commented or len(passed) < len(told)


@every_dialect
@given(events=answers(), keep=some.floats(0, 0.999))
def test_a_stream_that_stops_early_is_never_taken_for_a_whole_one(
    dialect: Dialect, events: list[Event], keep: float
) -> None:
    quiet = [event for event in within(dialect, events) if not isinstance(event, Finished | UsageReported)]
    writer = dialect.writer(asking(), "id-1", 1_760_000_000)
    stream = b"".join([writer.write(event) for event in quiet])
    begun = stream[: int(len(stream) * keep)]

    with pytest.raises(BadAnswer):
        read(dialect, [begun])
    with pytest.raises(BadAnswer):
        watched(dialect, [begun], len(folded(within(dialect, events)).choices), hide_usage=True)


@every_dialect
def test_a_caller_who_did_not_ask_for_usage_gets_none_in_a_stream(dialect: Dialect) -> None:
    events: list[Event] = [TextDelta("a"), Finished("stop"), UsageReported(Usage(3, 1))]

    quiet = read(dialect, [stream_of(dialect, events, asking(include_usage=False))])

    assert UsageReported(Usage(3, 1)) in read(dialect, [stream_of(dialect, events, asking())])
    assert (UsageReported(Usage(3, 1)) in quiet) == words_of(dialect).always_tells_usage
    assert [event for event in quiet if not isinstance(event, UsageReported)] == [TextDelta("a"), Finished("stop")]


@every_dialect
@pytest.mark.parametrize(
    "error",
    [
        Rejected("no such tool", param="tools[0]", kind="invalid_request_error", reason="bad_tool"),
        Invalid("temperature: too hot", param="temperature"),
        UnknownModel("there is no model 'x'", param="model"),
        RateLimited("slow down", retry_after=3),
        TooLong("too long", param="messages"),
        TimedOut("too late"),
        Unavailable("gone"),
        DirigentError('quotes " and \\ and \n and ü'),
    ],
)
def test_an_error_that_is_written_keeps_its_words(dialect: Dialect, error: DirigentError) -> None:
    again = dialect.read_error(400, dialect.write_error(error, 400, "a_kind", "r"), None)

    assert again.message.endswith(error.message)
    assert again.param == error.param or not words_of(dialect).errors_name_fields


@every_dialect
def test_an_error_in_a_stream_is_read_as_an_error(dialect: Dialect) -> None:
    writer = dialect.writer(asking(), "id-1", 1_760_000_000)
    stream = writer.write(TextDelta("half")) + writer.fail(
        dialect.write_error(Unavailable("gone"), 503, "api_error", "r")
    )

    with pytest.raises(Unavailable, match="gone"):
        read(dialect, [stream])
    with pytest.raises(Unavailable, match="gone"):
        watched(dialect, [stream], 1, hide_usage=True)


# --- nonsense ---------------------------------------------------------------------------------------------------------

json_like: some.SearchStrategy[Any] = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "index",
                    "id",
                    "usage",
                    "error",
                    "message",
                    "code",
                    "type",
                    "object",
                    "prompt_tokens",
                    "completion_tokens",
                    "total_tokens",
                    "finish_reason",
                    "logprobs",
                    "role",
                    "model",
                    "messages",
                    "tools",
                    "param",
                    "refusal",
                    "reasoning_content",
                    "stream",
                    "n",
                    "stop",
                    "tool_choice",
                    "response_format",
                    "json_schema",
                    "schema",
                    "name",
                    "x_groq",
                    "input",
                    "output",
                    "item",
                    "response",
                    "output_index",
                    "summary",
                    "content_block",
                    "delta",
                    "input",
                    "input_tokens",
                    "max_tokens",
                    "output_config",
                    "partial_json",
                    "signature",
                    "source",
                    "stop_reason",
                    "system",
                    "thinking",
                    "candidates",
                    "parts",
                    "finishReason",
                    "functionCall",
                    "contents",
                    "usageMetadata",
                    "stopReason",
                    "toolUse",
                    "inferenceConfig",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
nonsense = some.binary(max_size=60) | json_like.map(msgspec.json.encode)


def only_our_errors(attempt: Callable[[], object]) -> None:
    with suppress(DirigentError):
        attempt()


@every_dialect
@given(body=nonsense, status=some.integers(100, 599))
def test_nonsense_raises_nothing_but_our_own_errors(dialect: Dialect, body: bytes, status: int) -> None:
    only_our_errors(lambda: tuple(dialect.read_request(body, dialect.path("m", stream=False)).messages))
    only_our_errors(lambda: folded(dialect.read_response(body)))
    only_our_errors(lambda: dialect.usage_of(body))
    assert dialect.read_error(status, body, None).message


@every_dialect
@given(
    bodies=some.lists(nonsense | some.just(b"[DONE]"), max_size=4), frame=some.sampled_from([b"data: %b\n\n", b"%b"])
)
def test_nonsense_in_a_stream_raises_nothing_but_our_own_errors(
    dialect: Dialect, bodies: list[bytes], frame: bytes
) -> None:
    stream = [frame % body for body in bodies]

    only_our_errors(lambda: folded(read(dialect, stream)))
    only_our_errors(lambda: watched(dialect, stream, 1, hide_usage=True))


@every_dialect
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"messages":[', b'{"choices":[{"delta":{"content":['])
def test_bottomless_nesting_is_refused(dialect: Dialect, opening: bytes) -> None:
    body = opening * 100_000

    for attempt in (
        lambda: dialect.read_request(body),
        lambda: dialect.read_response(body),
        lambda: dialect.usage_of(body),
        lambda: read(dialect, [b"data: " + body + b"\n\n"]),
        lambda: watched(dialect, [b"data: " + body + b"\n\n"], 1, hide_usage=False),
    ):
        with pytest.raises(DirigentError):
            attempt()
    assert dialect.read_error(500, body, None).message


@every_dialect
def test_an_event_without_end_is_cut_off(dialect: Dialect) -> None:
    endless = [words_of(dialect).endless] + [b"x" * 1_048_576] * 20

    with pytest.raises(BadAnswer, match="without end"):
        read(dialect, endless)
    with pytest.raises(BadAnswer, match="without end"):
        watched(dialect, endless, 1, hide_usage=False)
