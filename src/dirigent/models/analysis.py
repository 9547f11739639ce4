"""What a table says in figures: computed from its rows, every one of them, and never told by a model.

Sums are exact. What cannot be (means, slopes, scores) is rounded to six digits behind the point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from statistics import fmean, median, pstdev
from typing import Any, Literal

__all__ = ["Grain", "compared", "dated", "grouped", "number", "outliers", "periods", "profiled", "trend"]

Row = Mapping[str, Any]
Grain = Literal["day", "week", "month", "quarter", "year"]

_TOP = 10
_OUTLYING = 3.5
"""The robust score from which a value is one to look at (Iglewicz and Hoaglin)."""
_MOST_OUTLIERS = 50


def profiled(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each column: what it holds, how much of it is missing, how many values differ, and its figures."""
    fields: dict[str, None] = {}
    for row in rows:
        fields |= dict.fromkeys(row)
    return [_column(field, [row.get(field) for row in rows]) for field in fields]


def outliers(rows: Sequence[Row], field: str) -> list[dict[str, Any]]:
    """Rows whose value lies far from the middle, by the robust score over the median of distances; the farthest first.

    Where more than half of all values are the same, that score does not exist; the mean distance then stands in.
    """
    found = [(index, float(value)) for index, row in enumerate(rows) if (value := number(row.get(field))) is not None]
    if len(found) < 5:
        return []
    middle = median(value for _, value in found)
    distances = [abs(value - middle) for _, value in found]
    spread = median(distances)
    scale = spread / 0.6745 if spread else fmean(distances) * 1.253314
    if not scale:
        return []
    scored = [(abs(value - middle) / scale, index, value) for index, value in found]
    far = sorted((each for each in scored if each[0] > _OUTLYING), reverse=True)[:_MOST_OUTLIERS]
    return [
        {"row": index, "value": number(rows[index].get(field)), "score": _rounded(score), "above": value > middle}
        for score, index, value in far
    ]


def periods(rows: Sequence[Row], time: str, field: str, grain: Grain) -> list[dict[str, Any]]:
    """The sum of a field for each period from the first to the last, those without a row included."""
    sums: dict[date, Decimal] = {}
    counts: Counter[date] = Counter()
    for row in rows:
        day, value = dated(row.get(time)), number(row.get(field))
        if day is None or value is None:
            continue
        start = _start(day, grain)
        sums[start] = sums.get(start, Decimal(0)) + value
        counts[start] += 1
    if not sums:
        return []
    found: list[dict[str, Any]] = []
    at, last = min(sums), max(sums)
    while at <= last and len(found) < 5_000:
        found.append({"period": _named(at, grain), "sum": sums.get(at, Decimal(0)), "rows": counts[at]})
        at = _following(at, grain)
    return found


def trend(series: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The straight line through the sums of periods: its slope by period, and how much of the variation it explains."""
    values = [float(each["sum"]) for each in series]
    count = len(values)
    if count < 3:
        return None
    middle, mean = (count - 1) / 2, fmean(values)
    spread = sum((index - middle) ** 2 for index in range(count))
    slope = sum((index - middle) * (value - mean) for index, value in enumerate(values)) / spread
    total = sum((value - mean) ** 2 for value in values)
    explained = slope**2 * spread / total if total else 0.0
    slopes = (
        sorted((values[b] - values[a]) / (b - a) for a in range(count) for b in range(a + 1, count))
        if count <= 400
        else []
    )
    steady = "flat"
    if explained >= 0.5:
        steady = "rising" if slope > 0 else "falling"
    return {
        "slope": _rounded(slope),
        "robust_slope": _rounded(median(slopes)) if slopes else None,
        "explained": _rounded(explained),
        "direction": steady,
        "relative": _rounded(slope / abs(mean)) if mean else None,
    }


def compared(series: Sequence[Mapping[str, Any]], grain: Grain) -> dict[str, Any] | None:
    """The last period against the one before, and against the same one a year ago where there is one."""
    if len(series) < 2:
        return None
    year = {"month": 12, "quarter": 4, "year": 1, "week": 52, "day": 365}[grain]
    last = series[-1]
    found = {"last": last, "before": _change(last, series[-2])}
    if len(series) > year:
        found["year_ago"] = _change(last, series[-1 - year])
    return found


def grouped(rows: Sequence[Row], by: str, field: str) -> list[dict[str, Any]]:
    """The sum of a field for each value of another one, the largest first, with its share and the shares up to it."""
    sums: dict[str, Decimal] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        value = number(row.get(field))
        if value is None:
            continue
        name = "" if row.get(by) is None else str(row.get(by))
        sums[name] = sums.get(name, Decimal(0)) + value
        counts[name] += 1
    total = sum(sums.values(), Decimal(0))
    found: list[dict[str, Any]] = []
    until = Decimal(0)
    for name, value in sorted(sums.items(), key=lambda pair: (-pair[1], pair[0])):
        until += value
        share = _ratio(value, total)
        found.append({by: name, "sum": value, "rows": counts[name], "share": share, "until": _ratio(until, total)})
    return found


def number(value: object) -> Decimal | None:
    """The number that a value is; a text is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def dated(value: object) -> date | None:
    """The day that a text is, as ISO 8601 writes it; a month is its first day."""
    if not isinstance(value, str) or len(value) < 7 or not value[:4].isdigit():
        return None
    try:
        return date.fromisoformat(f"{value}-01" if len(value) == 7 else value[:10])
    except ValueError:
        return None


def _column(field: str, values: Sequence[Any]) -> dict[str, Any]:
    there = [value for value in values if value is not None and value != ""]
    numbers = [found for value in there if (found := number(value)) is not None]
    days = [day for value in there if (day := dated(value)) is not None]
    kinds = {type(value).__name__ for value in there}
    told: dict[str, Any] = {
        "field": field,
        "type": "empty",
        "count": len(there),
        "missing": len(values) - len(there),
        "distinct": len({str(value) for value in there}),
    }
    if not there:
        return told
    if len(numbers) == len(there):
        return told | {"type": "number", **_spread(numbers)}
    if len(days) == len(there):
        return told | {"type": "date", "min": min(map(str, there)), "max": max(map(str, there))}
    common = Counter(str(value)[:200] for value in there).most_common(_TOP)
    name = "truth value" if kinds == {"bool"} else "text" if kinds == {"str"} else "mixed"
    return told | {"type": name, "top": [{"value": value, "count": count} for value, count in common]}


def _spread(numbers: Sequence[Decimal]) -> dict[str, Any]:
    ordered = sorted(numbers)
    total = sum(ordered, Decimal(0))
    return {
        "sum": total,
        "min": ordered[0],
        "max": ordered[-1],
        "mean": _rounded(total / len(ordered)),
        "median": _rounded(median(ordered)),
        "quarter": _rounded(ordered[(len(ordered) - 1) // 4]),
        "three_quarters": _rounded(ordered[(len(ordered) - 1) * 3 // 4]),
        "deviation": _rounded(pstdev(map(float, ordered))),
        "zeros": sum(value == 0 for value in ordered),
        "negative": sum(value < 0 for value in ordered),
    }


def _change(last: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    change = last["sum"] - before["sum"]
    return {"period": before["period"], "sum": before["sum"], "change": change, "share": _ratio(change, before["sum"])}


def _ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """A share; None of nothing, for no share of it says anything."""
    return _rounded(part / abs(whole)) if whole else None


def _rounded(value: Decimal | float) -> Decimal:
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    return exact if exact.adjusted() > 20 else round(exact, 6).normalize() + 0


def _start(day: date, grain: Grain) -> date:
    match grain:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        case "year":
            return date(day.year, 1, 1)


def _following(at: date, grain: Grain) -> date:
    if grain in ("day", "week"):
        return at + timedelta(days=1 if grain == "day" else 7)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    after = at.month - 1 + months
    return date(at.year + after // 12, after % 12 + 1, 1)


def _named(at: date, grain: Grain) -> str:
    match grain:
        case "month":
            return f"{at:%Y-%m}"
        case "quarter":
            return f"{at.year}-Q{(at.month + 2) // 3}"
        case "year":
            return str(at.year)
        case "week":
            return f"{at.isocalendar().year}-W{at.isocalendar().week:02}"
        case _:
            return at.isoformat()
