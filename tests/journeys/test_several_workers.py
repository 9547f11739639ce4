"""A node of two workers: both answer on one port, share one local model, and a killed one is replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.node import Node, node
from tests.journeys.test_stopping import children
from tests.journeys.weights import give_weights
from tests.local.workbench import alive
from tests.postgres import a_database

WORKER = "dirigent\0worker"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Two workers on the starter configuration."""
    data = tmp_path_factory.mktemp("pair") / "data"
    give_weights(data)
    with node(data, workers=2) as one:
        one.until(lambda: len(answering(one)) == 2)
        yield one


def test_both_workers_answer_on_the_same_port(pair: Node) -> None:
    assert len(answering(pair)) == 2
    assert {pair.chat(max_tokens=2).status for _ in range(6)} == {200}


def test_they_share_one_process_of_the_local_model(pair: Node) -> None:
    assert pair.chat(max_tokens=2).status == 200

    assert len(children(pair.process.pid, "dirigent.local.process")) == 1


def test_a_hup_reaches_every_worker(pair: Node) -> None:
    pair.signal(signal.SIGHUP)

    pair.until(lambda: pair.log.count("nothing is new") == 2)


def test_a_killed_worker_is_replaced_and_the_other_answers_meanwhile(pair: Node) -> None:
    first, second = sorted(children(pair.process.pid, WORKER))
    os.kill(first, signal.SIGKILL)
    pair.until(lambda: not alive(first))

    meanwhile = [pair.call("GET", "/health/live", key=None).status for _ in range(10)]
    pair.until(lambda: len(answering(pair)) == 2)

    assert set(meanwhile) == {200}
    assert first not in children(pair.process.pid, WORKER)
    assert second in children(pair.process.pid, WORKER)
    assert "another takes its place" in pair.log


def test_when_the_keeper_of_the_local_model_dies_the_other_worker_takes_it_over(pair: Node) -> None:
    (model,) = children(pair.process.pid, "dirigent.local.process")
    keeper = int(Path("/proc", str(model), "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
    os.kill(keeper, signal.SIGKILL)
    pair.until(lambda: not alive(model))

    assert {pair.chat(max_tokens=2).status for _ in range(4)} == {200}
    assert len(children(pair.process.pid, "dirigent.local.process")) == 1


def test_a_worker_that_cannot_start_over_a_bad_file_leaves_the_others_in_peace(data: Path) -> None:
    with node(data, "models:\n  auto: {type: echo}\n", workers=2) as one:
        one.until(lambda: len(answering(one)) == 2)
        one.write("models: [")
        one.until(lambda: one.log.count("is refused and") == 2)
        first, second = sorted(children(one.process.pid, WORKER))
        os.kill(first, signal.SIGKILL)
        one.until(lambda: one.log.count("another takes its place") >= 3)

        assert one.chat().status == 200
        assert alive(second)

        one.write("models:\n  auto: {type: echo, says: mended}\n")
        one.until(lambda: len(answering(one)) == 2)


def test_workers_leave_in_order_when_their_parent_is_killed(data: Path) -> None:
    with node(data, "models:\n  auto: {type: echo}\n", workers=2) as one:
        one.until(lambda: len(answering(one)) == 2)
        workers = children(one.process.pid, WORKER)
        one.signal(signal.SIGKILL)
        one.process.wait()

        one.until(lambda: not any(alive(worker) for worker in workers))


def test_stopping_the_node_stops_its_workers(data: Path) -> None:
    with node(data, "models:\n  auto: {type: echo}\n", workers=2) as one:
        one.until(lambda: len(answering(one)) == 2)
        workers = children(one.process.pid, WORKER)

        assert one.stop() == 0
        assert not any(alive(worker) for worker in workers)
        assert not (data / "server.json").exists()


def answering(one: Node) -> set[int]:
    """The workers that answer: those that listen for the signal to reload, which comes last before they do."""
    found = set()
    for worker in children(one.process.pid, WORKER):
        try:
            status = Path("/proc", str(worker), "status").read_text(encoding="ascii")
        except OSError:
            continue  # it ended while we looked
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught, 16) >> (signal.SIGHUP - 1) & 1:
            found.add(worker)
    return found


@pytest.mark.parametrize("shared", [False, True], ids=["sqlite", "postgresql"])
def test_a_key_is_known_to_every_worker_when_its_issue_is_answered(
    data: Path,
    shared: bool,  # noqa: FBT001
    request: pytest.FixtureRequest,
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(a_database(request.getfixturevalue("postgres"))) if shared else ""
        environment = {"DIRIGENT_DATABASE": url} if shared else {}
        config = "models:\n  auto: {type: echo}\n"
        one = stack.enter_context(node(data, config, workers=2, environment=environment))
        one.until(lambda: len(answering(one)) == 2)
        operator = (data / "operator-key").read_text(encoding="utf-8").strip()
        statuses = []
        for _ in range(20):
            issued = one.call("POST", "/api/v1/keys/issue", {}, key=operator).json
            # each call has a connection of its own, so it is a matter of chance which worker has it
            statuses += [one.call("GET", "/v1/models", key=issued["key"]).status for _ in range(3)]

    assert set(statuses) == {200}
