"""Questions that mean the same: which get one answer, and what never does however alike it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.messages import Message, Text
from dirigent.memory import NoEmbedder
from dirigent.policies.reuse.guards import differ
from tests.policies.test_reuse import PRINCIPAL, Room
from tests.world import request
from tools.reuse.__main__ import halves, pairs


class Alike(NoEmbedder):
    """An encoder to which all texts look the same: what is refused is refused by the guards alone."""

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        return [(1.0, 0.0)] * len(texts)


def room(*, encodes: bool = True) -> Room:
    made = Room(semantic={"threshold": 0.97})
    if encodes:
        made.world.ports = msgspec.structs.replace(made.world.ports, embedder=Alike())
    return made


def test_not_more_than_one_in_a_hundred_doubles_passes_the_guards_alone() -> None:
    labelled = [pair for topics in halves() for pair in pairs(topics)]
    doubles = [(one, other) for one, other, same in labelled if not same]

    passed = [each for each in doubles if not differ(*each)]

    assert len(labelled) >= 300
    assert len(passed) <= len(doubles) // 100, passed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how do I reset my password"),
        ("Write an email that accepts the invitation.", "Please write an email accepting the invitation."),
        ("Translate this text into French.", "Please translate this text into French."),
        ("Was bedeutet der Fehler 500?", "Bitte, was bedeutet Fehler 500?"),
    ],
)
async def test_only_the_form_of_a_question_may_differ(one: str, other: str) -> None:
    here = room()

    assert await here.text(one) == await here.text(other) == "answer 1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pay 100 euros to Ada.", "Pay 1000 euros to Ada."),
        ("Pay 100 euros to Ada.", "Pay 100 euros to Bob."),
        ("Pay 100 euros to Ada.", "Pay 100 dollars to Ada."),
        ("May I pay Ada?", "May I not pay Ada?"),
        ("Can I replace butter with oil?", "Can I replace oil with butter?"),
        ("Wie schalte ich das Gerät ein?", "Wie schalte ich das Gerät aus?"),
        ("Darf ich das löschen?", "Muss ich das löschen?"),
        ("What does GmbH mean?", "Was heißt GmbH?"),
    ],
)
async def test_what_an_answer_turns_on_may_not(one: str, other: str) -> None:
    here = room()

    assert [await here.text(one), await here.text(other)] == ["answer 1", "answer 2"]


async def test_all_else_of_the_request_must_be_equal() -> None:
    here, asked = room(), "Please translate this text into French."
    told = (Message("system", (Text("Be brief."),)),)

    said = [
        await here.text("Translate this text into French."),
        await here.text(request(asked, temperature=0.7)),
        await here.text(request(asked, said=told)),
        await here.text(request(asked), here.run(PRINCIPAL, "contracts")),
        await here.text(asked),
    ]

    assert said == ["answer 1", "answer 2", "answer 3", "answer 4", "answer 1"]


async def test_without_the_encoder_equal_requests_are_still_known() -> None:
    here = room(encodes=False)
    with pytest.raises(Unavailable):
        await here.world.ports.embedder.encode(["x"])

    said = [await here.text(each) for each in ("Translate it.", "Please translate it.", "Translate it.")]

    assert said == ["answer 1", "answer 2", "answer 1"]
