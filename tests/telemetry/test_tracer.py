"""Traces: a span for each run below the caller's, one for each of its tries below that, and never a body."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from dirigent.core.observations import Served, Traced, Tried
from dirigent.core.usage import Money
from dirigent.telemetry.tracer import Tracer, tracer
from tests.telemetry.collector import Collector, collector, said

RUN = "run-0123456789abcdef01234567"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ANSWERERS = {"premium": ("openai", "gpt-4o"), "backup": ("bedrock", "claude-x")}


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as one:
        yield one


@pytest.fixture
def sender(receiver: Collector) -> Iterator[Tracer]:
    one = tracer(f"{receiver.url}/v1/traces", {"x-team": "a b"}, "gateway", "node-1", ANSWERERS.get)
    one.start()
    yield one
    one.close()


def served(**more: Any) -> Served:
    fields: dict[str, Any] = {
        "at": 1_800_000_010.0, "run": RUN, "request": "req-7", "tenant": "acme", "project": "sales", "key": "k-1",
        "path": "/v1/chat/completions", "model": "auto", "deployment": "premium", "route": "premium is the best",
        "revision": "3f9c2b71", "status": 200, "streamed": True, "attempts": 2, "input_tokens": 90,
        "output_tokens": 7, "cached_tokens": 64, "cost": Money(1_250_000, "EUR"), "seconds": 2.0, "first_token": 0.5,
        "purpose": "offers", "member": "m-erika", "transaction": "case 7",
    }  # fmt: skip
    return Served(**{**fields, **more})


TRIED = (Tried("backup", "timeout", 0.0, 0.75), Tried("premium", "answered", 0.75, 1.25))


def test_a_run_with_two_tries_is_three_spans_with_the_names_of_the_conventions(
    receiver: Collector, sender: Tracer
) -> None:
    sender.observe(Traced(served(), PARENT, "chat", TRIED, max_tokens=100, temperature=0.2, stream=True))

    run, failed, answered = receiver.until(3)
    assert [span.name for span in (run, failed, answered)] == ["chat auto", "chat claude-x", "chat gpt-4o"]
    assert (run.kind, answered.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert {span.trace_id.hex() for span in (run, failed, answered)} == {PARENT[3:35]}
    assert run.parent_span_id.hex() == PARENT[36:52]
    assert failed.parent_span_id == answered.parent_span_id == run.span_id
    assert len({span.span_id for span in (run, failed, answered)}) == 3
    attributes = said(run)
    assert (
        attributes.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "auto",
            "gen_ai.request.max_tokens": 100,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.stream": True,
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.response.time_to_first_chunk": 0.5,
            "gen_ai.usage.input_tokens": 90,
            "gen_ai.usage.output_tokens": 7,
            "gen_ai.usage.cache_read.input_tokens": 64,
            "dirigent.run": RUN,
            "dirigent.request": "req-7",
            "dirigent.cost.nano": 1_250_000,
            "dirigent.cost.currency": "EUR",
            "dirigent.purpose": "offers",
            "dirigent.revision": "3f9c2b71",
            "dirigent.route": "premium is the best",
        }.items()
    )
    assert said(failed)["gen_ai.provider.name"] == "aws.bedrock"
    assert said(failed)["error.type"] == "timeout"
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "gen_ai.usage.input_tokens" not in said(failed)
    assert said(answered)["gen_ai.usage.output_tokens"] == 7


def test_spans_begin_and_end_when_what_they_show_did(receiver: Collector, sender: Tracer) -> None:
    sender.observe(Traced(served(), None, "chat", TRIED))

    run, failed, answered = receiver.until(3)

    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (1_800_000_008 * 10**9, 1_800_000_010 * 10**9)
    assert failed.start_time_unix_nano == run.start_time_unix_nano
    assert answered.start_time_unix_nano == failed.end_time_unix_nano == run.start_time_unix_nano + 75 * 10**7
    assert answered.end_time_unix_nano == run.end_time_unix_nano


def test_without_a_caller_s_trace_the_trace_bears_the_run_s_id(receiver: Collector, sender: Tracer) -> None:
    sender.observe(Traced(served(), None, "embeddings"))

    (run,) = receiver.until(1)

    assert run.trace_id.hex() == f"00000000{RUN[4:]}"
    assert run.parent_span_id == b""
    assert run.name == "embeddings auto"


def test_who_says_that_nobody_samples_is_not_sampled(receiver: Collector, sender: Tracer) -> None:
    sender.observe(Traced(served(), PARENT[:-2] + "00", "chat", TRIED))
    sender.observe(Traced(served(run="run-other"), PARENT, "chat"))

    (run,) = receiver.until(1)

    assert said(run)["dirigent.run"] == "run-other"


def test_a_refusal_is_an_error_and_what_is_not_known_is_left_out(receiver: Collector, sender: Tracer) -> None:
    refused = Served(
        at=1.0,
        run=RUN,
        request=RUN,
        tenant=None,
        project=None,
        key=None,
        path="/v1/x",
        status=401,
        code="invalid_api_key",
    )
    sender.observe(Traced(refused, None, ""))

    (run,) = receiver.until(1)

    attributes = said(run)
    assert (attributes["error.type"], attributes["http.response.status_code"]) == ("invalid_api_key", 401)
    assert not [name for name in attributes if name.startswith(("gen_ai.usage", "gen_ai.provider", "dirigent.cost"))]


def test_the_receiver_is_told_who_sends_and_by_which_headers(receiver: Collector, sender: Tracer) -> None:
    sender.observe(Traced(served(), None, "chat"))
    receiver.until(1)

    assert receiver.resource.items() >= {"service.name": "gateway", "service.instance.id": "node-1"}.items()
    assert receiver.headers[0]["x-team"] == "a b"
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert b"m-erika" not in receiver.raw  # a person
    assert b"case 7" not in receiver.raw


def test_what_nobody_takes_is_counted_and_what_comes_after_it_arrives(receiver: Collector, sender: Tracer) -> None:
    receiver.fails = 1
    sender.observe(Traced(served(), None, "chat"))
    end = time.monotonic() + 60
    while not sender.dropped and time.monotonic() < end:
        time.sleep(0.02)

    sender.observe(Traced(served(), None, "chat"))

    assert len(receiver.until(1)) == 1
    assert sender.dropped == 1
