"""`serve`: what it takes to have a server."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from dirigent import __version__
from dirigent.admin.folder import new_link
from dirigent.admin.signing import LINK_PATH
from dirigent.cli.checking import show_faults
from dirigent.cli.options import as_json, config_option, data_option, fail, json_option, settings_from
from dirigent.core.catalog import Catalog
from dirigent.core.errors import DirigentError, InvalidConfiguration
from dirigent.server.configured import checked
from dirigent.server.folder import first_key, prepared
from dirigent.server.node import run_worker
from dirigent.server.running import Running
from dirigent.settings import MOST_WORKERS, Settings
from dirigent.workers import listening, run_workers

__all__ = ["serve", "worker"]

_DATABASE = click.option(
    "--database",
    help="Address of the PostgreSQL that several nodes share, such as postgresql://USER@HOST/NAME. "
    "[default: SQLite in the data folder]",
)


@click.command(short_help="Start the server.", epilog="Example: dirigent serve --port 8484 --data .dirigent")
@config_option
@click.option("--host", help="Address to listen on. [default: 127.0.0.1, this machine only]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. [default: 8484]")
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), help="Processes that answer on the same port. [default: 1]"
)
@_DATABASE
@data_option
@json_option
def serve(
    config: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    database: str | None,
    data: Path | None,
    as_object: bool,
) -> None:
    """Start the server. A new data folder gets a commented configuration and a first key.

    The configuration is read again when it changes and on SIGHUP; SIGTERM lets running answers finish.
    """
    settings = settings_from(config=config, host=host, port=port, workers=workers, database=database, data=data)
    _get_ready()
    try:
        fresh = prepared(settings)
    except OSError as fault:
        fail(f"the data folder {settings.data} cannot be prepared: {fault.strerror or fault}")
    except DirigentError as error:
        fail(error.message)
    catalog = _checked_or_end(settings)

    def announce(running: Running) -> None:
        _put_up_notice(settings, running)
        if as_object:
            file, key = str(settings.config_file), first_key(settings.data)
            told = {"address": running.address, "pid": running.pid, "config": file, "new": fresh, "key": key}
            as_json({**told, "sign_in": _sign_in(settings, running)})
        else:
            _welcome(settings, running, catalog, fresh=fresh)
        sys.stdout.flush()

    try:
        if settings.workers == 1:
            _serve(settings, lambda: run_worker(settings, announce))
            status = 0
        else:
            status = _serve_together(settings, announce)
    finally:
        _withdraw(settings)
    sys.exit(status)


@click.command(hidden=True)
@config_option
@click.option("--host")
@click.option("--port", type=int)
@click.option("--listener", type=int, required=True)
@_DATABASE
@data_option
def worker(
    config: Path | None, host: str | None, port: int | None, listener: int, database: str | None, data: Path | None
) -> None:
    """One of several workers; `serve` starts it."""
    settings = settings_from(config=config, host=host, port=port, database=database, data=data)
    _get_ready()
    _serve(settings, lambda: run_worker(settings, lambda _: _tell_parent(), socket.socket(fileno=listener)))


def _tell_parent() -> None:
    with suppress(ConnectionError):  # a parent that has died meanwhile is noticed by whoever reads from it
        os.write(sys.stdin.fileno(), b"!")


def _get_ready() -> None:
    # until the loop listens for it, a wish to reload must not end the process: the file is about to be read anyway
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")


def _serve(settings: Settings, run: Callable[[], None]) -> None:
    try:
        run()
    except InvalidConfiguration as error:
        show_faults(error, settings)
        fail("the configuration is refused; nothing was started")
    except DirigentError as error:
        fail(error.message)
    except OSError as fault:
        fail(_why_not(fault, settings))
    except KeyboardInterrupt:  # it came before the loop listened for it
        sys.exit(0)


def _serve_together(settings: Settings, announce: Callable[[Running], None]) -> int:
    try:
        listener = listening(settings.host, settings.port)
    except OSError as fault:
        fail(_why_not(fault, settings))
    with listener:
        running = Running(settings.host, listener.getsockname()[1], os.getpid())
        flags = ["worker", "--host", settings.host, "--port", str(running.port), "--data", str(settings.data)]
        flags += ["-c", str(settings.config)] if settings.config is not None else []
        flags += ["--database", settings.database] if settings.database is not None else []
        return run_workers(flags, settings.workers, listener, lambda: announce(running))


def _why_not(fault: OSError, settings: Settings) -> str:
    """Why the server cannot start, and what to do about it."""
    host, port = settings.host, settings.port
    if isinstance(fault, socket.gaierror):
        return f"the server cannot listen: {host!r} is no address or name of this machine; choose one with --host"
    if fault.filename is not None:
        return f"the server cannot start: {fault.filename}: {fault.strerror}"
    match fault.errno:
        case errno.EADDRINUSE:
            return f"the server cannot listen: port {port} of {host} is taken; choose another with --port"
        case errno.EADDRNOTAVAIL:
            return f"the server cannot listen: this machine has no address {host}; choose one with --host"
        case errno.EACCES:
            return f"the server cannot listen: port {port} needs rights that this user lacks; choose one above 1023"
        case _:
            return f"the server cannot start: {fault.strerror or fault}"


def _checked_or_end(settings: Settings) -> Catalog:
    try:
        _, catalog = checked(settings)
    except InvalidConfiguration as error:
        show_faults(error, settings)
        fail("the configuration is refused; nothing was started")
    return catalog


def _put_up_notice(settings: Settings, running: Running) -> None:
    """Tells the other commands where the server is; whole from the first moment on."""
    draft = settings.data / f"server.json.{running.pid}"
    draft.write_bytes(json.dumps({"host": running.host, "port": running.port, "pid": running.pid}).encode())
    draft.replace(settings.data / "server.json")


def _welcome(settings: Settings, running: Running, catalog: Catalog, *, fresh: bool) -> None:
    """What a person needs to begin: where, with which key, and a line to paste."""
    key = first_key(settings.data)
    model = "auto" if "auto" in catalog.models else next(iter(catalog.models))
    question = json.dumps({"model": model, "messages": [{"role": "user", "content": "What is a pipeline?"}]})
    click.echo(f"Dirigent {__version__} answers at {click.style(running.address, bold=True)}")
    click.echo(f"  configuration  {settings.config_file}{' (new, with comments to read)' if fresh else ''}")
    click.echo(f"  API key        {key}  (also in {settings.data / 'first-key'})")
    click.echo(f"  sign in        {_sign_in(settings, running)}  (once, within the hour)")
    click.echo("  try it:")
    headers = f"-H 'authorization: Bearer {key}' -H 'content-type: application/json'"
    click.echo(f"curl {running.address}/v1/chat/completions {headers} -d '{question}'")


def _sign_in(settings: Settings, running: Running) -> str:
    """A link that signs the operator in, once."""
    return f"{running.address}{LINK_PATH}?token={new_link(settings.data, time.time())}"


def _withdraw(settings: Settings) -> None:
    """Takes the notice down, unless another server has put up its own by now."""
    notice = settings.data / "server.json"
    with suppress(OSError, ValueError):
        if json.loads(notice.read_bytes())["pid"] == os.getpid():
            notice.unlink()
