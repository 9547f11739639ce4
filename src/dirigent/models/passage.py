"""The straight way: an answer that is one call to one provider, whose bytes go to the caller as they are."""

from __future__ import annotations

from collections.abc import Sequence

from dirigent.core.errors import BadAnswer, DirigentError
from dirigent.core.messages import Request, Task
from dirigent.core.model import Fields
from dirigent.core.ports import Breaker, HttpCall, Timeouts
from dirigent.core.run import Run
from dirigent.core.usage import Tariff
from dirigent.dialects.dialect import Dialect
from dirigent.models.attempt import Headers, Try, forwarded, hush, retry_after

__all__ = ["Passage", "Told"]

_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-")
_SHORTEST = 15
"""No header in which a provider tells of its limits has a shorter name; nearly all others have."""


class Told:
    """What the head of the last good answer told: a provider's next one is often the very same."""

    __slots__ = ("_fields", "_task", "content_type", "forwarded")

    def __init__(self, task: Task) -> None:
        self._task = task
        self._fields: Fields = ()
        self.forwarded: Headers = ()
        """What the provider says of its limits."""
        self.content_type: str | None = None
        """The type of the answer, where its dialect leaves that open."""

    def read(self, fields: Fields) -> None:
        """Takes the head of a good answer."""
        if fields is self._fields:  # the client brings the same list where the bytes were the same
            return
        self._fields = fields
        self.forwarded, self.content_type = (), None
        for name, value in fields:
            size = len(name)
            if size == 12 and self._task != "chat" and name.lower() == b"content-type":
                self.content_type = value.decode("latin-1")
            elif size >= _SHORTEST and not self.forwarded and name.lower().startswith(_LIMITS):
                self.forwarded = forwarded(_known(fields))


class Passage(Try):
    """One try at a deployment that takes the caller's own bytes (core.model.Passage).

    It says and settles the same as `Deployment.answer` would; it only waits for nothing.
    """

    __slots__ = ("_told", "_witness", "call", "stream", "timeouts")

    def __init__(  # noqa: PLR0917  made once per request, and names cost time there
        self,
        run: Run,
        request: Request,
        dialect: Dialect,
        tariff: Tariff | None,
        breaker: Breaker,
        call: HttpCall,
        timeouts: Timeouts,
        told: Told,
    ) -> None:
        super().__init__(run, request, dialect, tariff, breaker)
        self._told = told
        self.call = call
        self.timeouts = timeouts
        self.stream = request.stream
        self._witness = dialect.watching(request) if request.stream else None

    def asked(self) -> None:
        """The request is on its way: from now on it is settled by one of the others, or `undone`."""
        self.enter()
        self.sent(self.call.headers)

    def head(self, fields: Fields) -> None:
        """Reads what the head of a good answer tells."""
        told, record = self._told, self._record
        told.read(fields)
        if told.forwarded:
            record.forwarded = told.forwarded
        if told.content_type is not None:
            record.content_type = told.content_type

    def piece(self, data: bytes) -> bytes:
        """What the caller gets of the next piece of a stream. Raises what the stream reports as an error."""
        witness = self._witness
        if witness is None:
            return b""
        passed = witness.feed(data)
        if passed:
            heard = self._heard
            if heard is None or self._seals is not None:
                self.began()
                self.passed(passed)
            else:  # all that is left of `passed` for nearly every piece
                heard.passed(passed)
        return passed

    def end(self) -> bytes:
        """What the caller gets at the end of a stream. Raises BadAnswer where it stopped before its end."""
        witness = self._witness
        if witness is None:
            return b""
        passed = witness.end()
        if self._first is None and not passed:
            raise BadAnswer("the provider's stream ended before its answer began")
        self.usage = witness.usage
        self.answered()
        return passed

    def whole(self, body: bytes) -> None:
        """Takes a whole answer. Raises BadAnswer where it is none."""
        self.usage = self._dialect.usage_of(body)
        self.began()
        if self.usage is None or self._seals is not None:  # a router wants to know whose seals are in it
            self.passed(body)
        self.answered()

    def refusal(self, status: int, fields: Fields, body: bytes) -> DirigentError:
        """What a refusal of the provider means."""
        self.refused = True
        return self._dialect.read_error(status, body, retry_after(_known(fields)))

    def broke(self, error: DirigentError, *, behind: bool) -> None:
        """Settles a try that came to nothing or broke off; `behind` as `Try.behind`."""
        self.behind = behind
        if self._witness is not None:
            self.usage = self._witness.usage
        if self._first is None:  # another one may answer, and tells of itself alone
            self._record.forwarded, self._record.content_type = (), None
        hush(error, self.headers)
        self.failed(error)

    def left(self, *, behind: bool) -> None:
        """Settles a try that nobody waits for any more; `behind` as `Try.behind`."""
        self.behind = behind
        if self._witness is not None:
            self.usage = self._witness.usage
        self.abandoned()


def _known(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}
