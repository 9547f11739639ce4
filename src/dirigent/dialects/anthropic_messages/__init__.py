"""Anthropic messages: the dialect of Claude, of its SDKs and of the agents that were written for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
from dirigent.core.profile import Profile
from dirigent.core.tokens import estimated_request
from dirigent.core.usage import Usage
from dirigent.dialects.anthropic_messages import answers, errors, manner, requests
from dirigent.dialects.anthropic_messages.generations import Generation, generation_of
from dirigent.dialects.anthropic_messages.streams import Reader
from dirigent.dialects.anthropic_messages.thoughts import DIALECT
from dirigent.dialects.anthropic_messages.witness import Witness
from dirigent.dialects.anthropic_messages.writer import Writer
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter
from dirigent.dialects.dialect import Witness as AnyWitness

__all__ = ["AnthropicMessages"]

_COUNTING = "/count_tokens"


class AnthropicMessages(Dialect, frozen=True):
    """Anthropic's `/v1/messages`."""

    name: ClassVar[str] = DIALECT
    prefix: ClassVar[str] = "msg_"
    forwards: ClassVar[tuple[bytes, ...]] = (b"anthropic-beta", b"anthropic-version")
    seals: ClassVar[re.Pattern[bytes] | None] = re.compile(rb'"(?:signature|data)"\s*:\s*"([^"\\]+)"')
    ping: ClassVar[bytes] = b'event: ping\ndata: {"type": "ping"}\n\n'

    passes_verbatim: bool = True
    """Whether bytes may go through unbuilt."""
    always_streams: bool = False
    """Whether whole answers are asked for as streams too."""
    one_choice: bool = True
    """Whether this provider is asked for one choice at a time: this dialect has no word for several."""
    usual_output: int = 4096
    """The bound of an answer where neither the request nor the deployment sets one, for there must be one."""
    most_output: int | None = None
    """The longest answer of the deployment: the bound where the request sets none."""
    context_window: int | None = None
    """Tokens that fit; a bound that nobody asked for leaves room for the prompt."""
    generation: Generation | None = None
    """What the deployment takes; told by its name where it is not said."""

    def fitted(self, deployment: str, profile: Profile) -> AnthropicMessages:
        return msgspec.structs.replace(
            self,
            most_output=self.most_output or profile.max_output,
            context_window=self.context_window or profile.context_window,
            generation=self.generation or generation_of(deployment),
        )

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        return requests.read_request(body, bounded=_COUNTING not in path, headers=self.kept_headers(headers))

    def path(self, deployment: str, *, stream: bool) -> str:
        return "/messages"

    def counting_path(self, deployment: str) -> str | None:
        return "/messages" + _COUNTING

    def counting_body(self, body: bytes) -> bytes:
        return requests.counted(body)

    def count_of(self, body: bytes) -> int:
        return answers.count_of(body)

    def write_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def unsaid(self, request: Request) -> Sequence[str]:
        return tuple(manner.unsaid(request, self.generation or Generation(), self.most_output))

    def write_request(self, request: Request, deployment: str) -> bytes:
        if self.always_streams and not request.stream:
            request = request.changed(stream=True)
        generation = self.generation or generation_of(deployment)
        output = self._usual_bound(request) if request.max_output is None else request.max_output
        return requests.write_request(request, deployment, generation, output=output, most=self.most_output)

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
        return errors.read_error(status, body, retry_after)

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        return answers.write_response(response, request, answer_id)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return Writer(request, answer_id)

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return errors.write_error(error, status, kind, request_id)

    def _usual_bound(self, request: Request) -> int:
        """The deployment's own bound, as far as the prompt leaves room for it, whose estimate is taken twice."""
        if self.most_output is None:
            return self.usual_output
        if self.context_window is None:
            return self.most_output
        room = self.context_window - 2 * estimated_request(request)
        return max(min(self.most_output, room), min(self.usual_output, self.most_output))
