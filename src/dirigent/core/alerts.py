"""Rules that tell somebody when something is wrong: what they look at, from when on, and whom they tell."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Literal

import msgspec

from dirigent.core.ports import Secret

__all__ = ["DAY", "HOUR", "KINDS", "MINUTE", "AlertKind", "AlertRule", "Severity", "Usual", "Webhook", "signature"]

AlertKind = Literal[
    "budget", "forecast", "error_rate", "latency", "breaker", "provider", "key_expiry", "audit", "outbox"
]
Severity = Literal["info", "warning", "critical"]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Usual(msgspec.Struct, frozen=True):
    """What a rule of a kind looks at, and what holds where it says nothing."""

    words: str
    unit: str = ""
    """Of its threshold; empty where it takes none."""
    threshold: float | None = None
    """None where it has to be said."""
    window: int = 0
    """Milliseconds; 0 where it takes none."""
    least: int = 0
    """Requests without which it says nothing; 0 where it counts none."""
    shared: bool = False
    """Whether it looks at what all tenants have in common: then it belongs to the one in which models are published."""


KINDS: dict[AlertKind, Usual] = {
    "budget": Usual("so much of a budget is used up", "%", 80.0),
    "forecast": Usual("if it goes on like this, so much of a budget will be used up at its window's end", "%", 100.0),
    "error_rate": Usual("so many of a hundred requests fail on what is no caller's fault", "%", 5.0, 5 * MINUTE, 20),
    "latency": Usual("the slowest twentieth of answers takes longer", "ms", None, 5 * MINUTE, 20),
    "breaker": Usual("a deployment has been resting for so long", window=1, shared=True),
    "provider": Usual(
        "all deployments of a provider that were asked rest, and none has answered for so long",
        window=MINUTE,
        shared=True,
    ),
    "key_expiry": Usual("a key ends within so many days", "d", 14.0),
    "audit": Usual("the chain of the audit is broken; looked at so often", window=HOUR),
    "outbox": Usual("so many rows were lost on their way into the database", "rows", 1.0, 15 * MINUTE, shared=True),
}


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is told by a signed request."""

    url: str
    secret: Secret


class AlertRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule, with nothing left open."""

    name: str
    kind: AlertKind
    threshold: float = 0.0
    window: int = 0
    """Milliseconds."""
    least: int = 0
    quiet: int = HOUR
    """Milliseconds after it was raised for which the same is not raised again, whatever happens meanwhile."""
    severity: Severity = "warning"
    project: str | None = None
    purpose: str | None = None
    model: str | None = None
    deployment: str | None = None
    webhook: Webhook | None = None
    mail: tuple[str, ...] = ()


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What vouches for a webhook's body and its moment: HMAC-SHA256 over `TIMESTAMP.BODY`, in hex."""
    return hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), sha256).hexdigest()
