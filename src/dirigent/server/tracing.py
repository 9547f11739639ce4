"""Whether this node traces: where OpenTelemetry's variables say to whom, and its library is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Protocol

import msgspec

from dirigent.core.catalog import Catalog
from dirigent.models.deployment import Deployment
from dirigent.settings import traces
from dirigent.telemetry.conventions import Answerer

__all__ = ["Tracing", "answerer_in", "tracing"]

_log = logging.getLogger("dirigent.server")


class Tracing(Protocol):
    """Who makes traces of what it is told (telemetry.tracer.Tracer)."""

    @property
    def dropped(self) -> int:
        """Requests of which no trace was sent."""
        ...

    def observe(self, observation: msgspec.Struct) -> None:
        """Takes note of a request that is over."""
        ...

    def start(self) -> None:
        """Begins to send."""
        ...

    def close(self) -> None:
        """Sends what is left."""
        ...


def tracing(node: str, answerer: Callable[[str], Answerer | None]) -> Tracing | None:
    """Who makes traces, of the node of this name; None where nobody asked for any, or the library is missing."""
    asked = traces()
    if asked is None:
        return None
    try:
        module = import_module("dirigent.telemetry.tracer")  # it takes a quarter of a second: only who traces has it
    except ModuleNotFoundError:
        _log.warning("no traces are sent to %s: they need the extra `dirigent[otel]`", asked.endpoint)
        return None
    made: Tracing = module.tracer(asked.endpoint, asked.headers, asked.service, node, answerer)
    return made


def answerer_in(catalog: Catalog, name: str) -> Answerer | None:
    """The type of a deployment's provider, and how that one calls the model; None of what is no deployment."""
    model = catalog.models.get(name)
    if not isinstance(model, Deployment):
        return None
    provider = catalog.provider(model.provider)
    vendor = getattr(provider, "vendor", None)
    return vendor if isinstance(vendor, str) else provider.type_name(), model.name
