"""The messages of OpenAI chat completions, written to providers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Audio, File, Image, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from dirigent.dialects.openai_chat.takes import Takes
from dirigent.dialects.openai_chat.thoughts import DIALECT, signed, written_details

__all__ = ["foreign", "written_messages"]

_FAILED: Final = "Error: "
"""How the result of a tool that did not work begins, for this dialect has no field that says so."""


def written_messages(messages: Iterable[Message], takes: Takes) -> Iterator[dict[str, Any]]:
    """The messages for a provider. Raises Unsupported for parts that only another dialect knows.

    What a tool gave beside text comes after the results of all calls, for most providers take text alone from tools.
    """
    shown: list[Part] = []
    for message in messages:
        if shown and message.role != "tool":
            yield _written_message(Message("user", tuple(shown)), takes)
            shown = []
        if message.role != "tool" or takes.pictures_from_tools:
            yield _written_message(message, takes)
            continue
        told, beside = _told_and_shown(message)
        shown += beside
        yield _written_message(told, takes)
    if shown:
        yield _written_message(Message("user", tuple(shown)), takes)


def _told_and_shown(message: Message) -> tuple[Message, Sequence[Part]]:
    """The result of a tool as text, and what of it is none."""
    beside = [part for part in message.parts if isinstance(part, Image | Audio | File)]
    if not beside:
        return message, ()
    told = tuple(part for part in message.parts if part not in beside) or (Text("The result follows."),)
    return msgspec.structs.replace(message, parts=told), (Text(f"The result of the call {message.call}:"), *beside)


def _written_message(message: Message, takes: Takes) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, **(message.extra if takes.unknown_fields else {})}
    calls = [_written_call(part, takes) for part in message.parts if _is_call(part)]
    thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
    refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
    sounds = [part for part in message.parts if isinstance(part, Audio) and part.reference]
    content: Sequence[Part] = [
        part
        for part in message.parts
        if not (_is_call(part) or isinstance(part, Refusal | Reasoning) or part in sounds)
    ]
    if message.failed:
        content = _failed(content)
    if not content:
        written["content"] = None if calls or thoughts or refusals or sounds else ""
    elif len(content) == 1 and isinstance(content[0], Text) and not (takes.cache_marks and content[0].cache):
        written["content"] = content[0].text
    else:
        written["content"] = [_written_part(part, takes) for part in content]
    if message.name is not None:
        written["name"] = message.name
    if message.call is not None:
        written["tool_call_id"] = message.call
    if calls:
        written["tool_calls"] = calls
    if told := "".join(thought.text for thought in thoughts):
        written["reasoning_content"] = told
    own_seals = (thought for thought in thoughts if takes.seals or thought.issuer == DIALECT)
    if thoughts and (details := written_details(own_seals)):
        written["reasoning_details"] = details
    if refusals:
        written["refusal"] = "".join(refusals)
    if sounds:
        written["audio"] = {"id": sounds[0].reference}
    if takes.cache_marks and message.cache is not None:
        written["cache_control"] = message.cache
    return written


def _failed(content: Sequence[Part]) -> Sequence[Part]:
    first = content[0] if content else Text("it failed")
    if isinstance(first, Text):
        return [msgspec.structs.replace(first, text=_FAILED + first.text), *content[1:]]
    return [Text(_FAILED), *content]


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCall) or (isinstance(part, Opaque) and part.place == "calls")


def _written_call(part: Part, takes: Takes) -> object:
    if not isinstance(part, ToolCall):
        return foreign(part)
    function = {"name": part.name, "arguments": part.arguments}
    seal = signed(part.signature) if takes.seals else {}
    return {"id": part.id, "function": function, "type": "function", **seal}


def _written_part(part: Part, takes: Takes) -> object:
    match part:
        case Text(text=text):
            written: dict[str, Any] = {"type": "text", "text": text}
        case Image(url=url, detail=detail):
            if url.startswith("s3://") and not takes.stored_pictures:
                raise Unsupported("this provider takes no pictures out of Amazon's storage")
            written = {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data=data, format=sound):
            return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
        case File():
            written = {"type": "file", "file": _written_file(part, takes)}
        case _:
            return foreign(part)
    if takes.cache_marks and part.cache is not None:
        written["cache_control"] = part.cache
    return written


def _written_file(file: File, takes: Takes) -> dict[str, str]:
    data = file.data
    if file.url is not None:
        if not takes.file_addresses:
            raise Unsupported("this provider takes documents by their contents, not by their address")
        data = file.url
    elif data is not None and file.media_type is not None and not data.startswith("data:"):
        data = f"data:{file.media_type};base64,{data}"
    known = {"file_data": data, "filename": file.name, "file_id": file.reference}
    return {key: value for key, value in known.items() if value is not None}


def foreign(part: object) -> Raw:
    """What only its own dialect knows, as it came. Raises Unsupported where that is another one."""
    if isinstance(part, Opaque) and part.dialect == DIALECT:
        return Raw(part.raw)
    dialect = part.dialect if isinstance(part, Opaque) else "of another provider"
    raise Unsupported(f"a part that only the dialect {dialect!r} knows cannot be sent to this provider")
