"""What editors and forms read about kinds comes from the kinds alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dirigent.core.registry import Kind, Registry
from dirigent.core.schema import field_help, json_schema


class Instrument(Kind, frozen=True):
    """Anything that sounds."""

    contract: ClassVar[str] = "instrument"


class Tuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it is tuned."""

    hertz: float = 440.0
    """The standard pitch."""


class Triangle(Instrument, frozen=True):
    """It has nothing to set."""


class Violin(Instrument, frozen=True):
    """Four strings.

    And a bow.
    """

    strings: tuple[str, ...]
    """Lowest first."""
    size: Literal["half", "full"] = "full"
    age: Annotated[int, Meta(ge=0)] | None = None
    """Years,
    as far as known."""
    worth: Decimal | None = None
    tuning: Tuning = Tuning()
    second: Instrument | None = None
    """Who plays along."""


INSTRUMENTS: Registry[Instrument] = Registry(Instrument, [Triangle, Violin])


def test_a_section_maps_names_to_any_kind_of_its_contract() -> None:
    schema = json_schema({"orchestra": Instrument}, [INSTRUMENTS])

    assert schema["additionalProperties"] is False
    assert schema["properties"]["orchestra"]["additionalProperties"] == {"$ref": "#/$defs/instrument"}


def test_a_section_of_names_takes_the_words_that_it_knows_and_no_others() -> None:
    schema = json_schema({}, [INSTRUMENTS], names={"soloists": ("low", "high")})

    assert schema["properties"]["soloists"] == {
        "type": ["object", "null"],
        "properties": {"low": {"type": "string"}, "high": {"type": "string"}},
        "additionalProperties": False,
    }


def test_a_kind_without_required_settings_may_be_named_by_its_bare_type() -> None:
    options = definition("instrument")["anyOf"]

    assert options[0] == {"enum": ["triangle"]}
    assert {"$ref": "#/$defs/instrument.violin"} in options


def test_types_bounds_and_defaults_come_from_the_fields() -> None:
    violin = definition("instrument.violin")

    assert violin["required"] == ["type", "strings"]
    assert violin["additionalProperties"] is False
    assert violin["properties"]["type"] == {"const": "violin"}
    assert violin["properties"]["size"] == {"enum": ["full", "half"], "default": "full"}
    assert violin["properties"]["age"] == {
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "Years, as far as known.",
    }
    assert violin["properties"]["worth"] == {"anyOf": [{"type": ["number", "string"]}, {"type": "null"}]}
    assert violin["properties"]["tuning"] == {"$ref": "#/$defs/Tuning", "default": {"hertz": 440.0}}


def test_a_setting_that_is_itself_a_kind_points_to_its_contract() -> None:
    second = definition("instrument.violin")["properties"]["second"]

    assert second["anyOf"][0] == {"$ref": "#/$defs/instrument"}


def test_docstrings_become_descriptions_on_one_line() -> None:
    assert definition("instrument.violin")["description"] == "Four strings. And a bow."
    assert definition("Tuning")["properties"]["hertz"]["description"] == "The standard pitch."


def test_help_of_inherited_fields_is_found_and_fields_without_help_are_left_out() -> None:
    class Viola(Violin, frozen=True):
        """Larger."""

        clef: str = "alto"
        """Where its notes stand."""

    assert field_help(Viola)["strings"] == "Lowest first."
    assert field_help(Viola)["clef"] == "Where its notes stand."
    assert "size" not in field_help(Viola)


def definition(name: str) -> Any:
    return json_schema({"orchestra": Instrument}, [INSTRUMENTS])["$defs"][name]
