"""Metrics of a node for Prometheus: counted by each worker in memory, and added up when somebody asks.

Names are those of OpenTelemetry's conventions for generative AI where there are any. Labels come from what is
published, never from callers, keys or runs, and no metric has more than two thousand series: what goes beyond counts
under `other`, and is itself counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import ClassVar, Literal

import msgspec

from dirigent.core.observations import Served
from dirigent.telemetry.exposition import Family, Samples, exposed
from dirigent.telemetry.gathering import Gathering

__all__ = ["BOUNDS", "COUNTED", "MOST_SERIES", "Gauge", "Labels", "Metrics"]

BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The upper bounds of the buckets of durations, in seconds, as the conventions propose them."""
MOST_SERIES = 2_000
"""Series of one metric."""
_MOST_OWN = MOST_SERIES - 50
"""The rest is room for what is counted under `other`, by status and currency."""
OTHER = "other"
_NONE = "none"

Labels = tuple[str, ...]

_BY = ("model", "deployment", "provider", "project", "purpose", "status")
_ANSWERING = ("gen_ai_request_model", "gen_ai_provider_name", "deployment")

REQUESTS = Family("dirigent_requests_total", "counter", "Requests that were answered or refused.", _BY)
INPUT = Family(
    "gen_ai_client_inference_usage_input_tokens_total", "counter", "Tokens that went in, cached ones too.", _BY[:-1]
)
OUTPUT = Family("gen_ai_client_inference_usage_output_tokens_total", "counter", "Tokens that came out.", _BY[:-1])
CACHED = Family(
    "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "counter",
    "Of the tokens that went in, those that providers had in their caches.",
    _BY[:-1],
)
REASONING = Family(
    "gen_ai_client_inference_usage_reasoning_output_tokens_total",
    "counter",
    "Of the tokens that came out, those that models thought with.",
    _BY[:-1],
)
COST = Family("dirigent_cost_total", "counter", "Money spent, in whole units.", (*_BY[:-1], "currency"))
UNPRICED = Family("dirigent_unpriced_total", "counter", "Answers whose price is not known.", _BY[:-1])
DURATION = Family(
    "gen_ai_server_request_duration_seconds", "histogram", "How long requests took.", _ANSWERING, bounds=BOUNDS
)
FIRST = Family(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "How long streams took until their first piece.",
    _ANSWERING,
    bounds=BOUNDS,
)
OVERFLOW = Family(
    "dirigent_metrics_overflow_total",
    "counter",
    "Requests counted under `other`, because there are too many series.",
    (),
)
COUNTED = (REQUESTS, INPUT, OUTPUT, CACHED, REASONING, COST, UNPRICED, DURATION, FIRST, OVERFLOW)
"""All that requests are counted in."""


class Gauge(msgspec.Struct, frozen=True):
    """Something that stands at a value, read when somebody asks: `read` gives each series' labels and value."""

    family: Family
    read: Callable[[], Iterable[tuple[Labels, float]]]

    @classmethod
    def named(
        cls,
        name: str,
        help: str,
        labels: Labels,
        read: Callable[[], Iterable[tuple[Labels, float]]],
        *,
        workers: Literal["sum", "max"] = "sum",
    ) -> Gauge:
        """A gauge whose values of several workers are added up, or of which the greatest counts.

        A name that ends in `_total` makes it a counter: then what a worker that is gone has counted stays counted.
        """
        kind: Literal["counter", "gauge"] = "counter" if name.endswith("_total") else "gauge"
        return cls(Family(name, kind, help, labels, workers=workers), read)


class _Counts:
    """What one combination of labels has counted."""

    __slots__ = (
        "cached",
        "cost",
        "first",
        "first_sum",
        "input",
        "output",
        "reasoning",
        "requests",
        "took",
        "took_sum",
        "unpriced",
    )

    def __init__(self) -> None:
        self.requests = self.input = self.output = self.cached = self.reasoning = self.cost = self.unpriced = 0
        self.took = [0] * (len(BOUNDS) + 1)
        self.took_sum = 0.0
        self.first = [0] * (len(BOUNDS) + 1)
        self.first_sum = 0.0


_Key = tuple[str | None, str | None, str | None, str | None, int, str | None]


class Metrics:
    """An observer that counts, for all workers that share a folder.

    `observe` belongs to the loop and takes a microsecond or two. `text` may be called from any thread and takes
    milliseconds: from the loop, call it by `asyncio.to_thread`.
    """

    hears: ClassVar[tuple[type, ...]] = (Served,)
    """What else it is told it leaves aside."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        models: Callable[[], Collection[str]],
        provider_of: Callable[[str], str | None],
        gauges: Sequence[Gauge] = (),
    ) -> None:
        """`models` are the names that are published, `provider_of` tells who serves a deployment.

        The workers of a node share the folder; without one this worker is alone.
        """
        self._models = models
        self._provider_of = provider_of
        self._gauges = tuple(gauges)
        self._counts: dict[_Key, _Counts] = {}
        self._labels: dict[_Key, Labels] = {}
        self._series: set[Labels] = set()
        self._overflow = 0
        families = [gauge.family for gauge in self._gauges]
        self._counted = Event()
        """Set once something was counted that the other workers have not been told."""
        self._gathering = (
            Gathering(
                folder,
                greatest=frozenset(family.name for family in families if family.workers == "max"),
                passing=frozenset(family.name for family in families if family.kind == "gauge"),
            )
            if folder is not None
            else None
        )

    def start(self) -> None:
        """Begins to let the other workers know."""
        if self._gathering is not None:
            self._gathering.start(self._snapshot, self._counted)

    def close(self) -> None:
        """Leaves what was counted to the workers that stay."""
        if self._gathering is not None:
            self._gathering.close()

    def observe(self, observation: msgspec.Struct) -> None:
        """Counts what was served; anything else is not for here."""
        if not isinstance(observation, Served):
            return
        cost = observation.cost
        key = (
            observation.model,
            observation.deployment,
            observation.project,
            observation.purpose,
            observation.status,
            cost.currency if cost is not None else None,
        )
        counts = self._counts.get(key)
        if counts is None:
            counts = self._begun(key)
        if not self._counted.is_set():
            self._counted.set()
        counts.requests += 1
        seconds = observation.seconds
        counts.took[bisect_left(BOUNDS, seconds)] += 1
        counts.took_sum += seconds
        if observation.input_tokens is not None:
            counts.input += observation.input_tokens
            counts.output += observation.output_tokens or 0
            counts.cached += observation.cached_tokens
            counts.reasoning += observation.reasoning_tokens
            if cost is None:
                counts.unpriced += 1
        if cost is not None:
            counts.cost = cost.added_to(counts.cost)
        first = observation.first_token
        if first is not None:
            counts.first[bisect_left(BOUNDS, first)] += 1
            counts.first_sum += first

    def text(self) -> str:
        """What all workers have counted, in the text format of Prometheus."""
        everything = self._snapshot()
        if self._gathering is not None:
            everything = self._gathering.gathered(everything)
        families = {family.name: family for family in (*COUNTED, *(gauge.family for gauge in self._gauges))}
        return exposed(families, everything, MOST_SERIES)

    def _begun(self, key: _Key) -> _Counts:
        """The counts of a combination that is new; those of `other` where there is no room for more."""
        model, deployment, project, purpose, status, currency = key
        labels = (
            _known(model, self._models()),
            deployment or _NONE,
            (self._provider_of(deployment) if deployment is not None else None) or _NONE,
            project or _NONE,
            purpose or _NONE,
            f"{status // 100}xx" if 100 <= status < 600 else OTHER,
            currency or "",
        )
        if labels not in self._series and len(self._series) >= _MOST_OWN:
            labels = (*(OTHER,) * 5, labels[5], labels[6])
            self._overflow += 1
            self._series.add(labels)
            shared: _Key = (labels[0], labels[1], labels[3], labels[4], -1 - status // 100, currency)
            counts = self._counts.get(shared)
            if counts is None:
                counts = self._counts[shared] = _Counts()
                self._labels[shared] = labels
            return counts
        self._series.add(labels)
        if labels[0] == OTHER and model is not None:  # callers' own words must not fill the memory
            key = (OTHER, deployment, project, purpose, status, currency)
            found = self._counts.get(key)
            if found is not None:
                return found
        self._labels[key] = labels  # first: whoever reads finds labels for all counts
        counts = self._counts[key] = _Counts()
        return counts

    def _snapshot(self) -> Samples:
        """What this worker has counted, and where its gauges stand."""
        samples: Samples = {}
        for key, counts in self._counts.copy().items():  # a copy is made in one step, whatever the loop does meanwhile
            *by, currency = self._labels[key]
            what, who = tuple(by[:-1]), (by[0], by[2], by[1])
            _add(samples, REQUESTS, tuple(by), counts.requests)
            for family, value in (
                (INPUT, counts.input),
                (OUTPUT, counts.output),
                (CACHED, counts.cached),
                (REASONING, counts.reasoning),
                (UNPRICED, counts.unpriced),
            ):
                if value:
                    _add(samples, family, what, value)
            if counts.cost:
                _add(samples, COST, (*what, currency), counts.cost)
            _add_all(samples, DURATION, who, [*counts.took, counts.took_sum])
            if any(counts.first):
                _add_all(samples, FIRST, who, [*counts.first, counts.first_sum])
        _add(samples, OVERFLOW, (), self._overflow)
        for gauge in self._gauges:
            for labels, standing in gauge.read():
                _add(samples, gauge.family, labels, standing)
        return samples


def _known(model: str | None, models: Collection[str]) -> str:
    if model is None:
        return _NONE
    return model if model in models else OTHER


def _add(samples: Samples, family: Family, labels: Labels, value: float) -> None:
    _add_all(samples, family, labels, [value])


def _add_all(samples: Samples, family: Family, labels: Labels, values: Sequence[float]) -> None:
    series = samples.setdefault(family.name, {})
    before = series.get(labels)
    series[labels] = list(values) if before is None else [a + b for a, b in zip(before, values, strict=True)]
