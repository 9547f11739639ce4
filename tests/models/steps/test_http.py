"""The steps that call services: where they may go, what happens once, what an answer means, page by page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from dirigent.core.errors import BadAnswer, DirigentError, Forbidden, Misconfigured, RateLimited, Unavailable
from dirigent.core.source import ServiceRefused
from tests.models.steps.world import faults_of, step_of, worked


class Service:
    """An HTTP service on this machine that tells what it was asked, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, str, bytes]] = []
        self.port = 0

    def says(self, body: object, status: int = 200, kind: str = "application/json") -> None:
        """What it answers next."""
        self.answers.append((status, kind, body if isinstance(body, bytes) else json.dumps(body).encode()))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append((first, headers, body))
        status, kind, data = self.answers.pop(0)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n"
            "connection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()
        writer.close()

    def source(self, **more: Any) -> dict[str, Any]:
        """It as a source."""
        headers = {"authorization": {"env": "KEY"}}
        return {"crm": {"type": "rest", "base_url": f"http://127.0.0.1:{self.port}/api/", "headers": headers, **more}}


@asynccontextmanager
async def serving() -> AsyncGenerator[Service, None]:
    service = Service()
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service


@pytest.fixture
async def service() -> AsyncGenerator[Service, None]:
    async with serving() as found:
        yield found


CALL = {"type": "http", "source": "crm", "path": "/customers/{{ input.id }}"}


async def test_it_calls_with_the_source_s_credential_and_gives_exact_data(service: Service) -> None:
    service.says(b'{"total": 19.90, "name": "M\xc3\xbcller"}')

    found, place = await worked(
        CALL | {"query": {"q": "a&b", "none": None}}, {"input": {"id": 7}}, sources=service.source()
    )

    first, headers, _ = service.asked[0]
    assert first == "GET /api/customers/7?q=a%26b HTTP/1.1"
    assert headers["authorization"] == "sk-this-is-never-shown-to-anybody"
    assert found == {
        "status": 200,
        "content_type": "application/json",
        "body": {"total": Decimal("19.90"), "name": "Müller"},
    }
    assert place.told == {"source": "crm", "method": "GET", "answered": 200}


@pytest.mark.parametrize("id", ["../admin", "..%2fadmin", "a/../b", "x?admin=1", "x#y", "/x", "%2e%2e/x", "a\\b"])
async def test_no_value_leads_out_of_the_permitted_paths(service: Service, id: str) -> None:
    with pytest.raises(Forbidden):
        await worked(CALL, {"input": {"id": id}}, sources=service.source(paths=["/customers/*"]))

    assert service.asked == []


async def test_only_permitted_paths_and_methods_are_asked(service: Service) -> None:
    with pytest.raises(Forbidden, match="none of those"):
        await worked(CALL, {"input": {"id": 1}}, sources=service.source(paths=["/offers"]))
    with pytest.raises(Forbidden, match="not POST"):
        await worked(CALL | {"method": "POST"}, {"input": {"id": 1}}, sources=service.source())

    assert service.asked == []


async def test_what_changes_something_happens_once_unless_the_service_knows_repetitions(service: Service) -> None:
    post = CALL | {"method": "POST", "json": {"name": "{{ input.name }}", "n": "{{ input.id }}"}}
    assert step_of(CALL).effect_of() == "pure"
    assert step_of(post).effect_of() == "once"
    assert step_of(post | {"idempotent": True}).effect_of() == "idempotent"
    service.says({"ok": True}, 201)

    sources = service.source(methods=["POST"])
    _, place = await worked(post | {"idempotent": True}, {"input": {"id": 3, "name": 'Ü"x'}}, sources=sources)

    _, headers, body = service.asked[0]
    assert json.loads(body) == {"name": 'Ü"x', "n": 3}
    assert headers["idempotency-key"] == place.key
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (401, Misconfigured, False),
        (403, Misconfigured, False),
        (404, ServiceRefused, False),
        (302, ServiceRefused, False),
        (429, RateLimited, True),
        (500, Unavailable, True),
        (503, Unavailable, True),
    ],
)
async def test_a_refusal_is_told_by_what_can_be_done_about_it(
    service: Service, status: int, error: type[DirigentError], retryable: object
) -> None:
    service.says({"error": "because"}, status)

    with pytest.raises(error) as refused:
        await worked(CALL, {"input": {"id": 1}}, sources=service.source())

    assert refused.value.retryable is retryable
    assert "sk-" not in refused.value.message


async def test_a_status_that_is_accepted_is_an_answer(service: Service) -> None:
    service.says({"error": "none"}, 404)

    found, _ = await worked(CALL | {"accept": [404]}, {"input": {"id": 1}}, sources=service.source())

    assert found["status"] == 404


async def test_an_answer_that_is_too_large_or_no_json_is_refused(service: Service) -> None:
    service.says(b"x" * 2000, kind="text/plain")
    with pytest.raises(ServiceRefused, match="more than 1000 bytes"):
        await worked(CALL | {"limit": 1000}, {"input": {"id": 1}}, sources=service.source())
    service.says(b"{nonsense")
    with pytest.raises(BadAnswer):
        await worked(CALL, {"input": {"id": 1}}, sources=service.source())


async def test_a_header_from_a_template_stays_one_line(service: Service) -> None:
    service.says({})

    await worked(
        CALL | {"headers": {"x-a": "{{ input.evil }}"}},
        {"input": {"id": 1, "evil": "a\r\nx-b: c"}},
        sources=service.source(),
    )

    assert service.asked[0][1]["x-a"] == "a x-b: c"
    assert "x-b" not in service.asked[0][1]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"source": "crn"}, ("source",)),
        ({"headers": {"authorization": "x"}}, ("headers", "authorization")),
        ({"json": {}, "method": "GET"}, ("method",)),
        ({"json": {}, "text": "x", "method": "POST"}, ("text",)),
        ({"path": "/{{ nobody.id }}"}, ("path",)),
    ],
)
def test_publishing_refuses_a_call_that_could_never_work(changed: dict[str, Any], path: tuple[str, ...]) -> None:
    faults = faults_of(CALL | changed, {"crm": {"type": "rest", "base_url": "http://127.0.0.1:1"}})

    assert [fault.path for fault in faults] == [path]


ENTITIES = {
    "type": "entities",
    "source": "erp",
    "entity": "Orders",
    "select": ["Id", "Name"],
    "filter": "Name eq :name and Text ne ':name' and Total gt 5",
    "parameters": {"name": "{{ input.name }}"},
}


def erp(service: Service, version: int) -> dict[str, Any]:
    return {"erp": {"type": "odata", "base_url": f"http://127.0.0.1:{service.port}/odata", "version": version}}


async def test_entities_of_version_4_are_read_page_by_page(service: Service) -> None:
    following = f"http://127.0.0.1:{service.port}/odata/Orders?$skiptoken=2"
    service.says({"@odata.context": "x", "value": [{"@odata.etag": "1", "Id": 1}], "@odata.nextLink": following})
    service.says({"value": [{"Id": 2}]})

    found, _ = await worked(ENTITIES, {"input": {"name": "O'Neil"}}, sources=erp(service, 4))

    assert found == {"rows": [{"Id": 1}, {"Id": 2}], "count": 2, "more": False}
    first = service.asked[0][0]
    assert "Name%20eq%20%27O%27%27Neil%27%20and%20Text%20ne%20%27%3Aname%27" in first
    assert "%24select=Id%2CName" in first
    assert service.asked[1][0].startswith("GET /odata/Orders?$skiptoken=2 ")


async def test_entities_of_version_2_are_read_with_their_dates(service: Service) -> None:
    service.says(
        {"d": {"results": [{"__metadata": {}, "At": "/Date(1767225600000)/", "Id": 1}], "__next": "Orders?$skip=1"}}
    )
    service.says({"d": {"results": []}})

    found, _ = await worked(ENTITIES, {"input": {"name": "x"}}, sources=erp(service, 2))

    assert found["rows"] == [{"At": "2026-01-01", "Id": 1}]
    assert "%24format=json" in service.asked[0][0]


@pytest.mark.parametrize("following", ["http://evil.example/odata/Orders", "/admin/Orders", "../../admin/x"])
async def test_the_next_page_never_leads_out_of_the_service(service: Service, following: str) -> None:
    service.says({"value": [{"Id": 1}], "@odata.nextLink": following})

    with pytest.raises(Forbidden):
        await worked(ENTITIES, {"input": {"name": "x"}}, sources=erp(service, 4))

    assert len(service.asked) == 1
