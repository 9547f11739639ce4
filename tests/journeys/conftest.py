"""Nodes that several stories share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.node import Node, node
from tests.journeys.weights import give_weights


@pytest.fixture(scope="package")
def local_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A fresh node on its starter configuration, with the real small model: what `make run` gives without a network."""
    data = tmp_path_factory.mktemp("local") / "data"
    give_weights(data)
    with node(data) as one:
        yield one


@pytest.fixture(scope="package")
def echo_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose models only echo; no story that shares it changes its configuration."""
    config = """\
        models:
          echo: {type: echo}
          slow: {type: echo, says: "one two three four five six seven eight nine ten", pause: 0.1}
          broken: {type: echo, fails: true}
          auto: {type: router, candidates: [broken, echo]}
          hopeless: {type: router, candidates: [broken]}
        """
    with node(tmp_path_factory.mktemp("echo") / "data", config) as one:
        yield one


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
