"""Runs in flight end on the revision with which they began, whatever is published, rolled back or started anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.journeys.node import Node, node
from tests.proofs.fleet import ordered

CONFIG = """\
    models:
      writer: {{type: echo}}
      quote:
        type: pipeline
        durable: true
        steps:
          - {{type: prompt, name: before, model: writer, prompt: "{version} before {{{{ input.text }}}}"}}
          - {{type: approve, name: release, title: "Go on?", proposal: "{{{{ before }}}}"}}
          - {{type: prompt, name: after, model: writer, prompt: "{version} after"}}
        result: "{{{{ before }}}}, {{{{ after }}}}"
    """
OLD, NEW = CONFIG.format(version="old"), CONFIG.format(version="new")


def ask(one: Node, run: int, *, wait: str) -> tuple[int, str]:
    """What a caller gets who asks with the key of this run: the same run, whenever it is asked."""
    answer = one.call(
        "POST",
        "/v1/chat/completions",
        {"model": "quote", "messages": [{"role": "user", "content": f"customer {run}"}]},
        {"idempotency-key": f"pinned-{run}", "prefer": wait},
    )
    return answer.status, answer.json["choices"][0]["message"]["content"] if answer.status == 200 else ""


def asked(one: Node) -> Any:
    """The questions that are open."""
    key = (one.data / "operator-key").read_text(encoding="ascii").strip()
    return one.call("GET", "/api/v1/approvals/list?limit=50", key=key).json


def release_all(one: Node) -> int:
    """Approves whatever is asked, until nothing is; how many that were."""
    released = 0
    while found := asked(one)["approvals"]:
        for each in found:
            ordered(one, "approvals.decide", id=each["id"], decision="approve", version=1)
            released += 1
    return released


def flown(data: Path, many: int) -> None:
    """Begins runs before and after a publication and a rollback, kills the node, and lets all of them go on."""
    third = many // 3
    with node(data, OLD) as one:
        first = one.revision
        for run in range(third):
            assert ask(one, run, wait="respond-async")[0] == 202
        one.take_over(NEW)
        for run in range(third, 2 * third):
            assert ask(one, run, wait="respond-async")[0] == 202
        ordered(one, "revisions.rollback", to=first)
        one.until(lambda: one.revision == first)
        for run in range(2 * third, many):
            assert ask(one, run, wait="respond-async")[0] == 202
        one.until(lambda: asked(one)["waiting"] == many, 120)
        one.process.kill()
        one.process.wait()
    (data / "server.json").unlink(missing_ok=True)  # that of the one who was killed

    with node(data) as one:
        released = release_all(one)
        answers = [ask(one, run, wait="wait=30") for run in range(many)]

    assert released == many
    for run, (status, text) in enumerate(answers):
        version = "new" if third <= run < 2 * third else "old"
        assert (status, text) == (200, f"{version} before customer {run}, {version} after")
    print(f"{many} runs in flight across a publication, a rollback and a kill -9: all ended on their own revision")


def test_runs_in_flight_end_on_the_revision_with_which_they_began(tmp_path: Path) -> None:
    flown(tmp_path / "data", 21)


@pytest.mark.prove
def test_a_thousand_runs_in_flight_end_on_the_revision_with_which_they_began(tmp_path: Path) -> None:
    flown(tmp_path / "data", 1_000)
