"""The table that comes with the package: what it says, what it leaves open, and that nothing loads it whole."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.ports import Listings as Port
from dirigent.core.usage import Money, Usage
from dirigent.listings import Entry, Listings
from tools.listings.sources import AS_OF, CROSS_CHECK, PRIMARY
from tools.listings.vendors import LOCAL

TABLE = Path(sys.modules["dirigent.listings"].__file__ or "").with_name("table.txt")
FIGURES = ("input", "output", "cached_input", "cache_write", "audio_input", "audio_output")

# Computed by hand from the pinned source: its figure per token times a million. `-` is a figure that it does not state.
KNOWN = """
    openai     gpt-4o                                      2.5      10       1.25    -      -   -
    openai     gpt-4o-mini                                 0.15     0.6      0.075   -      -   -
    openai     text-embedding-3-small                      0.02     -        -       -      -   -
    openai     gpt-realtime                                4        16       0.4     -      32  64
    azure      gpt-5-mini                                  0.25     2        0.025   -      -   -
    anthropic  claude-sonnet-4-5                           3        15       0.3     3.75   -   -
    google     gemini-2.5-pro                              1.25     10       0.125   -      -   -
    bedrock    anthropic.claude-3-5-sonnet-20240620-v1:0   3        15       0.3     3.75   -   -
    mistral    mistral-large-latest                        0.5      1.5      0.05    -      -   -
    groq       openai/gpt-oss-20b                          0.075    0.3      0.0375  -      -   -
    deepseek   deepseek-chat                               0.28     0.42     0.028   -      -   -
    xai        grok-4.20-0309-reasoning                    1.25     2.5      0.2     -      -   -
    cohere     command-a-03-2025                           2.5      10       -       -      -   -
    together   meta-llama/Llama-3.3-70B-Instruct-Turbo     1.04     1.04     -       -      -   -
    novita     stepfun/step-3.7-flash                      0.2      1.15     0.04    -      -   -
    databricks databricks-claude-sonnet-4-1                2.99999  15.00002 0.30002 3.74997 -  -
"""


@pytest.mark.parametrize("known", KNOWN.strip().splitlines())
def test_a_price_is_the_published_one(known: str) -> None:
    vendor, name, *figures = known.split()

    entry = Listings().find(vendor, name)

    assert entry is not None
    assert entry.price is not None
    assert [_written(getattr(entry.price, figure)) for figure in FIGURES] == figures
    assert entry.price.currency == "USD"
    assert entry.source == "litellm"


def test_a_listing_tells_window_output_mode_capabilities_and_retirement() -> None:
    entry = Listings().find("anthropic", "claude-sonnet-4-5")

    assert entry is not None
    assert (entry.context_window, entry.max_output, entry.mode) == (200_000, 64_000, "chat")
    assert entry.retires == date(2026, 11, 30)
    assert entry.capabilities == {"tools", "images", "files", "json", "reasoning"}
    assert entry.features >= {"caching", "computer_use", "streaming"}


def test_a_cost_follows_from_a_listing() -> None:
    entry = Listings().find("openai", "gpt-4o")

    assert entry is not None
    assert entry.price is not None
    assert entry.price.cost(Usage(input_tokens=1000, output_tokens=200)) == Money.of("0.0045")


def test_every_token_of_a_long_input_has_the_dearer_price() -> None:
    entry = Listings().find("google", "gemini-2.5-pro")

    assert entry is not None
    assert entry.price is not None
    short, long = entry.price.at(200_000), entry.price.at(200_001)
    assert (short.input, short.output, short.cached_input) == (Decimal("1.25"), Decimal(10), Decimal("0.125"))
    assert (long.input, long.output, long.cached_input) == (Decimal("2.5"), Decimal(15), Decimal("0.25"))


def test_what_is_charged_otherwise_than_by_tokens_stands_in_the_rates() -> None:
    whisper = Listings().find("openai", "whisper-1")

    assert whisper is not None
    assert whisper.price is None
    assert whisper.mode == "transcription"
    assert whisper.rates["second_input"] == Decimal(100)


def test_a_deployment_that_only_the_cross_check_lists_says_so() -> None:
    entry = Listings().find("openrouter", "openai/gpt-4o")

    assert entry is not None
    assert entry.price is not None
    assert (entry.price.input, entry.price.output) == (Decimal("2.5"), Decimal(10))
    assert (entry.source, entry.mode) == ("genai-prices", "unknown")


def test_a_disputed_price_names_both_figures() -> None:
    entry = Listings().find("groq", "openai/gpt-oss-safeguard-20b")

    assert entry is not None
    assert entry.disputed is not None
    assert "cached_input 0.037 in litellm, 0.0375 in genai-prices" in entry.disputed


@pytest.mark.parametrize(
    "name", ["gpt-4o-2099-01-01", "gpt-4o-", "GPT-4O", "gpt-4o ", "", "gpt-4o\t", "gpt-4o\n", "4o"]
)
def test_a_similar_name_proves_nothing(name: str) -> None:
    assert Listings().find("openai", name) is None


def test_a_dated_snapshot_is_found_because_it_is_itself_listed() -> None:
    snapshot = Listings().find("openai", "gpt-4o-2024-08-06")

    assert snapshot is not None
    assert snapshot.retires == date(2027, 1, 14)


def test_the_vendor_may_stand_before_the_name() -> None:
    listings = Listings()

    assert listings.find("groq", "groq/openai/gpt-oss-20b") == listings.find("groq", "openai/gpt-oss-20b") is not None
    assert listings.find("openai", "groq/openai/gpt-oss-20b") is None


def test_an_unknown_vendor_has_no_listings_and_no_names() -> None:
    listings = Listings()

    assert listings.find("nobody", "gpt-4o") is None
    assert listings.find("#", "") is None
    assert listings.names("nobody") == []


def test_the_names_of_a_vendor_are_all_found() -> None:
    listings = Listings()

    names = listings.names("anthropic")

    assert "claude-sonnet-4-5" in names
    assert names == sorted(names, key=str.encode)
    assert all(listings.find("anthropic", name) is not None for name in names)


def test_a_promotion_at_zero_is_an_unknown_price_and_a_local_model_a_free_one() -> None:
    listings = Listings()
    promoted, hosted, local = (
        listings.find("zai", "glm-4.7-flash"),
        listings.find("ollama", "deepseek-v3.1:671b-cloud"),
        listings.find("ollama", "llama2"),
    )

    assert promoted is not None
    assert promoted.price is None
    assert hosted is not None
    assert hosted.price is None
    assert local is not None
    assert local.price is not None
    assert local.price.free


def test_a_fee_for_each_request_makes_the_price_unknown_until_somebody_states_it() -> None:
    sonar = Listings().find("perplexity", "sonar")

    assert sonar is not None
    assert sonar.price is None
    assert sonar.rates["request"] == Decimal(5000)


def test_a_router_that_bills_its_own_fee_alone_has_no_known_output_price() -> None:
    router = Listings().find("azure", "model-router")

    assert router is not None
    assert router.price is not None
    assert router.price.cost(Usage(input_tokens=1, output_tokens=1)) is None


def test_every_line_is_an_entry_in_order_and_every_figure_is_positive_and_exact_to_the_nano() -> None:
    first, *lines = TABLE.read_bytes().splitlines()
    keys = [line.partition(b"\t")[0] for line in lines]

    assert first.startswith(b"#\t")
    assert keys == sorted(set(keys))
    for line in lines:
        key, _, row = line.partition(b"\t")
        entry = msgspec.json.decode(row, type=Entry)
        for figure in _figures(entry):
            assert figure > 0 or (figure == 0 and key.partition(b"/")[0].decode() in LOCAL), key
            assert figure * 1_000_000_000 % 1 == 0, key
        assert entry.context_window is None or entry.context_window > 0, key
        tiers = entry.price.tiers if entry.price else ()
        assert [tier.above for tier in tiers] == sorted({tier.above for tier in tiers}), key


@pytest.mark.parametrize(
    ("vendor", "name", "tasks"),
    [
        ("openai", "gpt-4o", {"chat"}),
        ("openai", "gpt-3.5-turbo-instruct", {"completions"}),
        ("openai", "text-embedding-3-small", {"embeddings"}),
        ("openai", "gpt-image-1", {"images", "image_edits", "image_variations"}),
        ("openai", "tts-1", {"speech"}),
        ("openai", "whisper-1", {"transcriptions", "translations"}),
        ("openai", "gpt-4o-transcribe", {"transcriptions"}),
        ("openai", "omni-moderation-latest", {"moderations"}),
        ("openai", "gpt-realtime", set()),
        ("google", "gemini-2.5-flash-image", {"chat", "images", "image_edits", "image_variations"}),
        ("google", "gemini-2.5-flash-preview-tts", {"chat", "speech"}),
    ],
)
def test_what_it_can_be_asked_for_follows_from_its_mode(vendor: str, name: str, tasks: set[str]) -> None:
    entry = Listings().find(vendor, name)

    assert entry is not None
    assert entry.tasks is not None
    assert set(entry.tasks) == tasks


def test_a_mode_that_nobody_knows_leaves_the_tasks_open() -> None:
    entry = Listings().find("openrouter", "openai/gpt-4o")

    assert entry is not None
    assert entry.tasks is None


def test_every_line_is_found_under_its_key() -> None:
    listings = Listings()
    lines = TABLE.read_text(encoding="utf-8").splitlines()[1::97]

    for line in lines:
        key, _, row = line.partition("\t")
        vendor, _, name = key.partition("/")
        found, entry = listings.find(vendor, name), msgspec.json.decode(row, type=Entry)
        assert found is not None
        price = found.price and msgspec.structs.replace(found.price, cache_write_hour=None)
        assert msgspec.structs.replace(found, tasks=None, price=price) == entry


def test_what_is_kept_in_a_cache_for_an_hour_has_its_own_price() -> None:
    entry = Listings().find("anthropic", "claude-fable-5")

    assert entry is not None
    assert entry.price is not None
    assert entry.price.input == 10
    assert (entry.price.cache_write, entry.price.cache_write_hour) == (Decimal("12.5"), Decimal(20))


@given(st.text(st.characters()), st.text(st.characters()))
def test_whatever_is_asked_is_answered(vendor: str, name: str) -> None:
    assert Listings().find(vendor, name) is None or name in Listings().names(vendor)


def test_the_table_was_built_from_the_sources_that_are_pinned() -> None:
    made = Listings().provenance()

    assert [(package.package, package.version, package.sha256, package.licence) for package in made.sources] == [
        (source.package, source.version, source.sha256, source.licence) for source in (PRIMARY, CROSS_CHECK)
    ]
    assert made.as_of == AS_OF
    assert made.entries == TABLE.read_bytes().count(b"\n") - 1
    assert made.disputed == TABLE.read_bytes().count(b'"disputed":"')


def test_the_notice_names_both_packages() -> None:
    notice = TABLE.with_name("NOTICE").read_text(encoding="utf-8")

    assert all(source.package in notice and source.file in notice for source in (PRIMARY, CROSS_CHECK))


def test_an_operator_may_bring_a_newer_table(tmp_path: Path) -> None:
    newer = tmp_path / "table.txt"
    newer.write_text('own/model\t{"price":{"input":"1"}}\nown/other\t{"context_window":8}\n', encoding="utf-8")

    listings = Listings(newer)

    found = listings.find("own", "model")
    assert found is not None
    assert found.price is not None
    assert found.price.input == 1
    assert listings.names("own") == ["model", "other"]
    assert listings.find("openai", "gpt-4o") is None


def test_a_table_that_is_not_there_is_an_error_of_its_look_up_and_not_of_its_making(tmp_path: Path) -> None:
    listings = Listings(tmp_path / "missing.txt")

    with pytest.raises(OSError, match=r"missing\.txt"):
        listings.find("openai", "gpt-4o")


def test_the_source_package_is_neither_imported_nor_needed() -> None:
    ask = "import sys, dirigent.listings as l; l.Listings().find('openai', 'gpt-4o'); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    assert not {"litellm", "genai_prices", "pydantic"} & set(loaded)


def test_the_table_is_what_the_port_asks_for() -> None:
    port: Port = Listings()

    assert port.find("openai", "gpt-4o") is not None


def _figures(entry: Entry) -> list[Decimal]:
    prices = [entry.price, *(tier.price for tier in entry.price.tiers)] if entry.price is not None else []
    stated = [getattr(price, figure) for price in prices for figure in FIGURES]
    return [*(figure for figure in stated if figure is not None), *entry.rates.values()]


def _written(figure: Decimal | None) -> str:
    return "-" if figure is None else str(figure)
