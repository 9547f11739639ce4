"""`publish` and `rollback`: what is published everywhere, and ways back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from dirigent.cli.client import Refused
from dirigent.cli.operating import performed, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option
from dirigent.cli.orders import ORDERS
from dirigent.configuration import Misread, described, read_sheet
from dirigent.core.errors import InvalidConfiguration

__all__ = ["publish", "rollback"]


@click.command(
    short_help="Publish a configuration on every node.",
    epilog="Example: dirigent publish dirigent.yaml --reason 'a cheaper writer'",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--reason", help="Why; it stands in the history.")
@click.option("--onto", metavar="REVISION", help="Only where this revision is still the present one.")
@data_option
@tenant_option
@json_option
def publish(
    file: Path, reason: str | None, onto: str | None, data: Path | None, in_tenant: str | None, as_object: bool
) -> None:
    """Publish the configuration in FILE: all of it or nothing, on every node, without a restart."""
    try:
        sheet = read_sheet(file)
        if sheet.faults:
            raise Misread(sheet.faults, sheet)
    except InvalidConfiguration as error:
        _refuse(error, file, as_object)
    said = {"document": sheet.document, "reason": reason, "onto": onto}
    try:
        outcome = _published("revisions.publish", said, data, in_tenant)
    except Refused as refused:
        _refuse(Misread(refused.findings, sheet), file, as_object)
    _tell(outcome, as_object)


@click.command(
    short_help="Go back to an earlier revision.",
    epilog="Example: dirigent rollback auto --to 3f9c2b71",
)
@click.argument("model", required=False)
@click.option("--to", metavar="REVISION", help="Where to; by default the revision before the last change.")
@click.option("--reason", help="Why; it stands in the history.")
@data_option
@tenant_option
@json_option
def rollback(
    model: str | None, to: str | None, reason: str | None, data: Path | None, in_tenant: str | None, as_object: bool
) -> None:
    """Go back to an earlier revision of MODEL, or of everything where none is named."""
    try:
        outcome = _published("revisions.rollback", {"model": model, "to": to, "reason": reason}, data, in_tenant)
    except Refused as refused:
        fail(refused.message)
    _tell(outcome, as_object)


def _published(name: str, said: dict[str, Any], data: Path | None, tenant: str | None) -> dict[str, Any]:
    given = {field: value for field, value in said.items() if value is not None}
    return performed(ORDERS[name], given, data, tenant)


def _tell(outcome: dict[str, Any], as_object: bool) -> None:
    if as_object:
        as_json(outcome)
        return
    workers = "1 worker serves" if outcome["nodes"] == 1 else f"{outcome['nodes']} workers serve"
    click.echo(f"{workers} revision {outcome['revision']}, after {outcome['milliseconds']} ms")
    if outcome["lagging"]:
        click.echo(f"note: {', '.join(outcome['lagging'])} has not said so yet", err=True)


def _refuse(error: InvalidConfiguration, file: Path, as_object: bool) -> NoReturn:
    faults = described(error, file)
    if as_object:
        as_json({"ok": False, "faults": faults})
        sys.exit(1)
    for line in faults:
        click.echo(line, err=True)
    fail("the configuration is refused; nothing was published")
