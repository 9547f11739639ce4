"""A model is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from dirigent.core.errors import Finding, Invalid
from dirigent.core.model import Mention, Survey
from dirigent.models.asking import Parameters, Turn, said, text_of, turn, turn_faults, with_parameters
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Ask"]


class Ask(Step, frozen=True, kw_only=True):
    """Ask a model, and go on with the text of its answer.

    Without `messages` it is asked what the caller said: the whole conversation, in its text.
    """

    streams: ClassVar[bool] = True

    model: str
    """The model: a deployment, a router, another pipeline, anything that answers."""
    system: str | None = None
    """A template: instructions that stand before everything."""
    messages: tuple[Turn, ...] = ()
    """The conversation, each turn a template."""
    parameters: Parameters = Parameters()
    """How it is to answer."""

    async def work(self, place: Place) -> Any:
        """The text of the answer."""
        messages = [turn("system", place.text(self.system))] if self.system is not None else []
        if self.messages:
            messages += [turn(each.role, place.text(each.content)) for each in self.messages]
        else:
            given = place.scope.get("input")
            conversation = given.get("messages") if isinstance(given, dict) else None
            if not isinstance(conversation, list):
                raise Invalid("the input has no conversation to pass on: the step needs `messages`")
            messages += said(conversation)
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
        yield from turn_faults(self.messages, names, ("messages",))
