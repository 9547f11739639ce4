"""A place where one step works: what it sees, and the doors of a small world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dirigent.core.approvals import Question, Verdict
from dirigent.core.catalog import publishable
from dirigent.core.errors import Finding, InvalidConfiguration
from dirigent.core.events import collect
from dirigent.core.expression import compile as read_expression
from dirigent.core.identity import Principal
from dirigent.core.journal import read, written
from dirigent.core.messages import Request, Response
from dirigent.core.model import Survey
from dirigent.core.ports import Ports
from dirigent.core.run import Run
from dirigent.models.providers.provider import Provider
from dirigent.models.steps.step import Step
from tests.world import READER, World

__all__ = ["OnePlace", "faults_of", "step_of", "work"]

_WHOLE = re.compile(r"\{\{([^{}]*)\}\}")


class OnePlace:
    """Where one step works, with templates that know expressions and nothing more."""

    def __init__(self, run: Run, scope: Mapping[str, object]) -> None:
        self.run = run
        self.path = "steps/one"
        self.scope = scope
        self.key = f"{run.id}-one"
        self.told: dict[str, Any] = {}

    def text(self, template: str) -> str:
        return _WHOLE.sub(lambda found: str(self.evaluate(found[1])), template)

    def value(self, template: object) -> Any:
        if isinstance(template, str):
            whole = _WHOLE.fullmatch(template)
            return self.evaluate(whole[1]) if whole else self.text(template)
        if isinstance(template, Mapping):
            return {key: self.value(item) for key, item in template.items()}
        if isinstance(template, list | tuple):
            return [self.value(item) for item in template]
        return template

    def evaluate(self, expression: str) -> Any:
        return read_expression(expression.strip()).evaluate(self.scope)

    def holds(self, condition: str) -> bool:
        return read_expression(condition).holds(self.scope)

    async def ask(self, model: str, request: Request) -> Response:
        return await collect(self.run.ask(model, request))

    async def approve(self, question: Question) -> Verdict:
        raise NotImplementedError

    async def sleep(self, until: float) -> None:
        raise NotImplementedError

    async def steps(
        self, steps: Sequence[Step], key: str, names: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        raise NotImplementedError

    def tell(self, **facts: Any) -> None:
        self.told |= facts


def step_of(settings: Mapping[str, Any]) -> Step:
    """The step that these settings describe."""
    step, faults = READER.read(Step, {"name": "one", **settings}, ("steps", 0))
    assert step is not None, faults
    return step


async def work(
    step: Mapping[str, Any],
    scope: Mapping[str, object] | None = None,
    *,
    sources: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    **ports: Any,
) -> Any:
    """What a step gives in a world with these sources and ports, as whoever comes after it reads it."""
    result, _ = await worked(step, scope, sources=sources, secrets=secrets, **ports)
    return result


async def worked(
    step: Mapping[str, Any],
    scope: Mapping[str, object] | None = None,
    *,
    sources: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    **ports: Any,
) -> tuple[Any, OnePlace]:
    """The same, with the place at which it worked."""
    world = World({"m": {"type": "echo"}}, secrets=secrets)
    catalog = world.published({"models": {"m": {"type": "echo"}}, "sources": dict(sources or {})})
    doors: Ports = msgspec.structs.replace(world.ports, **ports)
    run = Run("run-1", "m", catalog, doors, Principal("tenant", "project", "key"), 30.0)
    place = OnePlace(run, scope or {})
    return read(written(await step_of(step).work(place))), place


def faults_of(step: Mapping[str, Any], sources: Mapping[str, Any] | None = None) -> list[Finding]:
    """What publishing says of a step beside these sources."""
    world = World({"m": {"type": "echo"}})
    ready = step_of(step)
    found: list[Finding] = []

    class Surveyed:
        """Sees the sources and nothing else."""

        listings, secrets = world.ports.listings, world.ports.secrets
        published: Any = None

        def profile(self, name: str) -> Any:
            return self.published.profile(name)

        def provider(self, name: str) -> Any:
            return None

        def provider_names(self) -> list[str]:
            return []

        def source(self, name: str) -> Any:
            return self.published.sources.get(name)

        def source_names(self) -> list[str]:
            return list(sources or {})

    survey = Surveyed()
    document = {"models": {"m": {"type": "echo"}}, "sources": dict(sources or {})}
    try:
        survey.published = publishable(document, READER, world.ports.listings, world.ports.secrets, Provider)
    except InvalidConfiguration as error:
        return list(error.findings)
    seen: Survey = survey
    found += ready.faults(seen, frozenset(("input", "run", "orders")))
    return found
