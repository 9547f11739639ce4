"""What a provider has billed, held against what was booked: day by day and model by model, with the likely cause."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import msgspec

from dirigent.core.errors import Invalid
from dirigent.core.usage import Money
from dirigent.store.usage import Used

__all__ = ["COLUMNS", "Booked", "Difference", "Side", "booked_of", "compared", "read_invoice", "written"]

COLUMNS = ("day", "model", "input_tokens", "output_tokens", "cached_tokens", "amount", "currency")
"""What is read of an invoice; another header can be named for each."""
_NEEDED = ("day", "model", "amount")
_MOST_LINES = 100_000
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,18})?")
_WHOLE = re.compile(r"[0-9]{1,15}")
_DATED = re.compile(r"[-@:](?:20[0-9]{2}-?[01][0-9]-?[0-3][0-9]|v[0-9]+(?:[.:][0-9]+)*|latest)(?:-v[0-9:]+)?")
"""What providers put behind the name of a model to say which of its versions answered."""
_GERMAN = re.compile(r"([0-3][0-9])\.([01][0-9])\.(20[0-9]{2})")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Side(msgspec.Struct, frozen=True):
    """What one side says of a day and a model."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    amount: Money | None = None
    """None where nobody knows."""
    requests: int = 0
    unpriced: int = 0
    """Answers whose price is not known: they are not in the amount."""

    def with_(self, other: Side) -> Side:
        """Both together, of one currency."""
        amounts = [each for each in (self.amount, other.amount) if each is not None]
        return Side(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            sum(amounts[1:], amounts[0]) if amounts else None,
            self.requests + other.requests,
            self.unpriced + other.unpriced,
        )

    @property
    def tokens(self) -> tuple[int, int, int]:
        """In, out, and of those in the cached ones."""
        return self.input_tokens, self.output_tokens, self.cached_tokens


Place = tuple[date, str, str]
"""A day, a model, a currency."""
Booked = Mapping[Place, Side]


class Difference(msgspec.Struct, frozen=True):
    """A day, a model and a currency, as both sides have them."""

    day: date
    model: str
    currency: str
    billed: Side | None
    booked: Side | None
    cause: str
    """Why they differ, most likely; empty where they agree."""

    @property
    def money(self) -> Money | None:
        """Billed beyond what was booked; None where one of the two is not known."""
        nothing = Money(0, self.currency)
        billed = self.billed.amount if self.billed is not None else nothing
        booked = self.booked.amount if self.booked is not None else nothing
        return billed - booked if billed is not None and booked is not None else None


# --- what the provider says -------------------------------------------------------------------------------------------


def read_invoice(
    text: str,
    *,
    columns: Mapping[str, str],
    currency: str,
    cached: Literal["included", "separate"] = "included",
) -> dict[Place, Side]:
    """An invoice in CSV, added up by day, model and currency.

    `columns` names the headers of those of COLUMNS that are called otherwise, `currency` is that of lines which name
    none. Raises Invalid with the line at fault.
    """
    if unknown := set(columns) - set(COLUMNS):
        raise Invalid(f"columns: {min(unknown)!r} is none of {', '.join(COLUMNS)}", param="columns")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=_delimiter(text))
    header = [name.strip() for name in next(reader, [])]
    places = {name: _place(header, columns.get(name, name), needed=name in _NEEDED) for name in COLUMNS}
    found: dict[Place, Side] = {}
    for number, row in enumerate(reader, 2):
        if number > _MOST_LINES:
            raise Invalid(f"the invoice has more than {_MOST_LINES} lines", param="invoice")
        if not any(cell.strip() for cell in row):
            continue
        said = {
            name: row[place].strip() if place is not None and place < len(row) else "" for name, place in places.items()
        }
        place, side = _line(said, number, currency, cached)
        found[place] = found[place].with_(side) if place in found else side
    return found


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _place(header: Sequence[str], name: str, *, needed: bool) -> int | None:
    lower = [each.lower() for each in header]
    if name.lower() in lower:
        return lower.index(name.lower())
    if needed:
        raise Invalid(
            f"the invoice has no column {name!r}; it has {', '.join(header[:20]) or 'none'}: name the right one with"
            " `columns`",
            param="columns",
        )
    return None


def _line(
    said: Mapping[str, str], number: int, currency: str, cached: Literal["included", "separate"]
) -> tuple[Place, Side]:
    def fault(name: str) -> Invalid:
        return Invalid(f"line {number}: {said[name]!r} is no {name.replace('_', ' ')}", param="invoice")

    def tokens(name: str) -> int:
        if said[name] and not _WHOLE.fullmatch(said[name]):
            raise fault(name)
        return int(said[name] or 0)

    day, amount = _day(said["day"]), _amount(said["amount"])
    if day is None or amount is None:
        raise fault("day" if day is None else "amount")
    code = (said["currency"] or currency).upper()
    if not _CURRENCY.fullmatch(code):
        raise fault("currency")
    if not said["model"]:
        raise fault("model")
    from_cache = tokens("cached_tokens")
    into = tokens("input_tokens") + (from_cache if cached == "separate" else 0)
    side = Side(into, tokens("output_tokens"), from_cache, Money.of(amount, code))
    return (day, said["model"], code), side


def _day(text: str) -> date | None:
    """The day of an ISO date or time, or of one as Germans write it."""
    german = _GERMAN.fullmatch(text)
    try:
        return date.fromisoformat(f"{german[3]}-{german[2]}-{german[1]}" if german is not None else text[:10])
    except ValueError:
        return None


def _amount(text: str) -> str | None:
    """An amount as an exact decimal; None where it is none, or where a comma may mean a point or thousands."""
    whole, comma, rest = text.partition(",")
    if comma and len(rest) != 3 and "." not in text:
        text = f"{whole}.{rest}"
    return text if _NUMBER.fullmatch(text) else None


# --- what was booked --------------------------------------------------------------------------------------------------


def booked_of(rows: Iterable[Used], names: Mapping[str, str]) -> Booked:
    """What was used by day and deployment, under the names that providers have for the deployments."""
    found: dict[Place, Side] = {}
    for row in rows:
        starts, deployment = row.parts
        if deployment is None or not isinstance(starts, int):
            continue
        day = datetime.fromtimestamp(starts / 1000, UTC).date()
        model = names.get(str(deployment), str(deployment))
        known = row.currency is not None
        side = Side(
            row.input_tokens,
            row.output_tokens,
            row.cached_tokens,
            Money(row.cost, row.currency) if row.currency is not None else None,
            row.requests,
            row.unpriced,
        )
        place = (day, model, row.currency if known and row.currency is not None else "")
        found[place] = found[place].with_(side) if place in found else side
    return _with_unpriced(found)


def _with_unpriced(found: Mapping[Place, Side]) -> Booked:
    """Usage without a price belongs to the currency that the day has otherwise, where there is exactly one."""
    whole = {place: side for place, side in found.items() if place[2]}
    for place, side in found.items():
        if place[2]:
            continue
        same = [each for each in whole if each[:2] == place[:2]]
        if len(same) == 1:
            whole[same[0]] = whole[same[0]].with_(side)
        else:
            whole[place] = side
    return whole


# --- one against the other --------------------------------------------------------------------------------------------


def compared(
    billed: Mapping[Place, Side], booked: Booked, known: Iterable[str], named: Mapping[str, str]
) -> Sequence[Difference]:
    """Every day, model and currency that either side knows, with the likely cause where they differ.

    `known` are our models by the provider's names; `named` says which of them another name of the invoice means. A
    version behind a name is understood.
    """
    ours = {*known}
    means = {model: _meant(model, ours, named) for _, model, _ in billed}
    theirs: dict[Place, Side] = {}
    for (day, model, currency), side in billed.items():
        place = (day, means[model] or model, currency)
        theirs[place] = theirs[place].with_(side) if place in theirs else side
    mine = _in_their_currency(booked, theirs)
    days = sorted({day for day, _, _ in theirs})
    unknown = {model for model, meant in means.items() if meant is None}
    found = []
    for place in sorted({*theirs, *(place for place in mine if days and days[0] <= place[0] <= days[-1])}):
        day, model, currency = place
        left, right = theirs.get(place), mine.get(place)
        cause = _cause(place, theirs, mine, unknown=model in unknown)
        found.append(Difference(day, model, currency, left, right, cause))
    return found


def _meant(model: str, ours: set[str], named: Mapping[str, str]) -> str | None:
    if model in named:
        return named[model]
    if model in ours:
        return model
    plain = _DATED.sub("", model)
    return plain if plain in ours else next((name for name in sorted(ours) if _DATED.sub("", name) == plain), None)


def _in_their_currency(booked: Booked, theirs: Mapping[Place, Side]) -> dict[Place, Side]:
    """Usage that has no price at all stands beside the bill, whatever its currency."""
    mine: dict[Place, Side] = {}
    for (day, model, currency), side in booked.items():
        billed = [place for place in theirs if place[:2] == (day, model)]
        place = billed[0] if not currency and len(billed) == 1 else (day, model, currency)
        mine[place] = mine[place].with_(side) if place in mine else side
    return mine


def _cause(place: Place, theirs: Mapping[Place, Side], mine: Mapping[Place, Side], *, unknown: bool) -> str:
    billed, booked = theirs.get(place), mine.get(place)
    others = [each for each in (*theirs, *mine) if each[:2] == place[:2] and each[2] != place[2]]
    if unknown:
        return "no deployment is called so: say which one is meant with `names`, or it is used beside Dirigent"
    if (billed is None or booked is None) and others:
        return f"one side has it in {place[2] or 'no currency'}, the other in {others[0][2] or 'none'}"
    if booked is None:
        return (
            _shifted(place, theirs, mine) or "nothing was asked here on this day: the account is used beside Dirigent"
        )
    if billed is None:
        return _shifted(place, theirs, mine) or "not on the invoice: free of charge, or on another one"
    if billed.tokens == booked.tokens or not any(billed.tokens):
        return _cause_of_money(billed, booked)
    return _shifted(place, theirs, mine) or _cause_of_tokens(billed, booked)


def _cause_of_money(billed: Side, booked: Side) -> str:
    if billed.amount == booked.amount:
        return ""
    if booked.unpriced:
        return f"{booked.unpriced} of {booked.requests} answers had no known price here"
    if billed.amount is None or booked.amount is None:
        return "one side names no amount"
    ratio = billed.amount.times(booked.amount)
    if ratio is None:
        return "here it was free of charge"
    return f"another price: the invoice has {ratio:.4g} times what was booked"


def _cause_of_tokens(billed: Side, booked: Side) -> str:
    if billed.tokens[:2] == booked.tokens[:2]:
        return "the provider counts its cache otherwise, or the invoice has cached tokens beside the others (`cached`)"
    if all(theirs >= ours for theirs, ours in zip(billed.tokens[:2], booked.tokens[:2], strict=True)):
        return "more was billed than was asked here: the account is used beside Dirigent, or answers were billed twice"
    if all(theirs <= ours for theirs, ours in zip(billed.tokens[:2], booked.tokens[:2], strict=True)):
        return (
            "more was booked than billed: answers that were left or not reported are counted here, and not all billed"
        )
    return "tokens are counted otherwise: some of the answers did not report their usage, and were estimated here"


def _shifted(place: Place, theirs: Mapping[Place, Side], mine: Mapping[Place, Side]) -> str:
    """Whether what is too much on one day is what is too little on the next or the one before."""
    own = _beyond(theirs.get(place), mine.get(place))
    for days in (-1, 1):
        beside = (place[0] + timedelta(days=days), *place[1:])
        other = _beyond(theirs.get(beside), mine.get(beside))
        if any(own) and all(a == -b for a, b in zip(own, other, strict=True)):
            return f"the difference of {beside[0]} the other way round: the provider's day begins at another hour"
    return ""


def _beyond(billed: Side | None, booked: Side | None) -> tuple[int, ...]:
    left, right = (billed or Side()).tokens, (booked or Side()).tokens
    return tuple(a - b for a, b in zip(left, right, strict=True))


# --- as a file --------------------------------------------------------------------------------------------------------

_HEADER = (
    "day", "model", "currency", "requests",
    "billed_input_tokens", "booked_input_tokens", "billed_output_tokens", "booked_output_tokens",
    "billed_cached_tokens", "booked_cached_tokens", "billed_amount", "booked_amount", "difference", "cause",
)  # fmt: skip


def written(differences: Sequence[Difference]) -> str:
    """The comparison in CSV, amounts as exact decimals."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(_cells(each) for each in differences)
    return out.getvalue()


def _cells(each: Difference) -> Iterator[object]:
    billed, booked = each.billed or Side(), each.booked or Side()
    yield from (each.day.isoformat(), _harmless(each.model), each.currency, booked.requests)
    for left, right in zip(billed.tokens, booked.tokens, strict=True):
        yield from (left, right)
    for amount in (each.billed and billed.amount, each.booked and booked.amount, each.money):
        yield str(amount).partition(" ")[0] if amount is not None else ""
    yield each.cause


def _harmless(word: str) -> str:
    """A word that no spreadsheet takes for a formula."""
    return f"'{word}" if word[:1] in "=+-@\t\r" else word
