"""The step that reads entities of an OData service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote, urlsplit

from msgspec import Meta

from dirigent.core.errors import BadAnswer, Finding, Forbidden, Invalid
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.core.source import Service
from dirigent.models.calling import called, plain_path, service_faults, service_of
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Entities"]

_PARAMETER = re.compile(r"'(?:[^']|'')*'|:([A-Za-z_]\w*)")
_DATE_V2 = re.compile(r"/Date\((-?\d+)(?:[+-]\d+)?\)/")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z?")
_PAGES = 1_000
_LARGEST_PAGE = 20_000_000


class Entities(Step, frozen=True, kw_only=True):
    """Read entities of an OData service, version 2 or 4, page by page.

    The filter is fixed; what changes from run to run goes into its parameters, `:name`, which are written as literals
    of the protocol. The result has `rows`, their `count`, and `more`: whether there were more than asked for.
    """

    effect: ClassVar[Effect] = "pure"

    source: str
    """Which service, an `odata` source."""
    entity: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w./()',=-]*$", max_length=500)]
    """The set of entities, such as `SalesOrders`."""
    select: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_][\w/]*$")], ...] = ()
    """The properties that are read; all where none is named."""
    expand: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_][\w/]*$")], ...] = ()
    """What is read along with each."""
    filter: str = ""
    """Which entities, in the words of OData: `Customer eq :customer and Total gt 100`."""
    parameters: Mapping[str, Any] = {}
    """The filter's parameters; templates are filled in."""
    order: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_][\w/]*( asc| desc)?$")], ...] = ()
    """By what they are ordered."""
    rows: Annotated[int, Meta(ge=1, le=50_000)] = 1_000
    """Entities at most."""
    patience: Annotated[float, Meta(gt=0, le=600)] = 60.0
    """Seconds for each page."""

    async def work(self, place: Place) -> Any:
        """The entities. Raises Forbidden, Misconfigured, ServiceRefused, Unavailable, TimedOut, BadAnswer."""
        service = service_of(self.source, place.run)
        if service.protocol != "odata":
            raise Invalid(f"the source {self.source!r} is no OData service")
        path = plain_path(f"/{self.entity}", service)
        query: dict[str, Any] | None = self._query(place, service.version)
        found: list[Any] = []
        for _ in range(_PAGES):
            reply = await called(
                place.run, service, "GET", path,
                query=query, headers=(("accept", "application/json"),), seconds=self.patience, most=_LARGEST_PAGE,
            )  # fmt: skip
            page, following = _page(reply.body)
            found += page
            if len(found) > self.rows or not following:
                break
            path, query = _next(following, service), None
        rows = [_tidy(row) for row in found[: self.rows]]
        place.tell(source=self.source, rows=len(rows))
        return {"rows": rows, "count": len(rows), "more": len(found) > self.rows}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A source that is no OData service, parameters too few or too many, templates."""
        yield from service_faults(self.source, survey)
        source = survey.source(self.source)
        if source is not None and source.type_name() != "odata" and source.offers == "service":
            yield Finding(("source",), f"{self.source!r} is no OData service")
        yield from template_faults(self.parameters, names, ("parameters",))
        taken = {name for name in _PARAMETER.findall(self.filter) if name}
        for name in sorted(taken - set(self.parameters)):
            yield Finding(("parameters",), f"the filter takes :{name}, and nobody gives it")
        for name in sorted(set(self.parameters) - taken):
            yield Finding(("parameters", name), f"the filter has no :{name}")

    def _query(self, place: Place, version: int) -> dict[str, Any]:
        given = {name: place.value(value) for name, value in self.parameters.items()}

        def literal(found: re.Match[str]) -> str:
            return found[0] if found[1] is None else _literal(given[found[1]], version)

        query: dict[str, Any] = {"$top": self.rows + 1}
        if self.filter:
            query["$filter"] = _PARAMETER.sub(literal, self.filter)
        for name, parts in (("$select", self.select), ("$expand", self.expand), ("$orderby", self.order)):
            if parts:
                query[name] = ",".join(parts)
        if version == 2:
            query["$format"] = "json"
        return query


def _literal(value: object, version: int) -> str:
    """A value as OData writes it within a filter. Raises Invalid where it is none."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal() | float():
            return f"{value}M" if version == 2 and isinstance(value, Decimal) else str(value)
        case str() if version == 4 and (_DAY.fullmatch(value) or _MOMENT.fullmatch(value)):
            return value
        case str() if version == 2 and _MOMENT.fullmatch(value):
            return f"datetime'{value.rstrip('Z')}'"
        case str() if version == 2 and _DAY.fullmatch(value):
            return f"datetime'{value}T00:00:00'"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            raise Invalid("a parameter of a filter is a text, number, truth value or nothing")


def _page(body: object) -> tuple[list[Any], str]:
    """The entities of a page, and where the next one is."""
    if isinstance(body, Mapping):
        if isinstance(body.get("value"), list):
            return body["value"], str(body.get("@odata.nextLink") or "")
        inner = body.get("d")
        if isinstance(inner, list):
            return inner, ""
        if isinstance(inner, Mapping) and isinstance(inner.get("results"), list):
            return inner["results"], str(inner.get("__next") or "")
    raise BadAnswer("the service does not answer entities as OData writes them")


def _next(link: str, service: Service) -> str:
    """The path of the next page. Raises Forbidden where it leads out of the service."""
    parts = urlsplit(link)
    host = (parts.hostname or service.origin.host).lower()
    if host != service.origin.host or any(ord(sign) <= 32 for sign in link):
        raise Forbidden("the next page stands at another host")
    path = unquote(parts.path) if parts.path.startswith("/") else f"{service.path}/{unquote(parts.path)}"
    if not path.startswith(f"{service.path}/"):
        raise Forbidden("the next page stands outside of the service")
    return f"{plain_path(path[len(service.path) :], service)}?{parts.query}"


def _tidy(row: object) -> object:
    """An entity without what the protocol tells of itself; the dates of version 2 as ISO 8601 writes them."""
    if isinstance(row, Mapping):
        kept = {key: value for key, value in row.items() if key != "__metadata" and not str(key).startswith("@odata.")}
        return {key: _tidy(value) for key, value in kept.items()}
    if isinstance(row, list):
        return [_tidy(item) for item in row]
    if isinstance(row, str) and (found := _DATE_V2.fullmatch(row)):
        return _iso(int(found[1]))
    return row


def _iso(milliseconds: int) -> str:
    moment = _BEGINNING + timedelta(milliseconds=milliseconds)
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat()


_BEGINNING = datetime(1970, 1, 1)  # noqa: DTZ001 -- dates of version 2 have no zone
