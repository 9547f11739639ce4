"""Addresses in a request, turned into what stands there, for providers that take contents alone."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.messages import Audio, File, Image, Message, Part, Request, Wire
from dirigent.core.ports import Fetch
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect

__all__ = ["with_contents"]

_AT_ONCE = 8
_EACH = 20 * 1024 * 1024
_ALL = 50 * 1024 * 1024
_MOST = 100
"""Addresses in one request."""
_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a", "x-flac": "flac"}
"""How sounds are called in their media types, where that is not how others call them."""


class _Content(msgspec.Struct, frozen=True):
    """What stood at an address, in base64."""

    data: str
    content_type: str


async def with_contents(request: Request, dialect: Dialect, run: Run) -> Request:
    """The request with its pictures and documents themselves in place of their http addresses, each fetched once.

    It stays as it is where nothing is fetched on this node, and where the caller speaks the provider's own dialect and
    so knows what that provider takes. Raises Unsupported, for another candidate may well take the address.
    """
    fetch = run.ports.fetch
    if fetch is None or request.dialect == dialect.name:
        return request
    urls = dict.fromkeys(url for message in request.messages for part in message.parts if (url := _address(part)))
    if not urls:
        return request
    found = await _Fetching(fetch, request.wire).all(tuple(urls), run)
    return request.changed(messages=tuple(_filled(message, found, request.wire) for message in request.messages))


class _Fetching:
    """All that is fetched for one request: together it is bounded, and together it ends."""

    def __init__(self, fetch: Fetch, wire: Wire | None) -> None:
        self._fetch = fetch
        self._wire = wire
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._left = _ALL
        self._found: dict[str, _Content] = {}

    async def all(self, urls: tuple[str, ...], run: Run) -> Mapping[str, _Content]:
        if len(urls) > _MOST:
            raise Unsupported(f"the request names {len(urls)} addresses; at most {_MOST} are fetched for this provider")
        try:
            async with asyncio.timeout(run.seconds_left), asyncio.TaskGroup() as tasks:
                for url in urls:
                    tasks.create_task(self._one(url))
        except TimeoutError:
            raise Unsupported("the run's time was over before all that the request names was fetched") from None
        except ExceptionGroup as group:  # the first to fail has ended the others
            raise group.exceptions[0] from None
        return self._found

    async def _one(self, url: str) -> None:
        async with self._places:
            try:
                thing = await self._fetch.fetch(url, min(_EACH, self._left))
            except Invalid as error:
                raise Unsupported(
                    f"this provider takes no addresses, and {error.message}", param=_param(self._wire, url)
                ) from None
        self._left -= len(thing.data)
        if self._left < 0:
            raise Unsupported(
                f"what stands at the addresses of the request has more than {_ALL} bytes together",
                param=_param(self._wire, url),
            )
        # here, between two that arrive, and not all together: 20 MiB keep everybody else waiting for some 50 ms
        self._found[url] = _Content(b64encode(thing.data).decode(), thing.content_type)


def _address(part: Part) -> str | None:
    """The http address of a part that has nothing else."""
    match part:
        case Image(url=url) | File(url=str(url), data=None):
            return url if url[:8].lower().startswith(("http://", "https://")) else None
    return None


def _filled(message: Message, found: Mapping[str, _Content], wire: Wire | None) -> Message:
    if not any(map(_address, message.parts)):
        return message
    return msgspec.structs.replace(message, parts=tuple(_in_place(part, found, wire) for part in message.parts))


def _in_place(part: Part, found: Mapping[str, _Content], wire: Wire | None) -> Part:
    url = _address(part)
    if url is None or not isinstance(part, Image | File):
        return part
    thing = found[url]
    kind, _, form = thing.content_type.partition("/")
    data = thing.data
    if kind == "image":
        detail = part.detail if isinstance(part, Image) else None
        return Image(f"data:{thing.content_type};base64,{data}", detail, part.cache)
    if isinstance(part, Image):
        raise Unsupported("what stands at the address of a picture is no picture", param=_param(wire, url))
    if kind == "audio":
        return Audio(data, _SOUNDS.get(form, form))
    name = part.name or PurePosixPath(unquote(urlsplit(url).path)).name or None
    return msgspec.structs.replace(part, url=None, data=data, name=name, media_type=thing.content_type)


def _param(wire: Wire | None, url: str) -> str | None:
    """Where the caller wrote `url`, such as `messages[0].content[1].image_url.url`; None where nobody can say."""
    if wire is None:
        return None
    try:
        return next(_places_of(url, msgspec.json.decode(wire.body), ""), None)
    except (msgspec.DecodeError, RecursionError):
        return None


def _places_of(url: str, node: Any, path: str) -> Iterator[str]:
    if node == url:
        yield path
    elif isinstance(node, dict):
        for name, inner in node.items():
            yield from _places_of(url, inner, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _places_of(url, inner, f"{path}[{index}]")
