"""OpenAI's moderations: texts and pictures are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Unread, Wire
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks.task import Name, Task, answer_in, decoded, fields_of, reported
from dirigent.dialects.raw import NULL

__all__ = ["OpenAIModerations"]


class _Piece(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Body(msgspec.Struct):
    input: str | Annotated[list[str | _Piece], Meta(min_length=1)]
    model: Name | None = None


class _End(msgspec.Struct):
    results: list[Raw]
    usage: Raw = NULL


_body = msgspec.json.Decoder(_Body)
_end = msgspec.json.Decoder(_End)


class OpenAIModerations(Task, frozen=True):
    """OpenAI's `/v1/moderations`."""

    name: ClassVar[str] = "openai_moderations"
    task: ClassVar[AnyTask] = "moderations"
    endpoint: ClassVar[str] = "/moderations"

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        fields = fields_of(body)
        read: _Body = decoded(_body, body)
        return Request(
            model=read.model or "",
            task=self.task,
            job=Unread(tuple(_texts(read.input))),
            dialect=self.name,
            wire=Wire(self.name, body, fields),
        )

    def read_response(self, body: bytes) -> Sequence[Event]:
        raise BadAnswer("a verdict is only passed on as the provider wrote it")

    def usage_of(self, body: bytes) -> Usage | None:
        end: _End = answer_in(body, _end)
        return reported(end.usage)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        raise BadAnswer(f"{request.model!r} answered without a verdict")


def _texts(given: str | list[Any]) -> Iterator[str]:
    for piece in [given] if isinstance(given, str) else given:
        if text := piece if isinstance(piece, str) else piece.text:
            yield text
