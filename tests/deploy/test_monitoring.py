"""The dashboard and the rules name nothing that a node does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dirigent.server.gauges import gauges
from dirigent.store import Database
from dirigent.telemetry.exposition import Family
from dirigent.telemetry.metrics import COUNTED
from tests.parsed import ROOT

DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(?:dirigent|gen_ai)_[a-z_]+(?=\s*[{\[)>]|\s*$|\s+(?:or|and)\b|\)|,)")
SELECTOR = re.compile(r"([a-z_]+)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
OF_PROMETHEUS = {"le", "job", "instance"}


def families(folder: Path) -> dict[str, Family]:
    """Everything that a node counts and shows, by the names that Prometheus has for it."""
    database = Database.within(folder)
    shown = gauges(database, resting=list, queues=list, untraced=int)
    database.close()
    found: dict[str, Family] = {}
    for family in (*COUNTED, *(gauge.family for gauge in shown)):
        names: tuple[str, ...] = (family.name,)
        if family.kind == "histogram":
            names = (f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count")
        found |= dict.fromkeys(names, family)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, with where it stands."""
    board: Any = json.loads((DEPLOY / "grafana" / "dirigent.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]
    rules: Any = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]


def test_every_metric_of_the_dashboard_and_the_rules_exists(tmp_path: Path) -> None:
    known = families(tmp_path)

    named = {(where, name) for where, expression in expressions() for name in METRIC.findall(expression)}

    assert len({name for _, name in named}) > 15
    assert {(where, name) for where, name in named if name not in known} == set()


def test_every_metric_of_a_node_is_shown_somewhere(tmp_path: Path) -> None:
    shown = {name for _, expression in expressions() for name in METRIC.findall(expression)}

    counted = {family.name for family in families(tmp_path).values()}

    assert {name for name in counted if not any(each.startswith(name) for each in shown)} == set()


def test_every_label_that_is_asked_for_is_one_of_its_metric(tmp_path: Path) -> None:
    known = families(tmp_path)
    wrong = set()
    for where, expression in expressions():
        metrics = [known[name] for name in METRIC.findall(expression) if name in known]
        labels = {label for metric in metrics for label in metric.labels} | OF_PROMETHEUS
        asked = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
        for name, selector in SELECTOR.findall(expression):
            said = {part.partition("=")[0].strip(" !~") for part in re.findall(r'[a-z_]+\s*[=!]~?\s*"', selector)}
            wrong |= {(where, label) for label in said if name in known and label not in known[name].labels}
        wrong |= {(where, label) for label in asked if metrics and label not in labels}

    assert wrong == set()


def test_the_dashboard_has_an_id_for_each_panel_and_none_lies_over_another() -> None:
    board: Any = json.loads((DEPLOY / "grafana" / "dirigent.json").read_text(encoding="utf-8"))

    places: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & places, panel["title"]
        places |= cells

    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert max(x for x, _ in places) == 23
