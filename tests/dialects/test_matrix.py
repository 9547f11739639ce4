"""Every dialect asked, sent, answered and told in every other, feature by feature, as the golden cells have it.

`sent` has what a provider of one dialect gets for a caller of another, `told` what a caller of one dialect gets of the
answer of another. Each cell was read by a person; `python -m tests.dialects.matrix.write` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from dirigent.dialects import DIALECTS as ALL
from tests.dialects.matrix.judges import assert_answer, assert_error, assert_event, assert_sendable
from tests.dialects.matrix.sending import asked, body_of, sent
from tests.dialects.matrix.spoken import DIALECTS, NAMES, kept
from tests.dialects.matrix.telling import told, told_stream
from tests.dialects.matrix.write import features

ASKED = [
    (inbound, feature, outbound) for inbound in NAMES for feature in features("asked", inbound) for outbound in NAMES
]
TOLD = [
    (outbound, feature, inbound)
    for outbound in NAMES
    for feature in features("answered", outbound)
    for inbound in NAMES
]
every_asked = pytest.mark.parametrize(("inbound", "feature", "outbound"), ASKED, ids=map("-".join, ASKED))
every_told = pytest.mark.parametrize(("outbound", "feature", "inbound"), TOLD, ids=map("-".join, TOLD))


@cache
def golden(folder: str, name: str) -> dict[str, Any]:
    return kept(folder, name)


def test_the_matrix_has_every_dialect_that_holds_conversations() -> None:
    conversing = {kind.name for kind in ALL.kinds.values() if kind.task == "chat"}

    assert set(NAMES) == conversing


@pytest.mark.parametrize(("given", "written"), [("asked", "sent"), ("answered", "told")])
def test_each_dialect_has_every_feature_or_says_why_not_and_no_cell_is_missing(given: str, written: str) -> None:
    known = {feature for name in NAMES for feature in golden(given, name)}

    for name in NAMES:
        assert golden(given, name).keys() == known, name
        assert list(golden(written, name)) == features(given, name), name
        assert {tuple(row) for row in golden(written, name).values()} == {NAMES}, name


@every_asked
def test_what_a_provider_is_sent_is_what_the_golden_cell_says(inbound: str, feature: str, outbound: str) -> None:
    assert sent(inbound, feature, outbound) == golden("sent", inbound)[feature][outbound]


@every_asked
def test_what_a_provider_is_sent_is_what_its_own_sdk_would_send(inbound: str, feature: str, outbound: str) -> None:
    cell = golden("sent", inbound)[feature][outbound]
    if "refused" in cell:
        assert inbound != outbound  # nobody is refused his own words
        return

    assert_sendable(outbound, cell["body"])
    assert_sendable(outbound, cell["body"] | cell.get("streamed_adds", {}))


@pytest.mark.parametrize("name", NAMES)
def test_between_speakers_of_one_dialect_every_word_goes_through(name: str) -> None:
    spoken = DIALECTS[name]

    for feature in features("asked", name):
        for stream in (False, True):
            body = msgspec.json.decode(body_of(name, feature, stream=stream)[0])
            wire = asked(name, feature, stream=stream).wire
            assert wire is not None
            spliced = msgspec.json.decode(spoken.dialect.splice(wire, spoken.deployment, report_usage=False))
            if feature != "foreign_seals":  # those only go back to their issuer
                assert spliced == body | ({"model": spoken.deployment} if "model" in body else {}), feature


@every_told
def test_what_a_caller_is_told_is_what_the_golden_cell_says(outbound: str, feature: str, inbound: str) -> None:
    assert told(outbound, feature, inbound) == golden("told", outbound)[feature][inbound]


@every_told
def test_what_a_caller_is_told_is_understood_by_the_sdk_of_that_dialect(
    outbound: str, feature: str, inbound: str
) -> None:
    cell = golden("told", outbound)[feature][inbound]

    for body in _whole(cell, inbound):
        assert_answer(inbound, body)
    for event in _events(cell, outbound, feature, inbound):
        assert_event(inbound, event)
    if "error" in cell:
        assert_error(inbound, cell["error"]["body"])


def _whole(cell: dict[str, Any], inbound: str) -> Iterator[dict[str, Any]]:
    if "whole" in cell and "unreadable" not in cell["whole"]:
        yield cell["whole"] | _took(inbound)


def _events(cell: dict[str, Any], outbound: str, feature: str, inbound: str) -> Iterator[dict[str, Any]]:
    """The events of a stream but for what says that it broke off, which SDKs treat as an error."""
    events = told_stream(outbound, feature, inbound)[0] if "stream" in cell else []
    for event in events[: -1 if "failure" in cell else None]:
        yield {key: value | _took(inbound) if key == "metadata" else value for key, value in event.items()}


def _took(inbound: str) -> dict[str, Any]:
    """How long it took, which the golden cells leave out."""
    return {"metrics": {"latencyMs": 1}} if inbound == "bedrock_converse" else {}


@every_told
def test_a_stream_that_broke_off_never_looks_complete(outbound: str, feature: str, inbound: str) -> None:
    cell = golden("told", outbound)[feature][inbound]
    ends = {"response.completed", "message_stop", "metadata", "usage"}

    broken = "failure" in cell

    assert broken == (feature == "broken")
    if broken:
        assert not any(word.split(" ")[0] in ends or "->" in word for word in cell["stream"])
        assert any(word in cell["stream"][-1] for word in ("error", "failed", "Exception"))
