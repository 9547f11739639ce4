"""The ports in memory: how deployments are doing, and what a node without databases and models says."""

from __future__ import annotations

import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.ports import Listing, LocalSetup, Secret
from dirigent.memory import (
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemoryVitals,
    NoEmbedder,
    NoLocalModels,
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr("dirigent.memory.monotonic", one)
    return one


def test_a_deployment_that_nobody_asked_is_well_and_unmeasured() -> None:
    vitals = MemoryVitals()

    assert vitals.healthy("new")
    assert vitals.first_token("new") is None
    assert vitals.pace("new") is None


def test_three_failures_in_a_row_are_a_reason_to_rest_and_two_are_not(clock: Clock) -> None:
    vitals = MemoryVitals()

    seen = []
    for _ in range(3):
        vitals.failed("m")
        seen.append(vitals.healthy("m"))

    assert seen == [True, True, False]


def test_a_success_in_between_starts_the_count_anew(clock: Clock) -> None:
    vitals = MemoryVitals()

    for _ in range(5):
        vitals.failed("m")
        vitals.failed("m")
        vitals.succeeded("m", 0.1, 1.0, 10)

    assert vitals.healthy("m")


def test_each_further_failure_doubles_the_rest_up_to_five_minutes(clock: Clock) -> None:
    vitals = MemoryVitals()
    vitals.failed("m")
    vitals.failed("m")

    rests = []
    for _ in range(8):
        vitals.failed("m")
        began = clock.now
        while not vitals.healthy("m"):
            clock.now += 1
        rests.append(clock.now - began)

    assert rests == [10, 20, 40, 80, 160, 300, 300, 300]


def test_after_its_rest_one_success_makes_it_well_for_good(clock: Clock) -> None:
    vitals = MemoryVitals()
    for _ in range(3):
        vitals.failed("m")
    clock.now += 10

    tried = vitals.healthy("m")
    vitals.succeeded("m", 0.1, 1.0, 10)

    assert tried
    assert vitals.healthy("m")


def test_figures_move_towards_what_was_measured_lately() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 1.0, 3.0, 100)
    first = (vitals.first_token("m"), vitals.pace("m"))
    for _ in range(40):
        vitals.succeeded("m", 0.1, 1.1, 10)

    assert first == (1.0, 50.0)
    assert vitals.first_token("m") == pytest.approx(0.1, abs=0.01)
    assert vitals.pace("m") == pytest.approx(10, abs=0.1)


def test_an_answer_in_one_piece_is_paced_by_the_whole_of_its_time() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 2.0, 2.0, 100)

    assert vitals.pace("m") == 50.0


def test_an_answer_without_usage_says_nothing_about_pace() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 0.5, 2.0, None)

    assert vitals.first_token("m") == 0.5
    assert vitals.pace("m") is None


def test_the_observer_keeps_the_last_observations() -> None:
    observer = MemoryObserver(most=2)
    first, second, third = Listing(mode="a"), Listing(mode="b"), Listing(mode="c")

    for observation in (first, second, third):
        observer.observe(observation)

    assert list(observer.observed) == [second, third]


def test_secrets_and_listings_are_what_they_were_given() -> None:
    secrets = MemorySecrets({"KEY": "sk", "/run/key": "file"})
    listings = MemoryListings({("openai", "m"): Listing(mode="chat")})

    assert [secrets.reveal(one) for one in (Secret(env="KEY"), Secret(file="/run/key"), Secret(env="NO"))] == [
        "sk",
        "file",
        None,
    ]
    assert listings.find("openai", "m") == Listing(mode="chat")
    assert listings.find("openai", "m2") is None


async def test_a_node_without_models_of_its_own_says_so() -> None:
    local = NoLocalModels()

    assert local.state("tiny").phase == "absent"
    with pytest.raises(Unavailable, match="runs no embedded models"):
        await local.endpoint("tiny", LocalSetup(), 1.0)


async def test_a_node_without_embeddings_finds_every_subject_equally_likely() -> None:
    embedder = NoEmbedder()
    reader = embedder.subjects({"fishing": ["Where do I find trout?"]})

    reading = reader.read("Where do I find trout?")

    assert "fishing" in reader.subjects
    assert sum(reading.scores.values()) == pytest.approx(1)
    assert len(set(reading.scores.values())) == 1
    with pytest.raises(Unavailable):
        await embedder.encode(["x"])
    with pytest.raises(Unavailable):
        await reader.reread("x", 1.0)


def test_a_deployment_that_failed_many_thousand_times_rests_like_one_that_failed_often() -> None:
    vitals = MemoryVitals()

    for _ in range(5_000):
        vitals.failed("m")

    assert not vitals.healthy("m")
