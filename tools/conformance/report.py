"""What the SDKs' tests found, as a file that can be kept and as a section of a page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.conformance.suite import Finding

__all__ = ["Fault", "Measured", "Row", "kept", "load", "row", "section"]

_LEAD = """\
The SDKs' own tests of their resources, as published and unchanged, sent through the gateway to a mock of the vendor
that is built from the SDK's types and refuses a request with a missing, an unknown or a wrongly typed field. Every
client and transport that the tests bring is run: strict and loose, blocking, asyncio, aiohttp. *Not served* are tests
of routes that the gateway says it does not have. The same tests go to the mock alone first: what fails there already is
the mock's fault and counts nowhere else. Tests that send nothing, because the SDK refuses beforehand, are left out. The
node's configuration names a default for requests that name no model, as the vendors have one of their own."""
_TRANSLATED = """\
The same tests where the model behind the name speaks the other vendor's format, so that each request and each answer is
translated; these do not count in the rates above."""


class Row(NamedTuple):
    """One resource of one SDK."""

    sdk: str
    resource: str
    upstream: str
    """The vendor whose format the model behind the gateway speaks."""
    passed: int
    failed: int
    not_served: int
    silent: int
    """Tests that sent nothing."""
    mock: int
    """Tests that fail without the gateway already; none of them is in the figures before."""

    @property
    def translated(self) -> bool:
        """Whether request and answer change their format on the way."""
        return self.upstream != self.sdk.partition(" ")[0]


class Fault(NamedTuple):
    """Failures that look alike."""

    sdk: str
    resource: str
    upstream: str
    words: str
    tests: int


class Measured(NamedTuple):
    """One whole measurement."""

    when: str
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    missing: tuple[str, ...]
    """What could not be measured, and why."""


def row(
    sdk: str,
    resource: str,
    upstream: str,
    *,
    alone: Iterable[Finding],
    through: Iterable[Finding],
    served: Iterable[str],
) -> tuple[Row, list[Fault]]:
    """The figures of one resource: tests against the mock `alone`, the same `through` the gateway."""
    broken = {each.name for each in alone if each.outcome == "failed"}
    served = set(served)
    counted: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for each in through:
        if each.name in broken:
            counted["mock"] += 1
        elif not each.asked and each.outcome != "failed":
            counted["silent"] += 1
        elif each.outcome != "passed" and any(route not in served for route in each.asked):
            counted["not served"] += 1
        elif each.outcome == "passed":
            counted["passed"] += 1
        else:  # one that is skipped has not shown anything either
            counted["failed"] += 1
            words[_plain(each)] += 1
    figures = (counted[name] for name in ("passed", "failed", "not served", "silent", "mock"))
    return Row(sdk, resource, upstream, *figures), [
        Fault(sdk, resource, upstream, text, tests) for text, tests in words.most_common()
    ]


def _plain(test: Finding) -> str:
    """Why it failed, without what differs between failures of one cause."""
    first = test.words.strip().partition("\n")[0]
    return (
        f"{test.asked[-1] if test.asked else 'nothing asked'}: {re.sub(r'0x[0-9a-f]+|run-[0-9a-f]+', '…', first)[:300]}"
    )


def kept(measured: Measured, file: Path) -> None:
    """Writes the measurement so that `load` reads it again."""
    plain = {
        **measured._asdict(),
        "rows": [each._asdict() for each in measured.rows],
        "faults": [each._asdict() for each in measured.faults],
    }
    file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> Measured:
    """A measurement that was kept. Raises OSError where there is none."""
    plain = json.loads(file.read_text(encoding="utf-8"))
    return Measured(
        plain["when"],
        tuple(Row(**each) for each in plain["rows"]),
        tuple(Fault(**each) for each in plain["faults"]),
        tuple(plain["missing"]),
    )


def section(measured: Measured) -> list[str]:
    """The lines of a section in Markdown, from its heading on."""
    direct = [each for each in measured.rows if not each.translated]
    translated = [each for each in measured.rows if each.translated]
    lines = ["## The SDKs' own tests", "", f"Measured on {measured.when} by `make conformance`.", _LEAD, ""]
    lines += [line for words in measured.missing for line in (f"**Not measured:** {words}", "")]
    lines += [*_table(direct), "", *_rates(direct), ""]
    if translated:
        lines += ["### Translated", "", _TRANSLATED, "", *_table(translated), "", *_rates(translated), ""]
    if measured.faults:
        lines += ["### What fails", ""]
        lines += [
            f"* {each.sdk}, {each.resource}{_behind(each)}: {each.tests} x `{each.words}`" for each in measured.faults
        ]
        lines.append("")
    return lines


def _behind(fault: Fault) -> str:
    return "" if fault.sdk.startswith(fault.upstream) else f", to {fault.upstream}"


def _rates(rows: Sequence[Row]) -> list[str]:
    passed = sum(each.passed for each in rows)
    served = passed + sum(each.failed for each in rows)
    everything = served + sum(each.not_served for each in rows)
    return [
        f"* of the tests of routes that the gateway serves: {_rate(passed, served)}",
        f"* of all tests of these resources: {_rate(passed, everything)}",
        f"* left out, for they send nothing: {sum(each.silent for each in rows):,}",
    ]


def _rate(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}, {100 * part / whole:.1f} %" if whole else "none"


def _table(rows: Sequence[Row]) -> list[str]:
    columns = ["SDK", "resource", "model behind", "passed", "failed", "not served", "mock's fault"]
    lines = [columns, ["---", "---", "---", "---:", "---:", "---:", "---:"]]
    lines += [
        [each.sdk, each.resource, each.upstream, *map(str, (each.passed, each.failed, each.not_served, each.mock))]
        for each in rows
    ]
    return [f"| {' | '.join(line)} |" for line in lines]
