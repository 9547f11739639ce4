"""The parts of Google's contents, read into our own words and written out of them."""

from __future__ import annotations

import re
from base64 import b64encode
from mimetypes import guess_type
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec
from msgspec import Raw

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Audio, File, Image, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from dirigent.dialects.google_generate.thoughts import DIALECT, canonical, read_thought
from dirigent.dialects.raw import NULL, input_of

__all__ = ["MADE_UP", "Blob", "WireCall", "WireResult", "read_media", "read_part", "written_part"]

MADE_UP: Final = "dirigent_call_"
"""How the ids of calls begin to which Google gave none; Google never sees them."""

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
"""How sounds are called in their media types, where that is not how others call them."""
_KEPT_THERE = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
"""How the addresses begin of files that only Google can read."""
_USUAL_PICTURE = "image/jpeg"


class Blob(msgspec.Struct, rename="camel"):
    """Bytes in base64."""

    data: str = ""
    mime_type: str = ""


class _FileData(msgspec.Struct, rename="camel"):
    file_uri: str
    mime_type: str | None = None


class WireCall(msgspec.Struct):
    """A call that the model asks for."""

    name: str = ""
    args: Raw = Raw(b"{}")
    id: str | None = None


class WireResult(msgspec.Struct):
    """What a function gave."""

    name: str = ""
    response: Raw = Raw(b"{}")
    id: str | None = None
    parts: list[Raw] | None = None


class _WirePart(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: _FileData | None = None
    function_call: WireCall | None = None
    function_response: WireResult | None = None
    video_metadata: Raw = NULL


_part = msgspec.json.Decoder(_WirePart)
_object = msgspec.json.Decoder(dict[str, Any])


# --- read -------------------------------------------------------------------------------------------------------------


def read_part(raw: Raw) -> tuple[Part | WireResult, ...]:
    """What a part says. A text with a seal is two: the seal stands behind it, as a thought without words.

    A call without an id has an empty one. Raises what msgspec does for what cannot be read.
    """
    part = _part.decode(raw)
    signature = canonical(part.thought_signature)
    if part.function_call is not None:
        call = part.function_call
        return (ToolCall(call.id or "", call.name, bytes(call.args).decode(), signature),)
    if part.function_response is not None:
        return (part.function_response,)
    said = _read(part, raw)
    if signature is None or isinstance(said, Reasoning):
        return (said,)
    seal = Reasoning("", signature, issuer=DIALECT)
    return (said, seal) if not isinstance(said, Text) or said.text else (seal,)


def _read(part: _WirePart, raw: Raw) -> Part:
    if part.video_metadata != NULL:
        return Opaque(DIALECT, bytes(raw))
    if part.text is not None:
        return read_thought(part.text, canonical(part.thought_signature)) if part.thought else Text(part.text)
    if part.inline_data is not None:
        return read_media(part.inline_data)
    if part.file_data is not None:
        uri, media_type = part.file_data.file_uri, part.file_data.mime_type
        if uri.startswith(_KEPT_THERE):
            return File(reference=uri, media_type=media_type)
        return Image(uri) if (media_type or "").startswith("image/") else File(url=uri, media_type=media_type)
    return Opaque(DIALECT, bytes(raw))


def read_media(blob: Blob) -> Image | Audio | File:
    """A picture, a sound, or another file."""
    kind, _, form = blob.mime_type.partition("/")
    if kind == "image":
        return Image(f"data:{blob.mime_type};base64,{blob.data}")
    if kind == "audio":
        return Audio(blob.data, _SOUNDS.get(form, form))
    return File(blob.data, media_type=blob.mime_type or None)


# --- write ------------------------------------------------------------------------------------------------------------


def written_part(part: Part, *, own: bool) -> dict[str, Any] | Raw | None:
    """The part for a provider; None where there is nothing to say. Raises Unsupported for what cannot be said.

    `own` where it was read in this dialect. Thoughts of other providers are left out: they would be forgeries.
    """
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"text": text} if text else None
        case Reasoning(text=text, signature=signature, issuer=issuer):
            if issuer != DIALECT and not (own and not issuer):
                return None
            seal = {"thoughtSignature": signature} if signature else {}
            return {"text": text, "thought": True, **seal} if text else {"text": "", **seal} if seal else None
        case Image(url=url):
            return _written_image(url)
        case Audio(data=data, format=form) if data:
            return {"inlineData": {"mimeType": f"audio/{form}", "data": data}}
        case Audio(transcript=str(transcript)) if transcript:
            return {"text": transcript}
        case Audio():
            raise Unsupported("sound that another provider keeps cannot be sent to this one")
        case File():
            return _written_file(part, own=own)
        case ToolCall(id=id, name=name, arguments=arguments, signature=signature):
            call = {"name": name, "args": input_of(arguments)}
            named = call if not id or id.startswith(MADE_UP) else {"id": id, **call}
            return {"functionCall": named, **({"thoughtSignature": signature} if signature else {})}
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return Raw(raw)
        case _:
            raise Unsupported(f"a part that only the dialect {part.dialect!r} knows cannot be sent to this provider")


def _written_image(url: str) -> dict[str, Any]:
    given = _DATA_URL.match(url)
    if given is not None:
        return {"inlineData": _inline(url, given)}
    if not url[:8].lower().startswith(("http://", "https://", "gs://")):
        raise Unsupported("an image is sent by an address or as a `data:` URL")
    return {"fileData": {"fileUri": url, "mimeType": _guessed(url) or _USUAL_PICTURE}}


def _written_file(file: File, *, own: bool) -> dict[str, Any]:
    address = file.url or file.reference
    if address is not None:
        if file.url is None and not own:
            raise Unsupported("a file that another provider keeps cannot be sent to this one")
        media_type = file.media_type or _guessed(address)
        return {"fileData": {"fileUri": address, **({"mimeType": media_type} if media_type else {})}}
    if file.data is None:
        raise Unsupported("a document without contents cannot be sent to this provider")
    given = _DATA_URL.match(file.data)
    if given is not None:
        return {"inlineData": _inline(file.data, given)}
    media_type = file.media_type or _guessed(file.name or "") or "application/pdf"
    return {"inlineData": {"mimeType": media_type, "data": file.data}}


def _inline(url: str, given: re.Match[str]) -> dict[str, str]:
    data = url[given.end() :]
    if ";base64" not in given[2].lower():
        data = b64encode(unquote_to_bytes(data)).decode()
    media_type = given[1].strip().lower() or "text/plain"
    return {"mimeType": media_type.replace("image/jpg", _USUAL_PICTURE), "data": data}


def _guessed(address: str) -> str | None:
    try:
        return guess_type(urlsplit(address).path, strict=False)[0]
    except ValueError:  # brackets that do not close
        return None
