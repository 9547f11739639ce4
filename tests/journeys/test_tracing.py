"""A real node traces to a real collector, below the caller's own span, and never sends a word of what was said."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.node import node
from tests.journeys.upstream import standing
from tests.telemetry.collector import collector, said

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ASKED = "a question that nobody else may read"
TOLD = "an answer that nobody else may read"


def test_a_node_traces_what_succeeds_what_falls_back_and_what_is_refused(tmp_path: Path) -> None:
    with standing(TOLD) as vendor, collector() as receiver:
        config = f"""\
            providers:
              vendor: {{type: compatible, base_url: "http://127.0.0.1:{vendor.port}/v1"}}
              gone: {{type: compatible, base_url: "http://127.0.0.1:1/v1"}}
            models:
              dear: {{type: deployment, provider: vendor, name: big-1, price: {{input: 1, output: 1}}}}
              lost: {{type: deployment, provider: gone, name: big-2, price: {{input: 1, output: 1}}}}
              auto: {{type: router, candidates: [lost, dear], strategy: fixed}}
            """
        with node(tmp_path / "data", config, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as one:
            body = {"model": "dear", "messages": [{"role": "user", "content": ASKED}]}
            plain = one.call("POST", "/v1/chat/completions", body, headers={"traceparent": PARENT})
            stream = one.call("POST", "/v1/chat/completions", {**body, "stream": True, "max_tokens": 50})
            routed = one.call("POST", "/v1/chat/completions", {**body, "model": "auto"})
            refused = one.call("POST", "/v1/chat/completions", {**body, "model": "nobody"})
            spans = receiver.until(2 + 2 + 3 + 1)

    runs = {said(span).get("dirigent.run"): span for span in spans if not said(span).get("dirigent.outcome")}
    of = {
        name: runs[answer.headers["x-dirigent-run"]]
        for name, answer in (("plain", plain), ("stream", stream), ("routed", routed), ("refused", refused))
    }
    assert (of["plain"].trace_id.hex(), of["plain"].parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert of["plain"].name == "chat dear"
    assert said(of["plain"])["gen_ai.usage.input_tokens"] == 9
    assert said(of["stream"])["gen_ai.request.max_tokens"] == 50
    assert said(of["stream"])["gen_ai.response.time_to_first_chunk"] > 0
    tries = [said(span)["dirigent.outcome"] for span in spans if span.parent_span_id == of["routed"].span_id]
    assert tries == ["unavailable", "answered"]
    assert said(of["refused"])["error.type"] == "model_not_found"
    for words in (ASKED, TOLD, one.key):
        assert words.encode() not in receiver.raw
