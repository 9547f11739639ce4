"""The heart of the control plane: the table of all operations, and who carries them out.

Each module of operations is one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dirigent.control import (
    alerts,
    aliases,
    allowances,
    approvals,
    audit,
    bodies,
    bulk,
    keys,
    knowledge,
    people,
    purposes,
    rates,
    reconciling,
    records,
    revisions,
    runs,
    schedules,
)
from dirigent.control.desk import Desk, Doors
from dirigent.control.operation import Operation, gathered, operation

__all__ = ["OPERATIONS", "Desk", "Doors", "Operation", "operation"]

OPERATIONS: Mapping[str, Operation[Any, Any]] = gathered(
    (
        alerts,
        aliases,
        allowances,
        approvals,
        audit,
        bodies,
        bulk,
        keys,
        knowledge,
        people,
        purposes,
        rates,
        reconciling,
        records,
        revisions,
        runs,
        schedules,
    )
)
"""All operations by name."""
