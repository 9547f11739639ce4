"""Forms as browsers and SDKs send them (`multipart/form-data`), read strictly; no byte of a part is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dirigent.core.errors import Invalid

__all__ = ["Form", "Part", "written"]

_TYPE = re.compile(r"multipart/form-data\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_MOST_PARTS = 256
_LONGEST_HEAD = 8 * 1024
_PLAIN = ("", "7bit", "8bit", "binary")


class Part(NamedTuple):
    """One field of a form: its contents are `body[begin:end]`."""

    name: str
    filename: str | None
    content_type: str | None
    begin: int
    end: int


class Form:
    """The parts of a form in their order."""

    def __init__(self, body: bytes, content_type: str) -> None:
        """Raises Invalid where the body is no form, or not a whole one."""
        boundary = _boundary(content_type)
        self.body = body
        self.parts: Sequence[Part] = tuple(_parts(body, boundary))
        self._opening = b"--" + boundary

    def one(self, name: str) -> Part | None:
        """The only part of this name. Raises Invalid where there are several."""
        found = [part for part in self.parts if part.name == name]
        if len(found) > 1:
            raise Invalid(f"{name}: the form has it {len(found)} times", param=name)
        return found[0] if found else None

    def contents(self, part: Part) -> bytes:
        """The bytes of a part."""
        return self.body[part.begin : part.end]

    def text(self, name: str) -> str | None:
        """The text of the only part of this name. Raises Invalid where it is no text."""
        part = self.one(name)
        return None if part is None else self._text(part)

    def texts(self, name: str) -> list[str]:
        """The texts of all parts of this name. Raises Invalid where one is no text."""
        return [self._text(part) for part in self.parts if part.name == name]

    def replaced(self, part: Part, contents: bytes) -> bytes:
        """The body with other contents in this part; every other byte stays as it came."""
        return b"".join((self.body[: part.begin], contents, self.body[part.end :]))

    def joined(self, name: str, contents: bytes) -> bytes:
        """The body with one more plain field, in front of the others; every other byte stays as it came."""
        # the body may begin with words that mean nothing: the field stands where the first boundary does
        at = 0 if self.body.startswith(self._opening) else self.body.find(b"\r\n" + self._opening) + 2
        head = f'content-disposition: form-data; name="{_quoted(name)}"'.encode()
        field = b"\r\n".join((self._opening, head, b"", contents, b""))
        return b"".join((self.body[:at], field, self.body[at:]))

    def _text(self, part: Part) -> str:
        try:
            return self.contents(part).decode()
        except UnicodeDecodeError:
            raise Invalid(f"{part.name}: this is no text in UTF-8", param=part.name) from None


def written(fields: Sequence[tuple[str, str | None, bytes]], boundary: str) -> bytes:
    """A form out of names, file names (None for plain fields) and contents."""
    pieces: list[bytes] = []
    for name, filename, contents in fields:
        disposition = f'form-data; name="{_quoted(name)}"'
        if filename is not None:
            disposition += f'; filename="{_quoted(filename)}"\r\ncontent-type: application/octet-stream'
        pieces += [f"--{boundary}\r\ncontent-disposition: {disposition}\r\n\r\n".encode(), contents, b"\r\n"]
    return b"".join((*pieces, f"--{boundary}--\r\n".encode()))


def _quoted(name: str) -> str:
    """A name between quotes, written as browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _boundary(content_type: str) -> bytes:
    if _TYPE.fullmatch(content_type) is None:
        raise Invalid("the body is a form: send it as `multipart/form-data`, with its boundary in `content-type`")
    given = _parameters(content_type).get("boundary", "")
    if _BOUNDARY.fullmatch(given) is None:
        raise Invalid("the header `content-type` of a form names its boundary")
    return given.encode()


def _parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    line, opening = b"\r\n--" + boundary, b"--" + boundary
    if body.startswith(opening):
        at = len(opening)
    else:  # what stands before the first boundary means nothing
        at = body.find(line) + len(line)
        if at < len(line):
            raise Invalid("the form does not hold the boundary that its header names")
    for _ in range(_MOST_PARTS):
        if body.startswith(b"--", at):
            return
        begin = body.find(b"\n", at, at + 256) + 1  # white space may stand behind a boundary
        if not begin or body[at:begin].strip(b" \t") != b"\r\n":
            raise Invalid("a boundary of the form has something else behind it")
        head = body.find(b"\r\n\r\n", begin - 2, begin + _LONGEST_HEAD)
        if head < 0:
            raise Invalid("a part of the form has no end of its head")
        end = body.find(line, head + 2)
        if end < 0:
            raise Invalid("the form is cut off: its last boundary is missing")
        yield _part(body[begin:head], min(head + 4, end), end)
        at = end + len(line)
    raise Invalid(f"the form has more than {_MOST_PARTS} parts")


def _part(head: bytes, begin: int, end: int) -> Part:
    fields: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise Invalid("a part of the form has a head that cannot be read")
        fields[name.strip().lower()] = value.strip()
    disposition = fields.get("content-disposition", "")
    given = _parameters(disposition)
    if not disposition.lower().startswith("form-data") or not given.get("name"):
        raise Invalid("a part of the form does not say which field it is")
    if fields.get("content-transfer-encoding", "").lower() not in _PLAIN:
        raise Invalid(f"{given['name']}: forms carry their contents as they are, without a transfer encoding")
    return Part(given["name"], given.get("filename"), fields.get("content-type"), begin, end)


def _parameters(value: str) -> dict[str, str]:
    """The parameters of a header's value, their names in lower case."""
    return {
        found[1].lower(): re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        for found in _PARAMETER.finditer(value)
    }
