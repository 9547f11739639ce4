"""What is published is right as a whole, or refused with every fault at once."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.catalog import Catalog, publishable
from dirigent.core.errors import Invalid, InvalidConfiguration, UnknownModel
from dirigent.core.usage import Price
from dirigent.memory import MemoryListings, MemorySecrets
from dirigent.models.providers.provider import Provider
from tests.core.test_registry import plain
from tests.world import READER

ECHO = {"type": "echo"}


def published(document: dict[str, Any]) -> Catalog:
    return publishable(document, READER, MemoryListings(), MemorySecrets({"KEY": "k"}), Provider)


def faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The place and the words of each fault."""
    with pytest.raises(InvalidConfiguration) as raised:
        published(document)
    return [(finding.dotted(), finding.message) for finding in raised.value.findings]


def router(*candidates: str, **settings: Any) -> dict[str, Any]:
    return {"type": "router", "candidates": list(candidates), **settings}


def test_every_fault_of_a_document_is_named_at_once() -> None:
    found = faults(
        {
            "providers": {
                "openai": {"type": "openai", "api_key": {"env": "MISSING"}},
                "both": {"type": "openai", "api_key": {"env": "KEY", "file": "/x"}},
                "neither": {"type": "openai", "api_key": {}},
                "typo": {"type": "opnai"},
                "bad name": {"type": "llama_cpp"},
            },
            "models": {
                "a": {"type": "deployment", "provider": "opnai", "name": "x", "quality": 2},
                "b": {"type": "deployment", "provider": "openia", "name": "x"},
                "c": {"type": "deployment", "provider": "typo", "name": "x"},
                "r": router("a", "bb", "r2", strategy={"type": "weighted", "weights": {"a": 1, "z": 1}}),
                "r2": router("r2x"),
                "loop": router("loop"),
            },
            "modles": {},
        }
    )

    assert [place for place, _ in found] == [
        "modles",
        "providers.typo.type",
        "providers.bad name",
        "models.a.quality",
        "models.r.candidates[1]",
        "models.r2.candidates[0]",
        "models.loop",
        "models.a.provider",
        "models.b.provider",
        "models.r.strategy.weights.z",
        "providers.openai.api_key",
        "providers.both.api_key",
        "providers.neither.api_key",
    ]
    words = dict(found)
    assert "did you mean 'models'?" in words["modles"]
    assert words["models.b.provider"] == "there is no provider 'openia'; did you mean 'openai'?"
    assert words["models.r2.candidates[0]"] == "there is no model 'r2x'; did you mean 'r2'?"
    assert words["models.loop"] == "models would ask each other without end: loop -> loop"
    assert words["providers.openai.api_key"] == "the environment variable MISSING is missing or empty"


@pytest.mark.parametrize("length", range(1, 8))
def test_a_loop_of_any_length_is_reported_once_with_its_way(length: int) -> None:
    names = [f"m{number}" for number in range(length)]
    ring = {name: router(following, "e") for name, following in zip(names, names[1:] + names[:1], strict=True)}

    found = faults({"models": {"e": ECHO, "entry": router("m0", "e"), **ring}})

    assert found == [("models.m0", f"models would ask each other without end: {' -> '.join([*names, 'm0'])}")]


def test_a_loop_is_reported_once_although_two_settings_close_it() -> None:
    found = faults({"models": {"a": router("b", fallback=["e"]), "b": router("e", fallback=["a"]), "e": router("b")}})

    assert len(found) == 2
    assert {words for _, words in found} == {
        "models would ask each other without end: b -> e -> b",
        "models would ask each other without end: a -> b -> a",
    }


def test_names_that_are_mentioned_often_are_no_loop() -> None:
    catalog = published({"models": {"e": ECHO, "a": router("e"), "b": router("a", "e"), "c": router("b", "a", "e")}})

    assert catalog.models.keys() == {"e", "a", "b", "c"}


@pytest.mark.parametrize("section", ["providers", "models"])
@pytest.mark.parametrize("entries", [[], "", 0, False, ["x"], "x"])
def test_a_section_that_is_no_mapping_is_refused(section: str, entries: object) -> None:
    assert faults({section: entries}) == [(section, "expected a mapping of names to settings")]


def test_an_empty_section_and_an_empty_document_are_fine() -> None:
    assert published({}).models == {}
    assert published({"providers": None, "models": {}}).providers == {}


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/../b\n", "ä", "a" * 129, "a?"])
def test_a_name_that_would_not_fit_into_an_address_or_header_is_refused(name: str) -> None:
    ((place, words),) = faults({"models": {name: ECHO}})

    assert "a name has letters, digits" in words
    assert place.startswith("models")


@pytest.mark.parametrize("name", ["a", "gpt-4o", "qwen2.5:0.5b", "team/model+v1", "a" * 128])
def test_usual_names_are_fine(name: str) -> None:
    assert published({"models": {name: ECHO}}).models.keys() == {name}


def test_the_profile_of_a_router_is_ready_whatever_the_order_in_the_file() -> None:
    price = {"input": 1, "output": 2}
    at = {"type": "deployment", "provider": "p", "name": "x"}
    catalog = published(
        {
            "models": {
                "outer": router("inner"),
                "inner": router("a", "b"),
                "a": at | {"price": price, "context_window": 10, "capabilities": ["tools"]},
                "b": at | {"price": {"input": 3, "output": 4}, "context_window": 20, "capabilities": []},
            },
            "providers": {"p": {"type": "compatible", "vendor": "vllm"}},
        }
    )

    profile = catalog.profile("outer")
    assert profile.price == Price(Decimal(3), Decimal(4))
    assert (profile.context_window, profile.capabilities) == (20, frozenset({"tools"}))


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownModel, match="there is no model 'ehco'; did you mean 'echo'"):
        published({"models": {"echo": ECHO}}).answering("ehco")


VECTORS = {"type": "local_embedding"}


def test_a_request_that_names_no_model_is_for_the_configured_one() -> None:
    catalog = published({"models": {"a": ECHO, "b": ECHO, "v": VECTORS}, "defaults": {"chat": "b", "embeddings": "v"}})

    assert [catalog.default("chat"), catalog.default("embeddings")] == ["b", "v"]


def test_the_only_model_that_does_a_task_needs_no_configuring() -> None:
    catalog = published({"models": {"a": ECHO, "b": ECHO, "v": VECTORS}})

    assert catalog.default("embeddings") == "v"


def test_of_several_models_none_is_picked_and_the_refusal_says_what_to_configure() -> None:
    at = {"type": "deployment", "provider": "p", "name": "of which nobody knows what it does"}
    served = {"p": {"type": "compatible", "vendor": "vllm"}}
    catalog = published({"models": {"a": ECHO, "v": VECTORS, "x": at}, "providers": served})

    for task in ("chat", "embeddings"):
        with pytest.raises(Invalid, match=f"`defaults: {{{task}: NAME}}`") as refused:
            catalog.default(task)
        assert refused.value.param == "model"


def test_what_a_provider_does_alone_is_known_of_its_deployments() -> None:
    at = {"type": "deployment", "provider": "p", "name": "published nowhere"}
    served = {"p": {"type": "compatible", "vendor": "tei"}}
    catalog = published({"models": {"a": ECHO, "x": at}, "providers": served})

    assert catalog.profile("x").tasks == frozenset(("embeddings",))
    assert [catalog.default("chat"), catalog.default("embeddings")] == ["a", "x"]


@pytest.mark.parametrize(
    ("defaults", "place", "words"),
    [
        ([], "defaults", "expected a mapping of tasks to names of models"),
        ({"chta": "e"}, "defaults.chta", "there is no task 'chta'; did you mean 'chat'?; known are chat, "),
        ({"chat": 7}, "defaults.chat", "expected the name of a model"),
        ({"chat": "ehco"}, "defaults.chat", "there is no model 'ehco'; did you mean 'echo'?"),
        ({"images": "echo"}, "defaults.images", "'echo' does chat; it takes no requests for images"),
    ],
)
def test_a_default_that_could_not_answer_is_refused(defaults: object, place: str, words: str) -> None:
    ((where, what),) = faults({"models": {"echo": ECHO}, "defaults": defaults})

    assert where == place
    assert what.startswith(words)


def test_a_default_whose_model_has_a_fault_is_no_second_fault() -> None:
    found = faults({"models": {"a": {"type": "echo", "pauze": 1}}, "defaults": {"chat": "a"}})

    assert [place for place, _ in found] == ["models.a.pauze"]


@given(some.permutations(["a", "b", "c"]), some.permutations(["type", "says", "pause"]))
def test_the_revision_depends_on_the_content_and_not_on_the_order_of_keys(names: list[str], keys: list[str]) -> None:
    content = {"type": "echo", "says": "hi", "pause": Decimal("0.5")}

    one = published({"models": {name: {key: content[key] for key in keys} for name in names}})

    assert one.revision == published({"models": dict.fromkeys("abc", content)}).revision
    assert len(one.revision) == 12


@pytest.mark.parametrize(
    "other",
    [
        {"a": ECHO | {"says": "hi"}},
        {"a": ECHO, "b": ECHO},
        {"b": ECHO},
        {"a": ECHO | {"pause": Decimal("0.1")}},
    ],
)
def test_the_revision_changes_with_the_content(other: dict[str, Any]) -> None:
    assert published({"models": other}).revision != published({"models": {"a": ECHO}}).revision


@given(
    document=some.dictionaries(
        some.sampled_from(["providers", "models", "defaults"]) | some.text(max_size=3), plain, max_size=3
    )
)
def test_whatever_a_document_holds_is_published_or_refused_in_words(document: dict[str, Any]) -> None:
    with suppress(InvalidConfiguration):
        catalog = published(document)
        assert catalog.profiles.keys() == catalog.models.keys()
