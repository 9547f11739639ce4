"""Whether the conditions of rules hold: looked at in the database alone, so that one node can look for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from dirigent.core.alerts import DAY, HOUR, MINUTE, AlertRule
from dirigent.core.allowances import Allowance, forecast_of, share_of, words_of
from dirigent.core.errors import DirigentError, Failed, Overrun
from dirigent.core.observations import AlertRaised, AlertResolved
from dirigent.core.windows import span_at
from dirigent.store import alerts
from dirigent.store.alerts import Alert
from dirigent.store.allowances import allowances
from dirigent.store.database import Connection
from dirigent.store.happenings import dropped, resting, tell
from dirigent.store.keys import keys, new_id, successor_of
from dirigent.store.ledger import standings
from dirigent.store.usage import Part, Question, latency, usage

__all__ = ["Change", "Sight", "apply", "changes", "message"]

_DECIDED = 0.05
"""The share of a window that has to be over before it tells anything about the rest."""


def _nobody() -> Mapping[str, str]:
    return {}


class Sight(msgspec.Struct, frozen=True):
    """What is seen beside the database."""

    providers: Callable[[], Mapping[str, str]] = _nobody
    """The provider of each deployment that is published."""
    broken: Mapping[str, str] = {}
    """The tenants whose audit was found broken when it was looked at last, and what is wrong with it."""


class Change(msgspec.Struct, frozen=True):
    """An alert that is to be raised, or one that is to be resolved."""

    alert: Alert
    rule: AlertRule
    raised: bool


def changes(connection: Connection, tenant: str, now: int, sight: Sight) -> Sequence[Change]:
    """What is to be raised and resolved in a tenant now; only reads."""
    found = alerts.rules(connection, tenant)
    still = {(each.rule, each.about): each for each in alerts.alerts(connection, tenant, still=True, limit=10_000)}
    longest = max((rule.quiet for rule in found), default=0)
    lately = alerts.last_raised(connection, tenant, now - longest)
    changed: list[Change] = []
    for rule in found:
        holding = dict(_LOOKS[rule.kind](_Look(connection, tenant, rule, now, sight)))
        for about, words in holding.items():
            if still.pop((rule.name, about), None) is not None:
                continue
            if lately.get((rule.name, about), -rule.quiet) > now - rule.quiet:
                continue  # it was told a short while ago: if it still holds when the quiet is over, it is told again
            alert = Alert(new_id("w"), tenant, rule.name, about, rule.severity, words, now)
            changed.append(Change(alert, rule, raised=True))
    known = {rule.name: rule for rule in found}
    for (name, _), alert in still.items():
        gone = AlertRule(name, "budget", severity=alert.severity)  # its rule was removed: nobody is told any more
        changed.append(Change(alert, known.get(name, gone), raised=False))
    return changed


def apply(connection: Connection, changed: Sequence[Change], now: int) -> int:
    """Writes alerts that are raised or resolved, and puts the messages about them on their way; how many those were."""
    done = 0
    for change in changed:
        alert, rule = change.alert, change.rule
        if change.raised:
            if not alerts.raise_alert(connection, alert):
                continue
        elif not alerts.resolve(connection, alert, now):
            continue
        else:
            alert = msgspec.structs.replace(alert, resolved=now)
        done += 1
        body = message(alert, rule, raised=change.raised)
        alerts.deliver(connection, alert.tenant, rule, body, now, alert=alert.id)
        kind = AlertRaised if change.raised else AlertResolved
        told = kind(
            tenant=alert.tenant,
            at=now,
            alert=alert.id,
            rule=alert.rule,
            about=alert.about,
            severity=alert.severity,
            words=alert.words,
        )
        tell(connection, told)
    return done


def message(alert: Alert, rule: AlertRule, *, raised: bool, test: bool = False) -> dict[str, Any]:
    """What is told about an alert, in every channel alike."""
    return {
        "event": "test" if test else "raised" if raised else "resolved",
        "tenant": alert.tenant,
        "rule": alert.rule,
        "kind": rule.kind,
        "severity": alert.severity,
        "alert": alert.id,
        "about": alert.about,
        "words": alert.words,
        "raised": alert.raised,
        "resolved": alert.resolved,
    }


# --- the kinds --------------------------------------------------------------------------------------------------------

Holding = Iterator[tuple[str, str]]
"""What a condition holds for, and what there is to be said about it."""


class _Look(msgspec.Struct, frozen=True):
    """One look at what one rule is about."""

    connection: Connection
    tenant: str
    rule: AlertRule
    now: int
    sight: Sight

    def question(self, *by: Part) -> Question:
        """What is asked about the usage within the rule's window."""
        return Question(self.tenant, self.now - self.rule.window, self.now + 1, self.now, by, _named(self.rule))


def _budgets(look: _Look) -> Holding:
    budgets = [
        each for each in allowances(look.connection, look.tenant, units=("money",)) if _concerns(look.rule, each)
    ]
    stand = standings(look.connection, budgets, look.now / 1000)
    for budget in budgets:
        standing = stand[budget.id]
        starts, ends = span_at(budget.window, budget.zone, look.now / 1000)
        if look.rule.kind == "budget":
            reached = share_of(standing)
        elif ends is None or look.now - starts < _DECIDED * (ends - starts):
            continue
        else:
            reached = forecast_of(standing, (look.now - starts) / (ends - starts))
        if 100 * reached >= look.rule.threshold:
            yield f"budget:{budget.id}", words_of(budget, standing, reached, forecast=look.rule.kind == "forecast")


def _concerns(rule: AlertRule, budget: Allowance) -> bool:
    named = {level: name for level in ("project", "purpose", "model") if (name := getattr(rule, level)) is not None}
    return not named or named.get(budget.level) == budget.subject


def _errors(look: _Look) -> Holding:
    rows = usage(look.connection, look.question("code"))
    requests = sum(row.requests for row in rows)
    failing = _failing()
    errors = sum(row.requests for row in rows if row.parts[0] in failing)
    if errors and requests >= look.rule.least and 100 * errors >= look.rule.threshold * requests:
        share = 100 * errors / requests
        yield (
            _scope(look.rule),
            f"{errors} of {requests} requests ({share:.1f} %) failed within {_span(look.rule.window)}",
        )


def _failing() -> frozenset[str]:
    """The codes of what is no caller's fault."""

    def below(kind: type[DirigentError]) -> set[str]:
        return {kind.code, *chain.from_iterable(below(each) for each in kind.__subclasses__())}

    return frozenset(below(Failed) | below(Overrun) | {DirigentError.code})


def _latencies(look: _Look) -> Holding:
    for row in latency(look.connection, look.question()):
        if row.requests >= look.rule.least and row.p95 is not None and 1000 * row.p95 >= look.rule.threshold:
            words = f"the slowest twentieth of {row.requests} answers took {1000 * row.p95:.0f} ms or longer"
            yield _scope(look.rule), f"{words} within {_span(look.rule.window)}"


def _breakers(look: _Look) -> Holding:
    published = look.sight.providers()
    for name, since in sorted(resting(look.connection, look.tenant).items()):
        if name in published and look.rule.deployment in (None, name) and look.now - since >= look.rule.window:
            yield f"deployment:{name}", f"{name!r} keeps failing and has been resting for {_span(look.now - since)}"


def _providers(look: _Look) -> Holding:
    published, rests = look.sight.providers(), resting(look.connection, look.tenant)
    rows = usage(look.connection, look.question("deployment", "code"))
    answering = {row.parts[0] for row in rows if row.parts[1] is None}
    for provider in sorted({published[name] for name in rests if name in published}):
        mine = {name for name, whose in published.items() if whose == provider}
        since = min(rests[name] for name in mine & rests.keys())
        if not mine & answering and look.now - since >= look.rule.window:
            names = ", ".join(sorted(mine & rests.keys()))
            yield f"provider:{provider}", f"{provider!r} has not answered for {_span(look.now - since)}: {names} rest"


def _keys(look: _Look) -> Holding:
    for key in keys(look.connection, look.tenant, project=look.rule.project, now=look.now):
        if (
            key.expires is None
            or key.expires - look.now > look.rule.threshold * DAY
            or successor_of(look.connection, key)
        ):
            continue
        yield f"key:{key.id}", f"the key {key.id} of the project {key.project} ends in {_span(key.expires - look.now)}"


def _audit(look: _Look) -> Holding:
    if look.tenant in look.sight.broken:
        yield "audit", f"the chain of the audit is broken: {look.sight.broken[look.tenant]}"


def _outboxes(look: _Look) -> Holding:
    rows = dropped(look.connection, look.tenant, look.now - look.rule.window)
    if rows and rows >= look.rule.threshold:
        yield "outbox", f"{rows} rows were lost on their way into the database within {_span(look.rule.window)}"


_LOOKS: dict[str, Callable[[_Look], Holding]] = {
    "budget": _budgets,
    "forecast": _budgets,
    "error_rate": _errors,
    "latency": _latencies,
    "breaker": _breakers,
    "provider": _providers,
    "key_expiry": _keys,
    "audit": _audit,
    "outbox": _outboxes,
}


def _named(rule: AlertRule) -> dict[str, str]:
    names = ("project", "purpose", "model", "deployment")
    return {name: word for name in names if (word := getattr(rule, name)) is not None}


def _scope(rule: AlertRule) -> str:
    return ", ".join(f"{name}:{word}" for name, word in _named(rule).items()) or "tenant"


def _span(milliseconds: int) -> str:
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if milliseconds >= 2 * length:
            return f"{milliseconds // length} {unit}"
    return f"{max(1, milliseconds // 1000)} s"
