"""Settings of a node: from flags, then `DIRIGENT_*` variables, then defaults. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote

import msgspec

from dirigent.core.ports import Secret

__all__ = [
    "MOST_WORKERS",
    "EnvironmentSecrets",
    "Proxies",
    "Reach",
    "Settings",
    "Traces",
    "environment",
    "proxies",
    "traces",
]

PREFIX = "DIRIGENT_"
MOST_WORKERS = 256
_LONGEST = 3600.0
Reach = Literal["off", "public", "any"]
Engine = Literal["embedded", "dbos"]
_BOUNDS = {"port": (0, 65_535), "workers": (1, MOST_WORKERS)}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node listens and keeps its things."""

    host: str = "127.0.0.1"
    """The address to listen on; the default answers this machine alone."""
    port: int = 8484
    """The port to listen on; 0 takes a free one."""
    data: Path = Path(".dirigent")
    """The data folder: configuration, first key, weights, logs."""
    config: Path | None = None
    """The configuration file; without one, `dirigent.yaml` in the data folder."""
    keep_alive: float = 10.0
    """Seconds without a word after which a stream is begun and kept alive by pings; 0 leaves it silent."""
    patience: float = 60.0
    """Seconds for which a caller waits for the whole answer of a durable run before it is told where to look."""
    engine: Engine = "embedded"
    """Who hands out durable runs: each worker takes what is ready, or `dbos` on PostgreSQL, with the extra `scale`."""
    workers: int = 1
    """Processes that answer on the same port."""
    ca_file: Path | None = None
    """Further certificate authorities to trust when calling providers."""
    fetch: Reach = "public"
    """From where what callers name is fetched: from nowhere, the internet, or private networks too."""
    notify: Reach = "public"
    """Where alerts may be sent by webhook: nowhere, into the internet, or into private networks too."""
    database: str | None = None
    """The address of the PostgreSQL that this node shares with others; without one, SQLite in the data folder."""
    models: tuple[Path, ...] = ()
    """Further folders to look for weights in."""
    public_url: str | None = None
    """The address under which people reach this installation, for the links in letters; without one, the node's own."""
    hub: str | None = None
    """A model hub to fetch weights from: an address with `{repository}` and `{file}` in it."""

    @property
    def config_file(self) -> Path:
        """The configuration file that counts."""
        return self.config if self.config is not None else self.data / "dirigent.yaml"


class Proxies(msgspec.Struct, frozen=True):
    """The proxies that the operator's environment asks for."""

    http: str | None = None
    https: str | None = None
    exempt: str = ""
    """Hosts and domains, parted by commas, that are reached without a proxy; `*` for all."""


def environment(flags: Mapping[str, object]) -> Settings:
    """Settings from flags (None where a flag was not given), then `DIRIGENT_*` variables, then defaults.

    Raises ValueError that names the variable where its value cannot be read.
    """
    values = {name: value for name, value in flags.items() if value is not None}
    for field in msgspec.structs.fields(Settings):
        variable = PREFIX + field.name.upper()
        text = os.environ.get(variable)
        if field.name in values or not text:
            continue
        values[field.name] = _read(field.name, variable, text)
    return Settings(**values)  # type: ignore[arg-type]  # each value was read for its field above, or by the command line


def _read(name: str, variable: str, text: str) -> object:
    if name in _BOUNDS:
        least, most = _BOUNDS[name]
        if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
            raise ValueError(f"{variable} is {text!r}, not a whole number from {least} to {most}")
        return int(text)
    if name in ("keep_alive", "patience"):
        return _seconds(variable, text)
    if name in {"fetch", "notify"}:
        if text not in get_args(Reach):
            raise ValueError(f"{variable} is {text!r}, not one of {', '.join(get_args(Reach))}")
        return text
    if name == "engine":
        if text not in get_args(Engine):
            raise ValueError(f"{variable} is {text!r}, not one of {', '.join(get_args(Engine))}")
        return text
    if name == "models":
        return tuple(Path(part) for part in text.split(os.pathsep) if part)
    return Path(text) if name in ("data", "config", "ca_file") else text


def _seconds(variable: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{variable} is {text!r}, not a number of seconds from 0 to {_LONGEST:g}")
    return seconds


def proxies() -> Proxies:
    """The proxies of the environment, in either spelling."""

    def of(name: str) -> str | None:
        return os.environ.get(name.lower()) or os.environ.get(name.upper()) or None

    return Proxies(of("http_proxy"), of("https_proxy"), of("no_proxy") or "")


class Traces(msgspec.Struct, frozen=True):
    """Where traces are to be sent, as OpenTelemetry's own variables say."""

    endpoint: str
    headers: Mapping[str, str]
    service: str

    def __repr__(self) -> str:
        return f"Traces(endpoint={self.endpoint!r})"


def traces() -> Traces | None:
    """Where `OTEL_EXPORTER_OTLP_ENDPOINT`, or that for traces alone, leads; None where nobody asked for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if not endpoint and not base:
        return None
    given = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = (part.partition("=") for part in given.split(",") if "=" in part)
    return Traces(
        endpoint or f"{base.rstrip('/')}/v1/traces",
        {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs},
        os.environ.get("OTEL_SERVICE_NAME", "").strip() or "dirigent",
    )


class EnvironmentSecrets:
    """Credentials from variables, kept until `forget`, and from files, read anew whenever one of them has changed."""

    def __init__(self) -> None:
        self._known: dict[Secret, tuple[object, str | None]] = {}

    def reveal(self, secret: Secret) -> str | None:
        """The credential without surrounding white space; None where it is missing, empty or unreadable."""
        stamp = _stamp(secret)
        known = self._known.get(secret)
        if known is None or known[0] != stamp:
            known = self._known[secret] = (stamp, _revealed(secret))
        return known[1]

    def forget(self) -> None:
        """Reads anew from now on: a reload of the configuration also takes rotated credentials."""
        self._known.clear()


def _stamp(secret: Secret) -> tuple[int, int, int] | None:
    """What changes when the file of a credential is written or replaced."""
    if secret.file is None:
        return None
    try:
        status = Path(secret.file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _revealed(secret: Secret) -> str | None:
    if secret.env is not None:
        return os.environ.get(secret.env, "").strip() or None
    if secret.file is None:
        return None
    try:
        return Path(secret.file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
