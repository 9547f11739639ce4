"""A node that the commands are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.node import Node, node

CONFIG = f"""\
    providers:
      vendor: {{type: compatible, base_url: "http://127.0.0.1:1/v1"}}
    models:
      echo:    {{type: echo, says: "Hello, you."}}
      slow:    {{type: echo, says: "one{" more" * 300}", pause: 0.2}}
      broken:  {{type: echo, fails: true}}
      premium:
        type: deployment
        provider: vendor
        name: big
        quality: 0.9
        context_window: 128000
        capabilities: [tools, images, files, json, logprobs]
        price: {{input: 2.5, output: 10}}
      a-deployment-with-a-rather-long-name: {{type: deployment, provider: vendor, name: big}}
      auto: {{type: router, candidates: [echo, premium], fallback: [broken], strategy: {{type: complexity}}}}
      hard: {{type: router, candidates: [premium]}}
    """


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running node; no test changes it."""
    with node(tmp_path_factory.mktemp("served") / "data", CONFIG) as one:
        yield one


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A data folder on which nothing runs."""
    return tmp_path / "nowhere"
