"""JSON that strangers wrote, undecoded or about to be; it knows no wire format."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

__all__ = ["NULL", "UNREADABLE", "input_of"]

NULL: Final = Raw(b"null")
"""A field that may be left out or null, undecoded."""
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that reading JSON of strangers may raise."""

_object = msgspec.json.Decoder(dict[str, Any])


def input_of(arguments: str) -> Raw | dict[str, str]:
    """The arguments of a call as an object, byte for byte, for formats that take nothing else.

    What is no object goes under the key that Anthropic recommends for it, so that nothing of it is lost.
    """
    if not arguments.strip():
        return {}
    try:
        written = arguments.encode()
        _object.decode(written)
    except (*UNREADABLE, UnicodeEncodeError):
        return {"INVALID_JSON": arguments}
    return Raw(written)
