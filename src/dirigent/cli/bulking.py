"""A table in, a run for each of its rows, and a table out with what came of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dirigent.cli.client import Client
from dirigent.cli.operating import answered, carry_out, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option
from dirigent.cli.orders import ORDERS
from dirigent.cli.tabling import FORMS, Line, Table, read_table, write_table
from dirigent.cli.telling import wide_console
from dirigent.core.errors import DirigentError

__all__ = ["bulk"]

_AT_ONCE = 200
_LARGEST = 1_000_000
"""Bytes of rows that are sent together."""
_EVERY = 0.5
_WRITER = msgspec.json.Encoder(decimal_format="number")
_PAGE = 200
_TOLD = 20
"""Rows that came to nothing, of which the terminal hears."""


@click.command(
    short_help="Ask a model for each row of a table.",
    epilog="Example: dirigent runs bulk quote --in requests.csv --out results.csv --parallel 8",
)
@click.argument("model")
@click.option(
    "--in", "source", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The table: a CSV, XLSX or Parquet file; the first line of a CSV or XLSX file has the names.",
)  # fmt: skip
@click.option(
    "--out", "target", type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write what came of the rows: a CSV, XLSX or Parquet file. [default: beside the table, in its form]",
)  # fmt: skip
@click.option("--column", help="The column whose text is asked. [default: the whole row, as data]")
@click.option("--subject", help="The column that says whom a row is about, so that it can be found and erased.")
@click.option("--parallel", type=click.IntRange(1, 1000), default=8, show_default=True, help="Rows at the same time.")
@click.option("--key", help="The id of the virtual key on whose account it runs. [default: the only one there is]")
@click.option("--purpose", help="The purpose, where the key may name several.")
@click.option("--again", is_flag=True, help="Begin anew, though the same table was asked before.")
@json_option
@tenant_option
@data_option
def bulk(
    model: str,
    source: Path,
    target: Path | None,
    column: str | None,
    subject: str | None,
    parallel: int,
    key: str | None,
    purpose: str | None,
    again: bool,
    as_object: bool,
    in_tenant: str | None,
    data: Path | None,
) -> None:
    """Ask a model for each row of a table; each row is done once, whatever is killed meanwhile.

    A row that is broken is refused with its line and field, and the others are done. Empty cells of a workbook or a
    Parquet file are left out of what is asked; of a workbook the first sheet that has rows is taken.

    The server goes on by itself: who interrupts this command and gives it again follows the same bulk run to its end.
    `dirigent bulk stop` and `dirigent bulk start` stop it and let it go on.
    """
    table = _read(source, column, subject)
    ending = source.suffix.lower() if source.suffix.lower() in FORMS else ".csv"
    target = target if target is not None else source.with_name(f"{source.stem}.results{ending}")
    if target.suffix.lower() not in FORMS:
        raise click.UsageError(f"{target} is neither a CSV nor an XLSX nor a Parquet file")
    if table.aside:
        click.echo(f"left aside: {', '.join(table.aside)}", err=True)
    rows, wrong = _sorted(table, column, subject)
    if not rows:
        fail(f"no row of {source} can be asked; {table.counts} {table.lines[0].number}: {wrong[1]}")
    id_ = f"bulk-{token_hex(12)}" if again else _id(model, source, column, in_tenant)
    order = {"model": model, "id": id_, "parallel": parallel, "key": key, "purpose": purpose}
    order = {name: value for name, value in order.items() if value is not None}

    found: dict[int, dict[str, Any]] = {
        place: {"status": "refused", "error": "invalid_request", "words": words} for place, words in wrong.items()
    }

    async def work(client: Client) -> dict[str, Any]:
        begun = await carry_out(client, ORDERS["bulk.begin"], order)
        if begun["state"] == "filling":
            for chunk in _chunks(rows):
                await carry_out(client, ORDERS["bulk.add"], {"id": id_, "rows": chunk})
        if begun["state"] in ("filling", "stopped"):
            begun = await carry_out(client, ORDERS["bulk.start"], {"id": id_})
        ended = await _followed(client, id_, begun, quiet=as_object)
        found.update(await _results(client, id_))
        return {**ended, "refused": len(wrong), "out": str(target), "cost": _costs(found)}

    outcome = answered(data, in_tenant, work)
    write_table(target, table, found)
    faults = list(_faults(table, found))
    outcome["faults"] = faults[:_PAGE]
    if as_object:
        as_json(outcome)
    else:
        cost = ", ".join(f"{amount} {currency}" for currency, amount in outcome["cost"].items()) or "unknown"
        click.echo(
            f"{outcome['done']} of {outcome['total']} rows done, {outcome['failed']} failed, "
            f"{outcome['cancelled']} cancelled, {outcome['refused']} refused; cost {cost}; written to {outcome['out']}"
        )
        for fault in faults[:_TOLD]:
            click.echo(f"{table.counts} {fault[table.counts]}: {fault['words'] or fault['error']}", err=True)
        if len(faults) > _TOLD:
            click.echo(f"and {len(faults) - _TOLD} more, in {target}", err=True)
    if outcome["refused"] or outcome["failed"] or outcome["cancelled"] or outcome["state"] != "done":
        sys.exit(1)


# --- the table --------------------------------------------------------------------------------------------------------


def _read(source: Path, column: str | None, subject: str | None) -> Table:
    """The table; ends the command in words where there is none, or where it lacks a column."""
    try:
        table = read_table(source)
    except DirigentError as fault:
        fail(fault.message)
    except OSError as fault:
        fail(f"{source} cannot be read: {fault.strerror}")
    for name in (column, subject):
        if name is not None and name not in table.columns:
            raise click.UsageError(f"the table has no column {name!r}; it has {', '.join(table.columns)}")
    if not table.lines:
        fail(f"{source} has no rows")
    return table


def _sorted(table: Table, column: str | None, subject: str | None) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The rows as they are sent, and what is wrong with the others, each by its place in the table."""
    rows: list[dict[str, Any]] = []
    wrong: dict[int, str] = {}
    for place, line in enumerate(table.lines, 1):
        asks = _asked(line, column)
        if line.wrong is not None or asks is None:
            wrong[place] = line.wrong or f"{column}: it is empty"
            continue
        sent: dict[str, Any] = {"row": place, "input": asks}
        if subject is not None:
            about = line.cells[subject]
            sent["subject"] = "" if about is None else str(about)[:200]
        rows.append(sent)
    return rows, wrong


def _asked(line: Line, column: str | None) -> Any:
    """What is asked for a row; None where there is nothing."""
    if column is None:
        return {name: value for name, value in line.cells.items() if value is not None}
    value = line.cells[column]
    return None if value == "" else value


def _faults(table: Table, found: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of which nothing came, in their order, each with its line."""
    for place, line in enumerate(table.lines, 1):
        result = found.get(place, {})
        if result.get("status") in ("refused", "failed"):
            yield {table.counts: line.number, "error": result.get("error"), "words": result.get("words")}


def _chunks(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows as they are sent, so many together as one request may carry."""
    chunks: list[list[dict[str, Any]]] = [[]]
    size = 0
    for sent in rows:
        weight = len(_WRITER.encode(sent))
        if chunks[-1] and (len(chunks[-1]) == _AT_ONCE or size + weight > _LARGEST):
            chunks.append([])
            size = 0
        chunks[-1].append(sent)
        size += weight
    return chunks


def _id(model: str, source: Path, column: str | None, tenant: str | None) -> str:
    """The same for the same table and model, so that giving the command again goes on with it."""
    digest = sha256(source.read_bytes()).hexdigest()
    return f"bulk-{sha256(f'{tenant}|{model}|{column}|{digest}'.encode()).hexdigest()[:24]}"


# --- the bulk run -----------------------------------------------------------------------------------------------------


async def _followed(client: Client, id_: str, begun: Mapping[str, Any], *, quiet: bool) -> dict[str, Any]:
    """How it stands once it is over, or was stopped by somebody."""
    console = wide_console()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("rows", total=begun["total"])
        while True:
            present = await carry_out(client, ORDERS["bulk.show"], {"id": id_})
            over = present["done"] + present["failed"] + present["cancelled"]
            waits = f", {present['live']} on their way" if present["live"] else ""
            bar.update(task, completed=over, description=f"{present['failed']} failed{waits}")
            if present["state"] == "done" or (present["state"] == "stopped" and not present["live"]):
                return present
            await asyncio.sleep(_EVERY)


async def _results(client: Client, id_: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    after: int | None = 0
    while after is not None:
        page = await carry_out(client, ORDERS["bulk.results"], {"id": id_, "after": after, "limit": _PAGE})
        found |= {row["row"]: row for row in page["rows"]}
        after = page["after"]
    return found


def _costs(found: Mapping[int, Mapping[str, Any]]) -> dict[str, str]:
    """What all rows have cost, by currency, to the digit."""
    sums: dict[str, int] = {}
    for row in found.values():
        if row.get("cost") is not None:
            whole, _, rest = row["cost"].partition(".")
            nano = int(whole) * 10**9 + int(rest.ljust(9, "0")[:9] or 0)
            sums[row["currency"]] = sums.get(row["currency"], 0) + nano
    return {currency: _decimal(nano) for currency, nano in sums.items()}


def _decimal(nano: int) -> str:
    whole, rest = divmod(nano, 10**9)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")
