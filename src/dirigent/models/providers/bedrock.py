"""Amazon Bedrock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from dirigent.core.messages import Task
from dirigent.core.ports import HttpCall, Listing, Listings, Origin, Secret
from dirigent.core.run import Run
from dirigent.dialects.bedrock_converse import BedrockConverse
from dirigent.dialects.dialect import Dialect
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed
from dirigent.models.sigv4 import Credentials, signed

__all__ = ["Bedrock"]

_DIALECT = BedrockConverse()
_SERVICE = "bedrock"
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+")


class Bedrock(Provider, frozen=True):
    """Every model that Amazon Bedrock serves by its Converse API.

    It lets in by a Bedrock API key, or by an access key and a secret key with which each request is signed. The
    deployment's `name` is a model's id, an inference profile or an ARN.
    """

    region: str
    """The AWS region, such as `eu-central-1`: it drives the address, and is where data is processed."""
    api_key: Secret | None = None
    """Where the Bedrock API key is: `{env: AWS_BEARER_TOKEN_BEDROCK}`."""
    access_key: Secret | None = None
    """Where the access key is: `{env: AWS_ACCESS_KEY_ID}`; with `secret_key`."""
    secret_key: Secret | None = None
    """Where the secret key is: `{env: AWS_SECRET_ACCESS_KEY}`."""
    session_token: Secret | None = None
    """Where the token of passing credentials is: `{file: /run/secrets/aws-token}`."""
    base_url: str | None = None
    """Another address than `https://bedrock-runtime.REGION.amazonaws.com`, such as a private endpoint."""

    def __post_init__(self) -> None:
        if not _REGION.fullmatch(self.region):
            raise ValueError(f"{self.region!r} is no AWS region, such as eu-central-1")
        origin_and_path(self._base)
        if self.api_key is not None and self.access_key is not None:
            raise ValueError("`api_key` and `access_key` exclude each other: the provider takes one of them")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("`access_key` and `secret_key` go together")
        if self.session_token is not None and self.access_key is None:
            raise ValueError("`session_token` goes with `access_key` and `secret_key`")
        if self.api_key is None and self.access_key is None:
            raise ValueError("`api_key` is missing: Bedrock wants one, such as {env: AWS_BEARER_TOKEN_BEDROCK}")

    @property
    def signs(self) -> bool:
        """With an access key each call is signed as a whole."""
        return self.access_key is not None

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """Bedrock's Converse."""
        return _DIALECT if task == "chat" else None

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """Bedrock's address in the region, let in by the API key where there is one."""
        origin, path = _split(self._base)
        headers = () if self.api_key is None else (("authorization", f"Bearer {revealed(self.api_key, run)}"),)
        return Address(origin, path, headers)

    async def signed(self, call: HttpCall, run: Run) -> HttpCall:
        """`call` signed with the access key, which is looked up anew: something outside may renew it."""
        if self.access_key is None or self.secret_key is None:
            return call
        credentials = Credentials(
            revealed(self.access_key, run),
            revealed(self.secret_key, run),
            revealed(self.session_token, run) if self.session_token is not None else None,
        )
        return signed(call, credentials, region=self.region, service=_SERVICE, now=datetime.now(UTC))

    def located(self) -> str | None:
        """The AWS region."""
        return self.region

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """Bedrock's published figures."""
        return listings.find("bedrock", deployment)

    @property
    def _base(self) -> str:
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return self.base_url or f"https://bedrock-runtime.{self.region}.amazonaws.com{suffix}"


@lru_cache(maxsize=256)
def _split(base_url: str) -> tuple[Origin, str]:
    return origin_and_path(base_url)
