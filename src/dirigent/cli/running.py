"""Runs on the terminal: how far one is, what happens in it, and another one begun from some point of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.text import Text

from dirigent.cli.client import Client, Refused, governing
from dirigent.cli.operating import answered, carry_out, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.cli.orders import ORDERS
from dirigent.cli.telling import tell, wide_console
from dirigent.cli.waterfall import waterfall
from dirigent.core.errors import DirigentError

__all__ = ["events", "fork", "show"]


@click.command(short_help="Show a run.", epilog="Example: dirigent runs show run-3f9c2b71")
@click.argument("run")
@click.option("--content", is_flag=True, help="Show what was asked and answered as well, which is audited.")
@json_option
@tenant_option
@data_option
def show(run: str, content: bool, as_object: bool, in_tenant: str | None, data: Path | None) -> None:
    """Show how far a run is: its steps in time, who answered, tokens and cost, and how long it waited for people.

    A run that did not outlive its process is shown by its record.
    """

    async def work(client: Client) -> dict[str, Any]:
        try:
            return await carry_out(client, ORDERS["runs.read" if content else "runs.trace"], {"run": run})
        except Refused as refused:
            if refused.reason != "not_found":
                raise
            return await carry_out(client, ORDERS["runs.show"], {"run": run})

    outcome = answered(data, in_tenant, work)
    if as_object:
        as_json(outcome)
    elif "steps" in outcome:
        console = wide_console()
        if not sys.stdout.isatty():
            console.width = 120
        waterfall(console, outcome, int(time.time() * 1000))
        for name in ("input", "output"):
            if content and outcome[name] is not None:
                console.print(Text(f"\n{name}", style="bold"))
                tell(console, {name: outcome[name]})
    else:
        tell(wide_console(), outcome)


@click.command(
    short_help="Begin another run from a point of this one.",
    epilog="Example: dirigent runs fork run-3f9c2b71 --at 12 --revision 9c2b71aa",
)
@click.argument("run")
@click.option("--at", type=click.IntRange(0), help="Entries to take over. [default: all that is done]")
@click.option("--revision", help="On which it goes on. [default: the one that is published]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@tenant_option
@data_option
def fork(
    run: str,
    at: int | None,
    revision: str | None,
    yes: bool,
    as_object: bool,
    in_tenant: str | None,
    data: Path | None,
) -> None:
    """Begin a new run with what another one has done up to a point, on another revision if need be.

    What it takes over and what is different there is shown first; the other run stays as it is.
    """
    said = {name: value for name, value in (("run", run), ("at", at), ("revision", revision)) if value is not None}

    async def compared(client: Client) -> dict[str, Any]:
        return await carry_out(client, ORDERS["runs.compare"], said)

    async def forked(client: Client) -> dict[str, Any]:
        return await carry_out(client, ORDERS["runs.fork"], said)

    if not yes:
        difference = answered(data, in_tenant, compared)
        tell(wide_console(), difference)
        if not click.confirm("Begin it?", default=False):
            sys.exit(1)
    outcome = answered(data, in_tenant, forked)
    if as_object:
        as_json(outcome)
    else:
        tell(wide_console(), outcome)


@click.command(short_help="Tell what happens in a run.", epilog="Example: dirigent runs events run-3f9c2b71 --after 12")
@click.argument("run")
@click.option("--after", type=click.IntRange(0), default=0, help="Behind which entry to begin. [default: 0]")
@json_option
@tenant_option
@data_option
def events(run: str, after: int, as_object: bool, in_tenant: str | None, data: Path | None) -> None:
    """Tell each entry of a run as it is written, wherever it runs, until it is over; no word of what was said.

    With `--json` each is an object on a line of its own.
    """
    settings = settings_from(data=data)

    async def follow() -> None:
        async with governing(settings.data, in_tenant) as client:
            last = after
            while True:
                answer = await client.open("GET", f"/api/v1/runs/events?run={run}&after={last}")
                ended = False
                buffer = b""
                async for chunk in answer.chunks():
                    buffer += chunk
                    while b"\n\n" in buffer:
                        block, _, buffer = buffer.partition(b"\n\n")
                        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
                        if b"id" not in fields:
                            continue
                        last = int(fields[b"id"])
                        _tell(fields, as_object=as_object)
                        ended = ended or fields.get(b"event") == b"ended"
                if ended:
                    return

    try:
        uvloop.run(follow())
    except Refused as refused:
        fail(refused.message)
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        sys.exit(1)


def _tell(fields: dict[bytes, bytes], *, as_object: bool) -> None:
    if as_object:
        click.echo(fields[b"data"].decode())
        return
    click.echo(f"{fields[b'id'].decode():>5}  {fields.get(b'event', b'').decode():<12} {fields[b'data'].decode()}")
    sys.stdout.flush()
