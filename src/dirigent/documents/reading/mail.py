"""E-mails as they travel (.eml)."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

from dirigent.core.documents import Extract, ReadLimits
from dirigent.documents.reading.bounded import Cuts
from dirigent.documents.reading.web import read_words

__all__ = ["read"]

_FACTS = {
    "from": "From",
    "to": "To",
    "cc": "Cc",
    "subject": "Subject",
    "message_id": "Message-ID",
    "reply_to": "Reply-To",
}
_MOST = 100


def read(data: bytes, limits: ReadLimits) -> Extract:
    """Who wrote what to whom, and when; attachments by their names."""
    cuts = Cuts(limits)
    mail = message_from_bytes(data, policy=policy.default)
    if not isinstance(mail, EmailMessage):
        raise TypeError("no e-mail")
    facts: dict[str, Any] = {name: str(mail[field]) for name, field in _FACTS.items() if mail[field]}
    if mail["Date"]:
        facts["date"] = _moment(str(mail["Date"]))
    body = mail.get_body(("plain", "html"))
    text, tables = "", ()
    if isinstance(body, EmailMessage):
        content = str(body.get_content())
        if body.get_content_type() == "text/html":
            seen = read_words(content, limits)
            text, tables = seen.text, seen.tables  # type: ignore[assignment]  # of the same kind, and perhaps empty
        else:
            text = content
    attached = [part.get_filename() or part.get_content_type() for part in mail.iter_attachments()]
    if len(attached) > _MOST:
        cuts.note(f"{len(attached) - _MOST} attachments are not named")
    return Extract(
        "mail", cuts.text(text.strip()), tables=tables, facts=facts, attachments=tuple(attached[:_MOST]),
        cut=tuple(cuts.words),
    )  # fmt: skip


def _moment(text: str) -> str:
    try:
        return parsedate_to_datetime(text).isoformat()
    except ValueError:
        return text
