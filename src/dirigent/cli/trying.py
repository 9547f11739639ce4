"""`try`: what one step of a pipeline makes of what it is given."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
import uvloop

from dirigent.cli.client import connected
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.core.errors import DirigentError

__all__ = ["try_"]


@click.command(
    name="try",
    short_help="Walk one step of a pipeline alone.",
    epilog="Example: dirigent try offer letter --input seen.json",
)
@click.argument("model")
@click.argument("step")
@click.option(
    "--input",
    "file",
    default="-",
    show_default=True,
    help="A JSON object of what the step sees: `input`, and results of earlier steps by name; - for standard input.",
)
@data_option
@json_option
def try_(model: str, step: str, file: str, data: Path | None, as_object: bool) -> None:
    """Walk the STEP of MODEL alone; one within others is named with them, as in review/grade.

    What it asks is asked, and paid for. A step that does what must not happen twice is not to be tried.
    """
    settings = settings_from(data=data)
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        scope = msgspec.json.decode(raw or b"{}", type=dict[str, msgspec.Raw])
    except OSError as fault:
        fail(f"{file} cannot be read: {fault.strerror}")
    except msgspec.DecodeError as fault:
        fail(f"{file} is no JSON object: {fault}")

    async def work() -> None:
        async with connected(settings.data) as client:
            tried = await client.fetch("POST", "/api/v1/steps/try", {"model": model, "step": step, "scope": scope})
        if as_object:
            as_json(tried)
            return
        result = tried["result"]
        click.echo(result if isinstance(result, str) else msgspec.json.format(msgspec.json.encode(result)).decode())
        told = {**tried["facts"], "asked": tried["deployment"], "cost": tried["cost"]}
        words = " · ".join(f"{name} {value}" for name, value in told.items() if value is not None)
        click.echo(click.style(f"-- {tried['type']} · {words} · {tried['seconds']:.3f} s", dim=True), err=True)

    try:
        uvloop.run(work())
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        fail("stopped; the server has closed what the step had asked")
