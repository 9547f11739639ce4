"""`serve` and `check` where something is wrong, and what `serve` says where all is well."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import ran
from tests.journeys.node import clean_environment, node
from tests.journeys.weights import give_weights

GOOD = "models:\n  echo: {type: echo}\n"
BAD = """\
    providers:
      vendor: {type: compatible}
    models:
      auto: {type: router, candidates: [nobody], strategy: {type: complexitee}}
      far:  {type: deployment, provider: vendor, name: m, price: {input: -1, output: 1}}
    """
BAD_LINES = {2: "providers.vendor", 4: "models.auto.strategy.type", 5: "models.far.price"}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def configured(folder: Path, text: str) -> Path:
    file = folder / "dirigent.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def test_check_of_a_good_file_says_what_it_holds(tmp_path: Path) -> None:
    file = configured(tmp_path, GOOD)

    told = ran("check", "-c", file)

    assert (told.status, told.err) == (0, "")
    assert re.fullmatch(rf"{file} is fine: 0 providers, 1 model, revision [0-9a-f]{{12}}\n", told.out)


def test_check_names_every_fault_at_once_with_file_line_and_path(tmp_path: Path) -> None:
    file = configured(tmp_path, BAD)

    told = ran("check", "-c", file)
    as_object = json.loads(ran("check", "-c", file, "--json").out)

    assert (told.status, told.out) == (1, "")
    for line, path in BAD_LINES.items():
        assert f"{file}:{line}: {path}" in told.err
    assert as_object["ok"] is False
    assert as_object["faults"] == told.err.splitlines()


def test_check_starts_nothing_and_makes_nothing(tmp_path: Path) -> None:
    told = ran("check", "--data", tmp_path / "data")

    assert told.status == 1
    assert "cannot be read: No such file" in told.err
    assert list(tmp_path.iterdir()) == []


def test_check_names_models_without_a_price_and_no_router_among_them(tmp_path: Path) -> None:
    config = """\
        providers: {vendor: {type: compatible, base_url: "http://127.0.0.1:1/v1"}}
        models:
          far: {type: deployment, provider: vendor, name: m}
          auto: {type: router, candidates: [far]}
        """

    told = ran("check", "-c", configured(tmp_path, config))

    assert "note: the price of far is unknown; set `price` to see costs\n" in told.out


def test_check_as_json_lists_what_would_be_published(tmp_path: Path) -> None:
    told = json.loads(ran("check", "-c", configured(tmp_path, GOOD), "--json").out)

    assert told["ok"] is True
    assert told["models"] == ["echo"]


def test_serve_on_a_bad_file_names_every_fault_and_starts_nothing(tmp_path: Path) -> None:
    configured(tmp_path, BAD)

    told = ran("serve", "--data", tmp_path, "--port", "0")

    assert (told.status, told.out) == (1, "")
    for line, path in BAD_LINES.items():
        assert f"dirigent.yaml:{line}: {path}" in told.err
    assert told.err.endswith("error: the configuration is refused; nothing was started\n")
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_on_a_taken_port_says_so(tmp_path: Path, taken: int, workers: str) -> None:
    configured(tmp_path, GOOD)

    told = ran("serve", "--data", tmp_path, "--port", taken, "--workers", workers)

    assert (told.status, told.out) == (1, "")
    assert (
        told.err == f"error: the server cannot listen: port {taken} of 127.0.0.1 is taken; choose another with --port\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_serve_on_an_address_that_is_not_ours_says_so(tmp_path: Path, host: str, workers: str) -> None:
    configured(tmp_path, GOOD)

    told = ran("serve", "--data", tmp_path, "--port", "0", "--host", host, "--workers", workers)

    assert told.status == 1
    assert told.err.startswith("error: the server cannot listen: ")
    assert host in told.err
    assert "--host" in told.err


def test_serve_in_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    told = ran("serve", "--data", tmp_path / "file" / "data", "--port", "0")

    assert told.status == 1
    assert told.err == f"error: the data folder {tmp_path / 'file' / 'data'} cannot be prepared: Not a directory\n"


def test_serve_where_its_notes_cannot_be_kept_says_so(tmp_path: Path) -> None:
    configured(tmp_path, GOOD)
    (tmp_path / "logs").write_text("in the way")

    told = ran("serve", "--data", tmp_path, "--port", "0")

    assert told.status == 1
    assert f"the server cannot start: {tmp_path / 'logs'}: File exists" in told.err


def test_serve_with_a_key_file_that_holds_none_says_so(tmp_path: Path) -> None:
    configured(tmp_path, GOOD)
    (tmp_path / "first-key").write_text("\n")

    told = ran("serve", "--data", tmp_path, "--port", "0")

    assert told.status == 1
    assert told.err == f"error: {tmp_path / 'first-key'} holds no key; remove it, and a new one is made\n"


def test_serve_prints_address_configuration_key_and_a_line_that_works(tmp_path: Path) -> None:
    with node(tmp_path, GOOD) as one:
        printed = one.log.splitlines()
        assert f"answers at http://127.0.0.1:{one.port}" in printed[0]
        assert one.key in printed[2]
        assert f"http://127.0.0.1:{one.port}/api/v1/session/link?token=" in printed[3]
        assert printed[5].startswith("curl ")
        assert '"model": "echo"' in printed[5]


def test_the_first_key_is_its_owners_alone_and_stays_the_same(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with node(tmp_path, GOOD) as one:
            keys.append(one.key)
            assert stat.S_IMODE((tmp_path / "first-key").stat().st_mode) == 0o600

    assert keys[0] == keys[1]
    assert re.fullmatch(r"dk-[A-Za-z0-9_-]{43}", keys[0])


def test_a_configuration_elsewhere_is_used_and_watched(tmp_path: Path) -> None:
    file = configured(tmp_path / "elsewhere", GOOD)
    environment = {"DIRIGENT_CONFIG": str(file)}

    with node(tmp_path / "data", environment=environment) as one:
        before = one.revision
        file.write_text("models:\n  other: {type: echo}\n")
        one.until(lambda: one.revision != before)

        assert not one.config.exists()
        assert [model["id"] for model in one.call("GET", "/v1/models").json["data"]] == ["other"]


def test_pull_of_weights_that_nobody_has_says_no_and_lists_the_kit(tmp_path: Path) -> None:
    told = ran("pull", "gpt-9", "--exactly", "--data", tmp_path)

    assert (told.status, told.out) == (1, "")
    assert told.err.startswith("error: ")
    assert "gpt-9" in told.err
    assert "smollm2-135m-instruct" in told.err


def test_pull_takes_weights_from_a_folder_and_says_where_they_are(tmp_path: Path) -> None:
    give_weights(tmp_path / "usb")
    folder = tmp_path / "usb" / "models"
    small = "smollm2-135m-instruct"

    told = ran("pull", small, "--exactly", "--from", folder, "--data", tmp_path / "data", "--json")
    again = ran("pull", small, "--exactly", "--data", tmp_path / "data")

    pulled = json.loads(told.out)
    assert (told.status, told.out.count("\n")) == (0, 1)
    assert Path(pulled["path"]).is_file()
    assert pulled["name"] == pulled["wanted"] == small
    assert re.fullmatch(rf"{small} is ready: .* \(\d+ MB, checked\)\n", again.out)


def test_serve_as_json_says_in_one_object_where_it_is(tmp_path: Path) -> None:
    configured(tmp_path, GOOD)
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(tmp_path), "--port", "0", "--json"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, env=clean_environment()) as serving:
        assert serving.stdout is not None
        told = json.loads(serving.stdout.readline())
        models = ran("models", "--data", tmp_path, "--json")
        serving.terminate()
        rest = serving.stdout.read()

    assert set(told) == {"address", "pid", "config", "new", "key", "sign_in"}
    assert told["pid"] == serving.pid
    assert told["key"] == (tmp_path / "first-key").read_text().strip()
    assert (models.status, rest, serving.returncode) == (0, b"", 0)
