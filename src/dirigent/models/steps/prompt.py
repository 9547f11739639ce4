"""A text with blanks is filled in and asked of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from dirigent.core.errors import Finding
from dirigent.core.model import Mention, Survey
from dirigent.models.asking import Parameters, text_of, turn, with_parameters
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Prompt"]


class Prompt(Step, frozen=True, kw_only=True):
    """Fill in a text and ask a model with it: the short form of `ask` for one question."""

    streams: ClassVar[bool] = True

    model: str
    """The model: a deployment, a router, another pipeline, anything that answers."""
    prompt: str
    """A template: what is asked."""
    system: str | None = None
    """A template: instructions that stand before it."""
    parameters: Parameters = Parameters()
    """How it is to answer."""

    async def work(self, place: Place) -> Any:
        """The text of the answer."""
        messages = [turn("system", place.text(self.system))] if self.system is not None else []
        messages.append(turn("user", place.text(self.prompt)))
        response = await place.ask(self.model, with_parameters(self.model, messages, self.parameters))
        if response.choices and response.choices[0].finish:
            place.tell(finish=response.choices[0].finish)
        return text_of(response, self.model)

    def mentions(self) -> Iterable[Mention]:
        """The model."""
        yield ("model",), self.model

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates."""
        yield from template_faults(self.system, names, ("system",))
        yield from template_faults(self.prompt, names, ("prompt",))
