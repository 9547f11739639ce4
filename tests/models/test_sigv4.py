"""Signatures for AWS are the ones that its own SDK makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.ports import HttpCall, Origin
from dirigent.models.sigv4 import Credentials, signed

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
words = some.text("abcXYZ019-_.~:/ +", min_size=1, max_size=20)


def as_aws_signs(call: HttpCall, credentials: Credentials, region: str) -> dict[str, Any]:
    scheme = "https" if call.origin.tls else "http"
    port = "" if call.origin.port in (80, 443) else f":{call.origin.port}"
    asked: Any = AWSRequest(
        call.method, f"{scheme}://{call.origin.host}{port}{call.path}", dict(call.headers), call.body
    )
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        SigV4Auth(AwsCredentials(*credentials), "bedrock", region).add_auth(asked)
    return {name.lower(): value for name, value in asked.headers.items()}


@given(
    model=words,
    body=some.binary(),
    value=some.text("abc  ,;=", max_size=12),
    token=some.none() | some.just("a/token+of=passing"),
    origin=some.sampled_from(
        [Origin("bedrock-runtime.eu-central-1.amazonaws.com", 443, tls=True), Origin("h", 8443, tls=True)]
    ),
)
def test_a_call_is_signed_as_the_sdk_of_aws_signs_it(
    model: str, body: bytes, value: str, token: str | None, origin: Origin
) -> None:
    headers = (("content-type", "application/json"), ("x-thing", value), ("traceparent", "00-a-b-01"))
    call = HttpCall(origin, f"/model/{quote(model, safe='')}/converse", headers, body)
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)

    ours = dict(signed(call, credentials, region="eu-central-1", service="bedrock", now=NOW).headers)

    theirs = as_aws_signs(
        HttpCall(origin, call.path, headers[:2], body), credentials, "eu-central-1"
    )  # it would sign `traceparent`, which whoever stands between may change
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-amz-date"] == theirs["x-amz-date"]
    assert ours.get("x-amz-security-token") == theirs.get("x-amz-security-token") == token


def test_another_body_or_another_key_is_another_signature() -> None:
    call = HttpCall(Origin("h", 443, tls=True), "/model/a/converse", (), b"{}")
    mine, other = Credentials("A", "secret"), Credentials("A", "secreT")

    def signature(call: HttpCall, credentials: Credentials) -> str:
        return dict(signed(call, credentials, region="r", service="bedrock", now=NOW).headers)["authorization"]

    changed = HttpCall(call.origin, call.path, (), b"{ }")
    assert len({signature(call, mine), signature(changed, mine), signature(call, other)}) == 3
    assert "secret" not in signature(call, mine)


@pytest.mark.parametrize("host", ["2001:db8::1"])
def test_an_address_in_colons_is_signed_as_it_is_sent(host: str) -> None:
    call = HttpCall(Origin(host, 8443, tls=True), "/model/a/converse")

    headers = dict(signed(call, Credentials("A", "s"), region="r", service="bedrock", now=NOW).headers)

    assert "SignedHeaders=host;x-amz-date" in headers["authorization"]
