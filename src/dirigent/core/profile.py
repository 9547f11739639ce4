"""What is known of a model before it is asked: the facts by which a router rules candidates out and orders them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from dirigent.core.messages import Task
from dirigent.core.ports import Capability
from dirigent.core.usage import Price

__all__ = ["Profile", "merged"]


class Profile(msgspec.Struct, frozen=True):
    """The facts about one model. None means that nobody knows, and what nobody knows rules nothing out."""

    price: Price | None = None
    context_window: int | None = None
    max_output: int | None = None
    capabilities: frozenset[Capability] | None = None
    quality: float | None = None
    """The operator's prior, 0 to 1."""
    region: str | None = None
    retires: date | None = None
    """The day on which the provider switches it off, where that is announced."""
    tasks: frozenset[Task] | None = None
    """What it can be asked for."""
    leaf: bool = False
    """Whether it sends data to a provider itself, so that its region counts."""
    durable: bool = False
    """Whether its answers may take longer than a process lives: it waits for people, or does what must not happen
    twice."""
    disputed: str | None = None
    """What speaks against the price: two published figures that differ."""


def merged(profiles: Iterable[Profile]) -> Profile:
    """The profile of a model that asks one of several: what at least one of them can do, at the dearest one's price."""
    known = list(profiles)
    windows = [profile.context_window for profile in known]
    outputs = [profile.max_output for profile in known]
    abilities = [profile.capabilities for profile in known]
    prices = [profile.price for profile in known]
    tasks = [profile.tasks for profile in known]
    qualities = [profile.quality for profile in known if profile.quality is not None]
    return Profile(
        price=max((price for price in prices if price is not None), key=_dearness)
        if prices and None not in prices
        else None,
        context_window=max(window for window in windows if window is not None)
        if windows and None not in windows
        else None,
        max_output=max(output for output in outputs if output is not None) if outputs and None not in outputs else None,
        capabilities=frozenset[Capability]().union(*(ability for ability in abilities if ability is not None))
        if abilities and None not in abilities
        else None,
        quality=max(qualities, default=None),
        durable=any(profile.durable for profile in known),
        tasks=frozenset[Task]().union(*(task for task in tasks if task is not None))
        if tasks and None not in tasks
        else None,
    )


def _dearness(price: Price) -> tuple[bool, object]:
    total = (price.input or 0) + (price.output or 0)
    return price.input is None or price.output is None, total
