"""OpenAI's old completions: a text is continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Raw

from dirigent.core.events import Event, Finished, LogprobsDelta, TextDelta, UsageReported, Verbatim
from dirigent.core.messages import FinishReason, Request, Response, Unread, Wire
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import StreamWriter, Witness
from dirigent.dialects.openai_tasks.task import Name, Task, answer_in, decoded, encode, fields_of, reported
from dirigent.dialects.openai_tasks.watching import CompletionWitness
from dirigent.dialects.raw import NULL

__all__ = ["OpenAICompletions"]

_FINISH: dict[str, FinishReason] = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Choice(msgspec.Struct):
    text: str = ""
    index: int | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class _Answer(msgspec.Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    usage: Raw = NULL


class _End(msgspec.Struct):
    choices: Annotated[list[Raw], Meta(min_length=1)]
    usage: Raw = NULL


class _Body(msgspec.Struct):
    prompt: Raw = NULL
    suffix: str | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    model: Name | None = None


_body = msgspec.json.Decoder(_Body)
_answer = msgspec.json.Decoder(_Answer)
_end = msgspec.json.Decoder(_End)
_prompt = msgspec.json.Decoder(str | list[Any] | None)


class OpenAICompletions(Task, frozen=True):
    """OpenAI's `/v1/completions`, the old one; its bytes go to who speaks it too, and to nobody else."""

    name: ClassVar[str] = "openai_completions"
    task: ClassVar[AnyTask] = "completions"
    prefix: ClassVar[str] = "cmpl-"
    endpoint: ClassVar[str] = "/completions"

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        fields = fields_of(body)
        read: _Body = decoded(_body, body)
        texts, prompts = _prompts(read.prompt)
        return Request(
            model=read.model or "",
            task=self.task,
            job=Unread((*texts, *([read.suffix] if read.suffix else []))),
            dialect=self.name,
            max_output=read.max_tokens,
            choices=(read.n or 1) * prompts,
            stream=bool(read.stream),
            include_usage=bool(read.stream_options and read.stream_options.include_usage),
            wire=Wire(self.name, body, fields),
        )

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        fields = {name: raw for name, raw in wire.fields.items() if raw != NULL}
        fields["model"] = Raw(encode(deployment))
        if report_usage:
            given = fields.get("stream_options")
            options: dict[str, Raw] = {} if given is None else msgspec.json.decode(given, type=dict[str, Raw])
            fields["stream_options"] = Raw(encode({**options, "include_usage": True}))
        return encode(fields)

    def read_response(self, body: bytes) -> Sequence[Event]:
        answer: _Answer = answer_in(body, _answer)
        events: list[Event] = []
        for place, choice in enumerate(answer.choices):
            index = place if choice.index is None else choice.index
            events.append(TextDelta(choice.text, index))
            if choice.logprobs != NULL:
                events.append(LogprobsDelta(choice.logprobs, index))
            events.append(Finished(_FINISH.get(choice.finish_reason or "", "stop"), index))
        if (usage := reported(answer.usage)) is not None:
            events.append(UsageReported(usage))
        return events

    def usage_of(self, body: bytes) -> Usage | None:
        end: _End = answer_in(body, _end)
        return reported(end.usage)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        return CompletionWitness(hide_usage=hide_usage, choices=choices)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        choices = [
            {
                "text": choice.message.text,
                "index": index,
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish or "stop",
            }
            for index, choice in enumerate(response.choices)
        ]
        body = {**_base(request, answer_id, created), "choices": choices}
        if response.usage is not None:
            body["usage"] = _written(response.usage)
        return encode(body)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return _Writer(request, _base(request, answer_id, created))


class _Writer:
    """Writes a stream of the old completions."""

    def __init__(self, request: Request, base: dict[str, Any]) -> None:
        self._base = base
        self._report = request.include_usage
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case TextDelta(text=text, choice=choice):
                return self._chunk(choice, text=text)
            case LogprobsDelta(raw=raw, choice=choice):
                return self._chunk(choice, logprobs=raw)
            case Finished(reason=reason, choice=choice):
                return self._chunk(choice, finish_reason=reason)
            case _:
                return b""

    def end(self) -> bytes:
        closing = b""
        if self._report and self._usage is not None:
            closing = _framed({**self._base, "choices": [], "usage": _written(self._usage)})
        return closing + b"data: [DONE]\n\n"

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"

    def _chunk(self, choice: int, **said: Any) -> bytes:
        return _framed(
            {**self._base, "choices": [{"text": "", "index": choice, "logprobs": None, "finish_reason": None, **said}]}
        )


def _prompts(raw: Raw) -> tuple[list[str], int]:
    """The texts among the prompts, and how many prompts there are: a list of numbers is one, written in tokens."""
    given = decoded(_prompt, bytes(raw))
    if given is None or isinstance(given, str):
        return ([given] if given else []), 1
    texts = [prompt for prompt in given if isinstance(prompt, str)]
    return texts, max(1, sum(isinstance(prompt, str | list) for prompt in given))


def _base(request: Request, answer_id: str, created: int) -> dict[str, Any]:
    return {"id": answer_id, "object": "text_completion", "created": created, "model": request.model}


def _written(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + encode(body) + b"\n\n"
