"""Providers that fail in every way and in every window, many at once: who has a backup never notices before a word.

What a fault does depends on its window. Until something was said another candidate takes over, and without one there is
one well-formed error. After the first event the answer ends with an error in the stream, and nobody else goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.node import Node, node
from tests.net.providers import Manner, Visit, provider
from tests.upstream import DONE, after, answer, chunk, frames, head, refusing

SAID = frames(chunk({"role": "assistant", "content": ""}), chunk({"content": "from the first "}))
MORE = frames(*(chunk({"content": f"word {number} "}) for number in range(20)))
ENDED = frames(chunk(finish="stop"))
BODY = json.dumps(answer("from the first")).encode()
LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
REPEATED = 2
"""How many callers meet each fault at once."""
AT_ONCE = 200
"""How many callers ask at once: more than that, and a small machine is too slow for the waits of a second."""


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def by_form(streamed: list[bytes], whole: list[bytes], *, cut: bool) -> Manner:
    """Says these bytes, as a stream or a whole answer was asked for, then cuts the connection or falls silent."""

    async def manner(visit: Visit) -> None:
        _, body = await visit.request()
        for data in streamed if json.loads(body).get("stream") else whole:
            visit.say(data)
            await asyncio.sleep(0.005)
        await visit.writer.drain()
        if not cut:
            await visit.until_gone()

    return manner


BEGUN, HALF = [head()], [LENGTH, BODY[:40]]
SILENT: dict[str, Manner] = {
    "killed before the head": by_form([], [], cut=True),
    "stalled before the head": after(60),
    "rate-limited": refusing(429, {"error": {"message": "slow down"}}, retry_after="20"),
    "overloaded": refusing(529, b"<html>no</html>", "text/html"),
    "failing": refusing(500, {"error": {"message": "no"}}),
    "garbage instead of a head": by_form([b"\x00\xffSSH-2.0\r\n\r\n"], [b"HTTP/9 banana\r\n\r\n"], cut=True),
    "killed after the head": by_form(BEGUN, HALF, cut=True),
    "stalled after the head": by_form(BEGUN, HALF, cut=False),
    "truncated before a word": by_form(
        [
            *BEGUN,
            piece(b""),
        ],
        [LENGTH, BODY[:-1]],
        cut=True,
    ),
    "garbage after the head": by_form(
        [*BEGUN, piece(b"data: {{{\n\n"), piece(b"")], [LENGTH, b"x" * len(BODY)], cut=True
    ),
    "an error in the place of a word": by_form(
        [*BEGUN, piece(frames({"error": {"message": "no"}})), piece(b"")],
        [head(content_type="application/json"), piece(b'{"error":{"message":"no"}}'), piece(b"")],
        cut=True,
    ),
    "broken chunks": by_form([*BEGUN, b"zz\r\n"], [head(), b"-1\r\n"], cut=True),
}
"""Faults before anything was said, of streams and of whole answers."""
SPOKEN: dict[str, list[bytes]] = {
    "after the first event": [piece(SAID)],
    "in the middle": [piece(SAID + MORE)],
    "in the middle of a frame": [piece(SAID + MORE[:-20])],
    "before the end": [piece(SAID + MORE), piece(b"data: ")],
}
"""What a stream has said when it fails."""
MANNERS: dict[str, Manner] = {
    **SILENT,
    **{f"killed {window}": by_form([*BEGUN, *said], HALF, cut=True) for window, said in SPOKEN.items()},
    **{f"stalled {window}": by_form([*BEGUN, *said], HALF, cut=False) for window, said in SPOKEN.items()},
    **{f"truncated {window}": by_form([*BEGUN, *said, piece(b"")], HALF, cut=True) for window, said in SPOKEN.items()},
    **{
        f"garbage {window}": by_form([*BEGUN, *said, b"zz\r\n"], [LENGTH, b"x" * len(BODY)], cut=True)
        for window, said in SPOKEN.items()
    },
    **{
        f"an error {window}": by_form(
            [*BEGUN, *said, piece(b"\n\n" + frames({"error": {"message": "no"}})), piece(b"")], HALF, cut=True
        )
        for window, said in SPOKEN.items()
        if window != "in the middle of a frame"
    },
}
ALONE, BACKED, HEDGED = "alone", "backed", "hedged"


async def well(visit: Visit) -> None:
    """Answers everybody."""
    while True:
        _, body = await visit.request()
        if json.loads(body).get("stream"):
            said = frames(chunk({"role": "assistant", "content": "from the backup"}))
            visit.say(head() + piece(said + ENDED + DONE) + piece(b""))
        else:
            data = json.dumps(answer("from the backup")).encode()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data))


class Heard:
    """What a caller has got."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self.body = unchunked(body) if self.headers.get("transfer-encoding") == "chunked" else body

    @property
    def frames(self) -> list[Any]:
        data = [line.removeprefix("data: ") for line in self.body.decode().split("\n") if line.startswith("data: ")]
        return [each if each == "[DONE]" else json.loads(each) for each in data]

    @property
    def text(self) -> str:
        """All words of a stream, or those of the whole answer."""
        if self.headers["content-type"].startswith("application/json"):
            return str(json.loads(self.body)["choices"][0]["message"]["content"])
        events = [each for each in self.frames if each != "[DONE]" and each.get("choices")]
        return "".join(each["choices"][0]["delta"].get("content") or "" for each in events)

    def says(self, text: str) -> bool:
        """Whether it is a good answer of exactly these words."""
        return self.status == 200 and self.text == text


def unchunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)  # raises where the gateway broke off without an end
        if length == 0:
            assert body == b"\r\n"
            return whole
        whole, body = whole + body[:length], body[length + 2 :]


async def asked(one: Node, model: str, *, stream: bool) -> Heard:
    """One caller on a connection of its own."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}).encode()
    lines = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {one.key}\r\nconnection: close\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(f"{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
    try:
        return Heard(await asyncio.wait_for(reader.read(), 30))
    finally:
        writer.close()


def slug(fault: str) -> str:
    return fault.replace(" ", "-")


def configured(ports: Mapping[str, int], backup: int) -> str:
    """Every fault as a deployment of its own, and behind routers with a backup."""
    providers = {
        slug(fault): {"type": "compatible", "base_url": f"http://127.0.0.1:{port}/v1"} for fault, port in ports.items()
    }
    providers["backup"] = {"type": "compatible", "base_url": f"http://127.0.0.1:{backup}/v1"}
    providers["gone"] = {"type": "compatible", "base_url": "http://127.0.0.1:1/v1"}
    providers["deaf"] = {**providers[slug("stalled before the head")]}
    providers["deaf"]["base_url"] = providers["deaf"]["base_url"].replace("http:", "https:")  # it never shakes hands
    waits = {"connect": 1, "first_byte": 1, "idle": 1, "total": 10}
    never = {"failures": 10_000, "fewest": 10_000}
    faulty = {"type": "deployment", "name": "m", "timeouts": waits, "retries": 1, "patience": 0, "breaker": never}
    models: dict[str, Any] = {"backup": {"type": "deployment", "provider": "backup", "name": "m"}}
    for name in providers:
        if name != "backup":
            models[f"{ALONE}-{name}"] = {**faulty, "provider": name}
            router = {"type": "router", "candidates": [f"{ALONE}-{name}", "backup"], "warm": 0}
            models[f"{BACKED}-{name}"] = router
            models[f"{HEDGED}-{name}"] = {**router, "hedge": {"after": 0.4}}
    return json.dumps({"providers": providers, "models": models})


@asynccontextmanager
async def storm(data: Path) -> AsyncIterator[Node]:
    """A node whose providers do all of that."""
    async with AsyncExitStack() as stack:
        vendors = {fault: await stack.enter_async_context(provider(manner)) for fault, manner in MANNERS.items()}
        backup = await stack.enter_async_context(provider(well))
        config = configured({fault: vendor.origin.port for fault, vendor in vendors.items()}, backup.origin.port)
        yield stack.enter_context(node(data, config))


SILENT_NAMES = [*map(slug, SILENT), "gone", "deaf"]
SPOKEN_NAMES = [slug(fault) for fault in MANNERS if fault not in SILENT]


async def test_whatever_fails_a_backup_steps_in_before_the_first_word_and_never_after_it(data: Path) -> None:
    async with storm(data) as one:
        cases = [
            (name, kind, stream)
            for name in (*SILENT_NAMES, *SPOKEN_NAMES)
            for kind in (ALONE, BACKED, HEDGED)
            for stream in (False, True)
            for _ in range(REPEATED)
        ]
        places = asyncio.Semaphore(AT_ONCE)

        async def asking(name: str, kind: str, *, stream: bool) -> Heard:
            async with places:
                return await asked(one, f"{kind}-{name}", stream=stream)

        heard: list[Heard] = []
        for _ in range(2):  # the second time there are connections that wait
            heard += await asyncio.gather(*(asking(name, kind, stream=stream) for name, kind, stream in cases))
        notes = one.data / "logs" / "served.jsonl"
        await asyncio.to_thread(one.until, lambda: notes.read_text().count("\n") >= len(heard))
        shown = (await asyncio.to_thread(one.call, "GET", "/api/v1/models")).json["models"]
        runs = {json.loads(note)["run"] for note in notes.read_text().splitlines()}

    wrong = Counter(
        (name, kind, stream, wrongs)
        for (name, kind, stream), answer in zip(cases * 2, heard, strict=True)
        if (wrongs := fault_of(answer, name, kind, stream=stream))
    )
    assert wrong == {}
    assert len(heard) == len(runs) > 700
    assert {each["standing"]["in_flight"] for each in shown} == {0}
    assert sum("from the first" in answer.text for answer in heard if answer.status == 200) > 3 * len(SPOKEN_NAMES)
    assert any((answer.status, answer.headers.get("retry-after")) == (429, "20") for answer in heard)


def fault_of(heard: Heard, name: str, kind: str, *, stream: bool) -> str:
    """What is wrong with an answer, or nothing."""
    spoken = stream and name in SPOKEN_NAMES
    if not spoken and kind != ALONE:
        return "" if heard.says("from the backup") else f"{heard.status} {heard.body[:200]!r}"
    if not spoken:
        return fault_of_error(heard)
    if kind != ALONE and heard.says("from the backup"):
        return ""  # on a busy machine the first may be too slow for its waits, and then nobody has heard it
    if kind == ALONE and heard.status >= 400:  # or its fault may be here together with its first word
        return fault_of_error(heard)
    if heard.status != 200 or not heard.text.startswith("from the first ") or "backup" in heard.text:
        return f"{heard.status} {heard.body[:200]!r}"
    errors = [frame for frame in heard.frames if frame != "[DONE]" and "error" in frame]
    if len(errors) != 1 or heard.frames[-1] not in (errors[0], "[DONE]"):
        return f"{len(errors)} errors, the last frame is {heard.frames[-1]!r}"
    return "" if errors[0]["error"]["message"] else "an error without words"


def fault_of_error(heard: Heard) -> str:
    """What is wrong with a refusal: it has one error in OpenAI's shape, and says when to come again where told."""
    if heard.status < 400 or set(json.loads(heard.body)) != {"error"}:
        return f"{heard.status} {heard.body[:200]!r}"
    error = json.loads(heard.body)["error"]
    if not (error["message"] and error["type"] and error["code"]):
        return f"{error}"
    if heard.status == 429 and heard.headers.get("retry-after") != "20":
        return f"{heard.status} {heard.headers}"
    return ""


@pytest.mark.parametrize("many", [1, 2], ids=["while one is silent", "while two are"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_caller_who_leaves_closes_every_upstream_that_was_opened_for_it(
    data: Path, many: int, *, stream: bool
) -> None:
    async with provider(after(60)) as first, provider(after(60)) as second:
        ports = {"first": first.origin.port, "second": second.origin.port}
        at = {name: {"type": "compatible", "base_url": f"http://127.0.0.1:{port}/v1"} for name, port in ports.items()}
        models: dict[str, Any] = {name: {"type": "deployment", "provider": name, "name": "m"} for name in at}
        models["auto"] = {"type": "router", "candidates": [*at], "hedge": {"after": 0.15 if many == 2 else 60}}
        with node(data, json.dumps({"providers": at, "models": models})) as one:
            asking = asyncio.ensure_future(asked(one, "auto", stream=stream))
            for vendor in [first, second][:many]:
                await vendor.asked()
            asking.cancel()
            visits = [*first.visits, *second.visits]
            for visit in visits:
                await asyncio.wait_for(visit.gone.wait(), 30)

    assert len(visits) == many


TURN = {"role": "user", "content": "hello"}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat completions": ("/v1/chat/completions", {"model": "auto", "messages": [TURN]}),
    "responses": ("/v1/responses", {"model": "auto", "input": "hello"}),
    "messages": ("/v1/messages", {"model": "auto", "max_tokens": 99, "messages": [TURN]}),
}
WINDOWS: dict[str, list[bytes]] = {
    "before the head": [],
    "before the first event": [head()],
    "in the middle": [head(), piece(SAID)],
}


@pytest.mark.parametrize("window", WINDOWS)
async def test_whatever_a_caller_speaks_its_leaving_closes_the_upstream(data: Path, window: str) -> None:
    async with provider(after(60, *WINDOWS[window])) as vendor:
        at = {"vendor": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}}
        models = {"far": {"type": "deployment", "provider": "vendor", "name": "m"}}
        auto = {"type": "router", "candidates": ["far"]}
        with node(data, json.dumps({"providers": at, "models": {**models, "auto": auto}})) as one:
            for path, fields in ASKED.values():
                for stream in (True, False):
                    visits = len(vendor.visits)
                    writer = await calling(one, path, {**fields, "stream": stream})
                    async with asyncio.timeout(30):
                        while len(vendor.visits) == visits:  # noqa: ASYNC110  counting is all that can be waited for
                            await asyncio.sleep(0.005)
                    await asyncio.sleep(0.1)
                    writer.transport.abort()
                    await asyncio.wait_for(vendor.visits[-1].gone.wait(), 30)
            notes = one.data / "logs" / "served.jsonl"
            left = 2 * len(ASKED)
            await asyncio.to_thread(one.until, lambda: notes.read_text().count('"code":"caller_gone"') == left)

    assert len(vendor.visits) == left


async def calling(one: Node, path: str, fields: Mapping[str, Any]) -> asyncio.StreamWriter:
    """The caller's end of a connection on which a question is on its way."""
    body = json.dumps(fields).encode()
    lines = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {one.key}\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(f"{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
    return writer
