"""Runs an SDK's own tests against an address and reads what became of each of them."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple
from xml.etree import ElementTree as ET

from tools.conformance.sources import Sdk, Unavailable, Workshop

__all__ = ["Finding", "model_names", "read", "tested"]

INSIDE = Path(__file__).with_name("inside")
TESTS = Path("tests", "api_resources")
_LONGEST = 1800


class Finding(NamedTuple):
    """One test."""

    resource: str
    name: str
    outcome: Literal["passed", "failed", "skipped"]
    asked: tuple[str, ...]
    """Method and path of each request that it sent; none where it is about the SDK alone."""
    words: str = ""
    """Why it failed or was skipped, in pytest's words."""
    models: tuple[str, ...] = ()
    """What the JSON bodies of its requests name as their model."""


def tested(sdk: Sdk, workshop: Workshop, address: str, key: str, resources: Iterable[str]) -> list[Finding]:
    """The tests of these resources, asking `address` with `key`. Raises Unavailable where pytest itself gives up."""
    folder = workshop.tests(sdk)
    with TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        plugins = [flag for plugin in (*sdk.plugins, "recording") for flag in ("-p", plugin)]
        files = [str(TESTS / each) for name in resources for each in sdk.resources[name]]
        command = [
            str(workshop.python),
            "-m",
            "pytest",
            "-q",
            "--tb=line",
            "-o",
            "addopts=",
            *plugins,
            f"--junitxml={report}",
            *files,
        ]
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment = {**kept, "TEST_API_BASE_URL": address + sdk.base, "PYTHONPATH": str(INSIDE)}
        environment |= {"CONFORMANCE_SDK": sdk.package, "CONFORMANCE_KEY": key}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_LONGEST
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{sdk.package}'s tests did not end within {_LONGEST} s") from None
        if done.returncode not in (0, 1) or not report.exists():
            raise Unavailable(f"{sdk.package}'s tests did not run:\n{(done.stdout + done.stderr)[-3000:]}")
        return list(read(report, sdk))


def read(report: Path, sdk: Sdk) -> Iterator[Finding]:
    """The tests of a JUnit report, each under the resource whose file it stands in."""
    modules = {
        ".".join((*TESTS.parts, *each.removesuffix(".py").split("/"))): resource
        for resource, files in sdk.resources.items()
        for each in files
    }
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  pytest wrote it a moment ago
        place = case.get("classname", "")
        resource = next((name for module, name in modules.items() if f"{place}.".startswith(f"{module}.")), place)
        noted = [(each.get("name"), each.get("value", "")) for each in case.iter("property")]
        asked = tuple(value for key, value in noted if key == "asked")
        models = tuple(value for key, value in noted if key == "model")
        wrong = next((each for each in case if each.tag in ("failure", "error")), None)
        skipped = case.find("skipped")
        name = f"{place.rpartition('.')[2]}.{case.get('name', '')}"
        if wrong is not None:
            yield Finding(resource, name, "failed", asked, wrong.get("message", ""), models)
        elif skipped is not None:
            yield Finding(resource, name, "skipped", asked, skipped.get("message", ""), models)
        else:
            yield Finding(resource, name, "passed", asked, models=models)


def model_names(sdk: Sdk, workshop: Workshop) -> list[str]:
    """Every model that these tests name in their text as the one to ask, forms and paths included."""
    found: set[str] = set()
    for files in sdk.resources.values():
        for each in files:
            place = workshop.tests(sdk) / TESTS / each
            for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
                found |= set(_asked_for(ast.parse(file.read_text(encoding="utf-8"))))
    return sorted(found)


def _asked_for(tree: ast.Module) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        named = [each.value for each in call.keywords if each.arg in ("model", "model_id")]
        looks_up = isinstance(call.func, ast.Attribute) and ".models." in f".{ast.unparse(call.func)}"
        for value in [*named, *(call.args if looks_up else ())]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value
