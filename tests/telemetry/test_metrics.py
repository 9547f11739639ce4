"""Metrics are what Prometheus reads, add up over workers, and stay few whatever callers send."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dirigent.core.observations import Served
from dirigent.core.usage import Money
from dirigent.telemetry.metrics import BOUNDS, MOST_SERIES, Gauge, Metrics

MODELS = ("auto", "writer")
WORKER = """
import sys
from pathlib import Path
from tests.telemetry.test_metrics import metrics, served

counting = metrics(Path(sys.argv[1]), open_streams=2)
counting.start()
for _ in range(int(sys.argv[2])):
    counting.observe(served())
counting._gathering._leave()
print("ready", flush=True)
sys.stdin.readline()
"""


def metrics(folder: Path | None = None, *, open_streams: int = 0, budget: int = 7) -> Metrics:
    return Metrics(
        folder,
        models=lambda: MODELS,
        provider_of={"gpt-4o": "openai"}.get,
        gauges=(
            Gauge.named("dirigent_open_streams", "Streams.", (), lambda: [((), open_streams)]),
            Gauge.named("dirigent_budget_spent", "Spent.", ("budget",), lambda: [(("a-1",), budget)], workers="max"),
        ),
    )


def served(**other: object) -> Served:
    said: dict[str, object] = {
        "at": 1.8e9,
        "run": "run-1",
        "request": "run-1",
        "tenant": "acme",
        "project": "sales",
        "key": "k-1",
        "path": "/v1/chat/completions",
        "model": "auto",
        "deployment": "gpt-4o",
        "status": 200,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost": Money(350),
        "seconds": 0.5,
        "purpose": "support",
    } | other
    return Served(**said)  # type: ignore[arg-type]


def read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by its name and the values of its labels, in the order in which these were written."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def counted(text: str, name: str) -> float:
    return sum(read(text).get(name, {}).values())


def test_what_was_served_is_counted() -> None:
    counting = metrics()

    counting.observe(served())
    counting.observe(served(first_token=0.03, cached_tokens=40, reasoning_tokens=4))
    counting.observe(served(status=502, code="provider_failed", cost=None, input_tokens=None, output_tokens=None))
    counting.observe(served(cost=None))

    said = read(counting.text())
    by = ("auto", "gpt-4o", "openai", "sales", "support")
    assert said["dirigent_requests_total"] == {(*by, "2xx"): 3, (*by, "5xx"): 1}
    assert said["gen_ai_client_inference_usage_input_tokens_total"] == {by: 300}
    assert said["gen_ai_client_inference_usage_output_tokens_total"] == {by: 30}
    assert said["gen_ai_client_inference_usage_cache_read_input_tokens_total"] == {by: 40}
    assert said["gen_ai_client_inference_usage_reasoning_output_tokens_total"] == {by: 4}
    assert said["dirigent_unpriced_total"] == {by: 1}
    assert said["dirigent_cost_total"] == {(*by, "USD"): 0.0000007}
    who = ("auto", "openai", "gpt-4o")
    assert said["gen_ai_server_request_duration_seconds_count"] == {who: 4}
    assert said["gen_ai_server_request_duration_seconds_sum"] == {who: 2.0}
    assert said["gen_ai_server_time_to_first_token_seconds_count"] == {who: 1}


def test_money_is_told_to_the_last_digit() -> None:
    counting = metrics()

    counting.observe(served(cost=Money(123_456_789_012_345_678)))
    counting.observe(served(cost=Money(1)))

    [line] = [line for line in counting.text().splitlines() if line.startswith("dirigent_cost_total{")]
    assert Decimal(line.rpartition(" ")[2]) == Decimal("123456789.012345679")


def test_buckets_hold_what_is_not_longer_than_their_bound() -> None:
    counting = metrics()

    for seconds in (0.001, 0.01, 0.010001, 81.92, 82.0):
        counting.observe(served(seconds=seconds))

    buckets = read(counting.text())["gen_ai_server_request_duration_seconds_bucket"]
    assert {
        labels[-1]: count for labels, count in buckets.items() if labels[-1] in ("0.01", "0.02", "81.92", "+Inf")
    } == {
        "0.01": 2,
        "0.02": 3,
        "81.92": 4,
        "+Inf": 5,
    }
    assert len(buckets) == len(BOUNDS) + 1


def test_words_of_callers_never_become_labels() -> None:
    counting = metrics()

    for number in range(5_000):
        counting.observe(served(model=f"invented-{number}", key=f"k-{number}", run=f"run-{number}", deployment=None))

    text = counting.text()
    assert counted(text, "dirigent_requests_total") == 5_000
    assert len(read(text)["dirigent_requests_total"]) == 1
    assert "invented" not in text
    assert "k-1" not in text
    assert "run-" not in text


def test_no_metric_has_more_than_two_thousand_series() -> None:
    counting = metrics()

    for number in range(3 * MOST_SERIES):
        counting.observe(served(project=f"p-{number}", status=200 if number % 2 else 429))

    text = counting.text()
    said = read(text)
    assert max(len(series) for series in said.values()) <= MOST_SERIES
    assert counted(text, "dirigent_requests_total") == 3 * MOST_SERIES
    assert said["dirigent_metrics_overflow_total"] == {(): 3 * MOST_SERIES - (MOST_SERIES - 50)}


def test_odd_names_are_escaped() -> None:
    odd = 'a "quoted"\\ name\nof two lines'
    counting = metrics()

    counting.observe(served(project=odd))

    [labels] = read(counting.text())["dirigent_requests_total"]
    assert odd in labels


@pytest.fixture
def workers(tmp_path: Path) -> Iterable[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(many)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for many in (3, 5)
    ]
    for worker in started:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    yield started
    for worker in started:
        worker.kill()
        worker.communicate()


def test_any_worker_tells_the_sum_of_all_and_keeps_what_the_dead_have_counted(
    tmp_path: Path, workers: list[subprocess.Popen[str]]
) -> None:
    mine = metrics(tmp_path, open_streams=1, budget=9)
    mine.start()
    mine.observe(served())

    together = mine.text()
    workers[0].kill()
    workers[0].wait()
    later = [mine.text(), mine.text()]
    mine.close()

    assert counted(together, "dirigent_requests_total") == 9
    assert counted(together, "gen_ai_server_request_duration_seconds_count") == 9
    assert counted(together, "dirigent_open_streams") == 5
    assert read(together)["dirigent_budget_spent"] == {("a-1",): 9}
    for text in later:
        assert counted(text, "dirigent_requests_total") == 9
        assert counted(text, "dirigent_open_streams") == 3


def test_a_node_that_begins_again_counts_from_nothing(tmp_path: Path) -> None:
    before = metrics(tmp_path)
    before.start()
    before.observe(served())
    before.close()

    again = metrics(tmp_path)
    again.start()
    text = again.text()
    again.close()

    assert counted(text, "dirigent_requests_total") == 0
