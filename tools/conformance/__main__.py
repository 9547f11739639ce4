"""`make conformance`: the SDKs' own tests through the gateway.

Fetches the SDKs' archives and their needs once, by hash; everything else happens on this machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dirigent.models.providers import PROVIDERS
from tools.conformance.report import Fault, Measured, Row, kept, row, section
from tools.conformance.servers import ROOT, VENDOR_KEY, Node, configuration, node, vendor
from tools.conformance.sources import ANTHROPIC, OPENAI, SDKS, Sdk, Unavailable, Workshop, prepared
from tools.conformance.suite import Finding, model_names, tested

CACHE = ROOT / ".cache" / "conformance"
RESULTS = ROOT / "benches" / "conformance.json"


class Lane(NamedTuple):
    """Tests of one SDK with models of one vendor behind the gateway."""

    sdk: Sdk
    upstream: Sdk
    resources: tuple[str, ...]


LANES = (
    Lane(OPENAI, OPENAI, tuple(OPENAI.resources)),
    Lane(ANTHROPIC, ANTHROPIC, tuple(ANTHROPIC.resources)),
    Lane(OPENAI, ANTHROPIC, ("chat completions", "responses")),
    Lane(ANTHROPIC, OPENAI, ("messages", "messages (beta)")),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the section, keeps the figures. Returns 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="tools.conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the SDKs are kept (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=RESULTS, help="the file for the figures (default: %(default)s)")
    parser.add_argument("--sdk", choices=[sdk.package for sdk in SDKS], help="only the tests of this one")
    asked = parser.parse_args(arguments)
    try:
        workshop = prepared(asked.cache)
        measured = _measured([lane for lane in LANES if asked.sdk in (None, lane.sdk.package)], workshop)
    except Unavailable as fault:
        print(f"make conformance: {fault}", file=sys.stderr)
        return 1
    print("\n".join(section(measured)))
    kept(measured, asked.keep)
    return 1 if measured.missing else 0


def _measured(lanes: Sequence[Lane], workshop: Workshop) -> Measured:
    alone: dict[str, list[Finding]] = {}
    rows: list[Row] = []
    faults: list[Fault] = []
    missing: list[str] = []
    for lane in lanes:
        name = f"{lane.sdk.package} {lane.sdk.version}"
        if lane.upstream.package not in PROVIDERS.kinds:
            missing.append(f"{name} to {lane.upstream.package}: there is no provider of that type yet")
            continue
        if lane.sdk.package not in alone:
            _say(f"{name}: against the mock alone …")
            alone[lane.sdk.package] = _alone(lane.sdk, workshop)
        _say(f"{name}: through the gateway to {lane.upstream.package} …")
        for found, wrong in _lane(lane, workshop, alone[lane.sdk.package]):
            rows.append(found)
            faults += wrong
    return Measured(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", tuple(rows), tuple(faults), tuple(missing))


def _alone(sdk: Sdk, workshop: Workshop) -> list[Finding]:
    with vendor(sdk, workshop) as port:
        return tested(sdk, workshop, f"http://127.0.0.1:{port}", VENDOR_KEY, sdk.resources)


def _lane(lane: Lane, workshop: Workshop, alone: Sequence[Finding]) -> Iterator[tuple[Row, list[Fault]]]:
    names = {*model_names(lane.sdk, workshop), *(name for each in alone for name in each.models)}
    with (
        vendor(lane.upstream, workshop) as port,
        node(configuration(lane.upstream.package, port, sorted(names))) as gateway,
    ):
        through = tested(lane.sdk, workshop, gateway.address, gateway.key, lane.resources)
        served = _served(gateway, through)
    for resource in lane.resources:
        yield row(
            f"{lane.sdk.package} {lane.sdk.version}",
            resource,
            lane.upstream.package,
            alone=[each for each in alone if each.resource == resource],
            through=[each for each in through if each.resource == resource],
            served=served,
        )


def _served(gateway: Node, through: Sequence[Finding]) -> set[str]:
    return {route for route in {route for each in through for route in each.asked} if gateway.serves(route)}


def _say(words: str) -> None:
    print(f"[{datetime.now(UTC):%H:%M:%S}] {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
