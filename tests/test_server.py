"""What a node prepares before it answers: its data folder, its first key, its starter configuration."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dirigent.configuration import described
from dirigent.core.errors import DirigentError, Invalid, InvalidConfiguration
from dirigent.core.ports import Fetched
from dirigent.local.kit import DEFAULT, KIT, SMALL
from dirigent.server.configured import checked
from dirigent.server.folder import first_key, prepared
from dirigent.server.outside import fetcher
from dirigent.server.running import Running
from dirigent.settings import Settings
from tests.net.providers import provider, saying_all

STARTER = Path(__file__).resolve().parents[1] / "src" / "dirigent" / "starter.yaml"
COMMENTED = re.compile(r"^  # (?=[a-z]+: *\{)", re.MULTILINE)
KEYS = ("OPENAI_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, "sk-test")


def test_a_new_folder_gets_a_key_and_the_starter_and_that_is_publishable(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new" / "data")

    new = prepared(settings)

    assert new
    assert stat.S_IMODE((settings.data / "first-key").stat().st_mode) == 0o600
    sheet, catalog = checked(settings)
    assert list(catalog.models) == ["local", "auto", "embeddings", "speech", "transcription"]
    assert sheet.document["models"]["local"]["name"] == DEFAULT


def test_the_starter_names_the_weights_that_are_there(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / KIT[SMALL].file).write_bytes(b"GGUF")

    prepared(settings)

    assert checked(settings)[0].document["models"]["local"]["name"] == SMALL


def test_a_node_loads_nothing_that_only_few_need() -> None:
    program = "import sys; import dirigent.cli.serving; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {"alembic", "joserfc", "rich", "numpy", "psycopg"}.isdisjoint(done.stdout.split())


def test_a_configuration_that_is_there_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    settings.config_file.write_text("models: {mine: {type: echo}}\n")

    assert not prepared(settings)
    assert settings.config_file.read_text() == "models: {mine: {type: echo}}\n"


def test_where_a_file_was_named_no_starter_is_written(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", config=tmp_path / "mine.yaml")

    assert not prepared(settings)
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["first-key"]


def test_every_commented_block_of_the_starter_is_fine_once_its_mark_is_gone(tmp_path: Path, keys: None) -> None:
    text = STARTER.read_text(encoding="utf-8").replace("WEIGHTS", SMALL)
    places = [match.start() for match in COMMENTED.finditer(text)]

    assert len(places) == 7
    for place in places:
        names = uncommented(text, place)
        if "premium: {" in names or "european: {" in names:  # a deployment comes with its provider
            names = COMMENTED.sub("  ", names)
        assert faults(tmp_path, names) == []


def test_the_whole_starter_without_its_marks_is_a_two_tier_router_with_a_fallback(tmp_path: Path, keys: None) -> None:
    text = COMMENTED.sub("  ", STARTER.read_text(encoding="utf-8")).replace("WEIGHTS", SMALL)
    text = text.replace("# fallback:", "fallback:").replace("candidates: [local] ", "candidates: [local, premium] ")
    file = tmp_path / "dirigent.yaml"
    file.write_text(text)

    _, catalog = checked(Settings(data=tmp_path))

    assert set(catalog.providers) == {"local", "openai", "mistral", "groq", "ollama", "house"}
    assert [name for _, name in catalog.models["auto"].mentions()] == ["local", "premium", "european"]
    assert catalog.profile("premium").price is not None
    assert catalog.profile("european").region == "eu"


def test_a_block_whose_key_is_missing_is_refused_by_the_name_of_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    text = STARTER.read_text(encoding="utf-8").replace("WEIGHTS", SMALL)

    (fault,) = faults(tmp_path, text.replace("# openai:", "openai:", 1))

    assert "providers.openai.api_key: the environment variable OPENAI_API_KEY is missing or empty" in fault


def test_the_faults_of_the_format_and_of_the_content_are_named_together_one_a_place(tmp_path: Path) -> None:
    text = """\
models:
  a: {type: echo}
  b: &x {type: echo, sais: 1}
  a: {type: echo}
  d: *x
  c: {type: router, candidates: [nobody]}
"""

    named = faults(tmp_path, text)

    assert [re.sub(r"^.*?yaml:(\d+): ([^:]+):.*", r"\1 \2", line) for line in named] == [
        "3 models.b",
        "3 models.b.sais",
        "4 models.a",
        "5 models.d",
        "6 models.c.candidates[0]",
    ]


def test_a_fault_in_one_setting_hides_no_fault_in_another(tmp_path: Path) -> None:
    text = """\
providers:
  vendor: {type: compatible, base_url: "http://127.0.0.1:1/v1", regoin: eu, api_key: {env: NO_SUCH_VARIABLE}}
models:
  far: {type: deployment, provider: vendr, name: m, quality: 7}
  auto:
    type: router
    candidates: [far, nobody]
    strategy: {type: complexity, weights: {words: 7}}
  ring: {type: router, candidates: [ring], strategy: nonsense}
"""

    named = faults(tmp_path, text)

    assert [re.sub(r"^.*?yaml:(\d+): ([^:]+):.*", r"\1 \2", line) for line in named] == [
        "2 providers.vendor.api_key",
        "2 providers.vendor.regoin",
        "4 models.far.provider",
        "4 models.far.quality",
        "7 models.auto.candidates[1]",
        "8 models.auto.strategy.weights.words",
        "9 models.ring",
        "9 models.ring.strategy.type",
    ]


def test_a_configuration_without_a_model_is_refused(tmp_path: Path) -> None:
    for text in ("", "models: {}\n", "providers: {local: {type: llama_cpp}}\n"):
        assert "models: there is not one model" in faults(tmp_path, text)[0]


def test_the_first_key_is_made_once(tmp_path: Path) -> None:
    first = first_key(tmp_path)

    assert first_key(tmp_path) == first
    assert re.fullmatch(r"dk-[A-Za-z0-9_-]{43}", first)


@pytest.mark.parametrize("held", [b"", b" \n", b"\xff\xfe", "schlüssel".encode(), b"two words"])
def test_a_key_file_that_holds_none_is_said_to_be_so(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "first-key").write_bytes(held)

    with pytest.raises(DirigentError, match="holds no key; remove it"):
        first_key(tmp_path)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8484"),
        ("0.0.0.0", "http://127.0.0.1:8484"),  # noqa: S104
        ("::", "http://127.0.0.1:8484"),
        ("::1", "http://[::1]:8484"),
        ("box.lan", "http://box.lan:8484"),
    ],
)
def test_the_address_is_one_that_can_be_called(host: str, address: str) -> None:
    assert Running(host, 8484, os.getpid()).address == address


async def test_private_networks_are_fetched_from_only_where_the_operator_says_so() -> None:
    picture = b"HTTP/1.1 200 OK\r\ncontent-type: image/gif\r\ncontent-length: 6\r\n\r\nGIF89a"
    usual, any_place = fetcher(Settings()), fetcher(Settings(fetch="any"))
    assert usual is not None
    assert any_place is not None
    async with provider(saying_all(picture)) as store:
        url = f"http://localhost:{store.origin.port}/"

        assert await any_place.fetch(url, 100) == Fetched(b"GIF89a", "image/gif")
        with pytest.raises(Invalid, match="localhost is not on the public internet"):
            await usual.fetch(url, 100)
        with pytest.raises(Invalid, match=r"169\.254\.169\.254 is not one that may be asked"):
            await any_place.fetch("http://169.254.169.254/latest/meta-data/", 100)

        assert len(store.visits) == 1
    any_place.close()
    usual.close()


def test_nothing_is_fetched_where_the_operator_has_switched_it_off() -> None:
    assert fetcher(Settings(fetch="off")) is None


def uncommented(text: str, place: int) -> str:
    """The text with the mark at `place` taken away."""
    return text[:place] + "  " + text[place + len("  # ") :]


def faults(folder: Path, text: str) -> list[str]:
    """What is wrong with a configuration, as `check` says it."""
    file = folder / "dirigent.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        checked(Settings(data=folder))
    except InvalidConfiguration as refused:
        return described(refused, file)
    return []
