"""A small page on which somebody decides by a link, without signing in and without a script.

To look at it decides nothing: programs that follow every link in a letter do no harm.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dirigent.admin.app import BODY_LIMIT, Path
from dirigent.admin.faults import WrongWay, status_of
from dirigent.admin.openapi import ROOT, Fixed
from dirigent.control.approval_links import Links
from dirigent.control.approvals import ApprovalShown, Decide
from dirigent.core.errors import DirigentError, Invalid

__all__ = ["DECIDE_PATH", "deciding_paths"]

DECIDE_PATH = f"{ROOT}/approvals/link"
_FORM = "application/x-www-form-urlencoded"
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
body{color:#14171c;background:#f6f7f9}
main{background:#fff;border:1px solid #dfe3e9;border-radius:10px;padding:1.5rem}
h1{font-size:1.4rem;margin:0 0 .5rem}h2{font-size:1rem;margin:1.2rem 0 .3rem}
pre,textarea,input,select{font:inherit;white-space:pre-wrap;overflow-wrap:anywhere}
pre{background:#eef0f4;border-radius:6px;padding:.7rem;margin:0}
textarea,input,select{width:100%;box-sizing:border-box;border:1px solid #868e9b;border-radius:6px;padding:.5rem}
button{font:inherit;padding:.55rem 1.1rem;border-radius:6px;border:1px solid #868e9b;background:#fff}
button{margin:1rem .5rem 0 0}
button:focus-visible,textarea:focus-visible,input:focus-visible{outline:2px solid #3f48c4;outline-offset:2px}
.first{background:#4650d6;border-color:#4650d6;color:#fff}.muted{color:#565e6c}.fault{color:#b4232b}
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def deciding_paths(links: Links) -> list[Path]:
    """The page, and where it sends what somebody decides."""

    async def show(request: Request) -> Response:
        token = request.query_params.get("token", "")
        try:
            return _page(_asked(await links.show(token, request.scope["request_id"]), token))
        except DirigentError as error:
            return _refused(error)

    async def decide(request: Request) -> Response:
        said = await _fields(request)
        token, name = said.get("token", ""), request.scope["request_id"]
        try:
            shown = await links.show(token, name)
        except DirigentError as error:
            return _refused(error)
        try:
            decision = await links.decide(token, _order(shown, said), name)
        except Invalid as error:
            if error.code != "invalid_request":
                return _refused(error)
            return _page(_asked(shown, token, said, error.message), 400)
        except DirigentError as error:
            return _refused(error)
        words = f"It was {decision.outcome}." if decision.outcome else "Your word counts; somebody else has to approve."
        return _page(f"<h1>Thank you</h1><p>{escape(words)} You can close this page.</p>")

    return [
        Path(
            Fixed(
                "GET", DECIDE_PATH, "The page of a link by which one decides.", query=("token",), open=True,
                media="text/html",
            ),
            show,
        ),
        Path(Fixed("POST", DECIDE_PATH, "Decide by a link.", open=True, media="text/html"), decide),
    ]  # fmt: skip


# --- reading ----------------------------------------------------------------------------------------------------------


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise WrongWay(f"the body has to be a form, with the content type {_FORM}", "wrong_media_type")
    body = await request.body()
    if len(body) > BODY_LIMIT:
        raise WrongWay(f"the body is larger than {BODY_LIMIT} bytes", "request_too_large")
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1_000)
    return {name: values[0].replace("\r\n", "\n") for name, values in found.items()}


def _order(shown: ApprovalShown, said: Mapping[str, str]) -> Decide:
    """What the form says. Raises Invalid, naming the field."""
    decision = said.get("decision", "")
    reason = said.get("reason", "")[:4_000]
    try:
        version = int(said.get("version", "1"))
    except ValueError:
        raise Invalid("version: expected a whole number", param="version") from None
    match decision:
        case "approve" | "reject":
            return Decide(shown.id, decision, None, reason, version)
        case "edit":
            return Decide(shown.id, "edit", _answer(shown, said), reason, version)
    raise Invalid("decision: approve, edit or reject", param="decision")


def _answer(shown: ApprovalShown, said: Mapping[str, str]) -> Any:
    form = shown.form or {}
    if not _is_object(form):
        return _read("answer", form, said.get("answer", ""))
    answer = dict(shown.proposal) if isinstance(shown.proposal, Mapping) else {}
    for name, inner in form["properties"].items():
        text = said.get(f"answer.{name}")
        if text is None or (text == "" and name not in answer and name not in form.get("required", ())):
            continue
        answer[name] = _read(f"answer.{name}", inner, text)
    return answer


def _read(place: str, form: Mapping[str, Any], text: str) -> Any:
    """What somebody typed, as the form's type. Raises Invalid."""
    match form.get("type"):
        case "string":
            return text
        case "boolean":
            return text == "true"
        case "integer" | "number" as kind:
            try:
                return int(text) if kind == "integer" else Decimal(text.strip().replace(",", "."))
            except (ValueError, InvalidOperation):
                raise Invalid(f"{place}: {text!r} is no number", param=place) from None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Invalid(f"{place}: this is no proper JSON", param=place) from None


# --- writing ----------------------------------------------------------------------------------------------------------


def _page(content: str, status: int = 200) -> Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dirigent: a decision</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body><main>{content}</main></body></html>"
    )
    return Response(html, status, media_type="text/html", headers={"content-security-policy": _POLICY})


def _refused(error: DirigentError) -> Response:
    return _page(f'<h1>Nothing was decided</h1><p class="fault">{escape(error.message)}</p>', status_of(error))


def _asked(shown: ApprovalShown, token: str, said: Mapping[str, str] | None = None, fault: str = "") -> str:
    """The question with everything that it takes to decide."""
    parts = [f"<h1>{escape(shown.title)}</h1>"]
    if shown.why:
        parts.append(f'<p class="muted">You are asked because {escape(shown.why)}.</p>')
    if fault:
        parts.append(f'<p class="fault" role="alert">{escape(fault)}</p>')
    for heading, words in (("What is asked", shown.text), ("What will happen then", shown.effects)):
        if words:
            parts.append(f"<h2>{heading}</h2><pre>{escape(words)}</pre>")
    if shown.outcome is not None:
        return "".join((*parts, f"<p>It was {escape(shown.outcome)} already.</p>"))
    parts += [
        f'<form method="post" action="{DECIDE_PATH}"><input type="hidden" name="token" value="{escape(token)}">',
        f'<input type="hidden" name="version" value="{shown.version}">',
        *_proposed(shown, said or {}),
        '<h2><label for="reason">Reason</label></h2>',
        f'<textarea id="reason" name="reason" rows="2">{escape((said or {}).get("reason", ""))}</textarea>',
        '<button class="first" name="decision" value="approve">Approve as proposed</button>',
    ]
    if shown.form is not None:
        parts.append('<button name="decision" value="edit">Approve with my changes</button>')
    parts.append('<button name="decision" value="reject">Reject</button></form>')
    return "".join(parts)


def _proposed(shown: ApprovalShown, said: Mapping[str, str]) -> list[str]:
    if shown.form is None:
        return [f"<h2>Proposed</h2><pre>{escape(_written(shown.proposal))}</pre>"]
    if not _is_object(shown.form):
        return [_field("answer", "Proposed", shown.form, shown.proposal, said)]
    values = shown.proposal if isinstance(shown.proposal, Mapping) else {}
    return [
        _field(f"answer.{name}", str(inner.get("title", name)), inner, values.get(name), said)
        for name, inner in shown.form["properties"].items()
        if isinstance(inner, Mapping)
    ]


def _field(name: str, label: str, form: Mapping[str, Any], value: object, said: Mapping[str, str]) -> str:
    text = said.get(name, _written(value))
    heading = f'<h2><label for="{escape(name)}">{escape(label)}</label></h2>'
    if form.get("type") == "boolean":
        options = "".join(
            f'<option value="{word}"{" selected" if text == word else ""}>{shown}</option>'
            for word, shown in (("true", "yes"), ("false", "no"))
        )
        return f'{heading}<select id="{escape(name)}" name="{escape(name)}">{options}</select>'
    rows = min(20, max(1, text.count("\n") + len(text) // 80 + 1))
    return f'{heading}<textarea id="{escape(name)}" name="{escape(name)}" rows="{rows}">\n{escape(text)}</textarea>'


def _is_object(form: Mapping[str, Any]) -> bool:
    return isinstance(form.get("properties"), Mapping)


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
