"""Vendors and servers that speak OpenAI chat completions: what their row and their settings make of them."""

from __future__ import annotations

from typing import Any

import pytest

from dirigent.core.ports import Origin
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.listings import Listings
from dirigent.models.providers.compatible import VENDORS
from dirigent.models.providers.provider import Provider
from tests.world import KEY, READER, World


def read(**settings: Any) -> Provider:
    kind, faults = READER.read(Provider, {"type": "compatible", **settings}, ())
    assert kind is not None, faults
    return kind


def spoken(kind: Provider, preferred: str) -> str:
    dialect = kind.dialect("chat", preferred)
    assert dialect is not None
    return dialect.name


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


@pytest.mark.parametrize("vendor", sorted(name for name, row in VENDORS.items() if row.needs_key and row.base_url))
def test_a_vendor_that_wants_a_key_says_so(vendor: str) -> None:
    variable = VENDORS[vendor].variable or f"{vendor.upper()}_API_KEY"

    assert f"{{env: {variable}}}" in refused(vendor=vendor)


@pytest.mark.parametrize("vendor", sorted(name for name, row in VENDORS.items() if not row.base_url))
def test_a_vendor_without_a_common_address_shows_how_yours_looks(vendor: str) -> None:
    row = VENDORS[vendor]

    assert row.shape in refused(vendor=vendor, api_key={"env": "KEY"})
    assert "`api_key` is missing" in refused(vendor=vendor, base_url=row.shape)
    assert read(vendor=vendor, base_url=row.shape, api_key={"env": "KEY"}).located() == row.region


def test_every_price_list_that_a_row_names_is_there() -> None:
    listings = Listings()

    assert [name for name, row in VENDORS.items() if row.listed_as and not listings.names(row.listed_as)] == []


def test_a_caller_gets_the_dialect_of_its_own_where_the_server_has_it() -> None:
    plain, all_three = read(vendor="vllm"), read(vendor="vllm", speaks=["openai_responses", "anthropic_messages"])

    asked = ("openai_chat", "openai_responses", "anthropic_messages", "google_generate")
    assert [spoken(plain, name) for name in asked] == ["openai_chat"] * 4
    assert [spoken(all_three, name) for name in asked] == [
        "openai_responses",
        "openai_responses",
        "anthropic_messages",
        "openai_responses",
    ]
    assert spoken(read(vendor="xai", api_key={"env": "KEY"}), "openai_responses") == "openai_responses"


def test_a_vendor_of_vectors_takes_nothing_else() -> None:
    kind = read(vendor="voyage", api_key={"env": "KEY"})

    assert kind.dialect("chat") is None
    assert kind.dialect("embeddings") is not None


def test_a_model_that_chats_is_tried_for_completions_where_the_vendor_may_have_them() -> None:
    groq, deepseek = (read(vendor=name, api_key={"env": "KEY"}) for name in ("groq", "deepseek"))

    listed = groq.listing("openai/gpt-oss-20b", Listings()), deepseek.listing("deepseek-chat", Listings())

    assert [sorted(each.tasks or ()) for each in listed if each] == [["chat", "completions"], ["chat"]]


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
