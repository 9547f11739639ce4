"""Settings come from flags, then from the environment, then from defaults; secrets come by reference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dirigent.core.ports import Secret
from dirigent.settings import EnvironmentSecrets, Settings, Traces, environment, proxies, traces


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without anything of ours."""
    for name in list(os.environ):
        if name.startswith("DIRIGENT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_without_anything_the_defaults_hold() -> None:
    settings = environment({})

    assert settings == Settings()
    assert settings.config_file == Path(".dirigent/dirigent.yaml")


def test_a_variable_wins_over_a_default_and_a_flag_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRIGENT_PORT", "9000")
    monkeypatch.setenv("DIRIGENT_DATA", "/var/lib/dirigent")
    monkeypatch.setenv("DIRIGENT_KEEP_ALIVE", "2.5")
    monkeypatch.setenv("DIRIGENT_MODELS", os.pathsep.join(("/a", "", "/b")))

    settings = environment({"port": None, "data": Path("here"), "host": None})

    assert (settings.port, settings.data, settings.host) == (9000, Path("here"), "127.0.0.1")
    assert settings.models == (Path("/a"), Path("/b"))
    assert settings.keep_alive == 2.5


@pytest.mark.parametrize("value", ["never", "-1", "nan", "3601"])
def test_a_wait_that_cannot_be_meant_is_named_with_its_bounds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DIRIGENT_KEEP_ALIVE", value)

    with pytest.raises(ValueError, match=r"DIRIGENT_KEEP_ALIVE is .*not a number of seconds from 0 to 3600"):
        environment({})


@pytest.mark.parametrize("value", ["off", "public", "any"])
def test_how_far_is_fetched_is_one_of_three_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DIRIGENT_FETCH", value)

    assert environment({}).fetch == value


def test_another_word_for_how_far_is_fetched_is_refused_with_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIRIGENT_FETCH", "private")

    with pytest.raises(ValueError, match=r"DIRIGENT_FETCH is 'private', not one of off, public, any"):
        environment({})


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRIGENT_PORT", "")

    assert environment({}).port == 8484


@pytest.mark.parametrize(
    ("variable", "value", "bounds"),
    [
        ("DIRIGENT_PORT", "eighty", "0 to 65535"),
        ("DIRIGENT_PORT", "65536", "0 to 65535"),
        ("DIRIGENT_PORT", "-1", "0 to 65535"),
        ("DIRIGENT_PORT", "²", "0 to 65535"),
        ("DIRIGENT_PORT", "9" * 5000, "0 to 65535"),
        ("DIRIGENT_WORKERS", "0", "1 to 256"),
        ("DIRIGENT_WORKERS", "1.5", "1 to 256"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named_with_its_bounds(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, bounds: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ValueError, match=f"{variable} is .*not a whole number from {bounds}"):
        environment({})


def test_proxies_are_read_in_either_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://small:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://large:1")
    monkeypatch.setenv("NO_PROXY", "internal")

    found = proxies()

    assert (found.http, found.https, found.exempt) == (None, "http://small:1", "internal")


def test_a_secret_comes_from_its_variable_or_its_file_without_white_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENDOR_KEY", "  sk-1\n")
    (tmp_path / "key").write_text("sk-2\n")

    secrets = EnvironmentSecrets()

    assert secrets.reveal(Secret(env="VENDOR_KEY")) == "sk-1"
    assert secrets.reveal(Secret(file=str(tmp_path / "key"))) == "sk-2"


def test_a_secret_that_is_missing_empty_or_unreadable_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMPTY", " ")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    secrets = EnvironmentSecrets()

    wanted = [Secret(env="NOWHERE"), Secret(env="EMPTY"), Secret(), Secret(file=str(tmp_path / "none"))]
    wanted += [Secret(file=str(tmp_path / "binary")), Secret(file=str(tmp_path))]
    assert [secrets.reveal(secret) for secret in wanted] == [None] * 6


def test_a_rotated_file_is_taken_at_once_and_a_variable_after_forgetting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, fresh = tmp_path / "key", tmp_path / "fresh"
    file.write_text("old")
    monkeypatch.setenv("VENDOR_KEY", "old")
    secrets, wanted = EnvironmentSecrets(), (Secret(file=str(file)), Secret(env="VENDOR_KEY"))

    first = [secrets.reveal(each) for each in wanted]
    fresh.write_text("new")
    fresh.replace(file)
    monkeypatch.setenv("VENDOR_KEY", "new")
    second = [secrets.reveal(each) for each in wanted]
    secrets.forget()

    assert (first, second) == (["old", "old"], ["new", "old"])
    assert [secrets.reveal(each) for each in wanted] == ["new", "new"]


def test_traces_go_where_opentelemetrys_own_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "HEADERS", "TRACES_HEADERS"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    nowhere = traces()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20secret,x-team=ai")
    base = traces()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/v1/traces")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway")
    own = traces()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert nowhere is None
    assert base == Traces(
        "http://collector:4318/v1/traces", {"authorization": "Bearer secret", "x-team": "ai"}, "dirigent"
    )
    assert "secret" not in repr(base)
    assert own is not None
    assert (own.endpoint, own.service) == ("https://other/v1/traces", "gateway")
    assert traces() is None


@pytest.mark.parametrize("value", ["off", "public", "any"])
def test_how_far_alerts_are_sent_is_one_of_three_words(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DIRIGENT_NOTIFY", value)

    assert environment({}).notify == value
