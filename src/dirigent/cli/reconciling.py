"""`dirigent usage reconcile`: a provider's invoice held against what was booked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dirigent.cli.operating import performed, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option
from dirigent.cli.orders import ORDERS

__all__ = ["reconcile"]

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _pairs(_context: click.Context, parameter: click.Parameter, typed: tuple[str, ...]) -> dict[str, str]:
    said = {}
    for each in typed:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{each!r} is not of the form A=B", param=parameter)
        said[name] = value
    return said


@click.command(
    "reconcile",
    short_help="Hold a provider's invoice against what was booked.",
    epilog="Example: dirigent usage reconcile --invoice openai.csv --provider openai --column 'amount=Cost (USD)'",
)
@click.option("--invoice", type=_FILE, required=True, help="The invoice in CSV.")
@click.option("--provider", metavar="NAME", help="Whose it is; then all of its deployments are looked at.")
@click.option(
    "--column", "columns", multiple=True, callback=_pairs, metavar="OURS=THEIRS",
    help="A column that is called otherwise on the invoice. Repeat it for several.",
)  # fmt: skip
@click.option(
    "--name", "names", multiple=True, callback=_pairs, metavar="MODEL=DEPLOYMENT",
    help="A model of the invoice, and the deployment that is meant. Repeat it for several.",
)  # fmt: skip
@click.option("--currency", metavar="CODE", help="Of lines that name none. [default: USD]")
@click.option(
    "--cached", type=click.Choice(["included", "separate"]),
    help="Whether cached tokens are among those that went in, or beside them. [default: included]",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the comparison here instead.")
@data_option
@tenant_option
@json_option
def reconcile(
    invoice: Path,
    provider: str | None,
    columns: dict[str, str],
    names: dict[str, str],
    currency: str | None,
    cached: str | None,
    out: Path | None,
    data: Path | None,
    in_tenant: str | None,
    as_object: bool,
) -> None:
    """Hold a provider's invoice against what was booked, by day and model, and print the comparison in CSV.

    Columns are day, model, input_tokens, output_tokens, cached_tokens, amount and currency; day, model and amount are
    needed. Exit code 0 where both agree everywhere, 1 where they do not.
    """
    try:
        text = invoice.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        fail(f"{invoice} cannot be read: {fault}")
    said = {"provider": provider, "columns": columns, "names": names, "currency": currency, "cached": cached}
    order = {"invoice": text, **{name: value for name, value in said.items() if value}}
    outcome = performed(ORDERS["usage.reconcile"], order, data, in_tenant)
    if out is not None:
        out.write_text(outcome["csv"], encoding="utf-8")
    if as_object:
        as_json(outcome)
    elif out is None:
        click.echo(outcome["csv"], nl=False)
    sys.exit(0 if outcome["ok"] else 1)
