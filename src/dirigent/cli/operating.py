"""Commands of the control plane, made from what can be ordered: `dirigent keys issue` is `keys.issue`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import uvloop

from dirigent.cli.client import Client, Refused, governing
from dirigent.cli.lazy import Lazy, Row
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.cli.ordering import flag_of, gathered, parameters
from dirigent.cli.orders import ELSEWHERE, GROUPS, ORDERS, Order
from dirigent.cli.telling import tell, wide_console
from dirigent.core.errors import DirigentError

__all__ = ["WRONG_USE", "answered", "carry_out", "group", "performed", "tenant_option"]

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
    "alerts.set": "alerts set errors --kind error_rate --threshold 5 --window 5m --mail ada@example.org",
    "approvals.decide": "approvals decide run-3f9c2b71-7d1e --decision reject --reason 'the price is wrong'",
    "approvals.delegate": "approvals delegate run-3f9c2b71-7d1e --to ada@example.org",
    "approvals.list": "approvals list --mine",
    "approvals.measure": "approvals measure --by model",
    "approvals.show": "approvals show run-3f9c2b71-7d1e",
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
    "bulk.begin": "bulk begin quote --parallel 8",
    "bulk.list": "bulk list",
    "runs.cancel": "runs cancel run-3f9c2b71 --reason 'asked by mistake'",
    "runs.retry": "runs retry run-3f9c2b71 --step draft",
    "runs.submit": 'runs submit quote --input \'{"text": "ten chairs"}\'',
    "schedules.set": "schedules set report --model weekly --cron '0 7 * * 1' --zone Europe/Berlin --input '\"now\"'",
    "purposes.update": "purposes update support --denied 'openai-*'",
}
"""Where an example of what is required would show too little."""
WRONG_USE = frozenset({"invalid_request", "unsupported"})
"""What the server says where the command was used wrongly, rather than answered with no."""


def tenant_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--tenant NAME`."""
    return click.option("--tenant", "in_tenant", metavar="NAME", help="Tenant to work in. [default: default]")(command)


def group(part: str, by_hand: Mapping[str, Row]) -> click.Group:
    """The commands for one kind of thing that operations are about, with those written by hand among them."""
    words = GROUPS.get(part, f"Operations on {part}.")
    made = Lazy(part, rows=by_hand, help=words, short_help=words)
    for order in ORDERS.values():
        of, _, verb = order.name.partition(".")
        if of == part and order.name not in ELSEWHERE:
            made.add_command(_command(order, verb.replace("_", "-").replace(".", "-")))
    return made


def performed(order: Order, said: Mapping[str, Any], data: Path | None, tenant: str | None = None) -> dict[str, Any]:
    """The outcome of an operation on the running server; ends the command where it is refused."""

    async def work(client: Client) -> dict[str, Any]:
        return await carry_out(client, order, said)

    return answered(data, tenant, work)


async def carry_out(client: Client, order: Order, said: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of an operation on the running server. Raises Refused and NotRunning."""
    if order.changes:
        outcome: dict[str, Any] = await client.fetch("POST", order.path, said)
        return outcome
    fields = {name: _queried(value) for name, value in said.items()}
    found: dict[str, Any] = await client.fetch(
        "GET", f"{order.path}?{urlencode(fields, doseq=True)}" if fields else order.path
    )
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


def _command(order: Order, verb: str) -> click.Command:
    positional = _positional(order)

    def run(data: Path | None, in_tenant: str | None, as_object: bool, **typed: Any) -> None:
        outcome = performed(order, gathered(order.fields, typed), data, in_tenant)
        if as_object:
            as_json(outcome)
        else:
            tell(wide_console(), outcome)
        if outcome.get("ok") is False:
            sys.exit(1)

    command = click.Command(
        verb,
        params=parameters(order.fields, positional),
        callback=run,
        help=order.help,
        short_help=order.summary,
        epilog=f"Example: {_example(order, verb, positional)}",
    )
    for option in (json_option, tenant_option, data_option):
        option(command)
    return command


def _positional(order: Order) -> tuple[str, ...]:
    """The required fields that name the thing, where there is one at all."""
    required = (field.path[0] for field in order.fields if field.required and len(field.path) == 1)
    return tuple(name for name in required if name in _POSITIONAL)[:1]


def _example(order: Order, verb: str, positional: Sequence[str]) -> str:
    if order.name in _EXAMPLES:
        return f"dirigent {_EXAMPLES[order.name]}"
    part = order.name.partition(".")[0]
    words = ["dirigent", part, verb, *(_sample(name) for name in positional)]
    for field in order.fields:
        if field.required and field.path[0] not in positional:
            words += [flag_of(field), _sample(field.path[-1])]
    return " ".join(words)


def _sample(name: str) -> str:
    return _SAMPLES.get(name, name.upper())
