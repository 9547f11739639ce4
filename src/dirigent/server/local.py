"""The embedded models that a catalog asks for."""

from __future__ import annotations

from typing import Any

from dirigent.core.catalog import Catalog
from dirigent.local.supervisor import LocalModels
from dirigent.models.deployment import Deployment
from dirigent.models.providers.llama_cpp import LlamaCpp

__all__ = ["local_states", "warm_up"]


def _embedded(catalog: Catalog) -> dict[str, LlamaCpp]:
    """The weights that the catalog's deployments use on this machine, and by which provider."""
    found: dict[str, LlamaCpp] = {}
    for model in catalog.models.values():
        if isinstance(model, Deployment) and isinstance(provider := catalog.providers[model.provider], LlamaCpp):
            found[model.name] = provider
    return found


def warm_up(catalog: Catalog, local: LocalModels) -> None:
    """Loads those that are not loaded yet, and lets go of those that nobody asks for any more."""
    embedded = _embedded(catalog)
    local.retain(embedded)
    for name, provider in embedded.items():
        local.start(name, provider.setup)


def local_states(catalog: Catalog, local: LocalModels) -> dict[str, Any]:
    """How each of them stands."""
    return {name: local.state(name) for name in _embedded(catalog)}
