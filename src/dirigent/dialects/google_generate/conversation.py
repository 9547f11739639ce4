"""Conversations in Google's contents: turns of a user and a model, with instructions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import File, Image, Message, Opaque, Part, Role, Text, ToolCall
from dirigent.dialects.faults import invalid
from dirigent.dialects.google_generate.generations import Generation
from dirigent.dialects.google_generate.parts import MADE_UP, WireResult, read_part, written_part
from dirigent.dialects.google_generate.thoughts import NO_SEAL
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["WireContent", "listed", "read_conversation", "written_conversation"]

_ROLES: dict[str, Role] = {"": "user", "user": "user", "model": "assistant", "function": "user", "system": "system"}


class WireContent(msgspec.Struct):
    """One turn as callers send it."""

    parts: Raw = NULL
    role: str | None = None


_list = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def listed(raw: Raw) -> list[Raw]:
    """The members of a list; Google takes a single one without brackets too."""
    if raw == NULL:
        return []
    return _list.decode(raw) if bytes(raw).startswith(b"[") else [raw]


# --- read -------------------------------------------------------------------------------------------------------------


def read_conversation(system: WireContent | None, contents: Sequence[WireContent]) -> Iterator[Message]:
    """The messages of a conversation. Raises Invalid with the field at fault."""
    calls = _Calls()
    if system is not None:
        yield from _turn(system, "system", "systemInstruction", calls)
    for index, content in enumerate(contents):
        role = _ROLES.get(content.role or "")
        if role is None:
            where = f"contents[{index}].role"
            raise Invalid(f"{where}: one of `user` and `model`, not {content.role!r}", param=where)
        yield from _turn(content, role, f"contents[{index}]", calls)


class _Calls:
    """The calls that wait for their results: where Google gave no ids, only names and order connect them."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._count = 0

    def made(self, call: ToolCall) -> ToolCall:
        """The call with an id."""
        if not call.id:
            self._count += 1
            call = msgspec.structs.replace(call, id=f"{MADE_UP}{self._count}")
        self._waiting.append((call.id, call.name))
        return call

    def answered(self, result: WireResult) -> str:
        """The id of the call to which a result belongs."""
        for place, (known, name) in enumerate(self._waiting):
            if known == result.id or (not result.id and name == result.name):
                return self._waiting.pop(place)[0]
        return result.id or result.name


def _turn(content: WireContent, role: Role, where: str, calls: _Calls) -> Iterator[Message]:
    """The messages in one turn: each result of a function is one, and so is what is said between them."""
    parts: list[Part] = []
    results = False
    try:
        raws = listed(content.parts)
    except UNREADABLE as fault:
        raise invalid(fault, f"{where}.parts") from None
    for index, raw in enumerate(raws):
        try:
            read = read_part(raw)
            for part in read:
                if isinstance(part, WireResult):
                    if parts:
                        yield Message(role, tuple(parts))
                        parts = []
                    results = True
                    yield _result(part, calls)
                else:
                    parts.append(calls.made(part) if isinstance(part, ToolCall) else part)
        except UNREADABLE as fault:
            raise invalid(fault, f"{where}.parts[{index}]") from None
    if parts or not results:
        yield Message(role, tuple(parts))


def _result(result: WireResult, calls: _Calls) -> Message:
    text, failed = _told(result.response)
    parts: list[Part] = [Text(text)] if text else []
    for raw in result.parts or ():
        parts += [part for part in read_part(raw) if not isinstance(part, WireResult)]
    return Message("tool", tuple(parts), call=calls.answered(result), failed=failed)


def _told(response: Raw) -> tuple[str, bool]:
    """What a function gave, and whether it failed: by the keys that Google recommends, else the object as it is."""
    fields = _object.decode(response)
    if len(fields) == 1:
        ((key, raw),) = fields.items()
        if key in ("output", "error", "result") and bytes(raw).startswith(b'"'):
            return msgspec.json.decode(raw, type=str), key == "error"
    return bytes(response).decode(), False


# --- write ------------------------------------------------------------------------------------------------------------


def written_conversation(
    messages: Iterable[Message], generation: Generation, *, own: bool
) -> tuple[list[Any], list[dict[str, Any]]]:
    """The parts of the instructions, and the contents. Raises Unsupported for what this dialect cannot say.

    Instructions from the middle of a conversation go to the others: there is one place for them. The results of
    parallel calls stand together in one turn, and what a function showed beside text follows where it must.
    """
    system: list[Any] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    results: list[Any] = []
    shown: list[Part] = []
    for message in (*messages, Message("user")):  # the last one only closes what is open
        if results and message.role != "tool":
            contents.append({"role": "user", "parts": results})
            if shown:
                contents.append({"role": "user", "parts": _written(shown, own=own)})
            results, shown = [], []
        match message.role:
            case "system" | "developer":
                system += _written(message.parts, own=own)
            case "tool":
                results.append(_written_result(message, names, shown, generation, own=own))
            case "user" | "assistant":
                names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
                parts = _joined(_written(message.parts, own=own))
                if message.role == "assistant" and generation.seals_calls and not own:
                    _excuse(parts)
                if parts:
                    contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    if not (contents or system):
        raise Unsupported("this provider does not answer where nothing is said", param="messages")
    if not contents:  # a conversation of instructions alone is put as a question
        contents, system = [{"role": "user", "parts": system}], []
    return system, contents


def _written(parts: Iterable[Part], *, own: bool) -> list[Any]:
    return [written for part in parts if (written := written_part(part, own=own)) is not None]


def _joined(parts: list[Any]) -> list[Any]:
    """The parts, with each seal of a text on that text again: on the one before it, else on the one behind it."""
    joined: list[Any] = []
    for part in parts:
        if joined and _is_seal(part) and _is_bare_text(joined[-1]):
            joined[-1] = {**joined[-1], "thoughtSignature": part["thoughtSignature"]}
        elif joined and _is_seal(joined[-1]) and _is_bare_text(part):
            joined[-1] = {**part, "thoughtSignature": joined[-1]["thoughtSignature"]}
        else:
            joined.append(part)
    return joined


def _is_seal(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {"text", "thoughtSignature"} and not part["text"]


def _is_bare_text(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {"text"}


def _excuse(parts: list[Any]) -> None:
    """Puts on the first call of a turn, where it bears no seal, what Google takes instead."""
    for part in parts:
        if isinstance(part, dict) and "functionCall" in part:
            part.setdefault("thoughtSignature", NO_SEAL)
            return


def _written_result(
    message: Message, names: dict[str, str], shown: list[Part], generation: Generation, *, own: bool
) -> dict[str, Any]:
    call = message.call or ""
    result: dict[str, Any] = {"name": message.name or names.get(call) or call}
    if call and not call.startswith(MADE_UP):
        result = {"id": call, **result}
    result["response"] = _response(message)
    beside = [part for part in message.parts if not isinstance(part, Text)]
    if beside and (own or generation.pictures_from_tools):
        result["parts"] = _written(beside, own=own)
    elif beside:
        if any(isinstance(part, Opaque) or not isinstance(part, Image | File) for part in beside):
            raise Unsupported("what this tool has given cannot be sent to this provider")
        shown += [Text(f"The result of the call {call}:"), *beside]
    return {"functionResponse": result}


def _response(message: Message) -> Any:
    """What a tool gave as an object: as it is where it is one, else under the key that Google recommends."""
    text = message.text
    if message.failed:
        return {"error": text}
    try:
        fields = _object.decode(text.encode())
    except (*UNREADABLE, UnicodeEncodeError):
        return {"output": text}
    return {"output": text} if fields.keys() <= {"output", "error", "result"} else Raw(text.encode())
