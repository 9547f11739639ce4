"""The domain strategy: who is asked for which subject, when the encoder is asked, and what the decision says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from dirigent.core.catalog import Catalog
from dirigent.core.errors import Unavailable
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Request, Text
from dirigent.core.ports import Embedder, Ports
from dirigent.core.registry import Reader, Registry
from dirigent.core.run import Run
from dirigent.core.subjects import Reading, Tier
from dirigent.local.embedder import LocalEmbedder
from dirigent.local.encoder import Encoder
from dirigent.memory import (
    MemoryAffinity,
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemorySlots,
    MemoryVitals,
    NoLocalModels,
    NoSpeech,
)
from dirigent.models.strategies.domain import Domain, spoken
from dirigent.models.strategies.strategy import Question, Strategy
from dirigent.net.client import HttpClient

CANDIDATES = ("tiny", "lawyer", "coder")
ROUTES = Domain(subjects={"law": "lawyer", "technology": "coder"}, otherwise="tiny")


class Scripted:
    """An embedder that says of every text what it was told to say."""

    def __init__(self, static: Mapping[str, float], encoder: Mapping[str, float] | None = None) -> None:
        self.static, self.encoder = static, encoder
        self.subjects_asked: list[Mapping[str, Sequence[str]]] = []
        self.reread_in: list[str] = []

    def vector(self, text: str) -> Sequence[float]:
        return ()

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        raise Unavailable("this embedder only reads subjects")

    def subjects(self, examples: Mapping[str, Sequence[str]]) -> ScriptedReader:
        self.subjects_asked.append(examples)
        return ScriptedReader(self)


class ScriptedReader:
    """The reader of a scripted embedder."""

    def __init__(self, script: Scripted) -> None:
        self.script = script
        self.subjects = tuple(script.static)

    def read(self, text: str) -> Reading:
        return told(self.script.static, "static")

    async def reread(self, text: str, patience: float, scope: str = "") -> Reading:
        self.script.reread_in.append(scope)
        if self.script.encoder is None:
            raise Unavailable("the encoder is loading")
        return told(self.script.encoder, "encoder")


def told(scores: Mapping[str, float], tier: Tier) -> Reading:
    """These scores as a reading."""
    best = max(scores, key=lambda name: scores[name])
    return Reading(best, scores[best], scores, tier)


def asked(embedder: Embedder, *said: str, candidates: Sequence[str] = CANDIDATES) -> Question:
    """A question with these messages of the user."""
    vitals = MemoryVitals()
    ports = Ports(
        HttpClient(),
        NoLocalModels(),
        embedder,
        NoSpeech(),
        MemoryListings(),
        vitals,
        MemorySlots(),
        MemoryAffinity(),
        MemorySecrets(),
        MemoryObserver(),
    )
    run = Run(
        id="r1", model="auto", catalog=Catalog("r", {}, {}, {}), ports=ports,
        principal=Principal("acme", "default", "k1"), seconds=10,
    )  # fmt: skip
    messages = (Message("system", (Text("Be brief."),)), *(Message("user", (Text(text),)) for text in said))
    return Question(Request(model="auto", messages=messages), run, candidates)


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        ("Ist diese Klausel im Mietvertrag nach BGB wirksam?", "lawyer"),
        ("Review the indemnity clause in this contract", "lawyer"),
        ("Schreibe eine Python-Funktion mit Unit-Tests", "coder"),
        ("The Kubernetes pod crashes with a Java exception", "coder"),
        ("Was soll ich heute Abend kochen?", "tiny"),
    ],
)
async def test_a_text_goes_to_the_candidate_of_its_subject(text: str, candidate: str) -> None:
    ranking = await ROUTES.order(asked(LocalEmbedder(Encoder(None)), text))

    assert ranking.order[0] == candidate
    assert sorted(ranking.order) == sorted(CANDIDATES)


async def test_a_sure_word_table_is_not_doubted() -> None:
    embedder = Scripted({"law": 0.8, "general": 0.2}, {"technology": 1.0})

    ranking = await ROUTES.order(asked(embedder, "text"))

    assert ranking.order[0] == "lawyer"
    assert ranking.reason == "the subject is law (80% by the word table), which goes to lawyer"
    assert embedder.reread_in == []


async def test_an_unsure_word_table_gives_way_to_the_encoder() -> None:
    embedder = Scripted({"law": 0.5, "technology": 0.4, "general": 0.1}, {"technology": 0.9, "law": 0.1})

    ranking = await ROUTES.order(asked(embedder, "text"))

    assert ranking.order == ("coder", "lawyer", "tiny")
    assert ranking.details["tier"] == "encoder"
    assert ranking.details["static"]["subject"] == "law"
    assert embedder.reread_in == ["acme"], "what is remembered stays within the tenant"


async def test_where_the_encoder_cannot_answer_the_word_table_stands_and_the_decision_says_why() -> None:
    ranking = await ROUTES.order(asked(Scripted({"law": 0.5, "general": 0.3, "technology": 0.2}), "text"))

    assert ranking.order[0] == "lawyer"
    assert ranking.details["encoder"] == "the encoder is loading"
    assert ranking.details["tier"] == "static"


async def test_an_encoder_that_is_switched_off_is_never_asked() -> None:
    embedder = Scripted({"law": 0.4, "technology": 0.35, "general": 0.25}, {"technology": 1.0})
    routes = Domain(subjects={"law": "lawyer", "technology": "coder"}, otherwise="tiny", encoder=False)

    ranking = await routes.order(asked(embedder, "text"))

    assert ranking.order[0] == "lawyer"
    assert embedder.reread_in == []


async def test_doubt_between_subjects_of_one_candidate_is_no_doubt() -> None:
    embedder = Scripted({"law": 0.4, "finance": 0.38, "general": 0.22}, {"general": 1.0})
    routes = Domain(subjects={"law": "lawyer", "finance": "lawyer"}, otherwise="tiny")

    ranking = await routes.order(asked(embedder, "text", candidates=("tiny", "lawyer")))

    assert ranking.order == ("lawyer", "tiny")
    assert embedder.reread_in == []


async def test_several_likely_subjects_of_one_candidate_outweigh_the_likeliest() -> None:
    embedder = Scripted({"technology": 0.4, "law": 0.35, "finance": 0.25})
    routes = Domain(subjects={"law": "lawyer", "finance": "lawyer", "technology": "coder"}, otherwise="tiny")

    ranking = await routes.order(asked(embedder, "text"))

    assert ranking.order == ("lawyer", "coder", "tiny")
    assert "together likelier (60%)" in ranking.reason


async def test_where_the_candidate_of_the_subject_is_ruled_out_the_next_likely_one_is_asked() -> None:
    embedder = Scripted({"law": 0.7, "technology": 0.2, "general": 0.1})

    ranking = await ROUTES.order(asked(embedder, "text", candidates=("tiny", "coder")))

    assert ranking.order == ("coder", "tiny")
    assert "lawyer cannot take this request" in ranking.reason


async def test_an_operators_own_subject_is_routed() -> None:
    examples = {"pets": ("My cat does not eat", "Der Hund bellt die Katze an", "Which food for a rabbit or a hamster?")}
    routes = Domain(subjects={"pets": "coder"}, otherwise="tiny", examples=examples)

    ranking = await routes.order(asked(LocalEmbedder(Encoder(None)), "Was frisst ein Hamster, und was die Katze?"))

    assert ranking.order[0] == "coder"


async def test_a_short_last_message_is_read_with_those_before_it() -> None:
    embedder = LocalEmbedder(Encoder(None))

    ranking = await ROUTES.order(asked(embedder, "Prüfe die Haftungsklausel im Vertrag mit der GmbH", "kürzer bitte"))

    assert ranking.order[0] == "lawyer"


def test_a_long_last_message_speaks_for_itself() -> None:
    question = asked(Scripted({"law": 1.0}), "an older message", "a long message " * 20)

    assert spoken(question.request) == "a long message " * 20


def test_every_fault_of_the_settings_is_found_with_its_place() -> None:
    strange = Domain(
        subjects={"lwa": "lawyer", "technology": "codr"}, otherwise="nobody", examples={"pets": ("one", "two", " ")}
    )

    found = {finding.path: finding.message for finding in strange.faults(CANDIDATES)}

    assert "did you mean 'law'?" in found["subjects", "lwa"]
    assert found["subjects", "technology"] == "'codr' is not one of the candidates; did you mean 'coder'?"
    assert found["otherwise",] == "'nobody' is not one of the candidates"
    assert found["examples", "pets"].startswith("needs 3 sentences")


def test_settings_without_a_fault_have_none() -> None:
    assert list(ROUTES.faults(CANDIDATES)) == []


def test_the_settings_read_as_they_are_documented() -> None:
    raw = {
        "type": "domain", "subjects": {"law": "lawyer", "steuern": "coder"}, "otherwise": "tiny", "unsure_below": 0.5,
        "encoder": False, "examples": {"steuern": ["Wann ist die Erklärung fällig?", "Umsatzsteuer?", "VAT?"]},
    }  # fmt: skip

    strategy, findings = Reader([Registry(Strategy, [Domain])]).read(Strategy, raw, ())

    assert findings == []
    assert isinstance(strategy, Domain)
    assert strategy.examples["steuern"][1] == "Umsatzsteuer?"
