"""Commands of the control plane, made from the table of operations: `dirigent keys issue` is `keys.issue`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import msgspec
import uvloop

from dirigent.admin.openapi import path_of
from dirigent.cli.client import Client, Refused, governing
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from, wide_console
from dirigent.cli.ordering import gathered, parameters
from dirigent.cli.telling import tell
from dirigent.control import OPERATIONS, Operation
from dirigent.core.errors import DirigentError

__all__ = ["ELSEWHERE", "GROUPS", "WRONG_USE", "answered", "carry_out", "groups", "performed", "tenant_option"]

_POSITIONAL = ("id", "name", "run", "model", "member", "revision")
"""Required fields that say which thing is meant stand behind the command, without a flag."""
_SAMPLES = {
    "id": "k-3f9c2b",
    "name": "sales",
    "project": "sales",
    "purpose": "support",
    "purposes": "support",
    "model": "auto",
    "models": "'openai-*'",
    "member": "m-51ab",
    "email": "ada@example.org",
    "role": "operator",
    "limit": "5.00",
    "most": "100",
    "level": "project",
    "subject": "sales",
    "unit": "requests",
    "window": "day",
    "revision": "3f9c2b71",
    "run": "run-3f9c2b71",
    "tenant": "acme",
    "source": "USD",
    "target": "EUR",
    "rate": "0.91",
}
_EXAMPLES = {
    "aliases.set": "aliases set writer --model premium --canary 3f9c2b71 --share 50",
    "audit.list": "audit list --action 'keys.*'",
    "access.query": "access query --project sales --purpose support",
    "budgets.set": "budgets set --project sales --limit 50.00 --window month",
    "keys.issue": "keys issue --project sales --purpose support --budget 5.00 --expires 30d",
    "keys.rotate": "keys rotate k-3f9c2b --overlap 86400",
    "limits.set": "limits set --project sales --unit requests --most 600 --window minute",
    "members.invite": "members invite 'Ada Lovelace' --email ada@example.org --role operator --password",
    "members.update": "members update m-51ab --role admin",
    "projects.update": "projects update sales --model 'openai-*' --denied '*-preview'",
    "purposes.register": "purposes register support --model auto --region eu --basis contract",
    "purposes.update": "purposes update support --denied 'openai-*'",
}
"""Where an example of what is required would show too little."""
GROUPS = {
    "access": "See who may use which models for what.",
    "aliases": "Names that point at a revision of a model.",
    "alerts": "Rules that tell somebody when something is wrong.",
    "audit": "Who did what, in a chain that nobody can change unseen.",
    "budgets": "How much money may be spent.",
    "keys": "Virtual keys: issue, rotate, revoke.",
    "latency": "How long answers take.",
    "limits": "How many requests, tokens and calls at once.",
    "members": "People with a role.",
    "nodes": "Who serves, and what.",
    "projects": "Parts of a tenant that own keys and budgets.",
    "purposes": "The register of reasons for processing.",
    "rates": "Rates of exchange between currencies.",
    "revisions": "Everything that was published, and when.",
    "runs": "The records of what was answered.",
    "tenants": "The isolated customers of this node.",
    "usage": "What was used, and what it cost.",
}
"""What the operations of one part are about, in a line of help."""
ELSEWHERE = {"audit.export": "audit export", "audit.verify": "audit verify"} | {
    "revisions.publish": "publish",
    "revisions.rollback": "rollback",
}
"""Operations whose commands are written by hand."""
WRONG_USE = frozenset({"invalid_request", "unsupported"})
"""What the server says where the command was used wrongly, rather than answered with no."""


def tenant_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--tenant NAME`."""
    return click.option("--tenant", "in_tenant", metavar="NAME", help="Tenant to work in. [default: default]")(command)


def groups(by_hand: Mapping[str, Sequence[click.Command]]) -> list[click.Group]:
    """A group of commands for each kind of thing that operations are about, with those written by hand among them."""
    made: dict[str, click.Group] = {}
    for operation in OPERATIONS.values():
        part, _, verb = operation.name.partition(".")
        if part not in made:
            words = GROUPS.get(part, f"Operations on {part}.")
            made[part] = click.Group(part, help=words, short_help=words)
            for command in by_hand.get(part, ()):
                made[part].add_command(command)
        if operation.name in ELSEWHERE:
            continue
        made[part].add_command(_command(operation, verb.replace("_", "-").replace(".", "-")))
    return list(made.values())


def performed(
    operation: Operation[Any, Any], said: Mapping[str, Any], data: Path | None, tenant: str | None = None
) -> dict[str, Any]:
    """The outcome of an operation on the running server; ends the command where it is refused."""

    async def work(client: Client) -> dict[str, Any]:
        return await carry_out(client, operation, said)

    return answered(data, tenant, work)


async def carry_out(client: Client, operation: Operation[Any, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of an operation on the running server. Raises Refused and NotRunning."""
    path = path_of(operation)
    if operation.changes:
        outcome: dict[str, Any] = await client.fetch("POST", path, said)
        return outcome
    fields = {name: _queried(value) for name, value in said.items()}
    found: dict[str, Any] = await client.fetch("GET", f"{path}?{urlencode(fields, doseq=True)}" if fields else path)
    return found


def answered(
    data: Path | None, tenant: str | None, work: Callable[[Client], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """What `work` gets out of the running server; ends the command in words where it gets nothing."""
    settings = settings_from(data=data)

    async def through() -> dict[str, Any]:
        async with governing(settings.data, tenant) as client:
            return await work(client)

    try:
        return uvloop.run(through())
    except Refused as refused:
        if refused.findings:
            raise  # whoever has the file can say in which line
        if refused.reason in WRONG_USE:
            raise click.UsageError(refused.message) from None
        fail(refused.message)
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        sys.exit(1)


def _queried(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _command(operation: Operation[Any, Any], verb: str) -> click.Command:
    positional = _positional(operation.order)

    def run(data: Path | None, in_tenant: str | None, as_object: bool, **typed: Any) -> None:
        outcome = performed(operation, gathered(operation.order, typed), data, in_tenant)
        if as_object:
            as_json(outcome)
        else:
            tell(wide_console(), outcome)
        if outcome.get("ok") is False:
            sys.exit(1)

    command = click.Command(
        verb,
        params=parameters(operation.order, positional),
        callback=run,
        help=operation.help,
        short_help=operation.summary,
        epilog=f"Example: {_example(operation, verb, positional)}",
    )
    for option in (json_option, tenant_option, data_option):
        option(command)
    return command


def _positional(order: type[msgspec.Struct]) -> tuple[str, ...]:
    """The required fields that name the thing, where there is one at all."""
    required = [field.name for field in msgspec.structs.fields(order) if field.required]
    return tuple(name for name in required if name in _POSITIONAL)[:1]


def _example(operation: Operation[Any, Any], verb: str, positional: Sequence[str]) -> str:
    if operation.name in _EXAMPLES:
        return f"dirigent {_EXAMPLES[operation.name]}"
    part = operation.name.partition(".")[0]
    words = ["dirigent", part, verb, *(_sample(name) for name in positional)]
    for field in msgspec.structs.fields(operation.order):
        if field.required and field.name not in positional:
            words += [f"--{field.encode_name.replace('_', '-')}", _sample(field.name)]
    return " ".join(words)


def _sample(name: str) -> str:
    return _SAMPLES.get(name, name.upper())
