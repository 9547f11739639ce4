"""Data is read out of a text by a model, and looked at before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta

from dirigent.core.errors import BadAnswer, Finding
from dirigent.core.messages import Schema
from dirigent.core.model import Mention, Survey
from dirigent.models.asking import Parameters, text_of, turn, with_parameters
from dirigent.models.filling import template_faults
from dirigent.models.schemas import as_text, faults_of, fields_of, json_in, schema_faults, told
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Extract"]

_WANTED = "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n"
_WRONG = "That does not fit the schema:\n{faults}\nAnswer with the whole corrected JSON value, and with nothing else."


class Extract(Step, frozen=True, kw_only=True):
    """Have a model give data of a given shape; where it does not fit, the model is told why and asked again.

    The result always fits the schema. Where it still does not after all repairs, the step fails and names the fields.
    """

    model: str
    """The model: a deployment, a router, another pipeline, anything that answers."""
    prompt: str
    """A template: what is asked, and the text that it is asked about."""
    schema: Mapping[str, Any]
    """The JSON Schema that the result fits."""
    system: str | None = None
    """A template: instructions that stand before it."""
    repairs: Annotated[int, Meta(ge=0, le=5)] = 2
    """How often the model is asked again."""
    native: bool = True
    """Whether the provider is asked to keep to the schema as well, where it can."""
    parameters: Parameters = Parameters(temperature=0.0)
    """How it is to answer."""

    async def work(self, place: Place) -> Any:
        """The data."""
        system = _WANTED + as_text(self.schema)
        if self.system is not None:
            system = f"{place.text(self.system)}\n\n{system}"
        messages = [turn("system", system), turn("user", place.text(self.prompt))]
        structure = Schema(self.schema, self.name) if self.native else None
        faults: list[tuple[str, str]] = []
        for repair in range(self.repairs + 1):
            request = with_parameters(self.model, messages, self.parameters, structure)
            text = text_of(await place.ask(self.model, request), self.model)
            try:
                value = json_in(text)
            except ValueError:
                faults = [("", "it is no JSON")]
            else:
                faults = faults_of(value, self.schema)
                if not faults:
                    place.tell(repairs=repair)
                    return value
            wrong = "\n".join(f"- {told([fault], self.name)}" for fault in faults)
            messages += [turn("assistant", text), turn("user", _WRONG.format(faults=wrong))]
        words = f"what {self.model!r} gave does not fit, and {self.repairs} repairs did not help"
        raise BadAnswer(f"{words}: {told(faults, self.name)}")

    def mentions(self) -> Iterable[Mention]:
        """The model."""
        yield ("model",), self.model

    def gives(self) -> Iterable[str]:
        """The fields that the schema names."""
        return fields_of(self.schema)

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates and its schema."""
        yield from template_faults(self.system, names, ("system",))
        yield from template_faults(self.prompt, names, ("prompt",))
        yield from schema_faults(self.schema, ("schema",))
