"""The conformance figures say what happened: each test counts once; what is served, the gateway says itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.conformance.report import Fault, Measured, Row, kept, load, row, section
from tools.conformance.servers import configuration, node
from tools.conformance.sources import OPENAI, REQUIREMENTS, SDKS, Unavailable, Workshop, prepared
from tools.conformance.suite import Finding, model_names, read

CHAT, FILES = "POST /v1/chat/completions", "GET /v1/files"
REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.api_resources.chat.test_completions.TestCompletions" name="test_method_create[loose]">
<properties><property name="asked" value="POST /v1/chat/completions"/>
<property name="model" value="gpt-1"/></properties></testcase>
<testcase classname="tests.api_resources.test_completions.TestCompletions" name="test_method_create[loose]">
<properties><property name="asked" value="POST /v1/completions"/></properties>
<failure message="openai.BadRequestError: Error code: 400">long</failure></testcase>
<testcase classname="tests.api_resources.audio.test_speech.TestSpeech" name="test_method_create[loose]">
<skipped message="not today"/></testcase>
</testsuite></testsuites>"""


def test_a_report_is_read_with_resource_outcome_and_routes(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")

    found = list(read(report, OPENAI))

    assert [(each.resource, each.outcome) for each in found] == [
        ("chat completions", "passed"),
        ("completions", "failed"),
        ("audio: speech", "skipped"),
    ]
    assert (found[0].asked, found[0].models) == ((CHAT,), ("gpt-1",))
    assert found[1].words == "openai.BadRequestError: Error code: 400"


def test_each_test_counts_once_and_where_it_belongs() -> None:
    alone = [Finding("chat", "broken", "failed", (CHAT,)), Finding("chat", "good", "passed", (CHAT,))]
    through = [
        Finding("chat", "broken", "failed", (CHAT,)),
        Finding("chat", "good", "passed", (CHAT,)),
        Finding("chat", "refused", "failed", (CHAT,), "Error 0xabc of run-12ab\nmore"),
        Finding("chat", "refused too", "failed", (CHAT,), "Error 0xdef of run-34cd\nother"),
        Finding("chat", "skipped", "skipped", (CHAT,), "why"),
        Finding("chat", "files", "failed", (FILES,)),
        Finding("chat", "silent", "passed", ()),
    ]

    found, faults = row("openai 1", "chat", "openai", alone=alone, through=through, served={CHAT})

    assert found == Row("openai 1", "chat", "openai", passed=1, failed=3, not_served=1, silent=1, mock=1)
    assert sum(found[3:]) == len(through)
    assert faults[0] == Fault("openai 1", "chat", "openai", f"{CHAT}: Error … of …", 2)


def test_a_section_shows_both_rates_and_every_cause() -> None:
    rows = (
        Row("openai 1", "chat", "openai", passed=3, failed=1, not_served=4, silent=2, mock=0),
        Row("openai 1", "chat", "anthropic", passed=0, failed=9, not_served=0, silent=2, mock=0),
    )
    faults = (Fault("openai 1", "chat", "anthropic", "it broke", 9),)

    words = "\n".join(section(Measured("today", rows, faults, ("the moon",))))

    assert "of the tests of routes that the gateway serves: 3 of 4, 75.0 %" in words
    assert "of all tests of these resources: 3 of 8, 37.5 %" in words
    assert "| openai 1 | chat | anthropic | 0 | 9 | 0 | 0 |" in words.partition("### Translated")[2]
    assert "openai 1, chat, to anthropic: 9 x `it broke`" in words
    assert "**Not measured:** the moon" in words


def test_kept_figures_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    rows = (Row("openai 1", "chat", "openai", 1, 2, 3, 4, 5),)
    measured = Measured("today", rows, (Fault("openai 1", "chat", "openai", "it broke", 2),), ("the moon",))

    kept(measured, tmp_path / "figures.json")

    assert load(tmp_path / "figures.json") == measured


def test_a_node_says_itself_which_routes_it_serves() -> None:
    config = configuration("openai", 9, ["gpt-1", "ft:gpt-1:org::id"])

    with node(config) as gateway:
        served = [gateway.serves(f"{method} /v1/{path}") for method, path in ASKED]

    assert served == [True, True, True, False, False]


ASKED = [
    ("POST", "chat/completions"),
    ("GET", "models/gpt-1"),
    ("GET", "models/no-such-model"),  # the route is there, whatever it is asked for
    ("GET", "no/such/route"),
    ("DELETE", "chat/completions"),
]


def test_a_configuration_that_is_refused_is_told() -> None:
    with pytest.raises(Unavailable, match="there is no"), node(configuration("no_such_vendor", 9, ["one"])):
        pass


def test_the_models_are_those_that_the_tests_name(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "python", tmp_path)
    for files in OPENAI.resources.values():
        for each in files:
            file = workshop.tests(OPENAI) / "tests" / "api_resources" / each
            file = file if file.suffix else file / "test_it.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("", encoding="utf-8")
    (workshop.tests(OPENAI) / "tests" / "api_resources" / "test_models.py").write_text(
        'client.models.retrieve("one")\nclient.x.create(model="two", other={"model": "no"})\nclient.files.get("no")\n',
        encoding="utf-8",
    )

    assert model_names(OPENAI, workshop) == ["one", "two"]


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch()
    (tmp_path / "installed.txt").write_text(REQUIREMENTS.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / f"{OPENAI.stem}.tar.gz").write_bytes(b"something else")

    with pytest.raises(Unavailable, match="pinned sha256"):
        prepared(tmp_path)


def test_the_sdks_that_answer_are_those_whose_tests_are_run() -> None:
    installed = REQUIREMENTS.read_text(encoding="utf-8").splitlines()

    assert all(any(line.startswith(f"{sdk.package}=={sdk.version} ") for line in installed) for sdk in SDKS)
