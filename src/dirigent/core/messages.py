"""A request and its response in our own words, independent of any wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from dirigent.core.usage import Usage

__all__ = [
    "Audio",
    "Choice",
    "File",
    "FinishReason",
    "Image",
    "Message",
    "Opaque",
    "Part",
    "Reasoning",
    "Refusal",
    "Request",
    "Response",
    "Role",
    "Schema",
    "Text",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "Wire",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Text(msgspec.Struct, frozen=True):
    """A stretch of text."""

    text: str


class Image(msgspec.Struct, frozen=True):
    """A picture, by address or as a `data:` URL."""

    url: str
    detail: str | None = None


class Audio(msgspec.Struct, frozen=True):
    """Sound, base64-encoded, in `format` (such as `wav` or `mp3`); or a reference to sound of an earlier answer."""

    data: str = ""
    format: str = ""
    reference: str | None = None


class File(msgspec.Struct, frozen=True):
    """A document, by provider's id or base64-encoded."""

    data: str | None = None
    name: str | None = None
    reference: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """What the model thought aloud before it answered."""

    text: str


class Refusal(msgspec.Struct, frozen=True):
    """The model's words for not answering."""

    text: str


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model asks for. `arguments` is the JSON text that it wrote, which need not be valid JSON."""

    id: str
    name: str
    arguments: str


class Opaque(msgspec.Struct, frozen=True):
    """A part or tool that only its own dialect can read; it survives untouched where the dialect stays the same."""

    dialect: str
    raw: bytes
    place: Literal["content", "calls", "tools"] = "content"
    """Where it stands: among the contents of a message, the calls of a message, or the tools of the request."""


Part = Text | Image | Audio | File | Reasoning | Refusal | ToolCall | Opaque


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    call: str | None = None
    """For role `tool`: the id of the call that this answers."""

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(msgspec.Struct, frozen=True):
    """A function that the caller offers; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether a tool is called: `auto`, `none`, `required`, or `named` with the tool's name."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class Schema(msgspec.Struct, frozen=True):
    """The structure that the answer must have: any JSON object where `schema` is None, else this JSON Schema."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


class Wire(msgspec.Struct, frozen=True):
    """The request as it came in: what lets a deployment of the same dialect send it on verbatim."""

    dialect: str
    body: bytes
    fields: Mapping[str, msgspec.Raw]
    """The top-level fields of the body, undecoded."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is asked. `extra` holds the fields that only the request's own dialect knows."""

    model: str
    messages: Sequence[Message]
    tools: tuple[Tool | Opaque, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    structure: Schema | None = None
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    choices: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    modalities: tuple[str, ...] = ()
    user: str | None = None
    stream: bool = False
    include_usage: bool = False
    """Whether the caller of a stream asked for the usage at its end."""
    extra: Mapping[str, msgspec.Raw] = {}
    wire: Wire | None = None

    def changed(self, **fields: Any) -> Request:
        """A copy with other contents. It no longer goes out verbatim, because the bytes would tell the old story."""
        return msgspec.structs.replace(self, wire=None, **fields)

    def texts(self) -> Iterator[tuple[Role, str]]:
        """Each message's role and text, in order; messages without text are left out."""
        for message in self.messages:
            if text := message.text:
                yield message.role, text


class Choice(msgspec.Struct, frozen=True):
    """One of the answers to a request that asked for several; usually the only one."""

    message: Message
    finish: FinishReason | None = None
    logprobs: msgspec.Raw | None = None


class Response(msgspec.Struct, frozen=True):
    """A whole answer, collected from its events."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].message.text if self.choices else ""
