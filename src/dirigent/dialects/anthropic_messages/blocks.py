"""The content blocks of Anthropic messages, read into our own words and written out of them."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes
from zlib import crc32

import msgspec
from msgspec import Raw

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Audio, File, Image, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from dirigent.dialects.anthropic_messages.thoughts import DIALECT, call_seal, own_seal, read_thought, thought_block
from dirigent.dialects.faults import invalid
from dirigent.dialects.raw import NULL, UNREADABLE, input_of

__all__ = [
    "Block",
    "CallSeal",
    "called_id",
    "read_parts",
    "refused",
    "result_block",
    "written_blocks",
]


Block = dict[str, Any]

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SIGNS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", "application/pdf"),
)
"""How files begin in base64. What a file is counts, not what it is called: Anthropic refuses where the two differ."""
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml")


class _Kind(msgspec.Struct):
    type: str


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class _Text(msgspec.Struct):
    text: str
    cache_control: Raw = NULL


class _Image(msgspec.Struct):
    source: _Source
    cache_control: Raw = NULL


class _Citations(msgspec.Struct):
    enabled: bool | None = None


class _Document(msgspec.Struct):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None
    cache_control: Raw = NULL


class _Thinking(msgspec.Struct):
    thinking: str
    signature: str = ""


class _Redacted(msgspec.Struct):
    data: str


class _ToolUse(msgspec.Struct):
    id: str
    name: str
    input: Raw = Raw(b"{}")
    cache_control: Raw = NULL


class _ToolResult(msgspec.Struct):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None
    cache_control: Raw = NULL


_kind = msgspec.json.Decoder(_Kind)
_text = msgspec.json.Decoder(_Text)
_image = msgspec.json.Decoder(_Image)
_document = msgspec.json.Decoder(_Document)
_thinking = msgspec.json.Decoder(_Thinking)
_redacted = msgspec.json.Decoder(_Redacted)
_tool_use = msgspec.json.Decoder(_ToolUse)
_tool_result = msgspec.json.Decoder(_ToolResult)
_object = msgspec.json.Decoder(dict[str, Any])


class CallSeal(msgspec.Struct, frozen=True):
    """The seal of a tool call, which travels beside it."""

    call: str
    signature: str


def refused(fault: Exception, prefix: str = "") -> Invalid:
    """What is wrong, with the field in the way in which Anthropic names fields: `messages.0.role`."""
    found = invalid(fault, prefix)
    if found.param is None:
        return found
    param = found.param.replace("[", ".").replace("]", "")
    return Invalid(param + found.message.removeprefix(found.param), param=param)


# --- read -------------------------------------------------------------------------------------------------------------


def read_parts(content: str | list[Raw], where: str) -> Iterator[Part | Message | CallSeal]:
    """The parts of a content; a tool's result among them is a message of its own."""
    if isinstance(content, str):
        yield Text(content)
        return
    for index, raw in enumerate(content):
        try:
            yield _read(raw, f"{where}.{index}")
        except UNREADABLE as fault:
            raise refused(fault, f"{where}.{index}") from None


def _read(raw: Raw, where: str) -> Part | Message | CallSeal:
    match _kind.decode(raw).type:
        case "text":
            text = _text.decode(raw)
            return Text(text.text, _mark(text.cache_control))
        case "image":
            image = _image.decode(raw)
            url = _image_url(image.source)
            return Opaque(DIALECT, bytes(raw)) if url is None else Image(url, cache=_mark(image.cache_control))
        case "document":
            document = _document.decode(raw)
            return _read_document(document) or Opaque(DIALECT, bytes(raw))
        case "thinking":
            thought = _thinking.decode(raw)
            return read_thought(thought.thinking, thought.signature, redacted=False)
        case "redacted_thinking":
            seal = _redacted.decode(raw).data
            return CallSeal(*of_call) if (of_call := call_seal(seal)) else read_thought("", seal, redacted=True)
        case "tool_use":
            call = _tool_use.decode(raw)
            return ToolCall(call.id, call.name, bytes(call.input).decode(), cache=_mark(call.cache_control))
        case "tool_result":
            result = _tool_result.decode(raw)
            parts = () if result.content is None else tuple(read_parts(result.content, f"{where}.content"))
            known = tuple(part for part in parts if not isinstance(part, Message | CallSeal))
            if len(known) < len(parts):
                raise Invalid(f"{where}.content: a result holds no further results", param=f"{where}.content")
            cache = _mark(result.cache_control)
            return Message("tool", known, None, result.tool_use_id, failed=result.is_error is True, cache=cache)
        case _:
            return Opaque(DIALECT, bytes(raw))


def _image_url(source: _Source) -> str | None:
    match source:
        case _Source(type="base64", media_type=str(media_type), data=str(data)):
            return f"data:{media_type};base64,{data}"
        case _Source(type="url", url=str(url)):
            return url
        case _:
            return None


def _read_document(document: _Document) -> File | None:
    """The document in our own words; None where it carries more than they can hold."""
    if document.context is not None or (document.citations is not None and document.citations.enabled):
        return None
    cache, name = _mark(document.cache_control), document.title
    match document.source:
        case _Source(type="base64", media_type=media_type, data=str(data)):
            return File(data, name, media_type=media_type, cache=cache)
        case _Source(type="text", data=str(text)):
            return File(b64encode(text.encode()).decode(), name, media_type="text/plain", cache=cache)
        case _Source(type="url", url=str(url)):
            return File(None, name, url=url, cache=cache)
        case _Source(type="file", file_id=str(reference)):
            return File(None, name, reference, cache=cache)
        case _:
            return None


def _mark(raw: Raw) -> Raw | None:
    return None if raw == NULL else Raw(bytes(raw))  # a copy: a slice would hold the whole body


# --- write ------------------------------------------------------------------------------------------------------------


def written_blocks(message: Message, *, own: bool) -> list[Block]:
    """The blocks of a message; `own` where it was read in this dialect. Raises Unsupported for what it cannot say."""
    blocks = [block for part in message.parts if (block := _written(part, own=own)) is not None]
    if message.cache is not None and message.role != "tool":
        _mark_last(blocks, message.cache)
    return blocks


def result_block(message: Message, *, own: bool) -> Block:
    """The block for the result of a tool."""
    written: Block = {"type": "tool_result", "tool_use_id": called_id(message.call or "")}
    blocks = written_blocks(message, own=own)
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        written["content"] = blocks[0]["text"]
    elif blocks:
        written["content"] = blocks
    if message.failed:
        written["is_error"] = True
    if message.cache is not None:
        written["cache_control"] = message.cache
    return written


def _mark_last(blocks: list[Block], cache: Raw) -> None:
    """Puts the mark on the last block that can bear one, unless it has its own."""
    for index in range(len(blocks) - 1, -1, -1):
        if isinstance(blocks[index], dict) and blocks[index]["type"] not in ("thinking", "redacted_thinking"):
            blocks[index] = {"cache_control": cache, **blocks[index]}
            return


def called_id(id: str) -> str:
    """The id of a call in letters that Anthropic takes; other providers have dots and colons in theirs."""
    if id and not _NOT_IN_IDS.search(id):
        return id
    return f"{_NOT_IN_IDS.sub('_', id)}_{crc32(id.encode(errors='replace')):08x}"


def _written(part: Part, *, own: bool) -> Any:
    match part:
        case Text(text=text, cache=cache):
            return _marked({"type": "text", "text": text}, cache) if text else None  # an empty text is refused there
        case Image(url=url, cache=cache):
            return _marked(_written_image(url), cache)
        case File(cache=cache):
            return _marked(_written_document(part, own=own), cache)
        case Reasoning():  # a thought that Anthropic did not seal would be a forgery
            return thought_block(part) if own_seal(part) else None
        case Refusal(text=text):
            return {"type": "text", "text": text} if text else None
        case ToolCall(id=id, name=name, arguments=arguments, cache=cache):
            block = {"type": "tool_use", "id": called_id(id), "name": name, "input": input_of(arguments)}
            return _marked(block, cache)
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return msgspec.json.decode(raw, type=dict[str, Raw]) | {"type": _kind.decode(raw).type}
        case Audio(transcript=str(transcript)) if transcript:
            return {"type": "text", "text": transcript}
        case Audio():
            raise Unsupported("sound cannot be sent to this provider")
        case _:
            raise Unsupported(f"a part that only the dialect {part.dialect!r} knows cannot be sent to this provider")


def _marked(block: Block, cache: Raw | None) -> Block:
    return block if cache is None else {**block, "cache_control": cache}


def _written_image(url: str) -> Block:
    given = _DATA_URL.match(url)
    if given is None:
        if url[:8].lower().startswith(("http://", "https://")):
            return {"type": "image", "source": {"type": "url", "url": url}}
        raise Unsupported("an image is sent by an http address or as a `data:` URL")
    media_type, data = _media_type(url, given)
    if media_type in _IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if media_type == "application/pdf":
        return {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}}
    raise Unsupported(f"this provider takes no images of the type {media_type!r}")


def _media_type(url: str, given: re.Match[str]) -> tuple[str, str]:
    """What a `data:` URL holds, and its contents in base64."""
    data = url[given.end() :]
    if ";base64" not in given[2].lower():
        data = b64encode(unquote_to_bytes(data)).decode()
    return _recognised(data) or given[1].strip().lower().replace("image/jpg", "image/jpeg"), data


def _recognised(data: str) -> str | None:
    return next((media_type for sign, media_type in _SIGNS if data.startswith(sign)), None)


def _written_document(file: File, *, own: bool) -> Block:
    title = {"title": file.name} if file.name is not None else {}
    if file.url is not None:
        return {"type": "document", "source": {"type": "url", "url": file.url}, **title}
    if file.reference is not None:
        if not own:
            raise Unsupported("a file that another provider keeps cannot be sent to this one")
        return {"type": "document", "source": {"type": "file", "file_id": file.reference}, **title}
    if file.data is None:
        raise Unsupported("a document without contents cannot be sent to this provider")
    given = _DATA_URL.match(file.data)
    declared, data = _media_type(file.data, given) if given is not None else (file.media_type or "", file.data)
    media_type = _recognised(data) or declared or _by_name(file.name or "")
    if media_type in _IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if media_type == "application/pdf":
        return {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}, **title}
    if media_type.startswith(_TEXTS):
        try:
            text = b64decode(data, validate=True).decode()
        except ValueError:
            raise Unsupported("a document of text is not base64 of UTF-8") from None
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **title}
    raise Unsupported(f"this provider takes no documents of the type {media_type or 'unknown'!r}")


def _by_name(name: str) -> str:
    ending = name.rpartition(".")[2].lower()
    return "application/pdf" if ending == "pdf" else "text/plain" if ending in ("txt", "md", "csv", "json") else ""
