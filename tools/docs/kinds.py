"""One reference page for each contract: every kind with its settings, as the registries have them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

import dirigent
from dirigent.core.catalog import TASKS
from dirigent.core.model import Model
from dirigent.core.policy import Policy
from dirigent.core.registry import Kind, Registry
from dirigent.core.schema import json_schema
from dirigent.core.source import Source
from dirigent.models.providers.provider import Provider
from tools.docs.words import default, page, plural, table, type_in_words

__all__ = ["EXAMPLES", "SECTIONS", "kind_pages", "registries", "schema"]

SECTIONS: dict[str, type[Kind]] = {"providers": Provider, "sources": Source, "models": Model}
"""The sections of a configuration, and of which contract the entries of each are kinds."""
EXAMPLES = Path(__file__).with_name("examples")
"""One piece of configuration per kind, as `contract.type.yaml`; a test reads each with the real reader."""


@cache
def registries() -> tuple[Registry[Any], ...]:
    """Every table of kinds in the house: what the `__init__` of a package calls a registry."""
    names = [
        "dirigent",
        *(found.name for found in pkgutil.walk_packages(dirigent.__path__, "dirigent.") if found.ispkg),
    ]
    tables = [table for name in names for table in vars(importlib.import_module(name)).values()]
    unique = {table.name: table for table in tables if isinstance(table, Registry)}
    return tuple(unique[name] for name in sorted(unique))


def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration file."""
    return json_schema(SECTIONS, registries(), ("policies", Policy, Model), {"defaults": TASKS})


def kind_pages() -> dict[str, str]:
    """File name -> Markdown, one page per contract."""
    return {f"{plural(registry.name)}.md": _page(registry) for registry in registries()}


def _page(registry: Registry[Any]) -> str:
    definitions = schema()["$defs"]
    values: dict[str, dict[str, Any]] = {}
    parts = [f"# {plural(registry.name).capitalize()}", registry.contract.help(), _contents(registry)]
    for name, kind in sorted(registry.kinds.items()):
        definition = definitions[f"{registry.name}.{name}"]
        parts += [f"## `{name}`", kind.help(), _settings(definition, skip="type"), _example(registry.name, name)]
        _gather(definition, definitions, values)
    for name, definition in sorted(values.items()):
        parts += [f"## {name}", definition.get("description", ""), _settings(definition)]
    return page(*parts)


def _contents(registry: Registry[Any]) -> str:
    return "\n".join(
        f"* [`{name}`](#{name}) – {kind.help().partition(chr(10))[0]}" for name, kind in sorted(registry.kinds.items())
    )


def _settings(definition: dict[str, Any], skip: str | None = None) -> str:
    rows = [
        (
            f"`{name}`",
            type_in_words(setting),
            default(setting, required=name in definition["required"]),
            setting.get("description", ""),
        )
        for name, setting in definition["properties"].items()
        if name != skip
    ]
    return table(("setting", "type", "default", "what it is"), rows) if rows else "It has no settings."


def _example(contract: str, name: str) -> str:
    path = EXAMPLES / f"{contract}.{name}.yaml"
    return f"```yaml\n{path.read_text(encoding='utf-8').rstrip()}\n```" if path.exists() else ""


def _gather(definition: dict[str, Any], definitions: dict[str, Any], values: dict[str, dict[str, Any]]) -> None:
    """Every struct that settings mention, and those that these mention, each once."""
    for setting in definition["properties"].values():
        below = setting.get("additionalProperties")
        named = (below,) if isinstance(below, dict) else ()
        for option in (setting, setting.get("items", {}), *named, *setting.get("anyOf", ())):
            name = option.get("$ref", "").rpartition("/")[2]
            if name[:1].isupper() and name not in values:
                values[name] = definitions[name]
                _gather(definitions[name], definitions, values)
