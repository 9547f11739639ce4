"""Configurations written in Python: the kinds themselves, checked by the same reader and written down as the same data.

    offer = pipeline(
        Calculate(name="sums", values={"net": "input.hours * 120", "gross": "round(net * 1.19, 2)"}),
        Prompt(name="letter", model="writer", prompt='We offer {{ sums.gross | money("EUR", "en") }}.'),
        input={"type": "object", "properties": {"hours": {"type": "integer"}}, "required": ["hours"]},
    )
    Path("offer.yaml").write_text(text(document(models={"writer": Echo(), "offer": offer})))

A configuration has one form, whoever writes it: what stands here and what stands in YAML are the same structs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dirigent.core.catalog import publishable
from dirigent.core.errors import Finding, InvalidConfiguration
from dirigent.core.model import Model
from dirigent.core.registry import Kind, Reader
from dirigent.listings import Listings
from dirigent.models import MODELS
from dirigent.models.asking import Parameters, Turn
from dirigent.models.deployment import Deployment
from dirigent.models.echo import Echo
from dirigent.models.pipeline import Limits, Pipeline
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.provider import Provider
from dirigent.models.router import Router
from dirigent.models.steps import STEPS
from dirigent.models.steps.ask import Ask
from dirigent.models.steps.branch import Branch, Case
from dirigent.models.steps.calculate import Calculate
from dirigent.models.steps.check import Check, Facts, Jury, Repair, Requirement
from dirigent.models.steps.extract import Extract
from dirigent.models.steps.loop import Loop
from dirigent.models.steps.map import Map
from dirigent.models.steps.parallel import Parallel
from dirigent.models.steps.prompt import Prompt
from dirigent.models.steps.set import Set
from dirigent.models.steps.step import Retry, Step
from dirigent.models.steps.tool import Tool
from dirigent.models.steps.transform import Operation, Sort, Split, Transform
from dirigent.models.steps.wait import Wait
from dirigent.models.strategies import STRATEGIES
from dirigent.models.tools import TOOLS
from dirigent.models.verifiers import VERIFIERS
from dirigent.policies import POLICIES
from dirigent.settings import EnvironmentSecrets

__all__ = [
    "Ask",
    "Branch",
    "Calculate",
    "Case",
    "Check",
    "Deployment",
    "Echo",
    "Extract",
    "Facts",
    "Jury",
    "Limits",
    "Loop",
    "Map",
    "Operation",
    "Parallel",
    "Parameters",
    "Pipeline",
    "Prompt",
    "Repair",
    "Requirement",
    "Retry",
    "Router",
    "Set",
    "Sort",
    "Split",
    "Step",
    "Tool",
    "Transform",
    "Turn",
    "Wait",
    "document",
    "faults",
    "pipeline",
    "text",
]

_TABLES = (MODELS, PROVIDERS, STEPS, STRATEGIES, TOOLS, VERIFIERS, POLICIES)
_WRITER = msgspec.json.Encoder(decimal_format="number")


def pipeline(
    *steps: Step,
    input: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
    result: Any = None,
    limits: Limits | None = None,
    durable: bool | None = None,
) -> Pipeline:
    """A pipeline of these steps. Raises InvalidConfiguration where a setting has not its type, with its path."""
    made = Pipeline(steps=steps, input=input, output=output, result=result, limits=limits or Limits(), durable=durable)
    read, findings = Reader(table.with_plugins() for table in _TABLES).read(Model, _written(made), ())
    if findings or not isinstance(read, Pipeline):
        raise InvalidConfiguration(findings)
    return read


def document(*, models: Mapping[str, Model], providers: Mapping[str, Provider] | None = None) -> dict[str, Any]:
    """The configuration as plain data, as a file has it; settings that are as by default are left out."""
    sections = {"providers": providers or {}, "models": models}
    return {name: _written(entries) for name, entries in sections.items() if entries}


def faults(configuration: Mapping[str, Any]) -> Sequence[Finding]:
    """Every fault of a configuration, as `dirigent check` finds it; none where it can be published."""
    reader = Reader(table.with_plugins() for table in _TABLES)
    try:
        publishable(configuration, reader, Listings(), EnvironmentSecrets(), Provider)
    except InvalidConfiguration as error:
        return error.findings
    return ()


def text(configuration: Mapping[str, Any]) -> str:
    """The configuration as a file that `dirigent check` and `dirigent publish` read; JSON is YAML."""
    return msgspec.json.format(_WRITER.encode(configuration), indent=2).decode() + "\n"


def _written(value: object) -> Any:
    """A kind as a configuration has it, and whatever stands within it."""
    if isinstance(value, Mapping):
        return {str(key): _written(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    if not isinstance(value, msgspec.Struct):
        return value
    settings = {
        field.encode_name: _written(getattr(value, field.name))
        for field in msgspec.structs.fields(value)
        if field.required or getattr(value, field.name) != _default(field)
    }
    return {"type": value.type_name(), **settings} if isinstance(value, Kind) else settings


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
