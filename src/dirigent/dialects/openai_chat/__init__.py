"""OpenAI chat completions: the dialect of most clients and most providers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
from dirigent.core.usage import Usage
from dirigent.dialects import openai_errors
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness
from dirigent.dialects.openai_chat import answers, requests, sent
from dirigent.dialects.openai_chat.streams import Reader, Writer
from dirigent.dialects.openai_chat.takes import Takes
from dirigent.dialects.openai_chat.thoughts import DIALECT
from dirigent.dialects.openai_chat.witness import Witness

__all__ = ["OpenAIChat"]


class OpenAIChat(Dialect, frozen=True):
    """OpenAI's `/v1/chat/completions`."""

    name: ClassVar[str] = DIALECT
    prefix: ClassVar[str] = "chatcmpl-"
    # one literal at its front keeps the search cheap; `thought_signature` ends with it
    seals: ClassVar[re.Pattern[bytes] | None] = re.compile(rb'signature"\s*:\s*"([^"\\]+)"')

    output_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How this provider names the bound of an answer: OpenAI renamed it, most others did not."""
    only_output_field: bool = False
    """Whether it refuses the other name, so that a caller's bound has to be renamed on the verbatim path too."""
    usage_in_stream: bool = True
    """Whether this provider understands `stream_options.include_usage`."""
    passes_verbatim: bool = True
    """Whether bytes may go through unbuilt; not where the provider's stream carries what callers must not see."""
    always_streams: bool = False
    """Whether whole answers are asked for as streams too: for servers that notice only there that a caller has gone."""
    one_choice: bool = False
    """Whether this provider counts the tokens of one choice only, so that each choice is asked for by itself."""
    usual_output: int | None = None
    """The bound of an answer where the request sets none: for servers that would go on until the context is full."""
    takes_cache_marks: bool = False
    """Whether it understands `cache_control`, so that other dialects' marks are worth sending."""
    takes_seals: bool = False
    """Whether it understands `reasoning_details` and `extra_content`, in which seals of thoughts come back to it."""
    takes_file_addresses: bool = False
    """Whether `file_data` may be the address of a document."""
    takes_pictures_from_tools: bool = False
    """Whether the result of a tool may hold more than text."""
    takes_top_k: bool = False
    """Whether it understands `top_k`, which OpenAI refuses."""
    adds: dict[str, bool | int | float | str] = {}
    """Fields that every request to this provider carries."""

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        return requests.read_request(body)

    def path(self, deployment: str, *, stream: bool) -> str:
        return "/chat/completions"

    def unsaid(self, request: Request) -> Sequence[str]:
        return sent.unsaid(request, takes_top_k=self.takes_top_k)

    def write_request(self, request: Request, deployment: str) -> bytes:
        if request.max_output is None and self.usual_output is not None:
            request = request.changed(max_output=self.usual_output)
        if self.always_streams and not request.stream:
            request = request.changed(stream=True)
        report = self.usage_in_stream
        return sent.write_request(
            request,
            deployment,
            output_field=self.output_field,
            report_usage=report,
            adds=self.adds,
            takes=self._takes,
            takes_top_k=self.takes_top_k,
        )

    @property
    def _takes(self) -> Takes:
        return Takes(
            self.takes_cache_marks, self.takes_seals, self.takes_file_addresses, self.takes_pictures_from_tools
        )

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        renamed = self.output_field if self.only_output_field else None
        return sent.splice(
            wire, deployment, report_usage=report_usage, output_field=renamed, stream_options=self.usage_in_stream
        )

    def read_response(self, body: bytes) -> Sequence[Event]:
        return answers.read_response(body)

    def reader(self) -> StreamReader:
        return Reader()

    def usage_of(self, body: bytes) -> Usage | None:
        return answers.usage_of(body)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> AnyWitness:
        return Witness(hide_usage=hide_usage, choices=choices)

    def watching(self, request: Request) -> AnyWitness:
        throughout = request.include_usage and sent.counts_throughout(request.wire)
        return Witness(hide_usage=not request.include_usage, choices=request.choices, throughout=throughout)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        return openai_errors.read_error(status, body, retry_after)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        return answers.write_response(response, request, answer_id, created)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request, answer_id, created)

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return openai_errors.write_error(error, kind)
