"""`check`: what is wrong with a configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dirigent.cli.options import as_json, config_option, data_option, json_option, settings_from
from dirigent.configuration import described
from dirigent.core.errors import InvalidConfiguration
from dirigent.server.configured import checked
from dirigent.settings import Settings

__all__ = ["check", "show_faults"]


def show_faults(error: InvalidConfiguration, settings: Settings) -> None:
    """Names every fault on standard error, with file and line."""
    for line in described(error, settings.config_file):
        click.echo(line, err=True)


@click.command(short_help="Name every fault of a configuration.", epilog="Example: dirigent check -c dirigent.yaml")
@config_option
@data_option
@json_option
def check(config: Path | None, data: Path | None, as_object: bool) -> None:
    """Look at a configuration without starting anything; name every fault with file, line and path."""
    settings = settings_from(config=config, data=data)
    try:
        sheet, catalog = checked(settings)
    except InvalidConfiguration as error:
        if as_object:
            as_json({"ok": False, "faults": described(error, settings.config_file)})
        else:
            show_faults(error, settings)
        sys.exit(1)
    if as_object:
        as_json(
            {
                "ok": True,
                "revision": catalog.revision,
                "providers": list(catalog.providers),
                "models": list(catalog.models),
            }
        )
        return
    retiring = {name: profile.retires for name, profile in catalog.profiles.items() if profile.retires is not None}
    disputed = {name: profile.disputed for name, profile in catalog.profiles.items() if profile.disputed is not None}
    asked = [name for name, model in catalog.models.items() if not any(model.mentions())]
    unpriced = [name for name in asked if catalog.profiles[name].price is None]
    providers, models = _count(len(catalog.providers), "provider"), _count(len(catalog.models), "model")
    click.echo(f"{sheet.file} is fine: {providers}, {models}, revision {catalog.revision}")
    if unpriced:
        click.echo(f"note: the price of {', '.join(unpriced)} is unknown; set `price` to see costs")
    for name, day in retiring.items():
        click.echo(f"note: the provider of {name} switches it off on {day:%Y-%m-%d}")
    for name, words in disputed.items():
        click.echo(f"note: the published prices of {name} differ ({words}); set `price` to be sure")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
