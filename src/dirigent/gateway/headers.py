"""What a caller's headers ask of a run, and what a run tells in the headers of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dirigent.core.run import MAX_TRIES, Record

__all__ = ["told", "trace_of", "tries_of"]

_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,256})?")
_COUNT = re.compile(rb"[0-9]{1,3}")


def trace_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The caller's `traceparent`; None where there is none, or none that W3C Trace Context allows."""
    given = headers.get(b"traceparent")
    return given.decode() if given is not None and _TRACE.fullmatch(given) else None


def tries_of(headers: Mapping[bytes, bytes]) -> int:
    """How many providers may be asked: one less for each time that the caller's SDK has tried before, one at least.

    Else the caller's tries and ours would multiply.
    """
    given = headers.get(b"x-stainless-retry-count")
    return MAX_TRIES if given is None or not _COUNT.fullmatch(given) else max(1, MAX_TRIES - int(given))


def told(record: Record) -> Iterator[tuple[str, str]]:
    """What only some answers have to tell: settings left out, an answer given again, the provider's limits."""
    if record.left_out:
        yield "x-dirigent-left-out", ", ".join(record.left_out)
    if record.reused is not None:
        yield "x-dirigent-cache", "hit"
    yield from record.forwarded
