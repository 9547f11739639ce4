"""The reference pages that are not about kinds: errors, features, vendors, settings, the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from dirigent.cli import main as command_line
from dirigent.cli.lazy import Lazy
from dirigent.core.errors import DirigentError
from dirigent.core.schema import field_help
from dirigent.gateway.errors import shape_of
from dirigent.local.kit import BETTER, DEFAULT, KIT, SMALL
from dirigent.models.features import Features
from dirigent.models.providers.compatible import VENDORS
from dirigent.settings import PREFIX, Settings
from tools.docs.words import page, table

__all__ = ["commands_page", "errors_page", "features_page", "settings_page", "vendors_page", "weights_page"]

WIDTH = 100

ABOUT_ERRORS = """\
Each error reaches the caller in the shape of its own dialect, with a `code` that stays the same. *Retry*: asking again
later may succeed. *Fallback*: a router goes on to its next candidate, as long as nothing has been said yet. The dots
show what is a kind of what."""

ABOUT_SETTINGS = """\
Flags of the command line win over variables of the environment, these over the defaults. What is answered, and by whom,
stands in the configuration file instead: see [providers](providers.md), [models](models.md) and
[strategies](strategies.md)."""

ABOUT_VENDORS = """\
Each row is a `vendor` of the provider type [`compatible`](providers.md#compatible). One that is not here needs no row:
give its `base_url`. The region is where the vendor says that it processes data; where nothing stands, nobody promises
anything. Prices come from the published listings, where the vendor is listed."""

ABOUT_WEIGHTS = f"""\
`dirigent pull NAME` fetches these, checks them to the byte and puts them into the data folder's `models`; a deployment
of the provider type [`llama_cpp`](providers.md#llama_cpp) then names them. Any other GGUF file works as well, by its
path. `{DEFAULT}` is the default; `{BETTER}` answers better and slower; `{SMALL}` stands in where
the default cannot be had."""


def errors_page() -> str:
    """Every error that Dirigent raises on purpose, as a caller sees it."""
    rows = [
        (
            f"{'· ' * depth}{error.__name__}",
            f"`{error.code}`",
            str(shape_of(_unraised(error)).status),
            _yes(holds=error.retryable),
            _yes(holds=error.fallback),
            inspect.getdoc(error) or "",
        )
        for depth, error in _tree(DirigentError)
    ]
    return page("# Errors", ABOUT_ERRORS, table(("error", "code", "status", "retry", "fallback", "meaning"), rows))


def features_page() -> str:
    """What is measured of a request, for rules and strategies."""
    helps, empty = field_help(Features), Features()
    rows = [
        (f"`{field.name}`", _type_of(getattr(empty, field.name)), helps.get(field.name, ""))
        for field in msgspec.structs.fields(Features)
    ]
    return page(
        "# Features",
        inspect.getdoc(inspect.getmodule(Features)) or "",
        '`dirigent explain MODEL "text"` shows them all for one request.',
        inspect.getdoc(Features) or "",
        table(("feature", "type", "what it is"), rows),
    )


def vendors_page() -> str:
    """The table behind the provider type `compatible`."""
    rows = [
        (
            f"`{name}`",
            f"`{vendor.base_url}`" if vendor.base_url else f"`base_url` of your own, such as `{vendor.shape}`",
            "yes" if vendor.needs_key else "no",
            vendor.region or "–",
            "yes" if vendor.listed_as else "–",
        )
        for name, vendor in sorted(VENDORS.items())
    ]
    return page(
        "# Vendors", ABOUT_VENDORS, table(("vendor", "address", "wants a key", "region", "prices listed"), rows)
    )


def weights_page() -> str:
    """The kit of the embedded model."""
    rows = [
        (
            f"`{weights.name}`",
            f"{weights.megabytes} MB",
            f"{weights.context_window} tokens",
            weights.licence,
            weights.author,
            weights.description,
            f"`{weights.sha256}`",
        )
        for weights in KIT.values()
    ]
    head = ("name", "size", "reads", "licence", "author", "what it is good for", "SHA-256")
    return page("# Local weights", ABOUT_WEIGHTS, table(head, rows))


def settings_page() -> str:
    """Where a node listens and keeps its things, by flag and by variable."""
    helps = field_help(Settings)
    rows = [
        (f"`{field.name}`", f"`{PREFIX}{field.name.upper()}`", _shown(field.default), helps.get(field.name, ""))
        for field in msgspec.structs.fields(Settings)
    ]
    return page("# Settings of a node", ABOUT_SETTINGS, table(("setting", "variable", "default", "what it is"), rows))


def commands_page() -> str:
    """Every command with its options, as `--help` says it on a terminal of a hundred columns."""
    frame: dict[str, Any] = {**command_line.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    root = click.Context(command_line, info_name="dirigent", **frame)
    parts = ["# Command line", _block(command_line.get_help(root))]
    for name, command in command_line.loaded().items():
        if command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=root, **frame)
        parts += [f"## `dirigent {name}`", _block(command.get_help(context))]
        for verb, inner in command.loaded().items() if isinstance(command, Lazy) else ():
            within = click.Context(inner, info_name=verb, parent=context, **frame)
            parts += [f"### `dirigent {name} {verb}`", _block(inner.get_help(within))]
    return page(*parts)


def _tree(error: type[DirigentError], depth: int = 0) -> Iterator[tuple[int, type[DirigentError]]]:
    yield depth, error
    for child in error.__subclasses__():
        if child.__module__ == DirigentError.__module__:
            yield from _tree(child, depth + 1)


def _unraised(error: type[DirigentError]) -> DirigentError:
    """An instance to ask the gateway about, which looks at nothing but the class's code."""
    return error.__new__(error)


def _yes(*, holds: bool) -> str:
    return "yes" if holds else "–"


def _type_of(value: object) -> str:
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[type(value)]


def _shown(value: object) -> str:
    return "–" if value in (None, ()) else f"`{value}`"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
