"""A request and its response in our own words, independent of any wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from dirigent.core.usage import Usage

__all__ = [
    "Audio",
    "Choice",
    "Embedding",
    "File",
    "FinishReason",
    "Image",
    "Job",
    "Message",
    "Opaque",
    "Part",
    "Reasoning",
    "Refusal",
    "Request",
    "Response",
    "Role",
    "Schema",
    "Segment",
    "Sound",
    "Speech",
    "Task",
    "Text",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "Transcript",
    "Transcription",
    "Unread",
    "Wire",
    "Word",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Task = Literal[
    "chat",
    "completions",
    "embeddings",
    "image_edits",
    "image_variations",
    "images",
    "moderations",
    "speech",
    "transcriptions",
    "translations",
]
"""What a request wants done: a conversation, or one of the jobs beside it."""

# A part's `cache` is the mark that everything up to here may be kept in the provider's prompt cache: the caller's
# `cache_control` object as it came, sub-fields that nobody here knows included.


class Text(msgspec.Struct, frozen=True):
    """A stretch of text."""

    text: str
    cache: msgspec.Raw | None = None


class Image(msgspec.Struct, frozen=True):
    """A picture, by address or as a `data:` URL."""

    url: str
    detail: str | None = None
    cache: msgspec.Raw | None = None


class Audio(msgspec.Struct, frozen=True):
    """Sound, base64-encoded, in `format` (such as `wav` or `mp3`); or a reference to sound of an earlier answer."""

    data: str = ""
    format: str = ""
    reference: str | None = None
    transcript: str | None = None
    """What is said in it; with the sound of an answer."""
    expires: int | None = None
    """Until when the reference holds, in seconds since 1970; with the sound of an answer."""


class File(msgspec.Struct, frozen=True):
    """A document: by provider's id, by address, or with its contents."""

    data: str | None = None
    """Base64, or a `data:` URL."""
    name: str | None = None
    reference: str | None = None
    url: str | None = None
    media_type: str | None = None
    """Of `data` where that is no `data:` URL, such as `application/pdf`."""
    cache: msgspec.Raw | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """What the model thought before it answered; what a provider has sealed goes back byte for byte, or not at all.

    A stretch without text may still carry a seal, for some providers only show that they have thought.
    """

    text: str = ""
    signature: str | None = None
    """The provider's proof that the text is its own."""
    sealed: str | None = None
    """Thoughts that only their issuer can read."""
    id: str | None = None
    """The provider's name for this stretch, where its dialect has one."""
    issuer: str = ""
    """The dialect in which signature, seal and id mean something."""


class Refusal(msgspec.Struct, frozen=True):
    """The model's words for not answering."""

    text: str


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model asks for. `arguments` is the JSON text that it wrote, which need not be valid JSON."""

    id: str
    name: str
    arguments: str
    signature: str | None = None
    """The seal that some providers (Gemini) put on a call; it goes back with it."""
    cache: msgspec.Raw | None = None


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
    failed: bool = False
    """For role `tool`: the tool says that it did not work."""
    cache: msgspec.Raw | None = None
    """A cache mark on the message as a whole, such as on the result of a tool."""
    extra: Mapping[str, msgspec.Raw] = {}
    """The fields that only the dialect knows in which the message was read."""

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        parts = self.parts
        if len(parts) == 1 and type(part := parts[0]) is Text:
            return part.text
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(msgspec.Struct, frozen=True):
    """A function that the caller offers; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    cache: msgspec.Raw | None = None


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


class Embedding(msgspec.Struct, frozen=True):
    """The job of turning texts, or texts as tokens, into vectors."""

    texts: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    base64: bool = False
    """Whether the caller wants each vector as base64 of little-endian 32-bit floats."""


class Speech(msgspec.Struct, frozen=True):
    """The job of speaking a text."""

    text: str
    voice: str = "alloy"
    format: str = "mp3"
    speed: float = 1.0
    instructions: str | None = None


class Transcription(msgspec.Struct, frozen=True):
    """The job of writing down what is said; with `translate`, in English."""

    audio: bytes
    name: str = "audio"
    language: str | None = None
    prompt: str | None = None
    format: str = "json"
    temperature: float = 0.0
    words: bool = False
    segments: bool = False
    translate: bool = False


class Unread(msgspec.Struct, frozen=True):
    """A job that only providers of the caller's own dialect can do: its bytes go on as they are."""

    texts: tuple[str, ...] = ()
    """Every text in it that a person may have written."""


Job = Embedding | Speech | Transcription | Unread


class Wire(msgspec.Struct, frozen=True):
    """The request as it came in: what lets a deployment of the same dialect send it on verbatim."""

    dialect: str
    body: bytes
    fields: Mapping[str, msgspec.Raw]
    """The top-level fields of the body, undecoded."""
    content_type: str = "application/json"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is asked. `extra` holds the fields that only `dialect` knows, in which the request was read."""

    model: str
    messages: Sequence[Message] = ()
    task: Task = "chat"
    job: Job | None = None
    """What is wanted where the task is not a conversation."""
    dialect: str = ""
    tools: Sequence[Tool | Opaque] = ()
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
    top_k: int | None = None
    reasoning_effort: str | None = None
    """How long to think, in OpenAI's words: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`."""
    reasoning_budget: int | None = None
    """How long to think, in tokens at most; 0 for not at all."""
    previous: str | None = None
    """The answer that this request continues, where its provider keeps the conversation."""
    modalities: tuple[str, ...] = ()
    user: str | None = None
    stream: bool = False
    include_usage: bool = False
    """Whether the caller of a stream asked for the usage at its end."""
    extra: Mapping[str, msgspec.Raw] = {}
    headers: tuple[tuple[str, str], ...] = ()
    """The caller's headers that belong to the request and go on to providers of `dialect`, such as beta features."""
    wire: Wire | None = None

    def changed(self, **fields: Any) -> Request:
        """A copy with other contents. It no longer goes out verbatim, because the bytes would tell the old story."""
        return msgspec.structs.replace(self, wire=None, **fields)

    def texts(self) -> Iterator[tuple[Role, str]]:
        """Each message's role and text, in order; messages without text are left out."""
        for message in self.messages:
            if text := message.text:
                yield message.role, text


class Sound(msgspec.Struct, frozen=True):
    """Sound as a player takes it."""

    data: bytes
    content_type: str
    """Such as `audio/mpeg`; `audio/pcm` is 24,000 samples a second of 16 bits, little-endian, one channel."""
    seconds: float = 0.0


class Segment(msgspec.Struct, frozen=True):
    """A stretch of what was said, in seconds from the beginning."""

    start: float
    end: float
    text: str


class Word(msgspec.Struct, frozen=True):
    """One word of what was said, in seconds from the beginning."""

    start: float
    end: float
    word: str


class Transcript(msgspec.Struct, frozen=True):
    """What is said in a sound."""

    text: str
    language: str
    """ISO 639-1."""
    seconds: float
    """How long the sound is."""
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] = ()
    """Only where they were asked for."""


class Choice(msgspec.Struct, frozen=True):
    """One of the answers to a request that asked for several; usually the only one."""

    message: Message
    finish: FinishReason | None = None
    logprobs: msgspec.Raw | None = None
    sequence: str | None = None
    """The stop sequence that ended it, where the provider says so."""


class Response(msgspec.Struct, frozen=True):
    """A whole answer, collected from its events."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None
    vectors: tuple[tuple[float, ...], ...] = ()
    """What an embedding answered, in the order of its texts."""
    sound: Sound | None = None
    transcript: Transcript | None = None

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].message.text if self.choices else ""
