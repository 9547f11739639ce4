"""OpenAI responses: the dialect of OpenAI's newer clients, in which answers are rows of items."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
from dirigent.core.usage import Usage
from dirigent.dialects import openai_errors
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness
from dirigent.dialects.openai_responses import answers, requests, written
from dirigent.dialects.openai_responses.items import DIALECT
from dirigent.dialects.openai_responses.reader import Reader
from dirigent.dialects.openai_responses.witness import Witness
from dirigent.dialects.openai_responses.writer import Writer

__all__ = ["OpenAIResponses"]


class OpenAIResponses(Dialect, frozen=True):
    """OpenAI's `/v1/responses`.

    Answers that were translated are kept by nobody, so they cannot be continued by their id: a caller sends their
    items again, seals of foreign thoughts included, which travel in `encrypted_content`.
    """

    name: ClassVar[str] = DIALECT
    prefix: ClassVar[str] = "resp_"
    forwards: ClassVar[tuple[bytes, ...]] = (b"openai-beta",)
    seals: ClassVar[re.Pattern[bytes] | None] = re.compile(
        rb'"(?:encrypted_content"\s*:\s*"|id"\s*:\s*"(?=resp_))([^"\\]+)"'
    )

    passes_verbatim: bool = True
    """Whether bytes may go through unbuilt; not where the provider's stream carries what callers must not see."""
    always_streams: bool = False
    """Whether whole answers are asked for as streams too: for servers that notice only there that a caller has gone."""
    one_choice: bool = True
    """Whether each choice is asked for by itself: this dialect knows one only."""

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        return requests.read_request(body, self.kept_headers(headers))

    def path(self, deployment: str, *, stream: bool) -> str:
        return "/responses"

    def unsaid(self, request: Request) -> Sequence[str]:
        return requests.unsaid(request)

    def write_request(self, request: Request, deployment: str) -> bytes:
        if self.always_streams and not request.stream:
            request = request.changed(stream=True)
        return requests.write_request(request, deployment)

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        return requests.splice(wire, deployment)

    def read_response(self, body: bytes) -> Sequence[Event]:
        return answers.read_response(body)

    def reader(self) -> StreamReader:
        return Reader()

    def usage_of(self, body: bytes) -> Usage | None:
        return answers.usage_of(body)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> AnyWitness:
        return Witness()

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        return openai_errors.read_error(status, body, retry_after)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        return written.write_response(response, request, answer_id, created)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request, answer_id, created)

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return openai_errors.write_error(error, kind)
