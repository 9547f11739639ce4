"""Somebody whose agents stand on LangChain, LlamaIndex or Pydantic AI changes the address and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.journeys.node import Node, node
from tests.journeys.oracle import CITIES, FORECAST, GREETING, SPENT, Oracle, oracle


class Package:
    """A package that is imported when a test first asks it for something: that takes seconds, in each worker."""

    def __init__(self, name: str, title: str) -> None:
        self._name = name
        self._title = title

    def __getattr__(self, name: str) -> Any:
        return getattr(pytest.importorskip(self._name, reason=f"{self._title} is not installed"), name)


langchain_openai = Package("langchain_openai", "LangChain for OpenAI")
langchain_anthropic = Package("langchain_anthropic", "LangChain for Anthropic")
chats = Package("langchain_core.messages", "LangChain")
llama = Package("llama_index.llms.openai", "LlamaIndex for OpenAI")
llama_words = Package("llama_index.core.llms", "LlamaIndex")
llama_tools = Package("llama_index.core.tools", "LlamaIndex")
agents = Package("pydantic_ai", "Pydantic AI")
agents_openai = Package("pydantic_ai.models.openai", "Pydantic AI")
agents_anthropic = Package("pydantic_ai.models.anthropic", "Pydantic AI")
providers_openai = Package("pydantic_ai.providers.openai", "Pydantic AI")
providers_anthropic = Package("pydantic_ai.providers.anthropic", "Pydantic AI")

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONFIG = """\
    providers:
      anthropic: {{type: anthropic, base_url: "{url}", api_key: {{env: KEY}}}}
      other: {{type: compatible, base_url: "{url}"}}
    models:
      gpt-4o: {{type: deployment, provider: other, name: far-gpt, retries: 0}}
      eager: {{type: deployment, provider: other, name: eager, retries: 0}}
      claude: {{type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}}
      gpt-4o-mini: {{type: deployment, provider: anthropic, name: claude-opus-4-8, retries: 0}}
    """
QUESTION = "How is the weather in Köln and in Bonn?"
SKIES = {"Köln": "sunny ☀", "Bonn": "rain"}
REPORT = "; ".join(f"{city}: {SKIES[city]}" for city in CITIES)
SPOKEN = {"gpt-4o": "chat/completions", "claude": "messages"}
"""The format that the provider of each model speaks; the other half of all pairs is translated."""
EVERY_MODEL = pytest.mark.parametrize("model", list(SPOKEN))
EVERY_FAMILIAR = pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini"])
"""LlamaIndex knows OpenAI's names alone; the second is Claude under one of them."""
EVERY_PAIR = pytest.mark.parametrize(("speaks", "model"), [(a, b) for a in ("openai", "anthropic") for b in SPOKEN])


class Forecast(BaseModel):
    """A forecast for one city."""

    city: str
    degrees: float


def weather(city: str) -> str:
    """Tells how the weather is in a city."""
    return SKIES[city]


@dataclass
class World:
    """A node between a framework and the oracle."""

    node: Node
    oracle: Oracle

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.node.port}"

    def langchain(self, speaks: str, model: str, **settings: Any) -> Any:
        if speaks == "anthropic":
            given = {"base_url": self.address, "api_key": self.node.key, "max_tokens": 100, "max_retries": 0}
            return langchain_anthropic.ChatAnthropic(model=model, **given, **settings)
        given = {"base_url": f"{self.address}/v1", "api_key": self.node.key, "max_retries": 0}
        return langchain_openai.ChatOpenAI(model=model, **given, **settings)

    def llama(self, model: str) -> Any:
        return llama.OpenAI(model=model, api_base=f"{self.address}/v1", api_key=self.node.key, max_retries=0)

    def model(self, speaks: str, model: str) -> Any:
        """A model of Pydantic AI's."""
        if speaks == "anthropic":
            far = providers_anthropic.AnthropicProvider(base_url=self.address, api_key=self.node.key)
            return agents_anthropic.AnthropicModel(model, provider=far)
        far = providers_openai.OpenAIProvider(base_url=f"{self.address}/v1", api_key=self.node.key)
        return agents_openai.OpenAIChatModel(model, provider=far)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    data = tmp_path_factory.mktemp("frameworks") / "data"
    async with oracle() as far:
        with node(data, CONFIG.format(url=far.url), environment={"KEY": "sk-ant-nobody-sees-this"}) as one:
            yield World(one, far)


@pytest.fixture
def world(shared: World) -> World:
    """The node of all these stories, of which nothing has been asked yet."""
    shared.oracle.asked.clear()
    return shared


def tokens(counted: Any) -> tuple[int, int]:
    """What LangChain or Pydantic AI has counted, taken and given."""
    if isinstance(counted, dict):
        return counted["input_tokens"], counted["output_tokens"]
    return counted.input_tokens, counted.output_tokens


@EVERY_PAIR
async def test_langchain_asks_and_streams_and_counts_the_same_both_times(world: World, speaks: str, model: str) -> None:
    chat = world.langchain(speaks, model, **({"stream_usage": True} if speaks == "openai" else {}))

    whole = await chat.ainvoke([("system", "Be brief."), ("human", "Hello?")])
    streamed = [piece async for piece in chat.astream("Hello?")]
    summed = streamed[0]
    for piece in streamed[1:]:
        summed += piece

    assert (whole.text, summed.text) == (GREETING, GREETING)
    assert len([piece for piece in streamed if piece.text]) > 1
    assert tokens(whole.usage_metadata) == tokens(summed.usage_metadata) == SPENT
    assert world.oracle.paths == [SPOKEN[model]] * 2


@EVERY_PAIR
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_langchain_leads_a_conversation_with_parallel_tools_over_two_turns(
    world: World, speaks: str, model: str, *, streams: bool
) -> None:
    chat = world.langchain(speaks, model).bind_tools([weather])

    async def asks(messages: list[Any]) -> Any:
        if not streams:
            return await chat.ainvoke(messages)
        pieces = [piece async for piece in chat.astream(messages)]
        return sum(pieces[1:], pieces[0])

    called = await asks([chats.HumanMessage(QUESTION)])
    results = [chats.ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
    # The results come back in the other order: it is the id that says to which call each belongs.
    told = await asks([chats.HumanMessage(QUESTION), called, *results[::-1]])

    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("weather", {"city": c}) for c in CITIES]
    assert called.invalid_tool_calls == []
    assert called.text == "I look."
    assert told.text == "; ".join(REPORT.split("; ")[::-1])
    assert world.oracle.paths == [SPOKEN[model]] * 2


@EVERY_PAIR
async def test_langchain_gets_its_structured_output_by_schema_and_by_tool(
    world: World, speaks: str, model: str
) -> None:
    chat = world.langchain(speaks, model)

    by_schema = await chat.with_structured_output(Forecast, method="json_schema").ainvoke("Cologne tomorrow?")
    by_tool = await chat.with_structured_output(Forecast, method="function_calling").ainvoke("Cologne tomorrow?")

    assert by_schema == by_tool == Forecast(**FORECAST)
    asked = world.oracle.bodies
    assert ("output_config" if model == "claude" else "response_format") in asked[0]
    assert [len(body.get("tools") or ()) for body in asked] == [0, 1]


@EVERY_MODEL
async def test_langchain_reaches_every_model_through_openais_newer_format_too(world: World, model: str) -> None:
    chat = world.langchain("openai", model, use_responses_api=True).bind_tools([weather])

    pieces = [piece async for piece in chat.astream(QUESTION)]
    called = sum(pieces[1:], pieces[0])
    results = [chats.ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
    told = await chat.ainvoke([chats.HumanMessage(QUESTION), called, *results])

    assert [call["args"]["city"] for call in called.tool_calls] == list(CITIES)
    assert told.text == REPORT
    assert tokens(called.usage_metadata) == tokens(told.usage_metadata) == SPENT
    assert world.oracle.paths == [SPOKEN[model]] * 2


@EVERY_MODEL
async def test_langchain_counts_no_streamed_token_twice_and_none_unasked(world: World, model: str) -> None:
    counting = world.langchain("openai", model, stream_usage=True)
    silent = world.langchain("openai", model, stream_usage=False)

    # LangChain adds up whatever it finds: a count on two pieces is a count twice.
    counted = [piece.usage_metadata async for piece in counting.astream("Hello?")]
    unasked = [piece.usage_metadata async for piece in silent.astream("Hello?")]

    assert [tokens(each) for each in counted if each] == [SPENT]
    assert [each for each in unasked if each] == []
    assert [body["stream"] for body in world.oracle.bodies] == [True, True]


@EVERY_MODEL
async def test_the_count_of_a_stream_stands_in_a_piece_without_choices(world: World, model: str) -> None:
    # Frameworks that take it from any piece, LangChain.js and Dify among them, count a piece with choices once more.
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hello?"}],
        "stream_options": {"include_usage": True},
    }

    async with world.node.async_openai() as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(model=model, stream=True, **asked)]

    assert [chunk.choices for chunk in chunks if chunk.usage] == [[]]


async def test_a_provider_who_counts_twice_is_booked_once(world: World) -> None:
    chat = world.langchain("openai", "eager", include_response_headers=True)

    heads = [piece.response_metadata.get("headers") async for piece in chat.astream("Hello?")]
    run = next(head["x-dirigent-run"] for head in heads if head)
    booked = (await asyncio.to_thread(world.node.call, "GET", f"/api/v1/runs/{run}")).json

    assert tokens(booked) == SPENT


async def test_langchain_adds_up_no_count_that_a_provider_tells_twice(world: World) -> None:
    chat = world.langchain("openai", "eager", stream_usage=True)

    counted = [piece.usage_metadata async for piece in chat.astream("Hello?")]

    assert [tokens(each) for each in counted if each] == [SPENT]


async def test_langchain_blocks_a_thread_as_well_and_sorts_what_goes_wrong(world: World) -> None:
    chat, stranger = world.langchain("openai", "gpt-4o"), world.langchain("openai", "no-such-model")

    answers = await asyncio.gather(*(asyncio.to_thread(chat.batch, ["Hello?"] * 4) for _ in range(2)))
    with pytest.raises(Exception, match="no-such-model") as refused:
        await stranger.ainvoke("Hello?")

    assert [message.text for batch in answers for message in batch] == [GREETING] * 8
    assert refused.value.status_code == 404  # type: ignore[attr-defined]


@EVERY_FAMILIAR
async def test_llamaindex_completes_chats_and_streams(world: World, model: str) -> None:
    llm = world.llama(model)
    asked = [llama_words.ChatMessage(role="user", content="Hello?")]

    completed = await llm.acomplete("Hello?")
    told = await llm.achat(asked)
    pieces = [piece.delta async for piece in await llm.astream_chat(asked)]
    words = [piece.delta async for piece in await llm.astream_complete("Hello?")]
    blocking = await asyncio.to_thread(llm.chat, asked)

    assert completed.text == told.message.content == blocking.message.content == GREETING
    assert "".join(pieces) == "".join(words) == GREETING
    assert len(words) > 1
    assert (told.additional_kwargs["prompt_tokens"], told.additional_kwargs["completion_tokens"]) == SPENT


@EVERY_FAMILIAR
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_llamaindex_calls_functions_and_reads_their_results(world: World, model: str, *, streams: bool) -> None:
    llm, tool = world.llama(model), llama_tools.FunctionTool.from_defaults(weather)
    question = llama_words.ChatMessage(role="user", content=QUESTION)

    async def asks(history: list[Any]) -> Any:
        if not streams:
            return await llm.achat_with_tools([tool], chat_history=history, allow_parallel_tool_calls=True)
        stream = await llm.astream_chat_with_tools([tool], chat_history=history, allow_parallel_tool_calls=True)
        return [piece async for piece in stream][-1]

    called = await asks([question])
    calls = llm.get_tool_calls_from_response(called)
    results = [
        llama_words.ChatMessage(
            role="tool",
            content=str(tool(**call.tool_kwargs).raw_output),
            additional_kwargs={"tool_call_id": call.tool_id},
        )
        for call in calls
    ]
    told = await asks([question, called.message, *results])

    assert [(call.tool_name, call.tool_kwargs["city"]) for call in calls] == [("weather", city) for city in CITIES]
    assert told.message.content == REPORT


@EVERY_FAMILIAR
async def test_llamaindex_gets_its_structured_output(world: World, model: str) -> None:
    llm = world.llama(model).as_structured_llm(Forecast)

    told = await llm.acomplete("Cologne tomorrow?")

    assert told.raw == Forecast(**FORECAST)


@EVERY_PAIR
async def test_a_pydantic_agent_uses_its_tool_and_ends_with_a_typed_answer(
    world: World, speaks: str, model: str
) -> None:
    agent = agents.Agent(world.model(speaks, model), tools=[weather], output_type=Forecast)

    result = await agent.run(QUESTION)

    assert result.output == Forecast(**FORECAST)
    assert result.usage.requests == 2
    assert tokens(result.usage) == (2 * SPENT[0], 2 * SPENT[1])
    assert world.oracle.paths == [SPOKEN[model]] * 2


@EVERY_PAIR
async def test_a_pydantic_agent_streams_its_report_after_its_tools(world: World, speaks: str, model: str) -> None:
    agent = agents.Agent(world.model(speaks, model), tools=[weather])
    terse = agents.Agent(world.model(speaks, model))

    async with terse.run_stream("Hello?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    async with agent.iter(QUESTION) as run:
        async for step in run:
            if agents.Agent.is_model_request_node(step):
                async with step.stream(run.ctx) as events:
                    _ = [event async for event in events]

    assert "".join(pieces) == GREETING
    assert len(pieces) > 1
    assert run.result.output == REPORT
    assert tokens(run.result.usage) == (2 * SPENT[0], 2 * SPENT[1])
    assert [body["stream"] for body in world.oracle.bodies] == [True] * 3


@EVERY_MODEL
async def test_a_pydantic_agent_gets_a_native_schema_filled_in(world: World, model: str) -> None:
    agent = agents.Agent(world.model("openai", model), output_type=agents.NativeOutput(Forecast))

    result = await agent.run("Cologne tomorrow?")

    assert result.output == Forecast(**FORECAST)
    assert ("output_config" if model == "claude" else "response_format") in world.oracle.bodies[0]
