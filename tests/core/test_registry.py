"""Kinds are read out of plain data, with every fault at once and each at its place."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Meta

from dirigent.core.errors import Finding, InvalidConfiguration
from dirigent.core.model import Model
from dirigent.core.ports import Secret
from dirigent.core.registry import Kind, Reader, Registry, nearest
from dirigent.core.usage import Price
from dirigent.models.providers.provider import Provider
from dirigent.models.strategies import STRATEGIES
from dirigent.models.strategies.strategy import Strategy
from tests.world import READER


class Instrument(Kind, frozen=True):
    """Anything that sounds."""

    contract: ClassVar[str] = "instrument"


class Bow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a string is stroked with."""

    hair: Annotated[int, Meta(ge=1, le=200)] = 150
    maker: str | None = None


class TripleHarp(Instrument, frozen=True):
    """Three rows of strings."""


class Violin(Instrument, frozen=True):
    """Four strings and a bow."""

    strings: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]
    size: Literal["half", "full"] = "full"
    bow: Bow = Bow()
    spare: tuple[Bow, ...] = ()
    worth: Decimal | None = None
    key: Secret | None = None
    second: Instrument | None = None
    desk: tuple[Instrument, ...] = ()
    parts: Mapping[str, Annotated[float, Meta(ge=0)]] = {}

    def __post_init__(self) -> None:
        if self.size == "half" and self.worth is not None:
            raise ValueError("a half violin is worth nothing")


INSTRUMENTS: Registry[Instrument] = Registry(Instrument, [TripleHarp, Violin])
READS = Reader([INSTRUMENTS])


def faults(raw: object) -> list[tuple[str, str]]:
    """The place and the words of each fault."""
    kind, found = READS.read(Instrument, raw, ("first",))
    assert (kind is None) == bool(found)
    return [(fault.dotted(), fault.message) for fault in found]


def test_a_kind_is_read_with_everything_in_it() -> None:
    raw = {
        "type": "violin",
        "strings": ["g", "d"],
        "bow": {"hair": 120},
        "spare": [{"maker": "Dodd"}],
        "worth": Decimal("1.10"),
        "second": "triple_harp",
        "desk": ["triple_harp", {"type": "violin", "strings": ["e"]}],
        "parts": {"tutti": 1, "solo": Decimal("0.5")},
        "key": {"env": "KEY"},
    }

    kind, found = READS.read(Instrument, raw, ())

    assert found == []
    assert kind == Violin(
        ("g", "d"),
        bow=Bow(120),
        spare=(Bow(maker="Dodd"),),
        worth=Decimal("1.10"),
        second=TripleHarp(),
        desk=(TripleHarp(), Violin(("e",))),
        parts={"tutti": 1.0, "solo": 0.5},
        key=Secret("KEY"),
    )


def test_every_fault_is_named_at_once_wherever_it_hides() -> None:
    raw = {
        "type": "violin",
        "strings": ["g", 7, "a", None],
        "size": "three quarters",
        "bow": {"hair": 0, "makr": "x"},
        "spare": [{"hair": 1}, {"hair": "many"}, "none"],
        "worth": "dear",
        "second": {"type": "violn"},
        "desk": ["triple_harp", {"type": "violin"}, {"strings": []}, 3],
        "parts": {"tutti": -1, "solo": "x"},
        "key": "hunter2",
        "strigns": 1,
    }

    found = dict(faults(raw))

    assert list(found) == [
        "first.strigns",
        "first.strings[1]",
        "first.strings[3]",
        "first.size",
        "first.bow.makr",
        "first.bow.hair",
        "first.spare[1].hair",
        "first.spare[2]",
        "first.worth",
        "first.key",
        "first.second.type",
        "first.desk[1]",
        "first.desk[2]",
        "first.desk[3]",
        "first.parts.tutti",
        "first.parts.solo",
    ]
    assert "did you mean 'strings'?" in found["first.strigns"]
    assert "did you mean 'maker'?" in found["first.bow.makr"]
    assert found["first.second.type"].startswith("there is no instrument of type 'violn'; did you mean 'violin'?")
    assert found["first.desk[1]"] == "the setting 'strings' is missing"
    assert found["first.desk[2]"] == "`type` is missing: one of triple_harp, violin"
    assert found["first.desk[3]"] == "expected a instrument: a mapping with `type`, not a number"
    assert found["first.spare[2]"] == "expected a mapping, not a text. What a string is stroked with."
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (None, "first", "not nothing"),
        ([], "first", "not a list"),
        (True, "first", "not a truth value"),
        ("cello", "first.type", "there is no instrument of type 'cello'"),
        ({"type": ["violin"]}, "first.type", "there is no instrument of type ['violin']"),
        ({"type": "violin", "strings": []}, "first.strings", "length >= 1"),
        ({"type": "violin", "strings": list("gdaec")}, "first.strings", "length <= 4"),
        ({"type": "violin", "strings": ["g"], "size": "half", "worth": 1}, "first", "a half violin is worth nothing"),
    ],
)
def test_each_fault_has_its_place_and_words(raw: object, place: str, words: str) -> None:
    ((where, message),) = faults(raw)

    assert where == place
    assert words in message


def test_a_bare_name_stands_for_a_kind_without_settings() -> None:
    assert READS.read(Instrument, "triple_harp", ()) == (TripleHarp(), [])
    assert faults("violin") == [("first", "the setting 'strings' is missing")]


def test_the_type_is_the_class_name_in_snake_case() -> None:
    assert [kind.type_name() for kind in (TripleHarp, Violin)] == ["triple_harp", "violin"]


def test_only_near_words_are_offered() -> None:
    assert nearest("strigns", ["strings", "size"]) == "; did you mean 'strings'?"
    assert nearest("zzz", ["strings", "size"]) == ""


# --- nothing that a file may hold makes the reader fall over ----------------------------------------------------------

SETTINGS = sorted(
    {
        field.encode_name
        for registry in READER.registries.values()
        for kind in registry.kinds.values()
        for field in msgspec.structs.fields(kind)
    }
    | {"type", "env", "file", "when", "use", "above", "hair"}
)
TYPES = sorted({name for registry in READER.registries.values() for name in registry.kinds})
scalars = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.decimals(allow_nan=True)
    | some.floats()
    | some.text(max_size=6)
    | some.text(some.characters(categories=["Cs"]), max_size=2)
    | some.sampled_from(TYPES)
)
plain: some.SearchStrategy[Any] = some.recursive(
    scalars,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(
            some.sampled_from(SETTINGS) | some.integers(0, 3) | some.none() | some.text(max_size=3), inner, max_size=5
        )
        | some.builds(
            lambda name, rest: {**rest, "type": name},
            some.sampled_from(TYPES),
            some.dictionaries(some.sampled_from(SETTINGS), inner, max_size=6),
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("contract", [Model, Provider, Strategy], ids=lambda contract: contract.contract)
@given(raw=plain)
def test_whatever_is_written_is_read_or_refused_in_words(contract: type[Kind], raw: object) -> None:
    kind, found = READER.read(contract, raw, ("x",))

    assert (kind is None) == bool(found)
    assert all(fault.message and fault.path[:1] == ("x",) and fault.dotted() for fault in found)


@given(raw=plain)
def test_a_price_is_read_or_refused_in_words(raw: object) -> None:
    kind, found = READER.read(Model, {"type": "deployment", "provider": "p", "name": "n", "price": raw}, ())

    assert (kind is None) == bool(found)
    assert kind is None or isinstance(kind.price, Price | None)  # type: ignore[attr-defined]


def test_bottomless_nesting_is_refused_in_words() -> None:
    nested: Any = "triple_harp"
    for _ in range(50):
        nested = {"type": "violin", "strings": ["g"], "second": nested}
    assert READS.read(Instrument, nested, ())[1] == []
    for _ in range(100_000):
        nested = {"type": "violin", "strings": ["g"], "second": nested}

    _, found = READS.read(Instrument, nested, ("deep",))

    assert [(fault.path[:2], fault.message) for fault in found] == [(("deep", "second"), "this is nested too deeply")]


# --- plug-ins ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path into which a test installs packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(site: Path, package: str, source: str, **points: str) -> None:
    """A distribution with one module and these entry points for kinds."""
    (site / f"{package}.py").write_text(source)
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {package}:{attribute}\n" for name, attribute in points.items())
    (metadata / "entry_points.txt").write_text(f"[dirigent.kinds]\n{lines}")


QUIETEST = '''
from dirigent.models.strategies.strategy import Strategy
class Quietest(Strategy, frozen=True):
    """Ask the candidate that says least."""
    loudness: float = 0.5
class Fixed(Strategy, frozen=True):
    """A name that is taken."""
NOT_A_KIND = 7
'''


def test_an_installed_package_adds_kinds_and_takes_no_name_away(site: Path) -> None:
    install(site, "acme_strategies", QUIETEST, quietest="Quietest", fixed="Fixed", nothing="NOT_A_KIND")

    registry = STRATEGIES.with_plugins()
    kind, found = Reader([registry]).read(Strategy, {"type": "quietest", "loudness": 1}, ())

    assert registry.kinds.keys() == STRATEGIES.kinds.keys() | {"quietest"}
    assert registry.kinds["fixed"] is STRATEGIES.kinds["fixed"]
    assert found == []
    assert kind is not None
    assert kind.help() == "Ask the candidate that says least."


def test_every_plug_in_that_cannot_be_loaded_is_named_with_its_package(site: Path) -> None:
    install(site, "acme_broken", "raise RuntimeError('out of tune')", one="One")
    install(site, "acme_empty", "", two="Two")

    with pytest.raises(InvalidConfiguration) as raised:
        STRATEGIES.with_plugins()

    words = sorted(finding.message for finding in raised.value.findings)
    assert len(words) == 2
    assert words[0] == ("the plug-in 'one' of the package 'acme_broken' cannot be loaded: RuntimeError('out of tune')")
    assert words[1].startswith("the plug-in 'two' of the package 'acme_empty' cannot be loaded: AttributeError")


def test_a_finding_is_written_as_people_write_paths() -> None:
    assert Finding(("models", "auto", "candidates", 2), "no").dotted() == "models.auto.candidates[2]"


@pytest.mark.parametrize(
    "raw", [{"type": "violin", "strings": ["\ud800"]}, {"type": "violin", "strings": ["g"], "parts": {"\udfff": 1}}]
)
def test_half_a_character_is_refused_because_it_could_not_be_written_down(raw: object) -> None:
    ((_, words),) = faults(raw)

    assert words == "holds half of a character (an unpaired surrogate)"
