"""What holds for every kind of step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from dirigent.configuration import read_sheet
from dirigent.core.documents import Document, DocumentFormat, Extract, Made
from dirigent.core.errors import InvalidConfiguration
from dirigent.core.journal import StepEnded, written
from dirigent.core.ports import Cited, Filed, HttpCall, Library, Timeouts
from dirigent.core.registry import Kind
from dirigent.core.tables import Bounds, Rows, TableSource
from dirigent.models.pipeline import Pipeline
from dirigent.models.steps import STEPS
from dirigent.models.steps.step import Step
from tests.models.reciting import Recited
from tests.paper import Crash, Paper
from tests.world import READER, World
from tools.docs.kinds import EXAMPLES as PAGES

SET = {"type": "set", "name": "inner", "values": {"text": "{{ input.text }}"}}
ASK = {"type": "ask", "name": "inner", "model": "echo"}
JUDGED = '{"sentences": [{"number": 1, "claim": true, "founded": true, "passage": "The price is 5 euros"}]}'
EXAMPLES: dict[str, dict[str, Any]] = {
    "analyse": {"rows": "{{ given.rows }}", "measures": ["sales"], "time": "month"},
    "entities": {
        "source": "erp",
        "entity": "Orders",
        "filter": "Who eq :who",
        "parameters": {"who": "{{ input.text }}"},
    },
    "http": {"source": "crm", "path": "/offers", "query": {"q": "{{ input.text }}"}},
    "read": {"file": "{{ given.file }}"},
    "retrieve": {"source": "handbook", "question": "{{ input.text }}"},
    "approve": {"title": "May it go out?", "proposal": "{{ input.text }}", "form": {"type": "string"}},
    "ask": {"model": "echo", "system": "Be short.", "messages": [{"content": "{{ input.text }}"}]},
    "branch": {"cases": [{"when": "size(input.text) > 3", "steps": [ASK]}], "otherwise": [SET]},
    "calculate": {"values": {"net": "size(input.text) * 1.5", "gross": "round(net * 1.19, 2)"}},
    "classify": {"text": "{{ input.text }}", "labels": {"good": ["well done"], "bad": ["not so good"]}},
    "check": {
        "of": "The price is 5 euros.",
        "rules": [{"that": "size(value) < 100", "message": "it is too long"}],
        "facts": {"sources": ["The price is 5 euros, as agreed."], "statements": "jury"},
        "judge": {"model": "marks", "rubric": "It is polite."},
        "on_failure": "flag",
    },
    "extract": {"model": "data", "prompt": "{{ input.text }}", "schema": {"type": "object", "required": ["total"]}},
    "loop": {"steps": [ASK], "until": "inner == 'never'", "most": 2, "keep": "best", "by": "size(inner)"},
    "match": {"text": "{{ input.text }}", "rows": "[input]", "by": ["text"]},
    "map": {"over": "[1, 2, 3]", "steps": [ASK], "as": "number", "at_most_at_once": 2, "on_failure": "collect"},
    "parallel": {"branches": {"left": [ASK], "right": [SET]}},
    "prompt": {"model": "echo", "prompt": "Hello {{ input.text | upper }}"},
    "query": {
        "source": "shop",
        "sql": "SELECT id FROM orders WHERE who = :who",
        "parameters": {"who": "{{ input.text }}"},
    },
    "render": {"format": "pdf", "markdown": "{{ input.text }}", "file_name": "quote"},
    "set": {"values": {"text": "{{ input.text }}", "list": [1, "{{ size(input.text) }}"]}},
    "tool": {"tool": {"type": "lookup", "table": {"a": 1}, "about": "Numbers."}, "arguments": {"key": "a"}},
    "transform": {
        "of": "{{ input.text }}",
        "operations": [{"clean": ["whitespace", "mail"]}, {"split": {"by": "tokens", "most": 8}}, {"limit": 2}],
    },
    "wait": {"for": "0s"},
}
"""A configuration for each kind, without type and name; it may mention these models and sources."""
SOURCES = {
    "shop": {"type": "sql", "path": "shop.db"},
    "erp": {"type": "odata", "base_url": "https://erp.example.org/odata/v4"},
    "crm": {"type": "rest", "base_url": "https://crm.example.org/api"},
    "handbook": {"type": "collection", "path": "handbook"},
}
GIVEN = {
    "type": "set",
    "name": "given",
    "values": {"file": "file-1", "rows": [{"month": "2026-10-01", "sales": 3}, {"month": "2026-11-01", "sales": 5}]},
}
"""What stands before the step, for those that read data."""
MODELS: dict[str, Any] = {
    "echo": {"type": "echo"},
    "data": {"type": "recited", "says": ["I do not know", '```json\n{"total": 12.50}\n```']},
    "jury": {"type": "recited", "says": [JUDGED]},
    "marks": {"type": "recited", "says": ["9, it is."]},
}

every_step = pytest.mark.parametrize("kind", sorted(STEPS.kinds))


def settings(kind: str) -> dict[str, Any]:
    return {"type": kind, "name": "it", **EXAMPLES[kind]}


def world(kind: str, **more: Any) -> World:
    """A world in which the pipeline `p` has one step of this kind, and says what it gave."""
    pipeline = {"type": "pipeline", "steps": [GIVEN, settings(kind) | more], "result": {"gave": "{{ it }}"}}
    small = World({**MODELS}, kinds=[Recited])
    small.catalog = small.published({"models": {**MODELS, "p": pipeline}, "sources": SOURCES})
    outside = Outside()
    small.ports = msgspec.structs.replace(
        small.ports, tables=outside, documents=outside, files=outside, knowledge=outside, http=outside, embedder=outside
    )
    return small


class Outside:
    """What lies behind the doors that some steps need; it gives the same to everybody who asks the same."""

    async def query(self, source: TableSource, sql: str, parameters: Mapping[str, Any], bounds: Bounds) -> Rows:
        return Rows(("id",), ({"id": 1},), more=False)

    async def search(self, tenant: str, library: Library, question: str, most: int) -> Sequence[Cited]:
        return ()

    def push(self, *what: Any) -> None:
        return None

    async def open(self, call: HttpCall, timeouts: Timeouts) -> Outside:
        return self

    status = 200
    headers: Mapping[str, str] = {"content-type": "application/json"}
    ahead = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield b'{"value": [{"id": 1}]}'

    def close(self) -> None:
        pass

    async def render(self, document: Document, form: DocumentFormat) -> Made:
        return Made(b"%PDF", "application/pdf", "pdf", pages=1)

    async def encode(self, texts: Sequence[str], *_: Any) -> Any:
        return [[float(len(text)), 1.0] for text in texts]

    async def keep(
        self, tenant: str, run: str, name: str, content_type: str, data: bytes, *, subject: str = ""
    ) -> Filed:
        return Filed("file-1", name, content_type, len(data), "0" * 64)

    async def read(self, *what: Any) -> Any:
        """A file by its id, and what is read out of one."""
        return (Filed("file-1", "a.txt", "text/plain", 1, "0" * 64), b"a") if len(what) == 2 else Extract("text", "a")


def step(kind: str, raw: dict[str, Any] | None = None) -> Step:
    read, faults = READER.read(Step, raw or settings(kind), ("step",))
    assert read is not None, faults
    return read


def written_out(value: Any) -> Any:
    """A kind as a configuration has it, and whatever stands within it."""
    if isinstance(value, tuple | list):
        return [written_out(each) for each in value]
    if isinstance(value, dict):
        return {key: written_out(each) for key, each in value.items()}
    if not isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    fields = {field.encode_name: written_out(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
    fields = {name: each for name, each in fields.items() if each is not None}
    return {"type": value.type_name(), **fields} if isinstance(value, Kind) else fields


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == STEPS.kinds.keys()


@every_step
def test_the_example_in_the_reference_is_published(kind: str) -> None:
    document = read_sheet(PAGES / f"step.{kind}.yaml").document

    catalog = World({}).published(document)

    assert any(isinstance(model, Pipeline) for model in catalog.models.values())


@every_step
def test_it_says_what_it_does(kind: str) -> None:
    assert len(STEPS.kinds[kind].help()) > 40


@every_step
def test_its_configuration_survives_a_round_trip_through_json(kind: str) -> None:
    one = step(kind)

    assert step(kind, json.loads(written(written_out(one)))) == one


@every_step
def test_an_unknown_setting_is_refused(kind: str) -> None:
    _, faults = READER.read(Step, settings(kind) | {"nonsense": 1}, ("step",))

    assert [fault.path for fault in faults] == [("step", "nonsense")]


@every_step
def test_a_fitting_one_is_published_and_whom_it_asks_is_known(kind: str) -> None:
    pipeline = world(kind).catalog.models["p"]

    assert isinstance(pipeline, Pipeline)
    assert {name for _, name in pipeline.mentions()} <= MODELS.keys()


@every_step
def test_what_it_reads_and_is_not_there_is_found_before_it_is_walked(kind: str) -> None:
    broken = json.loads(json.dumps(settings(kind)).replace("input.text", "inptu.text"))
    if broken == settings(kind):
        broken["when"] = "inptu.text == 'x'"

    with pytest.raises(InvalidConfiguration, match="there is no `inptu") as caught:
        World({}, kinds=[Recited]).published(
            {"models": {**MODELS, "p": {"type": "pipeline", "steps": [GIVEN, broken]}}, "sources": SOURCES}
        )

    assert all(str(finding.dotted()).startswith("models.p.steps[1].") for finding in caught.value.findings)


@every_step
async def test_what_it_gives_is_plain_data_and_is_given_once(kind: str) -> None:
    paper = Paper()
    first = await paper.walked(world(kind), "hello there")

    again = await paper.walked(world(kind), "hello there")

    assert first.text == again.text
    assert "gave" in json.loads(first.text)
    assert len(paper.ended) == len(set(paper.ended))
    assert paper.ended[-1] == "it"


@every_step
async def test_a_run_that_is_cut_off_after_any_entry_comes_to_the_same_end(kind: str) -> None:
    whole = Paper()
    expected = (await whole.walked(world(kind), "hello there")).text

    for cut in range(len(whole.entries)):
        paper = Paper()
        paper.until = cut
        with crashing():
            await paper.walked(world(kind), "hello there")
        paper.until = None
        text = (await paper.walked(world(kind), "hello there")).text

        if kind != "wait":  # which gives the time
            assert text == expected
        assert sorted(paper.ended) == sorted(whole.ended)


@contextlib.contextmanager
def crashing() -> Iterator[None]:
    """What is walked here is cut off."""
    with pytest.raises(Crash):
        yield


@every_step
async def test_one_whose_condition_does_not_hold_is_left_out_and_asks_nobody(kind: str) -> None:
    small = world(kind, when="false")
    run = small.run()

    text = (await small.collect("p", "hello", run)).text

    assert json.loads(text) == {"gave": None}
    assert run.record.attempts == []
    assert run.logbook is not None
    assert [entry.path for entry in run.logbook.entries if isinstance(entry, StepEnded)] == ["given"]


@every_step
async def test_its_trace_holds_no_word_of_its_content(kind: str) -> None:
    paper, text = Paper(), "Zauberwort"

    await paper.walked(world(kind), text)

    facts = [entry.facts for entry in paper.entries if isinstance(entry, StepEnded)]
    assert text not in written(facts).decode()
