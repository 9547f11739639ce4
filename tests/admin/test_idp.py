"""Signing in by a real identity provider, from npm: the whole way out and back, as a browser goes it."""

from __future__ import annotations

import http.cookiejar
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dirigent.admin.oidc import IdentityProvider, Oidc
from dirigent.net import HttpClient
from dirigent.store.people import members
from tests.admin.house import House, house
from tests.admin.things import TABLE

HERE = Path(__file__).parent / "idp"
SECRET = "a secret of the client & no other"
ROLES = {"dirigent-admins": "admin", "staff": "viewer"}


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of the provider, once its packages are in it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed, so there is no identity provider to sign in by")
    if not (HERE / "node_modules" / "oidc-provider").exists():
        asked = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            timeout=300,
            check=False,
        )
        if asked.returncode:
            pytest.skip("the packages of the identity provider cannot be had from npm")
    return HERE


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def provider(port: int, back: int) -> Iterator[None]:
    """The provider, with a key of its own, for a node at the port `back`."""
    redirect = f"http://127.0.0.1:{back}/api/v1/oidc/callback"
    words = ["node", "provider.mjs", str(port), "dirigent", SECRET, redirect]
    with subprocess.Popen(words, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            while (line := process.stdout.readline()) != b"ready\n":
                assert line, "the identity provider did not start"
            yield
        finally:
            process.kill()


class Visitor:
    """A browser: it keeps cookies and goes where it is sent."""

    def __init__(self, house: House, port: int) -> None:
        self.house = f"http://127.0.0.1:{house.port}"
        self.provider = f"http://127.0.0.1:{port}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, url: str) -> tuple[int, str, bytes]:
        try:
            with self.opener.open(url, timeout=30) as answer:
                return answer.status, answer.url, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.url or "", refused.read()

    def signs_in_as(self, name: str) -> tuple[int, str, bytes]:
        self.get(f"{self.provider}/who?name={name}")
        return self.get(f"{self.house}/api/v1/oidc/start")

    def session(self) -> Any:
        status, _, body = self.get(f"{self.house}/api/v1/session")
        return json.loads(body) if status == 200 else None


@pytest.fixture(scope="module")
def port() -> int:
    return _free_port()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, installed: Path, port: int) -> Iterator[House]:
    settings = Oidc(f"http://127.0.0.1:{port}", "dirigent", SECRET, roles=ROLES)  # type: ignore[arg-type]  # two roles
    with house(tmp_path_factory.mktemp("idp"), TABLE, provider=IdentityProvider(settings, HttpClient())) as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def running(served: House, port: int) -> Iterator[None]:
    with provider(port, served.port):
        yield


def test_who_is_in_a_group_comes_in_with_its_role(served: House, port: int) -> None:
    visitor = Visitor(served, port)

    visitor.signs_in_as("ada")

    session = visitor.session()
    assert (session["role"], session["name"], session["kind"]) == ("admin", "Ada Lovelace", "member")


def test_who_comes_again_is_the_same_member(served: House, port: int) -> None:
    one, other = Visitor(served, port), Visitor(served, port)

    one.signs_in_as("ada")
    other.signs_in_as("ada")

    assert one.session()["id"] == other.session()["id"]


def test_an_address_that_nobody_vouches_for_makes_nobody_somebody_else(served: House, port: int) -> None:
    ada, bob = Visitor(served, port), Visitor(served, port)
    ada.signs_in_as("ada")

    bob.signs_in_as("bob")

    assert bob.session()["id"] != ada.session()["id"]
    assert bob.session()["role"] == "viewer"
    everybody = served.database.read(lambda connection: members(connection, "default"))
    assert [each.name for each in everybody if each.email == "ada@example.org"] == ["Ada Lovelace"]


def test_who_is_in_no_group_stays_outside(served: House, port: int) -> None:
    visitor = Visitor(served, port)

    status, _, body = visitor.signs_in_as("eve")

    assert (status, json.loads(body)["error"]["code"]) == (401, "sign_in_refused")
    assert visitor.session() is None


def test_a_no_of_the_provider_is_a_no(served: House, port: int) -> None:
    visitor = Visitor(served, port)

    status, _, body = visitor.signs_in_as("nobody")

    assert (status, b"access_denied" in body) == (401, True)


def test_an_answer_to_what_somebody_else_began_signs_nobody_in(served: House, port: int) -> None:
    attacker, victim = Visitor(served, port), Visitor(served, port)
    attacker.get(f"{attacker.provider}/who?name=ada")

    class Held(urllib.request.HTTPRedirectHandler):
        """Goes nowhere near the callback, and keeps its address."""

        url = ""

        def redirect_request(self, *told: Any) -> Any:
            if "/oidc/callback" in told[-1]:
                Held.url = told[-1]
                return None
            return super().redirect_request(*told)

    attacker.opener = urllib.request.build_opener(Held, urllib.request.HTTPCookieProcessor(attacker.jar))
    attacker.get(f"{attacker.house}/api/v1/oidc/start")
    assert "code=" in Held.url

    without = victim.get(Held.url)
    victim.get(f"{victim.house}/api/v1/oidc/start")
    crossed = victim.get(Held.url)

    assert (without[0], crossed[0]) == (401, 401)


def test_new_keys_of_the_provider_are_taken_up(tmp_path: Path, installed: Path) -> None:
    port = _free_port()
    settings = Oidc(f"http://127.0.0.1:{port}", "dirigent", SECRET, default_role="viewer")
    ahead = 0.0
    away = IdentityProvider(settings, HttpClient(), clock=lambda: time.time() + ahead)
    with house(tmp_path, TABLE, provider=away) as one:
        with provider(port, one.port):
            before = Visitor(one, port)
            before.signs_in_as("ada")
        ahead = 60.0
        with provider(port, one.port):
            after = Visitor(one, port)
            after.signs_in_as("ada")

            assert before.session()["id"] == after.session()["id"]


def test_where_the_provider_is_away_it_is_told(tmp_path: Path) -> None:
    settings = Oidc(f"http://127.0.0.1:{_free_port()}", "dirigent", SECRET)
    with house(tmp_path, TABLE, provider=IdentityProvider(settings, HttpClient())) as one:
        answer = one.call("GET", "/api/v1/oidc/start", key=None)

    assert (answer.status, answer.json["error"]["code"]) == (502, "bad_answer")
    assert SECRET.encode() not in answer.body
