"""What is measured: Dirigent in its forms, each a configuration and a program, beside nginx and other gateways."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import NamedTuple

from sqlalchemy import Connection

from dirigent.core.allowances import Allowance, Level
from dirigent.core.purposes import GENERAL
from dirigent.gateway.auth import digest
from dirigent.store import Database, upgrade
from dirigent.store.allowances import keep_allowance
from dirigent.store.beginning import DEFAULT, FIRST, OPERATOR, bootstrap
from dirigent.store.pulse import bump
from dirigent.store.rights import TOPIC
from tools.compile.sources import fresh

__all__ = [
    "COMPILED",
    "DIRECT",
    "GOVERNED",
    "GOVERNED_COMPILED",
    "NGINX",
    "OURS",
    "PEERS",
    "PLAIN",
    "ROUTED",
    "UPSTREAM_PORT",
    "Target",
    "written",
]

DIRECT, NGINX = "direct", "nginx"
"""No gateway at all; a plain `proxy_pass` with keep-alive. Both are the harness's own."""
PLAIN, COMPILED, ROUTED = "dirigent", "dirigent, compiled", "dirigent, routed"
GOVERNED, GOVERNED_COMPILED = "dirigent, governed", "dirigent, governed, compiled"
"""With a budget at each of five levels and three limits on the key, all of them counted for each request."""
UPSTREAM_PORT = 9001
"""Where every target of the harness expects its upstream."""
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1")
"""The names that the harness asks for."""
PEERS = {
    "haproxy": "haproxy",
    "vllm_router": "vLLM router",
    "tensorzero": "TensorZero",
    "ferro": "Ferro",
    "smg": "SGLang model gateway",
    "mlflow": "MLflow",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
}
"""Gateways that the harness knows how to install and to start, and what they are called."""
_PRICE = "price: {input: 0.15, output: 0.60}"
_PROVIDER = f'providers:\n  up: {{type: compatible, base_url: "http://127.0.0.1:{UPSTREAM_PORT}/v1"}}\n'


class Target(NamedTuple):
    """One form of Dirigent: another configuration, or another build, is another target."""

    name: str
    port: int
    config: str
    """Its `dirigent.yaml`."""
    program: Callable[[], Path | None] = lambda: Path(sys.executable).with_name("dirigent")
    """The program that serves, found when it is needed; None where it is not built."""
    absent: str = ""
    """What to do where it is not built."""
    allowances: tuple[Allowance, ...] = ()
    """The budgets and limits that each request is held against."""

    @property
    def file(self) -> str:
        """Its name as part of a file's."""
        return self.name.replace(", ", "-")

    def data(self, perf: Path) -> Path:
        """Its data folder below the folder for all that is measured."""
        return perf / "run" / self.file

    def command(self, perf: Path) -> list[str]:
        """How it is started. Raises LookupError where it is not built."""
        program = self.program()
        if program is None:
            raise LookupError(self.absent)
        return [str(program), "serve", "--data", str(self.data(perf)), "--port", str(self.port)]


def written(target: Target, perf: Path, key: str) -> Path:
    """The target's data folder, made anew, with its key and its configuration."""
    data = target.data(perf)
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    (data / "first-key").write_text(key + "\n", encoding="utf-8")
    (data / "dirigent.yaml").write_text(target.config, encoding="utf-8")
    if target.allowances:
        _allow(data, key, target.allowances)
    return data


def _allow(data: Path, key: str, allowances: tuple[Allowance, ...]) -> None:
    """Writes the allowances into the store of a node that has not started yet."""
    database, now = Database.within(data), int(time() * 1000)

    def work(connection: Connection) -> None:
        bootstrap(connection, digest(key.encode()), now, key[:7])
        changed = bump(connection, TOPIC)
        for allowance in allowances:
            keep_allowance(connection, allowance, now, changed)

    upgrade(database)
    database.write(work)
    database.close()


def _deployments() -> str:
    """One priced deployment for each name that the harness asks for."""
    lines = [f"  {name}: {{type: deployment, provider: up, name: {name}, {_PRICE}}}\n" for name in MODELS]
    return f"{_PROVIDER}models:\n{''.join(lines)}"


def _routers() -> str:
    """A router by complexity for each of these names, with two priced deployments behind it."""
    lines = []
    for name in MODELS:
        tiers = [f"{name}-{tier}" for tier in ("weak", "strong")]
        lines += [f"  {tier}: {{type: deployment, provider: up, name: {name}, {_PRICE}}}\n" for tier in tiers]
        lines.append(f"  {name}: {{type: router, candidates: [{', '.join(tiers)}], strategy: {{type: complexity}}}}\n")
    return f"{_PROVIDER}models:\n{''.join(lines)}"


_LEVELS: tuple[tuple[Level, str], ...] = (
    ("tenant", DEFAULT),
    ("project", DEFAULT),
    ("purpose", GENERAL),
    ("member", OPERATOR),
    ("key", FIRST),
)
_MOST = 10**15
"""More than a run of the benchmark can use up: what is measured is the counting, not the refusal."""
_ALLOWANCES = (
    *(Allowance(f"budget-{level}", level, of, "money", _MOST, "month", currency="USD") for level, of in _LEVELS),
    Allowance("limit-requests", "key", FIRST, "requests", _MOST, "minute"),
    Allowance("limit-tokens", "key", FIRST, "tokens", _MOST, "minute"),
    Allowance("limit-calls", "key", FIRST, "calls", 10**6),
)
_UNBUILT = "no build of these sources is here; `make compile` makes one"
OURS = {
    target.name: target
    for target in (
        Target(PLAIN, 7900, _deployments()),
        Target(ROUTED, 7901, _routers()),
        Target(COMPILED, 7902, _deployments(), fresh, _UNBUILT),
        Target(GOVERNED, 7903, _deployments(), allowances=_ALLOWANCES),
        Target(GOVERNED_COMPILED, 7904, _deployments(), fresh, _UNBUILT, _ALLOWANCES),
    )
}
"""Every form of Dirigent."""
