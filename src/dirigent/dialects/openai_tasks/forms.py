"""Jobs that come as forms: the model's name is changed in its part, and no other byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dirigent.core.errors import Invalid
from dirigent.core.messages import Wire
from dirigent.dialects.multipart import Form
from dirigent.dialects.openai_tasks.task import Task

__all__ = ["FormTask", "model_of", "yes"]


class FormTask(Task, frozen=True):
    """A job that comes as `multipart/form-data`."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Fields without which it makes no sense; one that several spellings share stands there as `image|image[]`."""

    def form(self, body: bytes, headers: Mapping[bytes, bytes]) -> Form:
        """The caller's form. Raises Invalid that names the field at fault."""
        form = Form(body, content_type(headers))
        names = {part.name for part in form.parts}
        for need in self.needs:
            if names.isdisjoint(need.split("|")):
                name = need.partition("|")[0]
                raise Invalid(f"{name}: the form does not have it", param=name)
        return form

    def kept(self, body: bytes, headers: Mapping[bytes, bytes]) -> Wire:
        """The caller's form as it goes on."""
        return Wire(self.name, body, {}, content_type=content_type(headers))

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        if not wire.content_type.lower().startswith("multipart/"):
            return super().splice(wire, deployment, report_usage=report_usage)
        form = Form(wire.body, wire.content_type)
        part, name = form.one("model"), deployment.encode()
        return form.joined("model", name) if part is None else form.replaced(part, name)


def content_type(headers: Mapping[bytes, bytes]) -> str:
    """The type of a caller's body."""
    return headers.get(b"content-type", b"").decode("latin-1")


def model_of(form: Form) -> str:
    """The model that a form asks for; empty where it names none. Raises Invalid where that can be no name."""
    name = form.text("model")
    if name is None:
        return ""
    if not 0 < len(name) <= 256:
        raise Invalid("model: a name has from 1 to 256 characters", param="model")
    return name


def yes(words: str | None) -> bool:
    """Whether a field of a form says yes."""
    return words is not None and words.lower() in ("true", "1")
