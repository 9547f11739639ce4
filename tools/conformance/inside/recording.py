"""A pytest plugin for the SDKs' own tests: they show the given key, and report which routes each of them asked.

It is loaded by name inside the SDK's environment, so it imports nothing of this project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

KEY = os.environ.get("CONFORMANCE_KEY", "")
SDK = os.environ["CONFORMANCE_SDK"]
_INTERCEPTORS = ("respx_mock", "respx2_mock")

_asked: list[str] = []
_models: list[str] = []


class _Nobody:
    """Stands where the tests expect an interceptor; takes every instruction and intercepts nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_named: self


def pytest_plugin_registered(plugin: object) -> None:
    """Hands our key to the tests' own clients, which take it from a name in their conftest."""
    if KEY and hasattr(plugin, "api_key") and hasattr(plugin, "async_client"):
        plugin.api_key = KEY


def pytest_configure() -> None:
    """Notes every request just before it is sent, on whichever transport."""
    client = __import__(f"{SDK}._base_client", fromlist=["BaseClient"]).BaseClient
    build = client._build_request  # noqa: SLF001  the one place through which every request passes

    def noting(self: Any, *arguments: Any, **named: Any) -> Any:
        request = build(self, *arguments, **named)
        _asked.append(f"{request.method} {request.url.path}")
        _models.extend(_named_model(request))
        return request

    client._build_request = noting  # noqa: SLF001


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs also what the SDKs skip because their interceptor knows but one transport: nothing is intercepted here."""
    for item in items:
        if set(_INTERCEPTORS) & set(getattr(item, "fixturenames", ())):
            item.own_markers = [mark for mark in item.own_markers if mark.name != "skip"]


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Any:
    """Lets the few tests through that would be answered by an interceptor instead of a server."""
    if fixturedef.argname not in _INTERCEPTORS:
        return None
    nobody = _Nobody()
    fixturedef.cached_result = (nobody, fixturedef.cache_key(request), None)
    return nobody


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Writes down which routes a test asked, in the order of their first request, and for which models."""
    _asked.clear()
    _models.clear()
    try:
        return (yield)
    finally:
        item.user_properties += [("asked", route) for route in dict.fromkeys(_asked)]
        item.user_properties += [("model", name) for name in dict.fromkeys(_models)]


def _named_model(request: Any) -> Iterator[str]:
    """The model that a JSON body names; a form is left alone, for reading it here would change how it is sent."""
    if request.headers.get("content-type") == "application/json":
        fields = json.loads(request.content or b"{}")
        if isinstance(fields, dict) and isinstance(fields.get("model"), str):
            yield fields["model"]
