"""Google's generateContent: the dialect of Gemini, of its SDKs and of its command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

import msgspec

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
from dirigent.core.profile import Profile
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness
from dirigent.dialects.google_generate import answers, errors, requests
from dirigent.dialects.google_generate.generations import Generation, generation_of
from dirigent.dialects.google_generate.streams import Reader
from dirigent.dialects.google_generate.thoughts import DIALECT
from dirigent.dialects.google_generate.witness import Witness
from dirigent.dialects.google_generate.writer import Writer

__all__ = ["GoogleGenerate"]


class GoogleGenerate(Dialect, frozen=True):
    """Google's `models/NAME:generateContent`."""

    name: ClassVar[str] = DIALECT
    seals: ClassVar[re.Pattern[bytes] | None] = re.compile(rb'"thoughtSignature"\s*:\s*"([^"\\]+)"')
    takes_addresses: ClassVar[bool] = False
    ping: ClassVar[bytes] = b"\r\n\r\n"  # Google's own SDKs take a comment for a piece of JSON, blank lines for nothing

    passes_verbatim: bool = True
    """Whether bytes may go through unbuilt."""
    always_streams: bool = False
    """Whether whole answers are asked for as streams too."""
    one_choice: bool = False
    """Whether this provider is asked for one choice at a time."""
    deployment: str = ""
    """The deployment to which it is spoken: to count, its name stands in the body."""
    counts_plainly: bool = False
    """Whether a request is counted as it is (Vertex AI), not only within another."""
    generation: Generation | None = None
    """What the deployment takes; told by its name where it is not said."""

    def fitted(self, deployment: str, profile: Profile) -> GoogleGenerate:
        generation = self.generation or generation_of(deployment)
        return msgspec.structs.replace(self, deployment=deployment, generation=generation)

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        return requests.read_request(body, path)

    def path(self, deployment: str, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{quote(deployment, safe='')}:{method}"

    def counting_path(self, deployment: str) -> str | None:
        return f"/models/{quote(deployment, safe='')}:countTokens"

    def counting_body(self, body: bytes) -> bytes:
        return body if self.counts_plainly else requests.counted(body, self.deployment)

    def count_of(self, body: bytes) -> int:
        return answers.count_of(body)

    def write_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"totalTokens": tokens})

    def unsaid(self, request: Request) -> Sequence[str]:
        return tuple(requests.unsaid(request, self.generation or Generation()))

    def write_request(self, request: Request, deployment: str) -> bytes:
        return requests.write_request(request, self.generation or generation_of(deployment))

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        return requests.splice(wire)

    def read_response(self, body: bytes) -> Sequence[Event]:
        return answers.read_response(body)

    def reader(self) -> StreamReader:
        return Reader()

    def usage_of(self, body: bytes) -> Usage | None:
        return answers.usage_of(body)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> AnyWitness:
        return Witness()

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        return errors.read_error(status, body, retry_after)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        return answers.write_response(response, request, answer_id)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request, answer_id, as_list=_as_list(request))

    def stream_type(self, request: Request) -> str:
        return self.content_type if _as_list(request) else self.stream_content_type

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return errors.write_error(error, status)


def _as_list(request: Request) -> bool:
    return request.dialect == DIALECT and requests.AS_LIST in request.extra
