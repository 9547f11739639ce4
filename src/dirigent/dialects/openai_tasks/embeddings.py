"""OpenAI's embeddings: texts become vectors."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import BadAnswer, Invalid, Unsupported
from dirigent.core.events import Embedded, Event, UsageReported
from dirigent.core.messages import Embedding, Request, Response, Wire
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks.task import Name, Task, answer_in, decoded, encode, fields_of, reported
from dirigent.dialects.raw import NULL

__all__ = ["OpenAIEmbeddings"]

_MOST_TEXTS = 2048

Tokens = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)]
_ONE_TEXT = msgspec.json.Decoder(str)
_TEXTS = msgspec.json.Decoder(Annotated[list[str], Meta(min_length=1)])
_TOKENS = msgspec.json.Decoder(Tokens)
_MANY_TOKENS = msgspec.json.Decoder(Annotated[list[Tokens], Meta(min_length=1)])


class _Body(msgspec.Struct):
    input: Raw
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    model: Name | None = None


class _Vector(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _Answer(msgspec.Struct):
    data: Annotated[list[_Vector], Meta(min_length=1)]
    usage: Raw = NULL


class _End(msgspec.Struct):
    data: Annotated[list[Raw], Meta(min_length=1)]
    usage: Raw = NULL


_body = msgspec.json.Decoder(_Body)
_answer = msgspec.json.Decoder(_Answer)
_end = msgspec.json.Decoder(_End)
_UNDERSTOOD = frozenset(_Body.__struct_fields__)


class OpenAIEmbeddings(Task, frozen=True):
    """OpenAI's `/v1/embeddings`."""

    name: ClassVar[str] = "openai_embeddings"
    task: ClassVar[AnyTask] = "embeddings"
    endpoint: ClassVar[str] = "/embeddings"

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        fields = fields_of(body)
        read: _Body = decoded(_body, body)
        return Request(
            model=read.model or "",
            task=self.task,
            job=Embedding(_texts(read.input), read.dimensions, read.encoding_format == "base64"),
            dialect=self.name,
            user=read.user,
            extra={name: raw for name, raw in fields.items() if name not in _UNDERSTOOD and raw != NULL},
            wire=Wire(self.name, body, fields),
        )

    def write_request(self, request: Request, deployment: str) -> bytes:
        job = request.job
        if not isinstance(job, Embedding):
            raise Unsupported("only texts can be embedded", param="model")
        body: dict[str, Any] = {
            "model": deployment,
            "input": list(job.texts),
            "dimensions": job.dimensions,
            "encoding_format": "base64" if job.base64 else None,
            "user": request.user,
            **(request.extra if request.dialect == self.name else {}),
        }
        return encode({name: value for name, value in body.items() if value is not None})

    def read_response(self, body: bytes) -> Sequence[Event]:
        answer: _Answer = answer_in(body, _answer)
        events: list[Event] = [
            Embedded(place if each.index is None else each.index, _vector(each.embedding))
            for place, each in enumerate(answer.data)
        ]
        if (usage := reported(answer.usage)) is not None:
            events.append(UsageReported(usage))
        return events

    def usage_of(self, body: bytes) -> Usage | None:
        end: _End = answer_in(body, _end)
        return reported(end.usage)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        if not response.vectors:
            raise BadAnswer(f"{request.model!r} answered without a single vector")
        in_base64 = isinstance(request.job, Embedding) and request.job.base64
        usage = response.usage or Usage()
        return encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": _packed(vector) if in_base64 else vector}
                    for index, vector in enumerate(response.vectors)
                ],
                "model": request.model,
                "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens},
            }
        )


def _texts(raw: Raw) -> tuple[str | tuple[int, ...], ...]:
    """The texts of `input` in each of its four shapes: a text, texts, the tokens of a text, the tokens of texts."""
    texts = tuple(_each_text(raw))
    if len(texts) > _MOST_TEXTS:
        raise Invalid(f"input: {len(texts)} texts are more than {_MOST_TEXTS}, the most at once", param="input")
    for index, text in enumerate(texts):
        if not text:
            raise Invalid(f"input[{index}]: the text is empty", param="input")
    return texts


def _each_text(raw: Raw) -> Iterator[str | tuple[int, ...]]:
    for decoder in (_ONE_TEXT, _TEXTS, _TOKENS, _MANY_TOKENS):
        try:
            found: Any = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if decoder is _ONE_TEXT:
            yield found
        elif decoder is _TOKENS:
            yield tuple(found)
        else:
            yield from (text if isinstance(text, str) else tuple(text) for text in found)
        return
    raise Invalid("input: a text, a list of texts, a list of tokens, or a list of these lists", param="input")


def _vector(embedding: str | list[float]) -> tuple[float, ...]:
    if not isinstance(embedding, str):
        return tuple(embedding)
    try:
        numbers = array("f", b64decode(embedding, validate=True))
    except ValueError:
        raise BadAnswer("a vector of the provider is neither a list of numbers nor base64 of 32-bit floats") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


def _packed(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
