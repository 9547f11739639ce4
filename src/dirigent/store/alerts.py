"""Rules, the alerts that they have raised, and the messages about these on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, bindparam, text

from dirigent.core.alerts import AlertRule, Severity
from dirigent.store.keys import new_id

__all__ = [
    "Alert",
    "Channel",
    "Delivery",
    "alerts",
    "any_due",
    "any_rules",
    "arrived",
    "claim",
    "deliver",
    "deliveries",
    "failed",
    "keep_rule",
    "last_raised",
    "prune",
    "raise_alert",
    "remove_rule",
    "resolve",
    "rule_named",
    "rules",
    "watched",
]

Channel = Literal["webhook", "mail"]
_FIRST_PAUSE, _LONGEST_PAUSE = 5_000, 3_600_000
_MOST_ATTEMPTS = 10
"""Attempts after which a message is given up; with their pauses that takes about an hour and a half."""
_CLAIMED = 45_000
"""Milliseconds for which whoever has taken a message may be at it."""
_KEPT, _TOLD = 400 * 86_400_000, 30 * 86_400_000
"""How long alerts are kept, and the messages about them."""


class Alert(msgspec.Struct, frozen=True):
    """One time that the condition of a rule came about."""

    id: str
    tenant: str
    rule: str
    about: str
    severity: Severity
    words: str
    raised: int
    resolved: int | None = None


class Delivery(msgspec.Struct, frozen=True):
    """A message on its way through one channel."""

    id: str
    tenant: str
    rule: str
    alert: str | None
    channel: Channel
    target: str
    """The address of the webhook, or the addresses of people."""
    body: str
    made: int
    due: int | None = None
    attempts: int = 0
    delivered: int | None = None
    fault: str | None = None


# --- rules ------------------------------------------------------------------------------------------------------------


def keep_rule(connection: Connection, tenant: str, rule: AlertRule, now: int) -> None:
    """Writes a rule, new or changed."""
    connection.execute(
        text("""
            INSERT INTO alert_rules (tenant, name, document, created, updated)
            VALUES (:tenant, :name, :document, :now, :now)
            ON CONFLICT (tenant, name) DO UPDATE SET document = excluded.document, updated = excluded.updated"""),
        {"tenant": tenant, "name": rule.name, "document": msgspec.json.encode(rule).decode(), "now": now},
    )


def remove_rule(connection: Connection, tenant: str, name: str) -> None:
    """Removes a rule, and the messages about it that have not gone out."""
    which = {"tenant": tenant, "name": name}
    connection.execute(text("""DELETE FROM alert_rules WHERE tenant = :tenant AND name = :name"""), which)
    connection.execute(
        text("""
            UPDATE alert_deliveries SET due = NULL, fault = 'the rule was removed'
            WHERE tenant = :tenant AND rule = :name AND due IS NOT NULL"""),
        which,
    )


def rules(connection: Connection, tenant: str) -> Sequence[AlertRule]:
    """The rules of a tenant by their names."""
    rows = connection.execute(
        text("""SELECT document FROM alert_rules WHERE tenant = :tenant ORDER BY name"""), {"tenant": tenant}
    ).scalars()
    return [msgspec.json.decode(row, type=AlertRule) for row in rows]


def rule_named(connection: Connection, tenant: str, name: str) -> AlertRule | None:
    """The rule of that name."""
    found = connection.execute(
        text("""SELECT document FROM alert_rules WHERE tenant = :tenant AND name = :name"""),
        {"tenant": tenant, "name": name},
    ).scalar()
    return None if found is None else msgspec.json.decode(found, type=AlertRule)


def watched(connection: Connection) -> Sequence[str]:
    """The tenants that have rules, or alerts of rules that are gone."""
    return (
        connection.execute(
            text("""
                SELECT tenant FROM alert_rules
                UNION SELECT tenant FROM alerts WHERE resolved IS NULL
                ORDER BY tenant""")
        )
        .scalars()
        .all()
    )


def any_rules(connection: Connection) -> bool:
    """Whether there is anything to look after: a rule of any tenant, an open alert, or a message to be sent."""
    return (
        connection.execute(
            text("""
                SELECT 1 WHERE EXISTS (SELECT 1 FROM alert_rules)
                    OR EXISTS (SELECT 1 FROM alerts WHERE resolved IS NULL)
                    OR EXISTS (SELECT 1 FROM alert_deliveries WHERE due IS NOT NULL)""")
        ).first()
        is not None
    )


# --- alerts -----------------------------------------------------------------------------------------------------------


def raise_alert(connection: Connection, alert: Alert) -> bool:
    """Writes a new alert; False where one about the same is open already."""
    return (
        connection.execute(
            text("""
                INSERT INTO alerts (id, tenant, rule, about, severity, words, raised, resolved)
                VALUES (:id, :tenant, :rule, :about, :severity, :words, :raised, NULL)
                ON CONFLICT (tenant, rule, about) WHERE resolved IS NULL DO NOTHING"""),
            msgspec.structs.asdict(alert),
        ).rowcount
        == 1
    )


def resolve(connection: Connection, alert: Alert, now: int) -> bool:
    """Ends an alert; False where somebody has done so already."""
    return (
        connection.execute(
            text("""
                UPDATE alerts SET resolved = :now
                WHERE tenant = :tenant AND id = :id AND resolved IS NULL"""),
            {"tenant": alert.tenant, "id": alert.id, "now": now},
        ).rowcount
        == 1
    )


def last_raised(connection: Connection, tenant: str, since: int) -> dict[tuple[str, str], int]:
    """When each rule was last raised about what, as far as that was since a millisecond."""
    rows = connection.execute(
        text("""
            SELECT rule, about, max(raised) AS raised FROM alerts
            WHERE tenant = :tenant AND raised >= :since GROUP BY rule, about"""),
        {"tenant": tenant, "since": since},
    )
    return {(row.rule, row.about): int(row.raised) for row in rows}


def alerts(
    connection: Connection,
    tenant: str,
    *,
    rule: str | None = None,
    still: bool = False,
    before: int | None = None,
    limit: int = 500,
) -> Sequence[Alert]:
    """The alerts of a tenant, the latest first; `still` leaves those that have not passed."""
    rows = connection.execute(
        text("""
            SELECT id, tenant, rule, about, severity, words, raised, resolved FROM alerts
            WHERE tenant = :tenant AND (CAST(:rule AS text) IS NULL OR rule = :rule)
              AND (CAST(:before AS bigint) IS NULL OR raised < :before) AND (:every = 1 OR resolved IS NULL)
            ORDER BY raised DESC, id LIMIT :limit"""),
        {"tenant": tenant, "rule": rule, "before": before, "every": 0 if still else 1, "limit": limit},
    )
    return [Alert(*row) for row in rows]


# --- messages ---------------------------------------------------------------------------------------------------------


def deliver(
    connection: Connection,
    tenant: str,
    rule: AlertRule,
    body: Mapping[str, Any],
    now: int,
    *,
    alert: str | None = None,
) -> Sequence[Delivery]:
    """Puts a message about an alert, or a trial, on its way through every channel of a rule."""
    channels: list[tuple[Channel, str]] = []
    if rule.webhook is not None:
        channels.append(("webhook", rule.webhook.url))
    channels += [("mail", address) for address in rule.mail]
    made = []
    for channel, target in channels:
        id_ = new_id("n")
        text_ = msgspec.json.encode({"delivery": id_, **body}).decode()
        made.append(Delivery(id_, tenant, rule.name, alert, channel, target, text_, now, due=now))
    if made:
        connection.execute(
            text("""
                INSERT INTO alert_deliveries (id, tenant, rule, alert, channel, target, body, made, due, attempts,
                                              delivered, fault)
                VALUES (:id, :tenant, :rule, :alert, :channel, :target, :body, :made, :due, :attempts, :delivered,
                        :fault)"""),
            [msgspec.structs.asdict(each) for each in made],
        )
    return made


def any_due(connection: Connection, now: int) -> bool:
    """Whether a message is to be sent now."""
    return (
        connection.execute(text("""SELECT 1 FROM alert_deliveries WHERE due <= :now LIMIT 1"""), {"now": now}).first()
        is not None
    )


def claim(connection: Connection, now: int, most: int) -> Sequence[Delivery]:
    """The messages that are to be sent now; nobody else is given them until they are told of or a while has passed."""
    rows = connection.execute(
        text("""
            SELECT id, tenant, rule, alert, channel, target, body, made, due, attempts, delivered, fault
            FROM alert_deliveries WHERE due <= :now ORDER BY due LIMIT :most"""),
        {"now": now, "most": most},
    )
    found = [Delivery(*row) for row in rows]
    if found:
        connection.execute(_CLAIM, {"ids": [each.id for each in found], "until": now + _CLAIMED})
    return found


_CLAIM = text("""
    UPDATE alert_deliveries SET due = :until WHERE id IN :ids""").bindparams(bindparam("ids", expanding=True))


def arrived(connection: Connection, delivery: Delivery, now: int) -> None:
    """Notes that a message has arrived."""
    connection.execute(
        text("""
            UPDATE alert_deliveries
            SET due = NULL, delivered = :now, attempts = attempts + 1, fault = NULL
            WHERE tenant = :tenant AND id = :id"""),
        {"tenant": delivery.tenant, "id": delivery.id, "now": now},
    )


def failed(connection: Connection, delivery: Delivery, fault: str, now: int) -> None:
    """Notes why a message has not arrived, and when it is tried next: later each time, and one day no more."""
    attempts = delivery.attempts + 1
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**delivery.attempts)
    connection.execute(
        text("""
            UPDATE alert_deliveries SET due = :due, attempts = :attempts, fault = :fault
            WHERE tenant = :tenant AND id = :id AND due IS NOT NULL"""),
        {
            "tenant": delivery.tenant,
            "id": delivery.id,
            "due": None if attempts >= _MOST_ATTEMPTS or delivery.alert is None else now + pause,
            "attempts": attempts,
            "fault": fault[:500],
        },
    )


def deliveries(
    connection: Connection, tenant: str, *, alert: str | None = None, ids: Sequence[str] = ()
) -> Sequence[Delivery]:
    """The messages about an alert, or those of these ids."""
    rows = connection.execute(_DELIVERIES, {"tenant": tenant, "alert": alert, "ids": list(ids) or [""]})
    return [Delivery(*row) for row in rows]


_DELIVERIES = text("""
    SELECT id, tenant, rule, alert, channel, target, body, made, due, attempts, delivered, fault
    FROM alert_deliveries WHERE tenant = :tenant AND (alert = :alert OR id IN :ids) ORDER BY made, id""").bindparams(
    bindparam("ids", expanding=True)
)


def prune(connection: Connection, now: int) -> None:
    """Forgets what is too old to be of use to anybody."""
    connection.execute(text("""DELETE FROM alerts WHERE resolved < :before"""), {"before": now - _KEPT})
    connection.execute(
        text("""DELETE FROM alert_deliveries WHERE due IS NULL AND made < :before"""),
        {"before": now - _TOLD},
    )
