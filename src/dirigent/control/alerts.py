"""Operations on the rules that tell somebody when something is wrong, and on what they have raised."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.control.fields import Duration, Name, Title, milliseconds
from dirigent.control.operation import operation
from dirigent.control.people import Nothing
from dirigent.control.permissions import permits
from dirigent.control.watching import message
from dirigent.core.alerts import HOUR, KINDS, AlertKind, AlertRule, Severity, Webhook
from dirigent.core.errors import Invalid
from dirigent.core.ports import Secret
from dirigent.store import alerts
from dirigent.store.alerts import Alert, Delivery
from dirigent.store.beginning import DEFAULT
from dirigent.store.database import Database
from dirigent.store.keys import new_id

_END = r"$(?!\n)"
_PATIENCE = 20.0
"""Seconds that a test waits for its messages to arrive."""
_LOOK_EVERY = 0.1
_TOLD_OF = 200
"""Alerts whose messages are looked up for a history."""

Threshold = Annotated[float, msgspec.Meta(ge=0, le=10**9)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**43, description="Milliseconds since 1970.")]
Url = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^https?://[^\s/@\\\x00-\x1f\x7f]+(/[^\s\\\x00-\x1f\x7f]*)?{_END}",
        max_length=2_000,
        description="An address that begins with http:// or https://.",
    ),
]
Address = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f-\uffff]+@[A-Za-z0-9.-]+{_END}",
        max_length=254,
        description="An e-mail address.",
    ),
]
Variable = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^ALERT_[A-Z0-9_]{{1,100}}{_END}",
        description="A variable of the node's environment whose name begins with `ALERT_`.",
    ),
]
File = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}{_END}",
        description="The name of a file in the folder `secrets` of the node's data folder.",
    ),
]


class SecretNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a secret is, on every node; never the secret itself."""

    env: Variable | None = None
    file: File | None = None


class AlertOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule looks at, from when on it tells somebody, and whom."""

    name: Name
    kind: AlertKind
    threshold: Threshold | None = None
    """From which value on; in per cent, milliseconds, days or rows, as the kind has it."""
    window: Duration | None = None
    """The time that is looked at, or for which something has to last."""
    least: Count | None = None
    """Requests within the window without which shares and latencies say nothing."""
    quiet: Duration = "1h"
    """After it was told, the same is not told again for so long, even where it comes and goes."""
    severity: Severity = "warning"
    project: Name | None = None
    """Only what this project does."""
    purpose: Name | None = None
    model: Title | None = None
    """Only what was asked of the model of this name."""
    deployment: Title | None = None
    """Only what this deployment answered."""
    webhook: Url | None = None
    """An address that is told, by a signed request."""
    webhook_secret: SecretNamed | None = None
    """What the request is signed with."""
    mail: Annotated[tuple[Address, ...], msgspec.Meta(max_length=20)] = ()
    """Addresses of people who are told."""


class AlertChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rule."""

    name: Name


class HistoryAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alerts."""

    rule: Name | None = None
    still: bool = False
    """Only those that have not passed."""
    before: Moment | None = None
    """Raised before this time."""
    limit: Limit = 50


class RuleShown(msgspec.Struct, frozen=True):
    """A rule, with nothing left open."""

    name: str
    kind: AlertKind
    means: str
    """What it looks at, in words."""
    threshold: float | None
    unit: str
    window_seconds: int | None
    least: int | None
    quiet_seconds: int
    severity: Severity
    project: str | None
    purpose: str | None
    model: str | None
    deployment: str | None
    webhook: str | None
    """The host of the address: what stands behind it may be a secret."""
    mail: tuple[str, ...]
    raised: int = 0
    """Alerts of this rule that have not passed."""


class RulesListed(msgspec.Struct, frozen=True):
    """Rules by their names."""

    rules: tuple[RuleShown, ...]


class Message(msgspec.Struct, frozen=True):
    """What became of a message through one channel."""

    channel: str
    target: str
    event: str
    delivered: int | None
    attempts: int
    next: int | None
    """When it is tried again."""
    words: str | None
    """Why it has not arrived."""


class AlertShown(msgspec.Struct, frozen=True):
    """One time that the condition of a rule came about."""

    alert: str
    rule: str
    about: str
    severity: Severity
    words: str
    raised: int
    resolved: int | None
    messages: tuple[Message, ...] = ()


class AlertsListed(msgspec.Struct, frozen=True):
    """Alerts, the latest first."""

    alerts: tuple[AlertShown, ...]


class Tested(msgspec.Struct, frozen=True):
    """What became of a trial."""

    ok: bool
    messages: tuple[Message, ...]


@operation("alerts.set", permission="alerts.change", changes=True)
def set_rule(desk: Desk, order: AlertOrder) -> RuleShown:
    """Sets a rule that tells somebody when something is wrong; one of that name is replaced."""
    rule = _rule(desk, order)
    alerts.keep_rule(desk.connection, desk.tenant, rule, desk.now)
    desk.note(
        f"alert:{rule.name}",
        "is a rule",
        kind=rule.kind,
        threshold=rule.threshold,
        severity=rule.severity,
        webhook=_host(rule.webhook.url) if rule.webhook is not None else None,
        people=len(rule.mail),
    )
    return _shown(desk, rule)


@operation("alerts.list", permission="alerts.see", changes=False)
def list_rules(desk: Desk, order: Nothing) -> RulesListed:  # noqa: ARG001  each operation takes an order
    """Lists the rules, and how many alerts of each have not passed."""
    still = alerts.alerts(desk.connection, desk.tenant, still=True, limit=10_000)
    found = alerts.rules(desk.connection, desk.tenant)
    return RulesListed(tuple(_shown(desk, rule, sum(each.rule == rule.name for each in still)) for rule in found))


@operation("alerts.remove", permission="alerts.change", changes=True)
def remove_rule(desk: Desk, order: AlertChosen) -> RuleShown:
    """Removes a rule; what it has raised passes, and nobody is told."""
    rule = _rule_at(desk, order.name)
    alerts.remove_rule(desk.connection, desk.tenant, rule.name)
    desk.note(f"alert:{rule.name}", "is a rule no more")
    return _shown(desk, rule)


@operation("alerts.history", permission="alerts.see", changes=False)
def history(desk: Desk, order: HistoryAsked) -> AlertsListed:
    """Lists what was raised, when it passed, and what became of the messages about it."""
    found = alerts.alerts(
        desk.connection, desk.tenant, rule=order.rule, still=order.still, before=order.before, limit=order.limit
    )
    return AlertsListed(tuple(_alert(desk, alert, told=number < _TOLD_OF) for number, alert in enumerate(found)))


@operation("alerts.test", permission="alerts.change", changes=True)
def test_rule(desk: Desk, order: AlertChosen) -> Tested:
    """Sends a trial message through every channel of a rule, and tells what became of it."""
    rule = _rule_at(desk, order.name)
    trial = Alert(
        new_id("w"), desk.tenant, rule.name, "test", rule.severity, "this is a trial, nothing is wrong", desk.now
    )
    body = message(trial, rule, raised=True, test=True)
    sent = alerts.deliver(desk.connection, desk.tenant, rule, body, desk.now)
    if not sent:
        raise Invalid(f"the rule {rule.name} tells nobody: give it a webhook or addresses of people", param="name")
    desk.note(f"alert:{rule.name}", "was tried", messages=len(sent))
    ids, whole = [each.id for each in sent], permits(desk.actor, "alerts.change")
    desk.afterwards(partial(_outcome, tenant=desk.tenant, ids=ids, whole=whole, wait=time.sleep))
    return Tested(ok=False, messages=())


# --- what they share --------------------------------------------------------------------------------------------------


def _outcome(
    database: Database, tenant: str, ids: Sequence[str], *, whole: bool, wait: Callable[[float], None]
) -> Tested:
    """What became of messages, once each has arrived or failed, or the patience is over."""
    until = time.monotonic() + _PATIENCE
    while True:
        found = database.read(lambda connection: alerts.deliveries(connection, tenant, ids=ids))
        if all(each.attempts for each in found) or time.monotonic() >= until:
            break
        wait(_LOOK_EVERY)
    return Tested(
        ok=all(each.delivered is not None for each in found),
        messages=tuple(_message(each, whole=whole) for each in found),
    )


def _rule(desk: Desk, order: AlertOrder) -> AlertRule:
    usual = KINDS[order.kind]
    if usual.shared and desk.tenant != DEFAULT:
        raise Invalid(
            f"kind: {order.kind} looks at what all tenants have in common, and belongs to the tenant {DEFAULT}",
            param="kind",
        )
    threshold = usual.threshold if order.threshold is None else order.threshold
    if usual.unit and threshold is None:
        raise Invalid(f"threshold: {order.kind} needs one, in {usual.unit}", param="threshold")
    return AlertRule(
        order.name,
        order.kind,
        threshold=threshold or 0.0 if usual.unit else 0.0,
        window=_window(order),
        least=(order.least or usual.least) if usual.least else 0,
        quiet=milliseconds(order.quiet),
        severity=order.severity,
        project=order.project,
        purpose=order.purpose,
        model=order.model,
        deployment=order.deployment,
        webhook=_webhook(order),
        mail=tuple(dict.fromkeys(order.mail)),
    )


def _window(order: AlertOrder) -> int:
    usual = KINDS[order.kind].window
    if order.window is None or not usual:
        return usual
    window = milliseconds(order.window)
    if window > 7 * 24 * HOUR:
        raise Invalid("window: a week at most", param="window")
    return window


def _webhook(order: AlertOrder) -> Webhook | None:
    named = order.webhook_secret or SecretNamed()
    if order.webhook is None:
        if order.webhook_secret is not None:
            raise Invalid("webhook_secret: there is no webhook to sign for", param="webhook_secret")
        return None
    if (named.env is None) is (named.file is None):
        raise Invalid(
            "webhook_secret: say in which variable (`env`) or file (`file`) the secret is that it is signed with",
            param="webhook_secret",
        )
    return Webhook(order.webhook, Secret(named.env, named.file))


def _rule_at(desk: Desk, name: str) -> AlertRule:
    rule = alerts.rule_named(desk.connection, desk.tenant, name)
    if rule is None:
        raise Unknown(f"there is no rule {name!r}", param="name")
    return rule


def _shown(desk: Desk, rule: AlertRule, raised: int = 0) -> RuleShown:
    usual, whole = KINDS[rule.kind], permits(desk.actor, "alerts.change")
    return RuleShown(
        name=rule.name,
        kind=rule.kind,
        means=usual.words,
        threshold=rule.threshold if usual.unit else None,
        unit=usual.unit,
        window_seconds=rule.window // 1000 if usual.window else None,
        least=rule.least or None,
        quiet_seconds=rule.quiet // 1000,
        severity=rule.severity,
        project=rule.project,
        purpose=rule.purpose,
        model=rule.model,
        deployment=rule.deployment,
        webhook=_host(rule.webhook.url) if rule.webhook is not None else None,
        mail=tuple(_target(address, whole=whole) for address in rule.mail),
        raised=raised,
    )


def _alert(desk: Desk, alert: Alert, *, told: bool) -> AlertShown:
    whole = permits(desk.actor, "alerts.change")
    sent = alerts.deliveries(desk.connection, desk.tenant, alert=alert.id) if told else ()
    return AlertShown(
        alert.id,
        alert.rule,
        alert.about,
        alert.severity,
        alert.words,
        alert.raised,
        alert.resolved,
        tuple(_message(each, whole=whole) for each in sent),
    )


def _message(delivery: Delivery, *, whole: bool) -> Message:
    event = str(msgspec.json.decode(delivery.body)["event"])
    return Message(
        channel=delivery.channel,
        target=_target(delivery.target, whole=whole),
        event=event,
        delivered=delivery.delivered,
        attempts=delivery.attempts,
        next=delivery.due if delivery.attempts else None,
        words=delivery.fault if delivery.fault or delivery.attempts else "no node has sent it yet",
    )


def _target(target: str, *, whole: bool) -> str:
    """To whom: of a webhook its host, and an address of a person only for those who could have set it."""
    if "://" in target:
        return _host(target)
    if whole:
        return target
    name, _, host = target.rpartition("@")
    return f"{name[:1]}…@{host}"


def _host(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.partition('?')[0]}/…" if slash and path else f"{scheme}://{host.partition('?')[0]}"
