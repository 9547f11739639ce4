"""A table in, a run for each of its rows, and a table out with what came of them."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
import uvloop
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dirigent.cli.client import Client
from dirigent.cli.operating import answered, carry_out, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option
from dirigent.cli.orders import ORDERS
from dirigent.cli.telling import wide_console
from dirigent.core.documents import Document, Extract, Grid, ReadLimits
from dirigent.core.errors import DirigentError
from dirigent.documents.room import Room

__all__ = ["bulk"]

_AT_ONCE = 200
_LARGEST = 1_000_000
"""Bytes of rows that are sent together."""
_EVERY = 0.5
_LIMITS = ReadLimits(bytes=200_000_000, unpacked=1_000_000_000, rows=1_000_000, pages=1)
_WRITER = msgspec.json.Encoder(decimal_format="number")
_PAGE = 200
_FACTS = ("status", "error", "words", "cost", "currency", "input_tokens", "output_tokens", "milliseconds", "run")


@click.command(
    short_help="Ask a model for each row of a table.",
    epilog="Example: dirigent runs bulk quote --in requests.csv --out results.csv --parallel 8",
)
@click.argument("model")
@click.option(
    "--in", "source", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The table: a CSV, XLSX or Parquet file, whose first line has the names.",
)  # fmt: skip
@click.option(
    "--out", "target", type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write what came of the rows: a CSV or XLSX file. [default: beside the table]",
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

    The server goes on by itself: who interrupts this command and gives it again follows the same bulk run to its end.
    `dirigent bulk stop` and `dirigent bulk start` stop it and let it go on.
    """
    rows = _read(source)
    for name in (column, subject):
        if name is not None and rows and name not in rows[0]:
            raise click.UsageError(f"the table has no column {name!r}; it has {', '.join(rows[0])}")
    if not rows:
        fail(f"{source} has no rows")
    target = target if target is not None else source.with_name(f"{source.stem}.results.csv")
    if target.suffix.lower() not in (".csv", ".xlsx"):
        raise click.UsageError(f"{target} is neither a CSV nor an XLSX file")
    id_ = f"bulk-{token_hex(12)}" if again else _id(model, source, column, in_tenant)
    order = {"model": model, "id": id_, "parallel": parallel, "key": key, "purpose": purpose}
    order = {name: value for name, value in order.items() if value is not None}

    found: dict[int, dict[str, Any]] = {}

    async def work(client: Client) -> dict[str, Any]:
        begun = await carry_out(client, ORDERS["bulk.begin"], order)
        if begun["state"] == "filling":
            for chunk in _chunks(rows, column, subject):
                await carry_out(client, ORDERS["bulk.add"], {"id": id_, "rows": chunk})
        if begun["state"] in ("filling", "stopped"):
            begun = await carry_out(client, ORDERS["bulk.start"], {"id": id_})
        ended = await _followed(client, id_, begun, quiet=as_object)
        found.update(await _results(client, id_))
        costs = _costs(found)
        return {**ended, "out": str(target), "cost": costs}

    outcome = answered(data, in_tenant, work)
    _write(target, rows, found)
    if as_object:
        as_json(outcome)
    else:
        cost = ", ".join(f"{amount} {currency}" for currency, amount in outcome["cost"].items()) or "unknown"
        click.echo(
            f"{outcome['done']} of {outcome['total']} rows done, {outcome['failed']} failed, "
            f"{outcome['cancelled']} cancelled; cost {cost}; written to {outcome['out']}"
        )
    if outcome["failed"] or outcome["cancelled"] or outcome["state"] != "done":
        sys.exit(1)


# --- the table --------------------------------------------------------------------------------------------------------


def _read(source: Path) -> list[dict[str, Any]]:
    if source.suffix.lower() != ".csv":
        return _read_in_the_room(source)
    try:
        text = source.read_bytes().decode("utf-8-sig")
        sample = text[:8_192]
        try:
            dialect: Any = csv.Sniffer().sniff(sample, delimiters=",;\t|")
        except csv.Error:
            dialect = "excel"
        return [
            {str(name): value for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text), dialect=dialect)
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        fail(f"{source} cannot be read as a table: {fault}")


def _read_in_the_room(source: Path) -> list[dict[str, Any]]:
    """A table in a format that is read in a process of its own, as everything is that others have made."""

    async def read(data: bytes) -> Extract:
        with TemporaryDirectory(prefix="dirigent-") as folder:
            room = Room(Path(folder))
            try:
                return await room.read(source.name, "", data, _LIMITS)
            finally:
                await room.close()

    try:
        extract = uvloop.run(read(source.read_bytes()))
    except (DirigentError, OSError) as fault:
        fail(f"{source} cannot be read as a table: {fault}")
    if not extract.tables:
        fail(f"{source} has no table")
    if extract.cut:
        fail(f"{source} is too large: {'; '.join(extract.cut)}")
    return [dict(row) for row in extract.tables[0].rows]


def _chunks(rows: Sequence[Mapping[str, Any]], column: str | None, subject: str | None) -> list[list[dict[str, Any]]]:
    """The rows as they are sent, so many together as one request may carry."""
    chunks: list[list[dict[str, Any]]] = [[]]
    size = 0
    for number, row in enumerate(rows, 1):
        sent: dict[str, Any] = {"row": number, "input": row if column is None else row[column] or ""}
        if subject is not None:
            sent["subject"] = str(row[subject] or "")[:200]
        weight = len(_WRITER.encode(sent))
        if chunks[-1] and (len(chunks[-1]) == _AT_ONCE or size + weight > _LARGEST):
            chunks.append([])
            size = 0
        chunks[-1].append(sent)
        size += weight
    return chunks


def _write(target: Path, rows: Sequence[Mapping[str, Any]], found: Mapping[int, Mapping[str, Any]]) -> None:
    """Every row as it was, with what came of it."""
    columns = list(rows[0])
    if target.suffix.lower() == ".xlsx":
        target.write_bytes(uvloop.run(_workbook(rows, found)))
        return
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "output", *_FACTS])
        for number, row in enumerate(rows, 1):
            result = found.get(number, {})
            cells = [*(row[name] for name in columns), _output(result), *(result.get(name) for name in _FACTS)]
            writer.writerow([_harmless(cell) for cell in cells])


async def _workbook(rows: Sequence[Mapping[str, Any]], found: Mapping[int, Mapping[str, Any]]) -> bytes:
    table = tuple(
        {**row, "output": _output(found.get(number, {})), **{name: found.get(number, {}).get(name) for name in _FACTS}}
        for number, row in enumerate(rows, 1)
    )
    with TemporaryDirectory(prefix="dirigent-") as folder:
        room = Room(Path(folder))
        try:
            made = await room.render(Document(title="Results", language="en", tables={"results": Grid(table)}), "xlsx")
        finally:
            await room.close()
    return made.data


def _output(result: Mapping[str, Any]) -> str | None:
    output = result.get("output")
    return output if output is None or isinstance(output, str) else _WRITER.encode(output).decode()


def _harmless(cell: object) -> object:
    """A text that a table program does not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


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
        if row["cost"] is not None:
            whole, _, rest = row["cost"].partition(".")
            nano = int(whole) * 10**9 + int(rest.ljust(9, "0")[:9] or 0)
            sums[row["currency"]] = sums.get(row["currency"], 0) + nano
    return {currency: _decimal(nano) for currency, nano in sums.items()}


def _decimal(nano: int) -> str:
    whole, rest = divmod(nano, 10**9)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")
