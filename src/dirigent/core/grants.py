"""What a principal may do for a purpose: which models, which regions, at whose expense, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from dirigent.core.allowances import Allowance
from dirigent.core.purposes import LOCAL, Purpose

__all__ = ["OPEN", "Grant", "Ruling", "Scope"]

_MOST = 10_000
"""Rulings that one grant remembers: callers may ask for names without end, and no node has so many models."""


class Ruling(msgspec.Struct, frozen=True):
    """Whether something is permitted, and the rule that decided it, in words for a person."""

    permitted: bool
    rule: str


class Scope(msgspec.Struct, frozen=True):
    """The models that one level permits and denies, by names or patterns."""

    of: str
    """Whose rule this is, in words, such as `the project sales`."""
    models: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()


class Grant:
    """What one principal may do for one purpose. Everything not permitted is denied, and what is denied stays denied.

    It is worked out once from the rules of the moment and kept for as long as these stand, so its rulings are too.
    """

    __slots__ = (
        "_asked",
        "_asked_as",
        "_of_models",
        "_per_run",
        "_reached",
        "allots",
        "allowances",
        "keeps",
        "per_run",
        "purpose",
        "scopes",
    )

    def __init__(
        self,
        purpose: Purpose | None,
        scopes: Sequence[Scope],
        allowances: Sequence[Allowance] = (),
        of_models: Mapping[str, tuple[Allowance, ...]] = {},
    ) -> None:
        self.purpose = purpose
        """None where the node keeps no register of purposes."""
        self.keeps = purpose.retention.bodies if purpose is not None else 0
        """Days for which what is asked and answered is kept; 0 for not at all."""
        self.scopes = tuple(scopes)
        self.allowances = tuple(each for each in allowances if each.window != "run")
        """All that a call on this grant is counted against, those of single models aside."""
        self.per_run = tuple(each for each in allowances if each.window == "run")
        """The same for each run by itself."""
        self._per_run = _split(of_models, per_run=True)
        self.allots = bool(self.per_run or self._per_run)
        """Whether there is anything that each run counts for itself."""
        self._of_models = _split(of_models, per_run=False) if self._per_run else of_models
        self._asked: dict[str, Ruling] = {}
        self._asked_as: dict[tuple[str, str], Ruling] = {}
        self._reached: dict[tuple[str, str | None, bool], Ruling] = {}

    def may_ask(self, name: str) -> Ruling:
        """Whether a caller may ask the model of this name."""
        ruling = self._asked.get(name)
        if ruling is None:
            ruling = self._ask(name)
            if len(self._asked) < _MOST:
                self._asked[name] = ruling
        return ruling

    def may_ask_as(self, alias: str, name: str) -> Ruling:
        """Whether a caller may ask the model `name` by its alias: each level permits the one or the other.

        What denies either denies both.
        """
        ruling = self._asked_as.get((alias, name))
        if ruling is None:
            ruling = self._ask(alias, name)
            if len(self._asked_as) < _MOST:
                self._asked_as[alias, name] = ruling
        return ruling

    def may_reach(self, name: str, region: str | None, *, leaf: bool = True) -> Ruling:
        """Whether the data may go to the model of this name, which a permitted one asks.

        `region` is where it processes data; None where nobody has named one. A model that is no `leaf` sends nothing
        anywhere itself, so that its region does not count.
        """
        ruling = self._reached.get((name, region, leaf))
        if ruling is None:
            ruling = self._reached[name, region, leaf] = self._reach(name, region, leaf=leaf)
        return ruling

    def counted(self, name: str) -> tuple[Allowance, ...]:
        """All that a call to the deployment of this name is counted against, those of the model itself last."""
        of_model = self._of_models.get(name)
        return self.allowances if of_model is None else self.allowances + of_model

    def allotted(self, name: str) -> tuple[Allowance, ...]:
        """What each run has for its calls to the deployment of this name, besides what it has for all of them."""
        return self._per_run.get(name, ())

    def _ask(self, *names: str) -> Ruling:
        """Whether each level permits one of these names, and none denies any."""
        if (denial := next(filter(None, map(self._denial, names)), None)) is not None:
            return denial
        permitted = ""
        for scope in self.scopes:
            pattern = next(filter(None, (_matching(name, scope.models) for name in names)), None)
            if pattern is None:
                return Ruling(permitted=False, rule=f"{scope.of} permits no model {' or '.join(map(repr, names))}")
            permitted = f"{scope.of} permits {pattern!r}"
        return Ruling(permitted=bool(self.scopes), rule=permitted or "no rule permits anything")

    def _reach(self, name: str, region: str | None, *, leaf: bool) -> Ruling:
        if (denial := self._denial(name)) is not None:
            return denial
        purpose = self.purpose
        if purpose is None or purpose.regions is None or not leaf:
            return Ruling(permitted=True, rule="no rule binds the data to a region")
        if region == LOCAL or (region is not None and region in purpose.regions):
            return Ruling(permitted=True, rule=f"the purpose {purpose.name} lets data go to {region}")
        where = f"{region}" if region is not None else "a region that nobody has named"
        return Ruling(
            permitted=False,
            rule=f"the purpose {purpose.name} lets data go to {', '.join((LOCAL, *purpose.regions))} alone,"
            f" and {name!r} is in {where}",
        )

    def _denial(self, name: str) -> Ruling | None:
        for scope in self.scopes:
            if (pattern := _matching(name, scope.denied)) is not None:
                return Ruling(permitted=False, rule=f"{scope.of} denies {pattern!r}")
        return None


def _split(of_models: Mapping[str, tuple[Allowance, ...]], *, per_run: bool) -> Mapping[str, tuple[Allowance, ...]]:
    found = {
        name: tuple(each for each in allowances if (each.window == "run") is per_run)
        for name, allowances in of_models.items()
    }
    return {name: allowances for name, allowances in found.items() if allowances}


def _matching(name: str, patterns: Sequence[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


OPEN = Grant(None, (Scope("this node"),))
"""What everybody may do where nobody has set up any rule."""
