"""Vendors and servers that speak OpenAI chat completions: what their row and their settings make of them."""

from __future__ import annotations

from typing import Any

import pytest

from dirigent.core.ports import Origin
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.providers.compatible import VENDORS
from dirigent.models.providers.provider import Provider
from tests.world import KEY, READER, World


def read(**settings: Any) -> Provider:
    kind, faults = READER.read(Provider, {"type": "compatible", **settings}, ())
    assert kind is not None, faults
    return kind


def refused(**settings: Any) -> str:
    kind, faults = READER.read(Provider, {"type": "compatible", **settings}, ())
    assert kind is None
    return "; ".join(fault.message for fault in faults)


async def test_a_vendors_row_says_where_requests_go() -> None:
    address = await read(vendor="mistral", api_key={"env": "KEY"}).address("x", OpenAIChat(), World({}).run())

    assert address.origin == Origin("api.mistral.ai", 443, tls=True)
    assert address.path == "/v1"
    assert ("authorization", f"Bearer {KEY}") in address.headers


async def test_an_address_of_ones_own_wins_and_needs_no_key() -> None:
    kind = read(vendor="mistral", base_url="http://mistral.local:81/api/")

    address = await kind.address("x", OpenAIChat(), World({}).run())

    assert (address.origin, address.path) == (Origin("mistral.local", 81, tls=False), "/api")
    assert [name for name, _ in address.headers] == []


def test_the_region_of_the_row_counts_only_at_the_vendors_own_address() -> None:
    assert read(vendor="ionos", api_key={"env": "KEY"}).located() == "eu"
    assert read(vendor="ionos", api_key={"env": "KEY"}, region="de").located() == "de"
    assert read(vendor="ionos", base_url="http://elsewhere").located() is None


@pytest.mark.parametrize("vendor", sorted(name for name, row in VENDORS.items() if row.needs_key))
def test_a_vendor_that_wants_a_key_says_so(vendor: str) -> None:
    assert f"{{env: {vendor.upper()}_API_KEY}}" in refused(vendor=vendor)


def test_what_a_vendor_does_not_understand_stays_settable() -> None:
    row = VENDORS["mistral"].dialect
    told = read(vendor="mistral", api_key={"env": "KEY"}, usage_in_stream=True).dialect()

    assert (row.usage_in_stream, row.only_output_field) == (False, True)
    assert (getattr(told, "usage_in_stream", None), getattr(told, "only_output_field", None)) == (True, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "one of `base_url` and `vendor` is needed"),
        ({"vendor": "mistrall"}, "did you mean 'mistral'?"),
        ({"base_url": ""}, "is no address"),
        ({"base_url": "ftp://x"}, "starts with http:// or https://"),
        ({"base_url": "x.example/v1"}, "is no address"),
        ({"base_url": "http://"}, "names a host"),
        ({"base_url": "http://[::1"}, "is no address"),
        ({"base_url": "http://x:99999"}, "is no address"),
        ({"base_url": "http://x:0"}, "is no address"),
        ({"base_url": "http://x y/v1"}, "is no address"),
        ({"base_url": "http://x/v 1"}, "is no address"),
        ({"base_url": "http://user:word@x/v1"}, "credentials belong into `api_key`"),
        ({"base_url": "http://x/v1?key=1"}, "carries more than host and path"),
        ({"base_url": "http://x", "headers": {"Authorization": "y"}}, "is not yours to set here"),
        ({"base_url": "http://x", "headers": {"Host": "y"}}, "is not yours to set here"),
        ({"base_url": "http://x", "headers": {"a b": "y"}}, "is not a header name"),
        ({"base_url": "http://x", "headers": {"x-a": "y\r\nz: 1"}}, "cannot be sent"),
        ({"base_url": "http://x", "headers": {"x-a": "ü"}}, "cannot be sent"),
    ],
)
def test_what_could_never_be_sent_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    assert words in refused(**settings)
