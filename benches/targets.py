"""What is measured: Dirigent in its forms, each a configuration and a program, beside nginx and other gateways."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tools.compile.sources import fresh

__all__ = ["COMPILED", "DIRECT", "NGINX", "OURS", "PEERS", "PLAIN", "ROUTED", "UPSTREAM_PORT", "Target", "written"]

DIRECT, NGINX = "direct", "nginx"
"""No gateway at all; a plain `proxy_pass` with keep-alive. Both are the harness's own."""
PLAIN, COMPILED, ROUTED = "dirigent", "dirigent, compiled", "dirigent, routed"
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
    return data


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


OURS = {
    target.name: target
    for target in (
        Target(PLAIN, 7900, _deployments()),
        Target(ROUTED, 7901, _routers()),
        Target(COMPILED, 7902, _deployments(), fresh, "no build of these sources is here; `make compile` makes one"),
    )
}
"""Every form of Dirigent. One with all policies on is another line here and another configuration above."""
