"""OpenAI's pictures: made, changed and varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import BadAnswer
from dirigent.core.events import Event, UsageReported, Verbatim
from dirigent.core.messages import Request, Response, Unread, Wire
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import StreamWriter, Witness
from dirigent.dialects.openai_tasks.forms import FormTask, content_type, model_of, yes
from dirigent.dialects.openai_tasks.task import Name, answer_in, decoded, encode, fields_of, reported
from dirigent.dialects.openai_tasks.watching import EventWitness
from dirigent.dialects.raw import NULL

__all__ = ["OpenAIImageEdits", "OpenAIImageVariations", "OpenAIImages"]


class _Body(msgspec.Struct):
    prompt: str | None = None
    stream: bool | None = None
    model: Name | None = None


class _End(msgspec.Struct):
    data: Annotated[list[dict[str, Raw]], Meta(min_length=1)]
    usage: Raw = NULL


_body = msgspec.json.Decoder(_Body)
_end = msgspec.json.Decoder(_End)


class _Pictures(FormTask, frozen=True):
    """What the three have in common: pictures come back, whole or in a stream of ever better ones."""

    told: ClassVar[str] = ""
    """The `type` of the event in which a finished picture streams."""

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        if content_type(headers).lower().startswith("multipart/"):
            form = self.form(body, headers)
            prompt, streams = form.text("prompt"), yes(form.text("stream"))
            return self._asked(model_of(form), prompt, streams, self.kept(body, headers))
        fields = fields_of(body)
        read: _Body = decoded(_body, body)
        return self._asked(read.model or "", read.prompt, read.stream is True, Wire(self.name, body, fields))

    def _asked(self, model: str, prompt: str | None, stream: bool, wire: Wire) -> Request:  # noqa: FBT001
        job = Unread((prompt,) if prompt else ())
        return Request(model=model, task=self.task, job=job, dialect=self.name, stream=stream, wire=wire)

    def read_response(self, body: bytes) -> Sequence[Event]:
        """Of a provider that does not stream although it was asked to: its pictures in the events of a stream."""
        end: _End = answer_in(body, _end)
        usage = {} if end.usage == NULL else {"usage": end.usage}
        events = [b"data: " + encode({"type": self.told, **picture, **usage}) + b"\n\n" for picture in end.data]
        known = reported(end.usage)
        return [Verbatim(b"".join(events)), *([UsageReported(known)] if known is not None else [])]

    def usage_of(self, body: bytes) -> Usage | None:
        end: _End = answer_in(body, _end)
        return reported(end.usage)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        return EventWitness()

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        raise BadAnswer(f"{request.model!r} answered without a picture")

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return _Writer(request.model)


class OpenAIImages(_Pictures, frozen=True):
    """OpenAI's `/v1/images/generations`."""

    name: ClassVar[str] = "openai_images"
    task: ClassVar[AnyTask] = "images"
    endpoint: ClassVar[str] = "/images/generations"
    told: ClassVar[str] = "image_generation.completed"


class OpenAIImageEdits(_Pictures, frozen=True):
    """OpenAI's `/v1/images/edits`, as a form or with the addresses of pictures in JSON."""

    name: ClassVar[str] = "openai_image_edits"
    task: ClassVar[AnyTask] = "image_edits"
    endpoint: ClassVar[str] = "/images/edits"
    told: ClassVar[str] = "image_edit.completed"
    needs: ClassVar[tuple[str, ...]] = ("image|image[]", "prompt")


class OpenAIImageVariations(_Pictures, frozen=True):
    """OpenAI's `/v1/images/variations`."""

    name: ClassVar[str] = "openai_image_variations"
    task: ClassVar[AnyTask] = "image_variations"
    endpoint: ClassVar[str] = "/images/variations"
    told: ClassVar[str] = "image_variation.completed"
    needs: ClassVar[tuple[str, ...]] = ("image|image[]",)

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        form = self.form(body, headers)
        return self._asked(model_of(form), None, stream=False, wire=self.kept(body, headers))


class _Writer:
    """Sends on what the provider says; nobody else makes pictures."""

    def __init__(self, model: str) -> None:
        self._model = model

    def write(self, event: Event) -> bytes:
        return event.data if isinstance(event, Verbatim) else b""

    def end(self) -> bytes:
        raise BadAnswer(f"{self._model!r} answered without a picture")

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"
