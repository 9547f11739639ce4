"""Thoughts with their seals, in the shapes in which chat completions carry them.

OpenAI's own format has no place for what a provider seals. Two shapes are common, and clients that hand an assistant's
message back as it came hand them back too:

* `reasoning_details`, as OpenRouter writes them: {type: `reasoning.text`, text, signature}, {type: `reasoning.summary`,
  summary}, {type: `reasoning.encrypted`, data}, each with `id`, `index` (which stretch of thought) and `format` (whose
  seal it is);
* `extra_content.google.thought_signature` on a tool call, as Gemini's OpenAI-compatible endpoint writes it.

What stands in `reasoning_content` is told beside them, for those who only show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.events import ReasoningDelta
from dirigent.core.messages import Reasoning
from dirigent.dialects.raw import UNREADABLE

__all__ = [
    "DIALECT",
    "Detail",
    "delta_events",
    "details_of",
    "signature_in",
    "signed",
    "thoughts_of",
    "told_details",
    "written_details",
]

DIALECT = "openai_chat"

_FORMATS = {
    "anthropic_messages": "anthropic-claude-v1",
    "google_generate": "google-gemini-v1",
    "openai_responses": "openai-responses-v1",
}
"""How OpenRouter names the seals of a dialect; where it has no name, the dialect's own is the name."""
_ISSUERS = {name: issuer for issuer, name in _FORMATS.items()}


class Detail(msgspec.Struct, omit_defaults=True):
    """A piece of `reasoning_details`."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None

    @property
    def said(self) -> str:
        return self.text or self.summary or ""


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _ExtraContent(msgspec.Struct):
    google: _Google | None = None


_details = msgspec.json.Decoder(list[Detail] | None)
_extra_content = msgspec.json.Decoder(_ExtraContent | None)


def details_of(raw: Raw | UnsetType) -> list[Detail]:
    """The details; none where somebody else means something else by the name."""
    if raw is UNSET:
        return []
    try:
        return _details.decode(raw) or []
    except UNREADABLE:
        return []


def thoughts_of(details: Sequence[Detail], plain: str | None) -> Iterator[Reasoning]:
    """The stretches of thought of a message; `plain` is the same in words alone, for those without details."""
    stretches: dict[int, list[Detail]] = {}
    for place, detail in enumerate(details):
        stretches.setdefault(place if detail.index is None else detail.index, []).append(detail)
    missing = "" if any(detail.said for detail in details) else plain or ""
    if missing and not (details and details[0].signature and not details[0].index):  # it is on another stretch
        yield Reasoning(missing)
        missing = ""
    for pieces in stretches.values():
        text = "".join([piece.said for piece in pieces]) or missing
        missing = ""
        yield Reasoning(
            text,
            next((piece.signature for piece in pieces if piece.signature), None),
            next((piece.data for piece in pieces if piece.data), None),
            next((piece.id for piece in pieces if piece.id), None),
            _issuer(pieces),
        )


def _issuer(pieces: Iterable[Detail]) -> str:
    """Whose seal is on these pieces of one stretch."""
    if not any(piece.signature or piece.data for piece in pieces):
        return ""
    told = next((piece.format for piece in pieces if piece.format), DIALECT)
    # clients that join the pieces of a stream join what stands in each of them, the format too
    return next((issuer for name, issuer in _ISSUERS.items() if told.startswith(name)), told)


def written_details(thoughts: Iterable[Reasoning]) -> list[Detail]:
    """The details of all stretches; none where none of them is sealed."""
    told = list(thoughts)
    if not any(thought.signature or thought.sealed for thought in told):
        return []
    return [detail for index, thought in enumerate(told) for detail in told_details(thought, index)]


def told_details(thought: Reasoning | ReasoningDelta, index: int) -> Iterator[Detail]:
    """The details of one stretch. Only the first says whose it is, for clients join those of the same index."""
    whose = None if thought.issuer in ("", DIALECT) else _FORMATS.get(thought.issuer, thought.issuer)
    first = Detail(id=thought.id, format=whose, index=index)
    if thought.issuer == "openai_responses":
        if thought.text:
            yield msgspec.structs.replace(first, type="reasoning.summary", summary=thought.text)
            first = Detail(index=index)
    elif thought.text or thought.signature:
        words = thought.text or None
        yield msgspec.structs.replace(first, type="reasoning.text", text=words, signature=thought.signature)
        first = Detail(index=index)
    if thought.sealed:
        yield msgspec.structs.replace(first, type="reasoning.encrypted", data=thought.sealed)


def delta_events(details: Sequence[Detail], plain: str | None, choice: int) -> Iterator[ReasoningDelta]:
    """The events of one delta of a stream; `plain` is the same in words alone, for those without details."""
    if plain and not any(detail.said for detail in details):
        yield ReasoningDelta(plain, choice, (details[0].index or 0) if details else 0)
    for detail in details:
        sealed = detail.signature or detail.data
        issuer = _issuer([each for each in details if each.index == detail.index]) if sealed else ""
        if detail.said or issuer:
            sealing = detail.id if issuer else None
            yield ReasoningDelta(detail.said, choice, detail.index or 0, detail.signature, detail.data, sealing, issuer)


def signature_in(raw: Raw | UnsetType) -> str | None:
    """The seal in a call's `extra_content`."""
    if raw is UNSET:
        return None
    try:
        extra = _extra_content.decode(raw)
    except UNREADABLE:
        return None
    return extra.google.thought_signature if extra is not None and extra.google is not None else None


def signed(signature: str | None) -> dict[str, object]:
    """The field of a call that carries its seal."""
    return {} if signature is None else {"extra_content": {"google": {"thought_signature": signature}}}
