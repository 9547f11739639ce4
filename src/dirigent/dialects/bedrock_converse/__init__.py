"""Bedrock's Converse: the dialect of AWS's SDKs, for every model that Bedrock serves."""

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
from dirigent.dialects.bedrock_converse import answers, errors, requests
from dirigent.dialects.bedrock_converse.families import Family, family_of
from dirigent.dialects.bedrock_converse.streams import Reader
from dirigent.dialects.bedrock_converse.thoughts import DIALECT
from dirigent.dialects.bedrock_converse.witness import Witness
from dirigent.dialects.bedrock_converse.writer import Writer
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness

__all__ = ["BedrockConverse"]


class BedrockConverse(Dialect, frozen=True):
    """Bedrock's `/model/NAME/converse`."""

    name: ClassVar[str] = DIALECT
    seals: ClassVar[re.Pattern[bytes] | None] = re.compile(rb'"(?:signature|redactedContent)"\s*:\s*"([^"\\]+)"')
    takes_addresses: ClassVar[bool] = False
    ping: ClassVar[bytes] = b""  # this framing has no word that says nothing
    stream_content_type: ClassVar[str] = "application/vnd.amazon.eventstream"

    passes_verbatim: bool = True
    """Whether bytes may go through unbuilt."""
    always_streams: bool = False
    """Whether whole answers are asked for as streams too."""
    one_choice: bool = True
    """Whether this provider is asked for one choice at a time: this dialect has no word for several."""
    counts: bool = True
    """Whether the deployment counts tokens: of Bedrock's models only some do."""
    family: Family | None = None
    """What the deployment takes; told by its name where it is not said."""

    def fitted(self, deployment: str, profile: Profile) -> BedrockConverse:
        family = self.family or family_of(deployment)
        return msgspec.structs.replace(self, family=family, counts=self.counts and "claude" in deployment)

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        return requests.read_request(body, path)

    def path(self, deployment: str, *, stream: bool) -> str:
        return f"/model/{quote(deployment, safe='')}/converse{'-stream' if stream else ''}"

    def counting_path(self, deployment: str) -> str | None:
        return f"/model/{quote(deployment, safe='')}/count-tokens" if self.counts else None

    def counting_body(self, body: bytes) -> bytes:
        return requests.counted(body)

    def count_of(self, body: bytes) -> int:
        return answers.count_of(body)

    def write_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"inputTokens": tokens})

    def unsaid(self, request: Request) -> Sequence[str]:
        return tuple(requests.unsaid(request, self.family or Family()))

    def write_request(self, request: Request, deployment: str) -> bytes:
        return requests.write_request(request, self.family or family_of(deployment))

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
        return answers.write_response(response, request)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request)

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return errors.write_error(error, status)
