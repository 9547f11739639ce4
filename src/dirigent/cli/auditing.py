"""`audit verify` and `audit export`: also where no server runs, and where nobody but the reader is to be trusted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dirigent.cli.client import NotRunning, is_running
from dirigent.cli.operating import performed, tenant_option
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.cli.orders import ORDERS
from dirigent.core.errors import DirigentError
from dirigent.settings import Settings
from dirigent.store import Database
from dirigent.store.audit import verified
from dirigent.store.notary import trusted_keys
from dirigent.store.verifier import Checkpoint, Verdict, public_key, read_anchors, read_export, verify

__all__ = ["export", "verify_audit"]

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(
    "verify",
    short_help="Show whether anybody has changed the audit.",
    epilog="Example: dirigent audit verify --from audit.jsonl --key audit.pub --anchor anchors.jsonl",
)
@click.option("--from", "exported", type=_FILE, help="An export to verify instead of the database; no server is asked.")
@click.option("--key", "keys", type=_FILE, multiple=True, help="A public key to trust. Repeat it for several.")
@click.option(
    "--anchor", "anchors", type=_FILE, multiple=True, help="Signatures kept at another place. Repeat it for several."
)
@data_option
@tenant_option
@json_option
def verify_audit(
    exported: Path | None,
    keys: tuple[Path, ...],
    anchors: tuple[Path, ...],
    data: Path | None,
    in_tenant: str | None,
    as_object: bool,
) -> None:
    """Show whether anybody has changed, removed, added or reordered anything in the audit.

    It asks the running server. Where none runs, or with --key or --anchor, it reads the database itself.
    """
    settings = settings_from(data=data)
    tenant = in_tenant or "default"
    try:
        if exported is not None:
            verdict = asdict(_of_export(exported, keys, anchors))
        elif keys or anchors or not is_running(settings.data):
            verdict = asdict(_of_database(settings, tenant, keys, anchors))
        else:
            verdict = performed(ORDERS["audit.verify"], {}, data, in_tenant)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:  # it may be a file of anything
        fail(f"this cannot be verified: {fault}")
    except DirigentError as error:
        fail(error.message)
    if as_object:
        as_json(verdict)
    else:
        _tell(verdict)
    sys.exit(0 if verdict["ok"] else 1)


@click.command(
    "export",
    short_help="Write the audit into a file that can be verified anywhere.",
    epilog="Example: dirigent audit export audit.jsonl",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@tenant_option
@json_option
def export(file: Path, data: Path | None, in_tenant: str | None, as_object: bool) -> None:
    """Write the audit into FILE; the stand-alone verifier and `audit verify --from` read it."""
    draft = file.with_name(f"{file.name}.part")
    written, after = 0, 0
    try:
        with draft.open("w", encoding="utf-8") as out:
            while True:
                page = performed(ORDERS["audit.export"], {"after": after}, data, in_tenant)
                for line in page["lines"]:
                    out.write(line + "\n")
                written += len(page["lines"])
                if page["after"] is None:
                    break
                after = page["after"]
        draft.replace(file)
    except OSError as fault:
        fail(f"{file} cannot be written: {fault.strerror or fault}")
    finally:
        draft.unlink(missing_ok=True)
    if as_object:
        as_json({"file": str(file), "lines": written})
    else:
        click.echo(f"{written} lines in {file}")


def _of_export(exported: Path, keys: Sequence[Path], anchors: Sequence[Path]) -> Verdict:
    head, points, entries = read_export(exported)
    end = (int(head["seq"]), str(head["hash"]))
    kept = [point for file in anchors for point in read_anchors(file)]
    return verify(str(head["tenant"]), entries, points, anchors=kept, trusted=_trusted(keys), head=end)


def _of_database(settings: Settings, tenant: str, keys: Sequence[Path], anchors: Sequence[Path]) -> Verdict:
    if settings.database is None and not (settings.data / "dirigent.db").exists():
        raise NotRunning(f"there is no database in the data folder {settings.data}")
    folder = settings.data / "keys"
    trusted = _trusted(keys) or list(trusted_keys(folder).values())
    kept: list[Checkpoint] = [point for file in anchors for point in read_anchors(file)]
    own = folder / f"{tenant.replace('/', '_')}.anchors"
    kept += read_anchors(own) if own.exists() else []
    database = Database.at(settings.database) if settings.database is not None else Database.within(settings.data)
    try:
        return database.read(lambda connection: verified(connection, tenant, trusted=trusted, anchors=kept))
    finally:
        database.close()


def _trusted(keys: Sequence[Path]) -> list[str]:
    return [public_key(file.read_text(encoding="ascii")) for file in keys]


def _tell(verdict: dict[str, Any]) -> None:
    click.echo(
        f"{verdict['entries']} entries, {verdict['first']} to {verdict['last']}; signed up to {verdict['signed']}"
    )
    click.echo(f"anchors outside the database that agree: {verdict['anchors']}")
    for fault in verdict["faults"]:
        click.echo(click.style("fault: ", fg="red") + f"{fault['kind']} at entry {fault['seq']}: {fault['words']}")
    for note in verdict["notes"]:
        click.echo(f"note: {note}")
    click.echo("This does not prove:")
    for limit in verdict["not_proved"]:
        click.echo(f"  - {limit}")
    if verdict["ok"]:
        click.echo(click.style("The chain is whole.", fg="green", bold=True))
    else:
        click.echo(click.style("The chain is NOT whole.", fg="red", bold=True))
