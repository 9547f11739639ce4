"""A thousand streams at once: what a gateway adds to their first words and to each event, and what gets lost.

Every content event carries when the upstream sent it; the callers, on the same machine and clock, note when it arrives.
The same callers also ask the upstream directly, so what is *added* is the difference of two figures of one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from benches.harness import CORES, harness, middle, standing
from benches.native import Missing, Row, body, calling, told, upstream
from benches.targets import COMPILED, DIRECT, NGINX, PLAIN, UPSTREAM_PORT

__all__ = ["BURST", "CHUNK", "FAULTS", "RAMP", "SEGMENT", "STREAMS", "Pace", "added", "astray", "streamed"]

RAMP, BURST = "ramp", "burst"
"""Begun evenly within some seconds; all begun at one instant."""
CHUNK, SEGMENT = "chunk", "segment"
"""Each byte of the body an HTTP chunk of its own; each byte on the wire a TCP segment of its own."""
STREAMS = 1000
FAULTS = ("lost", "merged", "reordered", "doubled", "foreign")
"""What may befall an event. A foreign one belongs to another stream."""
_DELAY = 50
"""Milliseconds from a request to the role-only event, with which a stream begins."""
_PAUSE, _VARIES = 500, 0.25
"""Milliseconds between two events, and by which share of it each pause is longer or shorter."""
_STEP = 25
"""Milliseconds between two pieces of one byte, so that 1,000 streams have 40,000 pieces a second."""
_SHORT = 3
"""Content events of such a stream; with what goes around them it has some 1,200 bytes."""


class Pace(NamedTuple):
    """How much is measured."""

    events: int = 12
    """Content events in a stream; with the pauses they last for about six seconds."""
    within: float = 3.0
    """Seconds within which the streams of a ramp begin."""
    rounds: int = 3
    bursts: int = 2
    """Rounds of all at one instant."""
    streams: int = STREAMS


def streamed(say: Callable[[str], None], pace: Pace = Pace()) -> list[Row]:  # noqa: B008  a tuple does not change
    """A row for each target and round, with latencies in microseconds. Raises Missing."""
    found = harness()
    request = body("stream", model="gpt-4o", stream=True, stream_options={"include_usage": True})
    rows: list[Row] = []
    paces = ("-e", str(pace.events), "-i", str(_PAUSE), "-j", str(_VARIES), "-d", str(_DELAY))
    with (
        upstream(UPSTREAM_PORT, CORES[1], *paces),
        standing(found, (DIRECT, NGINX, PLAIN, COMPILED), say) as processes,
    ):
        for process in processes.values():
            _asked(found.key, process, request, streams=pace.streams // 20, within=0.5, events=pace.events)
        for scenario, rounds, within in ((RAMP, pace.rounds, pace.within), (BURST, pace.bursts, 0.0)):
            say(f"{pace.streams:,} streams, {scenario}: {rounds} rounds …")
            for number in range(rounds):
                for name, process in processes.items():
                    row = _asked(found.key, process, request, streams=pace.streams, within=within, events=pace.events)
                    rows.append({"target": name, "scen": scenario, "round": number, **row})
    for scenario, names in ((CHUNK, (PLAIN, COMPILED)), (SEGMENT, (NGINX, PLAIN, COMPILED))):
        say(f"{pace.streams:,} streams, byte by byte: {scenario} …")
        options = ("-e", str(_SHORT), "-i", str(_STEP), "-d", str(_DELAY), "-m", scenario)
        with (
            upstream(UPSTREAM_PORT, CORES[1], *options),
            standing(found, names, say) as processes,
        ):
            for name, process in processes.items():
                row = _asked(found.key, process, request, streams=pace.streams, within=_STEP / 1000, events=_SHORT)
                rows.append({"target": name, "scen": scenario, "round": 0, **row})
    return rows


def added(rows: Iterable[Row], target: str, scenario: str, figure: str) -> float | None:
    """Milliseconds that a target adds to what the callers see without any gateway; None where either is missing."""
    rows = list(rows)
    ours, direct = middle(rows, target, scenario, figure), middle(rows, DIRECT, scenario, figure)
    return None if ours is None or direct is None else (ours - direct) / 1000


def astray(rows: Iterable[Row], target: str, scenarios: Sequence[str] = (CHUNK, SEGMENT)) -> int | None:
    """Events that were lost, merged or out of place, and streams that broke; None where nothing was measured."""
    same = [row for row in rows if row["target"] == target and row["scen"] in scenarios]
    if not same:
        return None
    return sum(int(row[fault]) for row in same for fault in (*FAULTS, "broken", "silent", "refused", "told"))


def _asked(key: str, process: Any, request: str, *, streams: int, within: float, events: int) -> Row:
    """One round of one target, with its CPU for all and its memory for each of the streams."""
    cpu, before = process.cpu(), process.rss()
    options = ("-b", request, "-n", str(streams), "-r", str(within), "-e", str(events), "-t", "90")
    with calling(process.port, CORES[1], key, *options) as callers:
        time.sleep(within + 1.0)
        memory = process.rss()
        row = told(callers, 120)
    spent = process.cpu() - cpu
    for name in ("first", "late", "gap"):
        row |= {f"{name}_{share}_us": row[name][share] for share in ("p50", "p99", "most") if row[name]["count"]}
        del row[name]
    row["errors"] = row["asked"] - row["answered"]
    row["first_error"] = row.pop("first_fault")
    row["cpu_ms_per_1k_events"] = spent * 1e6 / row["events"] if row["events"] else None
    row["kb_per_stream"] = (memory - before) * 1024 * 1.024 / streams
    row["lg_cpu_s"] = row.pop("cpu_s")
    return row


def main() -> None:
    """Prints what a short run finds."""
    try:
        rows = streamed(print, Pace(rounds=1, bursts=1))
    except Missing as fault:
        print(f"not measured: {fault}")
        return
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
