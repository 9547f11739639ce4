"""OpenAI chat completions: the dialect of most clients and most providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness
from dirigent.dialects.openai_chat import answers, requests
from dirigent.dialects.openai_chat.streams import Reader, Witness, Writer

__all__ = ["OpenAIChat"]


class OpenAIChat(Dialect, frozen=True):
    """OpenAI's `/v1/chat/completions`."""

    name: ClassVar[str] = requests.DIALECT

    output_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How this provider names the bound of an answer: OpenAI renamed it, most others did not."""
    usage_in_stream: bool = True
    """Whether this provider understands `stream_options.include_usage`."""

    def read_request(self, body: bytes) -> Request:
        return requests.read_request(body)

    def write_request(self, request: Request, deployment: str) -> bytes:
        return requests.write_request(
            request, deployment, output_field=self.output_field, report_usage=self.usage_in_stream
        )

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        return requests.splice(wire, deployment, report_usage=report_usage and self.usage_in_stream)

    def read_response(self, body: bytes) -> Sequence[Event]:
        return answers.read_response(body)

    def reader(self) -> StreamReader:
        return Reader()

    def usage_of(self, body: bytes) -> Usage | None:
        return answers.usage_of(body)

    def witness(self, *, hide_usage: bool) -> AnyWitness:
        return Witness(hide_usage=hide_usage)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        return answers.read_error(status, body, retry_after)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        return answers.write_response(response, request, answer_id, created)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request, answer_id, created)

    def write_error(self, error: DirigentError, kind: str) -> bytes:
        return answers.write_error(error, kind)
