"""Operations: the typed, audited commands of the control plane, each written once.

    @operation("keys.issue", permission="keys.change", changes=True)
    def issue(desk: Desk, order: Issue) -> Issued:
        '''Issues a key, which is shown this once. ...'''

From this come the admin route with its OpenAPI, the command of the command line, the check of the permission and the
line in the audit. The first sentence of the docstring is the summary. Orders and outcomes are frozen structs; the
docstrings below their fields are what people read about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from inspect import cleandoc
from types import ModuleType
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from dirigent.control.desk import Desk
from dirigent.control.permissions import Permission

__all__ = ["Operation", "gathered", "operation"]

OrderT = TypeVar("OrderT", bound=msgspec.Struct)
OutcomeT = TypeVar("OutcomeT", bound=msgspec.Struct)
_NAME = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")


class Operation(Generic[OrderT, OutcomeT]):
    """One operation: what it is called, who may, what it takes and gives. Calling it does its work at a desk."""

    def __init__(
        self,
        name: str,
        work: Callable[[Desk, OrderT], OutcomeT],
        permission: Permission,
        *,
        changes: bool,
        audited: bool,
    ) -> None:
        hints = get_type_hints(work)
        self.name = name
        self.permission = permission
        self.changes = changes
        """Whether it writes; what only reads is answered to `GET`."""
        self.audited = audited
        """Whether it leaves a line in the audit when it is carried out; a refusal always does."""
        self.order: type[OrderT] = _struct(name, hints, "order")
        self.outcome: type[OutcomeT] = _struct(name, hints, "return")
        self.help = cleandoc(work.__doc__ or "")
        self.summary = " ".join(self.help.split("\n\n")[0].split())
        self._work = work
        if not _NAME.fullmatch(name):
            raise TypeError(f"{name!r} is no name of an operation: `things.verb` in lower case")
        if not self.help:
            raise TypeError(f"the operation {name} says nothing about itself: it needs a docstring")
        if not self.order.__struct_config__.forbid_unknown_fields:
            raise TypeError(f"the order of {name} must forbid unknown fields: a typing error is told, not ignored")

    def __call__(self, desk: Desk, order: OrderT) -> OutcomeT:
        """Does the work, without asking who may; within the transaction of the desk."""
        return self._work(desk, order)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


def operation(
    name: str, *, permission: Permission, changes: bool, audited: bool | None = None
) -> Callable[[Callable[[Desk, OrderT], OutcomeT]], Operation[OrderT, OutcomeT]]:
    """Makes a function of a desk and an order an operation. What changes something is audited, unless said otherwise.

    Raises TypeError where the function is none.
    """

    def made(work: Callable[[Desk, OrderT], OutcomeT]) -> Operation[OrderT, OutcomeT]:
        return Operation(name, work, permission, changes=changes, audited=changes if audited is None else audited)

    return made


def gathered(modules: Iterable[ModuleType]) -> Mapping[str, Operation[Any, Any]]:
    """The table of all operations of these modules, by name. Raises TypeError where two have the same name."""
    table: dict[str, Operation[Any, Any]] = {}
    for module in modules:
        for each in vars(module).values():
            if not isinstance(each, Operation) or table.get(each.name) is each:
                continue
            if each.name in table:
                raise TypeError(f"two operations are called {each.name}")
            table[each.name] = each
    return dict(sorted(table.items()))


def _struct(name: str, hints: Mapping[str, Any], what: str) -> Any:
    found = hints.get(what)
    if not (isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__struct_config__.frozen):
        raise TypeError(f"the operation {name} is a function (desk: Desk, order: ORDER) -> OUTCOME of frozen structs")
    return found
