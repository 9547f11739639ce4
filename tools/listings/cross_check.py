"""Reads the cross-check: a Python module that is one large literal, walked as a syntax tree and never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from dirigent.core.usage import Price, Tier
from dirigent.listings import Entry
from tools.listings.figures import known, priced
from tools.listings.primary import Key
from tools.listings.vendors import ours_of_cross_check

__all__ = ["Opinion", "Opinions", "read"]

_TOKENS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
}
_REGION = re.compile(r"^(af|ap|apac|au|ca|eu|global|jp|me|sa|us)(-[a-z]+)*(-\d+)?[./]")


class Call(NamedTuple):
    """A constructor call in the literal: its name, its positional and its named arguments."""

    name: str
    args: list[Any]
    fields: Mapping[str, Any]


class Opinion(NamedTuple):
    """What the cross-check says of one deployment."""

    identity: str
    match: Call
    prices: list[Price]
    """The prices that may apply on the day, the one of all hours first: several where the hour of the day decides."""
    tiers: tuple[Tier, ...]
    context_window: int | None
    fee: bool
    """True where each request costs something beside its tokens."""

    def entry(self, package: str) -> Entry:
        """A row of its own, for a deployment that the primary source does not have."""
        price = None if self.fee or not self.prices else max(self.prices, key=lambda price: price.output or 0)
        if price is not None:
            price = msgspec.structs.replace(price, tiers=self.tiers)
        return Entry(price=price, context_window=self.context_window, mode="unknown", source=package)

    def names(self) -> set[str]:
        """The names that it lists in so many words: its own and its stated equals; never one that a pattern covers."""
        stated = set(_equals(self.match)) | {self.identity}
        return {name for name in stated if matches(self.match, name)}


class Opinions:
    """All opinions by vendor, in the order in which the source tries them."""

    def __init__(self, by_vendor: Mapping[str, list[Opinion]]) -> None:
        self._by_vendor = by_vendor

    def of(self, key: Key) -> Opinion | None:
        """The opinion on a deployment: the vendor's first whose rule covers the name. None where no rule does.

        A pattern that covers a name with a region in it does not know of regional prices: such a name must be stated.
        """
        vendor, name = key
        for opinion in self._by_vendor.get(vendor, ()):
            if name in opinion.names() if _REGION.match(name) else matches(opinion.match, name):
                return opinion
        return None

    def listed(self) -> Iterator[tuple[Key, Opinion]]:
        """Each name that is listed in so many words, and the opinion on it."""
        for vendor, opinions in self._by_vendor.items():
            for opinion in opinions:
                for name in sorted(opinion.names()):
                    yield (vendor, name), opinion


def read(text: str, day: date) -> Opinions:
    """The opinions of the source, with the prices of `day`."""
    assigned = next(node for node in ast.parse(text).body if isinstance(node, ast.AnnAssign))
    if assigned.value is None:
        raise ValueError("the cross-check holds no providers")
    by_vendor: dict[str, list[Opinion]] = {}
    for provider in _value(assigned.value):
        vendor = ours_of_cross_check(provider.fields["id"])
        if vendor is not None:
            by_vendor[vendor] = [_opinion(model.fields, day) for model in provider.fields.get("models", ())]
    return Opinions(by_vendor)


def matches(rule: Call, name: str) -> bool:
    """Whether a rule of the source covers a name, as the source means its rules: upper and lower case alike."""
    name = name.lower()
    ((_, said),) = rule.fields.items()
    match rule.name:
        case "ClauseEquals":
            return name == str(said).lower()
        case "ClauseStartsWith":
            return name.startswith(said.lower())
        case "ClauseEndsWith":
            return name.endswith(said.lower())
        case "ClauseContains":
            return said.lower() in name
        case "ClauseRegex":
            return re.search(said, name) is not None
        case "ClauseOr":
            return any(matches(part, name) for part in said)
        case "ClauseAnd":
            return all(matches(part, name) for part in said)
    raise ValueError(f"{rule.name} is a rule that we do not know")


def _equals(rule: Call) -> Iterator[str]:
    if rule.name == "ClauseEquals":
        yield rule.fields["equals"]
    if rule.name == "ClauseOr":
        for part in rule.fields["or_"]:
            yield from _equals(part)


def _opinion(fields: Mapping[str, Any], day: date) -> Opinion:
    stated = fields.get("prices", [])
    in_force = _in_force(stated, day) if isinstance(stated, list) else [stated]
    prices = [price for found in in_force if (price := _price(found.fields)) is not None]
    return Opinion(
        identity=fields["id"],
        match=fields["match"],
        prices=prices,
        tiers=_tiers(in_force[0].fields, prices[0]) if prices else (),
        context_window=fields.get("context_window"),
        fee=any("requests_kcount" in found.fields for found in in_force),
    )


def _in_force(stated: list[Call], day: date) -> list[Call]:
    """The last dated price that has begun, then those of certain hours of the day."""
    always: list[Call] = []
    hourly: list[Call] = []
    for conditional in stated:
        constraint = conditional.fields.get("constraint")
        if constraint is not None and constraint.name == "TimeOfDateConstraint":
            hourly.append(conditional.fields["prices"])
        elif constraint is None or constraint.fields["start_date"] <= day:
            always = [conditional.fields["prices"]]
    return always + hourly


def _price(fields: Mapping[str, Any]) -> Price | None:
    return priced({name: known(_base(fields.get(field))) for name, field in _TOKENS.items()})


def _base(figure: Decimal | Call | None) -> Decimal | None:
    if not isinstance(figure, Call):
        return figure
    base: Decimal = figure.fields["base"]
    return base


def _tiers(fields: Mapping[str, Any], base: Price) -> tuple[Tier, ...]:
    steps: dict[int, dict[str, Decimal | None]] = {}
    for name, field in _TOKENS.items():
        if isinstance(tiered := fields.get(field), Call):
            for tier in tiered.fields["tiers"]:
                steps.setdefault(tier.fields["start"], {})[name] = known(tier.fields["price"])
    # As in the primary source: a cached price that a tier leaves open falls back to the tier's own input price.
    kept = {name: getattr(base, name) for name in _TOKENS if name != "cached_input"}
    found = ((above, priced({**kept, **steps[above]})) for above in sorted(steps))
    return tuple(Tier(above, price) for above, price in found if price is not None)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.List(elements) | ast.Tuple(elements):
            return [_value(element) for element in elements]
        case ast.Dict(keys, values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Call(function, args, keywords):
            return _called(ast.unparse(function), [_value(arg) for arg in args], keywords)
        case ast.Attribute():
            return ast.unparse(node)  # the name of a time zone
    return ast.literal_eval(node)


def _called(name: str, args: list[Any], keywords: list[ast.keyword]) -> Any:
    match name:
        case "Decimal":
            return Decimal(args[0])
        case "datetime.date":
            return date(*args)
    return Call(name, args, {word.arg: _value(word.value) for word in keywords if word.arg is not None})
