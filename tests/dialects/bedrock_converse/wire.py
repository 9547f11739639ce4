"""Event streams as Bedrock sends them, out of golden files that people can read."""

from __future__ import annotations

import json
from typing import Any

from dirigent.dialects.eventstream import framed
from tests.parsed import ROOT

__all__ = ["body", "framed_stream", "frames"]

GOLDEN = ROOT / "tests" / "golden" / "bedrock_converse"
_JSON = (":content-type", "application/json")


def body(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def frames(name: str) -> list[bytes]:
    """Each line of a golden file as a message of an event stream."""
    return _framed((GOLDEN / f"{name}.events").read_bytes())


def framed_stream(lines: bytes) -> bytes:
    """The stream that a golden file stands for."""
    return b"".join(_framed(lines))


def _framed(lines: bytes) -> list[bytes]:
    return [_message(*next(iter(json.loads(line).items()))) for line in lines.splitlines()]


def _message(kind: str, payload: Any) -> bytes:
    sort, name = (":exception-type", "exception") if kind.endswith("Exception") else (":event-type", "event")
    return framed(((sort, kind), _JSON, (":message-type", name)), json.dumps(payload, ensure_ascii=False).encode())
