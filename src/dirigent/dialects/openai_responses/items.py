"""The items of OpenAI responses: a conversation as callers send it and as providers take it.

An assistant's turn is a row of items (thoughts, words, calls) without anything around it: in our own words it is one
message. Thoughts that another dialect's provider has sealed travel in `encrypted_content` (see `dialects/seals.py`)
and come back with the caller's next request; OpenAI never sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dirigent.core.errors import Unsupported
from dirigent.core.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from dirigent.dialects.faults import invalid, missing
from dirigent.dialects.raw import UNREADABLE
from dirigent.dialects.seals import opened

__all__ = ["DIALECT", "demand", "foreign", "read_items", "unsealed", "written_items"]

DIALECT: Final = "openai_responses"

_FAILED = "Error: "
"""How the result of a tool that did not work begins, for this dialect has no field that says so."""
_DEMAND = b"demands "


class _Kind(msgspec.Struct):
    type: str | None = None


class _MessageItem(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Raw]


class _CallItem(msgspec.Struct):
    call_id: str
    name: str
    arguments: str = ""


class _OutputItem(msgspec.Struct):
    output: str | list[Raw]
    call_id: str | None = None


class _Stretch(msgspec.Struct):
    text: str = ""


class _ReasoningItem(msgspec.Struct):
    id: str | None = None
    summary: list[_Stretch] | None = None
    content: list[_Stretch] | None = None
    encrypted_content: str | None = None

    @property
    def text(self) -> str:
        return "\n\n".join(stretch.text for stretch in self.summary or self.content or ())


class _InputAudio(msgspec.Struct):
    data: str
    format: str


class _Part(msgspec.Struct):
    type: str
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    image_url: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _InputAudio | UnsetType = UNSET


_PARTS = frozenset(("input_text", "output_text", "text", "input_image", "input_file", "input_audio", "refusal"))
"""The types of parts that there are words of our own for."""
_kind = msgspec.json.Decoder(_Kind)
_message_item = msgspec.json.Decoder(_MessageItem)
_call_item = msgspec.json.Decoder(_CallItem)
_output_item = msgspec.json.Decoder(_OutputItem)
_reasoning_item = msgspec.json.Decoder(_ReasoningItem)
_part_decoder = msgspec.json.Decoder(_Part)


def demand(field: str) -> Message:
    """What makes every other dialect refuse a request whose `field` it could not honour.

    Where this dialect writes it again, the field itself stands among `Request.extra` and this message is left out.
    """
    return Message("developer", (Opaque(DIALECT, _DEMAND + field.encode()),))


# --- read -------------------------------------------------------------------------------------------------------------


def read_items(items: Sequence[Raw]) -> Iterator[Message]:
    """The messages that these items make up. Raises Invalid with the path of the item at fault."""
    turn = _Turn()
    for index, raw in enumerate(items):
        where = f"input[{index}]"
        try:
            kind = _kind.decode(raw).type or "message"
            if kind == "reasoning":
                turn.thought(_reasoning_item.decode(raw))
                continue
            if kind == "function_call":
                call = _call_item.decode(raw)
                turn.parts.append(ToolCall(call.call_id, call.name, call.arguments))
                continue
            if kind == "message":
                said = _message_item.decode(raw)
                parts = _contents(said.content, f"{where}.content")
                if said.role == "assistant":
                    turn.said(parts)
                    continue
                message = Message(said.role, tuple(parts))
            elif kind == "function_call_output":
                result = _output_item.decode(raw)
                if result.call_id is None:
                    raise missing(f"{where}.call_id", "an item of type `function_call_output` names its call")
                message = Message("tool", tuple(_contents(result.output, f"{where}.output")), call=result.call_id)
            elif kind.endswith(("_output", "_response")):  # what a built-in tool gave, or a person's word on it
                message = Message("tool", (Opaque(DIALECT, bytes(raw), "calls"),))
            else:
                turn.parts.append(Opaque(DIALECT, bytes(raw), "calls"))
                continue
        except UNREADABLE as fault:
            raise invalid(fault, where) from None
        yield from turn.over()
        yield message
    yield from turn.over()


class _Turn:
    """One turn of the assistant while its items come in."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._sealed: dict[str, str] = {}  # by the ids of calls
        self._spoke = False

    def said(self, parts: Iterable[Part]) -> None:
        """The next words; an empty message is a turn too."""
        self.parts += parts
        self._spoke = True

    def thought(self, item: _ReasoningItem) -> None:
        """The next thought, or the seal of a call that travels as one."""
        seal = opened(item.encrypted_content)
        if seal is None:
            self.parts.append(Reasoning(item.text, sealed=item.encrypted_content, id=item.id, issuer=DIALECT))
        elif seal.call is None:
            self.parts.append(seal.on(item.text))
        elif seal.signature is not None:
            self._sealed[seal.call] = seal.signature

    def over(self) -> Iterator[Message]:
        """The turn as a message, if there was one; the next one begins."""
        if self.parts or self._spoke:
            yield Message("assistant", tuple(map(self._with_seal, self.parts)))
        self.parts, self._sealed, self._spoke = [], {}, False

    def _with_seal(self, part: Part) -> Part:
        if isinstance(part, ToolCall) and (signature := self._sealed.get(part.id)) is not None:
            return msgspec.structs.replace(part, signature=signature)
        return part


def _contents(content: str | list[Raw], where: str) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    return [_part(raw, f"{where}[{index}]") for index, raw in enumerate(content)]


def _of_another_kind(raw: Raw) -> bool:
    """Whether this is a part that means something of its own by the name of a field that is known."""
    try:
        return (_kind.decode(raw).type or "input_text") not in _PARTS
    except UNREADABLE:
        return False


def _part(raw: Raw, where: str) -> Part:
    try:
        part = _part_decoder.decode(raw)
    except UNREADABLE as fault:
        if _of_another_kind(raw):
            return Opaque(DIALECT, bytes(raw))
        raise invalid(fault, where) from None
    match part.type, part:
        case (("input_text" | "output_text" | "text"), _Part(text=str(text))):
            return Text(text)
        case "input_image", _Part(image_url=str(url)):
            return Image(url, part.detail)
        case "input_file", _:
            return File(part.file_data, part.filename, part.file_id, part.file_url)
        case "input_audio", _Part(input_audio=_InputAudio(data=data, format=sound)):
            return Audio(data, sound)
        case "refusal", _Part(refusal=str(text)):
            return Refusal(text)
        case (("input_text" | "output_text" | "text"), _):
            raise missing(f"{where}.text", f"a part of type `{part.type}` has a field `text`")
        case ("input_audio" | "refusal") as kind, _:
            raise missing(f"{where}.{kind}", f"a part of type `{kind}` has a field `{kind}`")
        case _:
            return Opaque(DIALECT, bytes(raw))


# --- write ------------------------------------------------------------------------------------------------------------


def written_items(messages: Iterable[Message]) -> Iterator[object]:
    """The messages for a provider. Raises Unsupported for parts that this dialect cannot say.

    Thoughts go only where they came from, for a provider refuses those that it does not know; names of messages
    have no place here.
    """
    for message in messages:
        match message.role:
            case "assistant":
                yield from _turn(message)
            case "tool":
                yield from _result(message)
            case _ if not any(isinstance(part, Opaque) and part.raw.startswith(_DEMAND) for part in message.parts):
                yield {"role": message.role, "content": _written_contents(message.parts)}


def _turn(message: Message) -> Iterator[object]:
    words: list[object] = []
    if not message.parts:
        yield _words([], plain="")
    for part in message.parts:
        match part:
            case Text(text=text):
                words.append({"type": "output_text", "text": text, "annotations": []})
                continue
            case Refusal(text=text):
                words.append({"type": "refusal", "refusal": text})
                continue
            case Opaque(place="content"):
                words.append(foreign(part))
                continue
        if words:
            yield _words(words)
            words = []
        match part:
            case Reasoning(issuer=issuer):
                if issuer == DIALECT:
                    yield _thought(part)
            case ToolCall():
                yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
            case Audio() | Image() | File():
                raise Unsupported("OpenAI responses take no pictures, sound or documents as words of the assistant")
            case _:
                yield foreign(part)
    if words:
        yield _words(words)


def _words(words: list[object], plain: str | None = None) -> object:
    return {"type": "message", "role": "assistant", "content": words if plain is None else plain}


def _thought(part: Reasoning) -> object:
    known = {"id": part.id, "encrypted_content": part.sealed}
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "summary": summary} | {key: value for key, value in known.items() if value is not None}


def _result(message: Message) -> Iterator[object]:
    if message.call is None:
        for part in message.parts:
            yield foreign(part)
        return
    output = _written_contents(message.parts)
    if message.failed:
        output = _FAILED + output if isinstance(output, str) else [_input_text(_FAILED), *output]
    yield {"type": "function_call_output", "call_id": message.call, "output": output}


def _written_contents(parts: Sequence[Part]) -> Any:
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_written_part(part) for part in parts]


def _input_text(text: str) -> object:
    return {"type": "input_text", "text": text}


def _written_part(part: Part) -> object:
    match part:
        case Text(text=text):
            return _input_text(text)
        case Image(url=url) if url.startswith("s3://"):
            raise Unsupported("this provider takes no pictures out of Amazon's storage")
        case Image(url=url, detail=detail):
            return {"type": "input_image", "image_url": url} | ({"detail": detail} if detail else {})
        case Audio(reference=None):
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case File(data=data, name=name):
            if data is not None and part.media_type is not None and not data.startswith("data:"):
                data = f"data:{part.media_type};base64,{data}"
            known = {"file_data": data, "filename": name, "file_id": part.reference, "file_url": part.url}
            return {"type": "input_file"} | {key: value for key, value in known.items() if value is not None}
        case _:
            return foreign(part)


def foreign(part: object) -> Raw:
    """What only this dialect knows, as it came. Raises Unsupported where it is of another one."""
    if isinstance(part, Opaque) and part.dialect == DIALECT:
        return Raw(part.raw)
    dialect = part.dialect if isinstance(part, Opaque) else "of another provider"
    raise Unsupported(f"a part that only the dialect {dialect!r} knows cannot be sent to this provider")


def unsealed(raw: Raw) -> object | None:
    """The item as OpenAI takes it: with its own seal where it travelled in ours, None where the seal is another's."""
    try:
        if _kind.decode(raw).type != "reasoning":
            return raw
        item = _reasoning_item.decode(raw)
    except UNREADABLE:
        return raw
    seal = opened(item.encrypted_content)
    if seal is None:
        return raw
    return _thought(seal.on(item.text)) if seal.issuer == DIALECT and seal.call is None else None
