"""Google's streams, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.dialects.google_generate.answers import BROKEN
from dirigent.dialects.google_generate.errors import error_of, unreadable
from dirigent.dialects.google_generate.usage import latest, reported
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import Watching

__all__ = ["Witness"]

_END = b"\r\n\r\n"
_NOTHING = (NULL, Raw(b"{}"), Raw(b"[]"))


class _Content(msgspec.Struct):
    parts: Raw = NULL


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = NULL
    error: Raw = NULL


_chunk = msgspec.json.Decoder(_Chunk)


class Witness(Watching):
    """Watches a verbatim stream: every byte goes on, for this dialect always tells the usage.

    Each chunk tells what was used so far, so each is read, as far as that goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._blocked = False

    def feed(self, data: bytes) -> bytes:
        # nearly every piece is whole chunks as Google ends them, and looking for every other end of a line is dear
        if data.endswith(_END) and self._frames.empty:
            return b"".join([self._passed(chunk + _END) for chunk in data[: -len(_END)].split(_END)])
        return super().feed(data)

    def _tells(self, data: bytes) -> bool:
        return True

    def _learnt(self, data: bytes) -> bool:
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            told = error_of(data)
            if told is None and self._waiting is None:  # the caller's own reader may make something of it
                return False
            raise told or unreadable(fault, data, "an event of the provider's stream") from None
        if chunk.error != NULL and (error := error_of(data)) is not None:
            raise error
        if chunk.usage_metadata != NULL:
            self.usage = latest(self.usage, reported(chunk.usage_metadata))
        speaks = False
        for candidate in chunk.candidates or ():
            speaks = self._heard(candidate) or speaks
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._blocked = True
        self.complete = self._blocked or (bool(self._ended) and not self._begun)
        return speaks or self._blocked

    def _heard(self, candidate: _Candidate) -> bool:
        reason = candidate.finish_reason
        if reason is None:
            self._begun |= {candidate.index} - self._ended
        else:
            if reason in BROKEN and self._waiting is not None:  # before the first word another one may do better
                raise BadAnswer(f"the provider's model went wrong ({reason})")
            self._begun.discard(candidate.index)
            self._ended.add(candidate.index)
        said = candidate.content is not None and candidate.content.parts not in _NOTHING
        return said or reason is not None
