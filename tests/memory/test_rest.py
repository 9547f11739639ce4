"""The other ports in memory, and what a node without databases and models says."""

from __future__ import annotations

import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.ports import Listing, LocalSetup, Secret
from dirigent.memory import (
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    NoEmbedder,
    NoLocalModels,
)


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
