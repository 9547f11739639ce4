"""The table of steps: what a pipeline is made of."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.steps.analyse import Analyse
from dirigent.models.steps.approve import Approve
from dirigent.models.steps.ask import Ask
from dirigent.models.steps.branch import Branch
from dirigent.models.steps.calculate import Calculate
from dirigent.models.steps.check import Check
from dirigent.models.steps.classify import Classify
from dirigent.models.steps.entities import Entities
from dirigent.models.steps.extract import Extract
from dirigent.models.steps.http import Http
from dirigent.models.steps.loop import Loop
from dirigent.models.steps.map import Map
from dirigent.models.steps.match import Match
from dirigent.models.steps.parallel import Parallel
from dirigent.models.steps.prompt import Prompt
from dirigent.models.steps.query import Query
from dirigent.models.steps.read import Read
from dirigent.models.steps.render import Render
from dirigent.models.steps.retrieve import Retrieve
from dirigent.models.steps.set import Set
from dirigent.models.steps.step import Step
from dirigent.models.steps.tool import Tool
from dirigent.models.steps.transform import Transform
from dirigent.models.steps.wait import Wait

__all__ = ["STEPS"]

STEPS: Registry[Step] = Registry(
    Step,
    [
        Analyse,
        Approve,
        Ask,
        Branch,
        Calculate,
        Check,
        Classify,
        Entities,
        Extract,
        Http,
        Loop,
        Map,
        Match,
        Parallel,
        Prompt,
        Query,
        Read,
        Render,
        Retrieve,
        Set,
        Tool,
        Transform,
        Wait,
    ],
)
