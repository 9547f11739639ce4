"""What an identity provider says is believed only where it is sound: forged tokens, wrong answers, new keys."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from dirigent.admin.oidc import Away, IdentityProvider, Oidc, provider_within, seal, unsealed
from dirigent.control.sessions import SignInRefused
from dirigent.core.errors import BadAnswer, DirigentError
from dirigent.core.ports import HttpCall, HttpFlow, HttpTaker, Timeouts

ISSUER = "https://id.example"
BACK = "https://here.example/api/v1/oidc/callback"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})


class _Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._body = body

    ahead = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._body

    async def read(self) -> bytes:
        return self._body

    def close(self) -> None:
        """There is nothing to end."""


class Provider:
    """The provider's end of the wire: it publishes `keys` and gives `token` to whoever brings a code."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.token = ""
        self.issuer = ISSUER
        self.asked: list[str] = []
        self.forms: list[bytes] = []

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> HttpFlow | None:
        return None

    async def open(self, call: HttpCall, timeouts: Timeouts) -> _Answer:
        self.asked.append(call.path)
        match call.path:
            case "/.well-known/openid-configuration":
                return _told(
                    issuer=self.issuer,
                    authorization_endpoint=f"{ISSUER}/authorize",
                    token_endpoint=f"{ISSUER}/token",
                    jwks_uri=f"{ISSUER}/keys",
                )
            case "/keys":
                return _told(keys=[key.as_dict(private=False) for key in self.keys])
            case "/token":
                self.forms.append(call.body)
                return _told(id_token=self.token, access_token="unused", token_type="Bearer")
        return _Answer(404, b"")


def _told(**fields: Any) -> _Answer:
    return _Answer(200, json.dumps(fields).encode())


class World:
    """A provider, us, and somebody who is away at it."""

    def __init__(self, *keys: Key, **settings: Any) -> None:
        self.provider = Provider(*(keys or (KEY,)))
        self.now = time.time()
        merged = {"roles": {"staff": "viewer", "chiefs": "admin"}, **settings}
        self.us = IdentityProvider(Oidc(ISSUER, "us", "hush", **merged), self.provider, clock=lambda: self.now)
        self.away: Away

    async def returns(self, *, key: Key = KEY, header: Mapping[str, Any] | None = None, **claims: Any) -> Any:
        """Who comes back with a token that says so."""
        _, self.away = await self.us.send(BACK)
        told = {
            "iss": ISSUER,
            "aud": "us",
            "sub": "ada",
            "nonce": self.away.nonce,
            "iat": int(self.now),
            "exp": int(self.now) + 300,
            "groups": ["staff"],
            **claims,
        }
        sound = {"alg": "RS256", "kid": key.kid, **(header or {})}
        said = {name: value for name, value in told.items() if value is not None}
        self.provider.token = jwt.encode(sound, said, key, algorithms=[sound["alg"]])
        return await self.us.receive({"code": "c", "state": self.away.state}, self.away)


async def test_a_sound_token_brings_a_person_with_the_highest_of_their_roles() -> None:
    outsider = await World().returns(groups=["staff", "chiefs", "x"], name="Ada", email="a@b.c", email_verified=True)

    assert (outsider.id, outsider.role, outsider.name, outsider.email) == (f"{ISSUER} ada", "admin", "Ada", "a@b.c")


async def test_the_code_is_exchanged_with_the_proof_that_we_asked_for_it() -> None:
    world = World()

    await world.returns()

    (form,) = world.provider.forms
    assert f"code_verifier={world.away.verifier}".encode() in form
    assert b"hush" not in form


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "somebody"},
        {"aud": ["us", "somebody"]},
        {"aud": ["us", "somebody"], "azp": "somebody"},
        {"nonce": "of another"},
        {"nonce": None},
        {"sub": None},
        {"exp": 1},
        {"exp": None},
        {"iat": 2**33},
        {"exp": "tomorrow"},
    ],
)
async def test_a_token_that_is_not_for_us_now_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused):
        await World().returns(**claims)


async def test_a_token_signed_by_another_key_is_refused() -> None:
    with pytest.raises(SignInRefused):
        await World().returns(key=OTHER)


async def test_a_token_that_names_our_key_and_is_signed_by_another_is_refused() -> None:
    with pytest.raises(SignInRefused):
        await World().returns(key=OTHER, header={"kid": "one"})


async def test_a_public_key_is_no_shared_secret() -> None:
    world = World()
    await world.returns()
    _, claims, _ = world.provider.token.split(".")
    header = _plain64(b'{"alg":"HS256","kid":"one"}')
    said = f"{header}.{claims}"
    forged = hmac.digest(KEY.as_pem(private=False), said.encode(), "sha256")
    world.provider.token = f"{said}.{_plain64(forged)}"

    with pytest.raises(SignInRefused):
        await world.us.receive({"code": "c", "state": world.away.state}, world.away)


def _plain64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


async def test_an_unsigned_token_is_refused() -> None:
    world = World()
    _, away = await world.us.send(BACK)
    world.provider.token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."

    with pytest.raises(SignInRefused):
        await world.us.receive({"code": "c", "state": away.state}, away)


async def test_a_key_of_another_kind_is_good_as_well() -> None:
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})

    assert (await World(key).returns(key=key, header={"alg": "ES256"})).role == "viewer"


async def test_new_keys_are_asked_for_once_and_then_not_again_for_a_while() -> None:
    world = World(KEY)
    await world.returns()
    world.provider.keys = [OTHER]

    world.now += 30
    await world.returns(key=OTHER)
    for _ in range(5):
        with pytest.raises(SignInRefused):
            await world.returns(key=KEY)

    assert world.provider.asked.count("/keys") == 2


@pytest.mark.parametrize(
    "answer",
    [{"code": "c"}, {"code": "c", "state": "x"}, {"error": "access_denied"}, {"iss": "https://evil.example"}, {}],
)
async def test_an_answer_to_something_else_is_refused_before_the_provider_is_asked(answer: dict[str, str]) -> None:
    world = World()
    _, away = await world.us.send(BACK)
    state = {} if "code" in answer else {"state": away.state}

    with pytest.raises(SignInRefused):
        await world.us.receive({**state, **answer}, away)

    assert world.provider.forms == []


async def test_who_stays_away_too_long_has_to_begin_again() -> None:
    world = World()
    _, away = await world.us.send(BACK)

    world.now += 601

    with pytest.raises(SignInRefused):
        await world.us.receive({"code": "c", "state": away.state}, away)


async def test_a_provider_that_names_itself_otherwise_is_not_believed() -> None:
    world = World()
    world.provider.issuer = "https://evil.example"

    with pytest.raises(BadAnswer):
        await world.us.send(BACK)


async def test_an_address_that_nobody_vouches_for_is_none() -> None:
    assert (await World().returns(email="boss@here.example")).email is None


async def test_without_a_group_there_is_the_role_for_everybody_where_one_is_set() -> None:
    assert (await World(default_role="viewer").returns(groups=[])).role == "viewer"
    with pytest.raises(SignInRefused, match="none of their groups has a role"):
        await World().returns(groups=[])


async def test_the_way_out_carries_what_the_way_back_is_checked_by() -> None:
    url, away = await World().us.send(BACK)

    assert url.startswith(f"{ISSUER}/authorize?response_type=code&client_id=us&")
    assert f"state={away.state}" in url
    assert f"nonce={away.nonce}" in url
    assert "code_challenge_method=S256" in url
    assert away.verifier not in url


def test_what_the_browser_carries_can_be_read_by_us_and_changed_by_nobody() -> None:
    away = Away("s", "n", "v", BACK, 1.0)
    sealed = seal(away, b"secret")

    assert unsealed(sealed, b"secret") == away
    assert unsealed(sealed, b"another") is None
    assert unsealed(f"x{sealed}", b"secret") is None
    assert unsealed(sealed[:-1], b"secret") is None
    assert unsealed("", b"secret") is None
    assert unsealed("ünï.cödé", b"secret") is None


def test_the_data_folder_names_the_provider(tmp_path: Path) -> None:
    assert provider_within(tmp_path, Provider()) is None

    (tmp_path / "identity-provider.json").write_text(
        '{"issuer": "https://id.example", "client_id": "us", "roles": {"chiefs": "admin"}}'
    )
    found = provider_within(tmp_path, Provider())

    assert found is not None
    assert found.settings == Oidc(ISSUER, "us", roles={"chiefs": "admin"})


def test_a_file_that_is_not_as_it_should_be_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "identity-provider.json").write_text('{"issuer": "https://id.example", "client_secret": 7}')

    with pytest.raises(DirigentError, match=r"client_secret") as raised:
        provider_within(tmp_path, Provider())

    assert "id.example" not in raised.value.message
