"""What happens in one run, while it happens: each of its entries as an event, without a word of what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dirigent.admin.access import Access
from dirigent.admin.app import Path, Stream
from dirigent.admin.openapi import ROOT, Fixed
from dirigent.control.desk import Unknown
from dirigent.control.permissions import permits
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.journal import Ended, Entry, parted
from dirigent.store.database import Database
from dirigent.store.runs import Runs

__all__ = ["following_paths"]

_EVERY = 0.25
"""Seconds between two looks at a run that goes on."""


def following_paths(database: Database, access: Access, runs: Runs) -> list[Path]:
    """The path of a run's events; `last-event-id`, or `after`, is the number of the last one that was heard."""

    async def events(request: Request) -> Response:
        actor = await access.actor(request)
        if not permits(actor, "runs.see"):
            raise Forbidden(f"the role {actor.role} may not watch runs")
        run = request.query_params.get("run", "")
        given = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            raise Invalid("after: the number of an event", param="after")
        if await database.reading(partial(runs.find, tenant=actor.tenant, run=run)) is None:
            raise Unknown(f"there is no run {run!r} that outlives a process", param="run")
        return Stream(_follow(database, runs, run, int(given)))

    about = Fixed(
        "GET", f"{ROOT}/runs/events", "What happens in a run.", query=("run", "after"), media="text/event-stream"
    )
    return [Path(about, events)]


async def _follow(database: Database, runs: Runs, run: str, seq: int) -> AsyncGenerator[bytes, None]:
    while True:
        for entry in await database.reading(partial(runs.entries, run=run, after=seq)):
            seq += 1
            yield _event(seq, entry)
            if isinstance(entry, Ended):
                return
        await asyncio.sleep(_EVERY)


def _event(seq: int, entry: Entry) -> bytes:
    facts, _ = parted(entry)
    told = msgspec.json.decode(facts)
    kind = str(told.pop("type", "entry"))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, kind.encode(), msgspec.json.encode({"seq": seq, **told}))
