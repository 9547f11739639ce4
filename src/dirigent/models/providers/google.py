"""Google: the Gemini API, and Vertex AI by its address."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from dirigent.core.messages import Task
from dirigent.core.ports import HttpCall, Listing, Listings, Origin, Secret
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.google_generate import GoogleGenerate
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed

__all__ = ["Google"]

_BASE = "https://generativelanguage.googleapis.com/v1beta"
_VERTEX = "aiplatform.googleapis.com"
_GEMINI = GoogleGenerate()
_ON_VERTEX = GoogleGenerate(counts_plainly=True)


class Google(Provider, frozen=True):
    """Google's Gemini models, by the Gemini API or by Vertex AI.

    For Vertex AI `base_url` ends in `/publishers/google`, such as
    `https://europe-west4-aiplatform.googleapis.com/v1/projects/NAME/locations/europe-west4/publishers/google`; the
    access token comes from a file that something outside renews, and is read anew for every request.
    """

    api_key: Secret | None = None
    """Where the key is: `{env: GEMINI_API_KEY}` or `{file: /run/secrets/gemini}`."""
    access_token: Secret | None = None
    """Where an OAuth access token is, in the place of a key: `{file: /run/secrets/google-token}`."""
    base_url: str = _BASE
    """The address up to what stands before `/models/NAME`."""
    region: str | None = None
    """Where data is processed, such as `eu`; Vertex AI names it in its address."""

    def __post_init__(self) -> None:
        origin_and_path(self.base_url)
        if self.api_key is not None and self.access_token is not None:
            raise ValueError("`api_key` and `access_token` exclude each other: the provider takes one of them")
        if self.api_key is None and self.access_token is None and self.base_url == _BASE:
            raise ValueError("`api_key` is missing: Google wants one, such as {env: GEMINI_API_KEY}")

    @property
    def signs(self) -> bool:
        """A token is renewed from outside, so it is looked up for each call."""
        return self.access_token is not None

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """Google's generateContent."""
        if task != "chat":
            return None
        return _ON_VERTEX if self._is_vertex else _GEMINI

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """Google's address, let in by the key where there is one."""
        origin, path = _split(self.base_url)
        headers = () if self.api_key is None else (("x-goog-api-key", revealed(self.api_key, run)),)
        return Address(origin, path, headers)

    async def signed(self, call: HttpCall, run: Run) -> HttpCall:
        """`call` with the present access token."""
        if self.access_token is None:
            return call
        header = ("authorization", f"Bearer {revealed(self.access_token, run)}")
        return msgspec.structs.replace(call, headers=(*call.headers, header))

    def located(self) -> str | None:
        """What the file says."""
        return self.region

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """Google's published figures, which differ between its two houses."""
        return listings.find("vertex" if self._is_vertex else "google", deployment)

    @property
    def _is_vertex(self) -> bool:
        return _split(self.base_url)[0].host.endswith(_VERTEX)


@lru_cache(maxsize=256)
def _split(base_url: str) -> tuple[Origin, str]:
    return origin_and_path(base_url)
