"""`dirigent live`: what happens in a tenant, printed as it comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.text import Text

from dirigent.cli.client import Client, NotRunning, Refused, governing
from dirigent.cli.operating import tenant_option
from dirigent.cli.options import data_option, fail, json_option, settings_from
from dirigent.cli.telling import wide_console, worded

__all__ = ["live"]

_PATH = "/api/v1/live"
_AGAIN = 1.0
"""Seconds before a stream that ended is taken up again."""
_UNSAID = frozenset({"kind", "at", "tenant", "path", "request", "key", "member", "streamed", "estimated"})
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}


@click.command(short_help="Print what happens, while it happens.", epilog="Example: dirigent live --json")
@click.option("--after", metavar="ID", help="Begin behind the event of this id, as `--json` shows it.")
@data_option
@tenant_option
@json_option
def live(after: str | None, data: Path | None, in_tenant: str | None, as_object: bool) -> None:
    """Print what happens, while it happens.

    Requests, budgets, breakers, revisions, alerts. With --json each event is one line, with its `id`. It goes on until
    you end it.
    """
    settings, console = settings_from(data=data), wide_console()

    def show(event: dict[str, Any]) -> None:
        if as_object:
            click.echo(msgspec.json.encode(event).decode())
            sys.stdout.flush()
        else:
            _say(console, event)

    async def through() -> None:
        last = after
        async with governing(settings.data, in_tenant) as client:
            while True:
                try:
                    async with aclosing(_events(client, last)) as events:
                        async for last, event in events:
                            if event is not None:
                                show({"id": last, **event})
                except NotRunning:
                    if last is None:  # it never was there; one that was will come again
                        raise
                await asyncio.sleep(_AGAIN)

    try:
        uvloop.run(through())
    except (NotRunning, Refused) as error:
        fail(error.message)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)


async def _events(client: Client, after: str | None) -> AsyncGenerator[tuple[str, dict[str, Any] | None], None]:
    """The events of one stream, each behind its id; None where only the place is told. Raises Refused, NotRunning."""
    headers = () if after is None else (("last-event-id", after),)
    answer = await client.open("GET", _PATH, headers=headers)
    waiting = b""
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            *whole, waiting = (waiting + chunk).split(b"\n\n")
            for frame in whole:
                fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line and line[:1] != b":")
                if b"id" in fields:
                    yield fields[b"id"].decode(), msgspec.json.decode(fields[b"data"]) if b"data" in fields else None


def _say(console: Console, event: Mapping[str, Any]) -> None:
    """One line for a person."""
    at = event.get("at")
    when = datetime.fromtimestamp(at / 1000).astimezone().strftime("%H:%M:%S") if isinstance(at, int) else "        "
    kind = str(event.get("kind", "")).replace("_", " ")
    line = Text.assemble((f"{when}  ", "dim"), (f"{kind:<18}  ", _colour(event)))
    if event.get("kind") == "request":
        line.append(_request(event))
    else:
        rest = {name: value for name, value in event.items() if name not in _UNSAID | {"id"} and value is not None}
        line.append(", ".join(f"{name.replace('_', ' ')} {worded(name, value)}" for name, value in rest.items()))
    console.print(line, soft_wrap=True)


def _request(event: Mapping[str, Any]) -> str:
    said = [
        f"{event['status']} {event.get('code') or 'ok'}",
        f"{event.get('model')} → {event.get('deployment') or '-'}",
    ]
    said.append(f"{event['milliseconds']} ms")
    if event.get("input_tokens") is not None:
        said.append(f"{event['input_tokens']} + {event.get('output_tokens') or 0} tokens")
    if event.get("cost") is not None:
        said.append(f"{event['cost']} {event['currency']}")
    said.append(f"project {event.get('project') or '-'}")
    return "  ".join((*said, str(event["run"])))


def _colour(event: Mapping[str, Any]) -> str:
    if event.get("kind") == "request":
        return "red" if event.get("code") else "green"
    return _COLOURS.get(str(event.get("severity")), "bold")
