"""What a running server can be asked to do: every operation of the control plane, as `make docs` has written it down.

The operations themselves stand beside the database that they work on. A command that only asks a server for one needs
neither, and is there at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["ELSEWHERE", "FILE", "GROUPS", "ORDERS", "Field", "Order"]

FILE = Path(__file__).with_name("operations.json")
"""Written by tools/docs/orders.py; a test holds it against the operations."""


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that can be said with an operation."""

    path: tuple[str, ...]
    """Its name, below the names of the structs that it stands in."""
    kind: Literal["text", "flag", "choice", "integer", "float", "number", "date", "json"] = "text"
    help: str = ""
    required: bool = False
    many: bool = False
    default: str | None = None
    """As one would type it."""
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation: where it is asked for, and what can be said with it."""

    name: str
    path: str
    changes: bool
    """Whether it writes; what only reads is asked for with `GET`."""
    summary: str
    help: str
    fields: tuple[Field, ...] = ()


ORDERS: Mapping[str, Order] = {
    order.name: order for order in msgspec.json.decode(FILE.read_bytes(), type=tuple[Order, ...])
}
"""All of them by name."""
GROUPS = {
    "access": "See who may use which models for what.",
    "aliases": "Names that point at a revision of a model.",
    "alerts": "Rules that tell somebody when something is wrong.",
    "approvals": "Questions to people that runs wait for.",
    "audit": "Who did what, in a chain that nobody can change unseen.",
    "bodies": "Texts that are kept.",
    "knowledge": "What was learned for retrieval.",
    "bulk": "One run for each row of a table.",
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
    "runs": "What was answered, and runs that outlive a process.",
    "schedules": "What begins by itself, and when.",
    "tenants": "The isolated customers of this node.",
    "usage": "What was used, and what it cost.",
}
"""What the operations of one part are about, in a line of help."""
ELSEWHERE = {"audit.export": "audit export", "audit.verify": "audit verify"} | {
    "revisions.publish": "publish",
    "revisions.rollback": "rollback",
    "usage.reconcile": "usage reconcile",
    "runs.compare": "runs fork",
    "runs.fork": "runs fork",
    "runs.read": "runs show",
    "runs.show": "runs show",
    "runs.trace": "runs show",
}
"""Operations whose commands are written by hand."""
