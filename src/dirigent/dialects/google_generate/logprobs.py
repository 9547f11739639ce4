"""Log probabilities in Google's format, and in that of OpenAI, in which events carry them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dirigent.dialects.raw import UNREADABLE

__all__ = ["read_logprobs", "written_logprobs"]


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(msgspec.Struct):
    candidates: list[_Token] = []


class _Result(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Top] = []


class _Other(msgspec.Struct):
    token: str
    logprob: float


class _Chosen(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Other] = []


class _Logprobs(msgspec.Struct):
    content: list[_Chosen] | None = None


_result = msgspec.json.Decoder(_Result)
_logprobs = msgspec.json.Decoder(_Logprobs)
_encode = msgspec.json.Encoder().encode


def read_logprobs(raw: Raw) -> Raw | None:
    """`logprobsResult` as OpenAI writes it; None where it says nothing. Raises what msgspec does."""
    result = _result.decode(raw)
    if not result.chosen_candidates:
        return None
    tops: list[_Top | None] = [*result.top_candidates, *(None for _ in result.chosen_candidates)]
    content = [
        {**_read(chosen), "top_logprobs": [_read(each) for each in top.candidates] if top is not None else []}
        for chosen, top in zip(result.chosen_candidates, tops, strict=False)
    ]
    return Raw(_encode({"content": content, "refusal": None}))


def _read(token: _Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def written_logprobs(raw: Raw | None) -> dict[str, Any] | None:
    """The same the other way; None where there is nothing that can be told here."""
    if raw is None:
        return None
    try:
        told = _logprobs.decode(raw).content
    except UNREADABLE:
        return None
    if not told:
        return None
    return {
        "chosenCandidates": [{"token": each.token, "logProbability": each.logprob} for each in told],
        "topCandidates": [
            {"candidates": [{"token": one.token, "logProbability": one.logprob} for one in each.top_logprobs]}
            for each in told
        ],
    }
