"""What is measured can be started, and what cannot be is left out with a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benches import soak, workers
from benches.harness import known_peers
from benches.native import Missing
from benches.targets import OURS, PEERS, Target, written
from tests.journeys.node import clean_environment


@pytest.mark.parametrize(
    ("name", "config"),
    [*((target.name, target.config) for target in OURS.values()), ("soak", soak.CONFIG), ("workers", workers.CONFIG)],
)
def test_every_configuration_that_is_measured_is_a_valid_one(name: str, config: str, tmp_path: Path) -> None:
    data = written(Target(name, 1, config), tmp_path, "key")

    told = subprocess.run(
        [sys.executable, "-m", "dirigent", "check", "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_no_two_targets_share_a_port_or_a_folder() -> None:
    assert len({target.port for target in OURS.values()}) == len({target.file for target in OURS.values()}) == len(OURS)


def test_a_target_that_is_not_built_says_what_to_do() -> None:
    unbuilt = Target("dirigent, unbuilt", 1, "", lambda: None, "`make it` makes one")

    with pytest.raises(LookupError, match="make it"):
        unbuilt.command(Path("/nowhere"))


def test_peers_are_named_as_the_harness_names_them_and_others_are_refused_with_the_list() -> None:
    assert known_peers("") == ()
    assert known_peers("litellm,ferro") == ("litellm", "ferro")
    assert known_peers("all") == tuple(PEERS)
    with pytest.raises(Missing, match=r"litelm.*vllm_router"):
        known_peers("litelm")
