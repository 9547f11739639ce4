"""The content blocks of Bedrock's Converse, read into our own words and written out of them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from zlib import crc32

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Audio, File, Image, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from dirigent.dialects.bedrock_converse.thoughts import DIALECT, call_seal, read_thought, thought_block
from dirigent.dialects.faults import invalid
from dirigent.dialects.raw import NULL, UNREADABLE, input_of

__all__ = ["Block", "CallSeal", "cache_point", "called_id", "mark_of", "read_blocks", "written_blocks"]

Block = dict[str, Any]

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9\s()\[\]-]+")
_LONGEST_ID: Final = 64
_LONGEST_NAME: Final = 200
_PICTURES: Final = ("png", "jpeg", "gif", "webp")
_SIGNS: Final = (("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"))
"""How pictures begin in base64: what one is counts, not what it is called."""
_DOCUMENTS: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
_FORMATS: Final = {media_type: form for form, media_type in _DOCUMENTS.items()}


class CallSeal(msgspec.Struct, frozen=True):
    """The seal of a tool call, which travels beside it."""

    call: str
    signature: str


class _Location(msgspec.Struct):
    uri: str


class _Source(msgspec.Struct, rename="camel"):
    bytes: str | None = None
    text: str | None = None
    s3_location: _Location | None = None


class _Media(msgspec.Struct):
    source: _Source
    format: str = ""
    name: str | None = None
    context: str | None = None
    citations: Raw = NULL


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw = Raw(b"{}")
    type: str | None = None


class _ToolResult(msgspec.Struct, rename="camel"):
    tool_use_id: str
    content: list[Raw] = []
    status: str | None = None
    type: str | None = None


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _CachePoint(msgspec.Struct):
    ttl: str | None = None


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    json: Raw = NULL
    image: _Media | None = None
    document: _Media | None = None
    audio: _Media | None = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    reasoning_content: _Reasoning | None = None
    cache_point: _CachePoint | None = None


_block = msgspec.json.Decoder(_Block)
_mark = msgspec.json.Decoder(_CachePoint)
_object = msgspec.json.Decoder(dict[str, Any])


# --- read -------------------------------------------------------------------------------------------------------------


def read_blocks(blocks: Sequence[Raw], where: str) -> list[Part | Message | CallSeal]:
    """The parts of a content; a tool's result among them is a message of its own. Raises Invalid."""
    read: list[Part | Message | CallSeal] = []
    for index, raw in enumerate(blocks):
        try:
            block = _block.decode(raw)
            if block.cache_point is not None and read and _bears_marks(read[-1]):
                read[-1] = msgspec.structs.replace(read[-1], cache=mark_of(block.cache_point.ttl))
            else:
                read.append(_read(block, raw, f"{where}[{index}]"))
        except UNREADABLE as fault:
            raise invalid(fault, f"{where}[{index}]") from None
    return read


def _bears_marks(part: Part | Message | CallSeal) -> bool:
    return isinstance(part, Text | Image | File | ToolCall | Message) and part.cache is None


def mark_of(ttl: str | None) -> Raw:
    """A cache point as the mark that others know."""
    return Raw(msgspec.json.encode({"type": "ephemeral", **({"ttl": ttl} if ttl is not None else {})}))


def _read(block: _Block, raw: Raw, where: str) -> Part | Message | CallSeal:
    if block.text is not None:
        return Text(block.text)
    if block.json != NULL:
        return Text(bytes(block.json).decode())
    if block.tool_use is not None and block.tool_use.type is None:
        call = block.tool_use
        return ToolCall(call.tool_use_id, call.name, bytes(call.input).decode())
    if block.tool_result is not None and block.tool_result.type is None:
        result = block.tool_result
        inner = read_blocks(result.content, f"{where}.toolResult.content")
        parts = tuple(part for part in inner if not isinstance(part, Message | CallSeal))
        return Message("tool", parts, call=result.tool_use_id, failed=result.status == "error")
    if block.reasoning_content is not None:
        thought = block.reasoning_content
        if (of_call := call_seal(thought.redacted_content)) is not None:
            return CallSeal(*of_call)
        said = thought.reasoning_text or _ReasoningText()
        return read_thought(said.text, said.signature, thought.redacted_content)
    return _read_media(block) or Opaque(DIALECT, bytes(raw))


def _read_media(block: _Block) -> Part | None:
    """A picture, a sound or a document; None for what our own words cannot hold."""
    if block.image is not None:
        source = block.image.source
        if source.s3_location is not None:
            return Image(source.s3_location.uri)
        return None if source.bytes is None else Image(f"data:image/{block.image.format};base64,{source.bytes}")
    if block.audio is not None and block.audio.source.bytes is not None:
        return Audio(block.audio.source.bytes, block.audio.format)
    if block.document is not None and block.document.context is None and block.document.citations == NULL:
        document = block.document
        if document.source.text is not None:
            data = b64encode(document.source.text.encode()).decode()
            return File(data, document.name, media_type="text/plain")
        media_type = _DOCUMENTS.get(document.format)
        if document.source.bytes is not None and media_type is not None:
            return File(document.source.bytes, document.name, media_type=media_type)
    return None


# --- write ------------------------------------------------------------------------------------------------------------


def written_blocks(parts: Sequence[Part], *, own: bool, caches: bool) -> Iterator[Any]:
    """The blocks for these parts. Raises Unsupported for what this dialect cannot say."""
    for part in parts:
        block = _written(part, own=own)
        if block is None:
            continue
        yield block
        if caches and isinstance(part, Text | Image | File | ToolCall) and part.cache is not None:
            yield cache_point(part.cache)


def cache_point(mark: Raw) -> Block:
    """A mark of others as a cache point."""
    try:
        ttl = _mark.decode(mark).ttl
    except UNREADABLE:
        ttl = None
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl in ("5m", "1h") else {})}}


def called_id(id: str) -> str:
    """The id of a call as Bedrock takes it; other providers have longer ones, or other signs in theirs."""
    if id and len(id) <= _LONGEST_ID and not _NOT_IN_IDS.search(id):
        return id
    return f"{_NOT_IN_IDS.sub('_', id)[:48]}_{crc32(id.encode(errors='replace')):08x}"


def _written(part: Part, *, own: bool) -> Any:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"text": text} if text.strip() else None  # a text without signs is refused there
        case Image(url=url):
            return {"image": _written_image(url)}
        case File():
            return {"document": _written_document(part)}
        case Reasoning(issuer=issuer):  # a thought that Bedrock's models did not seal would be a forgery
            mine = issuer == DIALECT or (own and not issuer)
            block = thought_block(part) if mine else None
            return {"reasoningContent": block} if block is not None else None
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"toolUse": {"toolUseId": called_id(id), "name": name, "input": input_of(arguments)}}
        case Audio(data=data, format=form) if data:
            return {"audio": {"format": form, "source": {"bytes": data}}}
        case Audio(transcript=str(transcript)) if transcript:
            return {"text": transcript}
        case Audio():
            raise Unsupported("sound that another provider keeps cannot be sent to this one")
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return Raw(raw)
        case _:
            raise Unsupported(f"a part that only the dialect {part.dialect!r} knows cannot be sent to this provider")


def _written_image(url: str) -> Block:
    given = _DATA_URL.match(url)
    if given is None:
        if url.startswith("s3://"):
            form = url.rpartition(".")[2].lower().replace("jpg", "jpeg")
            return {"format": form if form in _PICTURES else "png", "source": {"s3Location": {"uri": url}}}
        raise Unsupported("this provider takes an image by its contents, as a `data:` URL, not by its address")
    data = _data(url, given)
    form = given[1].strip().lower().removeprefix("image/").replace("jpg", "jpeg")
    form = next((known for sign, known in _SIGNS if data.startswith(sign)), form)
    if form not in _PICTURES:
        raise Unsupported(f"this provider takes no images of the type {given[1]!r}")
    return {"format": form, "source": {"bytes": data}}


def _data(url: str, given: re.Match[str]) -> str:
    data = url[given.end() :]
    return data if ";base64" in given[2].lower() else b64encode(unquote_to_bytes(data)).decode()


def _written_document(file: File) -> Block:
    if file.data is None:
        raise Unsupported("this provider takes a document by its contents, not by its address or another's id")
    given = _DATA_URL.match(file.data)
    media_type = (given[1].strip().lower() if given is not None else file.media_type) or ""
    data = _data(file.data, given) if given is not None else file.data
    ending = (file.name or "").rpartition(".")[2].lower()
    form = _FORMATS.get(media_type) or (ending if ending in _DOCUMENTS else None)
    form = "pdf" if data.startswith("JVBERi0") else form or ("txt" if media_type.startswith("text/") else None)
    if form is None:
        raise Unsupported(f"this provider takes no documents of the type {media_type or 'unknown'!r}")
    return {"format": form, "name": _document_name(file.name), "source": {"bytes": data}}


def _document_name(name: str | None) -> str:
    """A name in signs that Bedrock takes, with single spaces."""
    kept = " ".join(_NOT_IN_NAMES.sub(" ", name or "").split())[:_LONGEST_NAME].strip()
    return kept or "document"
