"""Figures in texts: every number, amount, share, date, time and reference, whichever way it is written.

German and English forms of the same thing are the same. Where a form can be read in two ways, such as `1.234` or
`03/04/2026`, both readings count: what is told to be unfounded is so under every reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from dirigent.models.number_words import spelled_in

__all__ = ["Figure", "figures_in", "unfounded"]

Sort = Literal["number", "money", "percent", "date", "time", "reference", "factor"]


class Figure(NamedTuple):
    """One figure as it stands in a text, and what it may say."""

    text: str
    sort: Sort
    readings: frozenset[object]
    unit: str = ""
    """The currency of an amount, where it is said."""
    at: int = 0


def figures_in(text: str) -> list[Figure]:
    """Every figure of a text, in order; numbers of lists and headings are none."""
    rest = _LIST_MARK.sub(lambda found: " " * len(found[0]), text)
    found: list[Figure] = []
    for finder in (_dates, _times, _references, _numbers, _words):
        figures = list(finder(rest))
        found += figures
        for figure in figures:  # what is read is not read again
            end = figure.at + len(figure.text)
            rest = rest[: figure.at] + "\0" * len(figure.text) + rest[end:]
    return sorted(found, key=lambda figure: figure.at)


def unfounded(text: str, sources: Iterable[str]) -> list[Figure]:
    """The figures of a text that stand in none of the sources, each once."""
    known = [figure for source in sources for figure in figures_in(source)]
    dates = [reading for figure in known if figure.sort == "date" for reading in figure.readings]
    years = frozenset(Decimal(reading[0]) for reading in dates if isinstance(reading, tuple))
    known.append(Figure("", "number", frozenset[object](years)))  # a date founds what is said of its year
    missing: dict[str, Figure] = {}
    for figure in figures_in(text):
        founded = _dated(figure, dates) if figure.sort == "date" else any(_same(figure, other) for other in known)
        if not founded:
            missing.setdefault(figure.text, figure)
    return list(missing.values())


_LIST_MARK: Final = re.compile(r"^[ \t]*(?:#+[ \t]+)?\d{1,3}(?:\.\d{1,2})*[.)][ \t]+", re.MULTILINE)
_BLANKS: Final = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "januar january jänner jan",
            "februar february feb",
            "märz march mär mar mrz",
            "april apr",
            "mai may",
            "juni june jun",
            "juli july jul",
            "august aug",
            "september sep sept",
            "oktober october okt oct",
            "november nov",
            "dezember december dez dec",
        ),
        1,
    )
    for name in names.split()
}
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_GAP: Final = f"[{_BLANKS}]"
_DATE: Final = re.compile(
    rf"""(?<![\w.,/-])(?:
        (?P<y1>\d{{4}})-(?P<m1>\d{{2}})-(?P<d1>\d{{2}})
      | (?P<d2>\d{{1,2}})\.{_GAP}?(?P<m2>\d{{1,2}})\.{_GAP}?(?P<y2>\d{{4}}|\d{{2}})(?!\d)
      | (?P<a3>\d{{1,2}})/(?P<b3>\d{{1,2}})/(?P<y3>\d{{4}}|\d{{2}})(?!\d)
      | (?P<d4>\d{{1,2}})(?:\.|st|nd|rd|th)?{_GAP}(?:of{_GAP})?(?P<m4>{_MONTH})\b\.?(?:,?{_GAP}(?P<y4>\d{{4}}))?
      | (?P<m5>{_MONTH})\.?{_GAP}(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[.,]\d)(?:,?{_GAP}(?P<y5>\d{{4}}))?
      | (?P<m6>{_MONTH})\.?{_GAP}(?P<y6>\d{{4}})
    )(?![\w-])""",
    re.VERBOSE | re.IGNORECASE,
)
_TIME: Final = re.compile(
    rf"(?<![\w.:,])(\d{{1,2}})[:.](\d{{2}})(?::\d{{2}})?(?={_GAP}?(?:Uhr|h\b|am\b|pm\b|a\.m|p\.m))|(?<![\w.:,])(\d{{1,2}}):(\d{{2}})(?::\d{{2}})?(?![\w:])"
)
_REFERENCE: Final = re.compile(
    r"(?<![\w/-])(?=[\w/-]*[A-Za-zÄÖÜäöü])(?=[\w/-]*\d)[A-Za-zÄÖÜäöü0-9]+(?:[-/_][A-Za-zÄÖÜäöü0-9]+)*(?![\w/-])"
)
_UNIT: Final = re.compile(
    r"\d+(?:[.,]\d+)?(?:k|m|km|cm|mm|kg|g|mg|l|ml|h|min|s|ms|st|nd|rd|th|er|fach|x|gb|mb|kb|tb|kw|kwh|v|w|px|pt|c)",
    re.IGNORECASE,
)
_CURRENCIES: Final = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "euro": "EUR",
    "euros": "EUR",
    "dollar": "USD",
    "dollars": "USD",
    "pfund": "GBP",
    "pounds": "GBP",
    "franken": "CHF",
    **{code.lower(): code for code in ("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "DKK", "PLN", "CZK")},
}
_CURRENCY: Final = "|".join(re.escape(name) for name in sorted(_CURRENCIES, key=len, reverse=True))
_SCALES: Final = {
    **dict.fromkeys(("tsd", "tausend", "thousand", "k"), 1_000),
    **dict.fromkeys(("mio", "million", "millionen", "millions", "m"), 1_000_000),
    **dict.fromkeys(("mrd", "milliarde", "milliarden", "billion", "billions", "bn"), 1_000_000_000),
}
_SCALE: Final = "|".join(sorted(_SCALES, key=len, reverse=True))
_NUMBER: Final = re.compile(
    rf"""(?<![\w])(?:(?P<debt>[-−–])?(?P<before>{_CURRENCY}){_GAP}?)?
      (?P<minus>[-−–](?=\d))?
      (?P<digits>\d{{1,3}}(?:[.,’'{_BLANKS}]\d{{3}})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)*)
      (?:[.,][-–—](?!\w))?
      (?:{_GAP}?(?P<scale>{_SCALE})\b\.?)?
      (?:{_GAP}?(?P<percent>%|Prozent\b|percent\b|per{_GAP}cent\b|v\.{_GAP}?H\.)|{_GAP}?(?P<after>{_CURRENCY})(?![A-Za-z]))?""",
    re.VERBOSE | re.IGNORECASE,
)


def _dates(text: str) -> Iterator[Figure]:
    for found in _DATE.finditer(text):
        part = found.groupdict()
        if part["y1"]:
            readings = [(int(part["y1"]), int(part["m1"]), int(part["d1"]))]
        elif part["d2"]:
            readings = [(_year(part["y2"]), int(part["m2"]), int(part["d2"]))]
        elif part["a3"]:
            year, one, other = _year(part["y3"]), int(part["a3"]), int(part["b3"])
            readings = [(year, other, one), (year, one, other)]
        elif part["d4"]:
            readings = [(_year(part["y4"]), _MONTHS[part["m4"].lower()], int(part["d4"]))]
        elif part["d5"]:
            readings = [(_year(part["y5"]), _MONTHS[part["m5"].lower()], int(part["d5"]))]
        else:
            readings = [(_year(part["y6"]), _MONTHS[part["m6"].lower()], 0)]
        fitting = frozenset[object](each for each in readings if 0 < each[1] <= 12 and each[2] <= 31)
        if fitting:
            yield Figure(found[0], "date", fitting, at=found.start())


def _year(text: str | None) -> int:
    """The year; 0 where none is said."""
    if not text:
        return 0
    return int(text) if len(text) == 4 else 2000 + int(text)


def _times(text: str) -> Iterator[Figure]:
    for found in _TIME.finditer(text):
        hour, minute = int(found[1] or found[3]), int(found[2] or found[4])
        if hour < 25 and minute < 60:
            yield Figure(found[0], "time", frozenset({(hour, minute)}), at=found.start())


def _references(text: str) -> Iterator[Figure]:
    """Names with digits in them, such as `RE-2026-0815`; a number with its unit is none."""
    for found in _REFERENCE.finditer(text):
        bare = re.sub(r"[^a-z0-9äöü]", "", found[0].lower())
        if not _UNIT.fullmatch(found[0]) and not _with_scale(found[0]):
            yield Figure(found[0], "reference", frozenset({bare}), at=found.start())


def _with_scale(text: str) -> bool:
    found = _NUMBER.fullmatch(text)
    return found is not None


def _numbers(text: str) -> Iterator[Figure]:
    for found in _NUMBER.finditer(text):
        scale = _SCALES[found["scale"].lower()] if found["scale"] else 1
        stroke = "minus" if found["minus"] else "debt"
        sign = -1 if found[stroke] and not _follows_digit(text, found.start(stroke)) else 1
        readings = frozenset[object](value * scale * sign for value in _values(found["digits"]))
        unit = _CURRENCIES.get((found["before"] or found["after"] or "").lower(), "")
        sort: Sort = "percent" if found["percent"] else "money" if unit else "number"
        yield Figure(found[0].strip(), sort, readings, unit, found.start())


def _follows_digit(text: str, at: int) -> bool:
    """Whether a stroke stands between two figures, as in 3-5, and is no sign."""
    return text[:at].rstrip()[-1:].isdigit()


def _values(digits: str) -> set[Decimal]:
    """What digits with points, commas and blanks between them may mean."""
    bare = re.sub(rf"[’'{_BLANKS}]", "", digits)
    marks = [sign for sign in bare if sign in ".,"]
    if not marks:
        return {Decimal(bare)}
    last = bare.rindex(marks[-1])
    whole, rest = re.sub(r"[.,]", "", bare[:last]), bare[last + 1 :]
    as_fraction = Decimal(f"{whole}.{rest}")
    groups = re.split(r"[.,]", bare)
    grouped = len(set(marks)) == 1 and all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3
    as_groups = Decimal(re.sub(r"[.,]", "", bare))
    if len(marks) > 1 and len(set(marks)) == 1:
        return {as_groups} if grouped else {as_groups, as_fraction}
    return {as_fraction, as_groups} if grouped else {as_fraction}


def _words(text: str) -> Iterator[Figure]:
    for found in spelled_in(text):
        unit = _CURRENCIES.get(found.currency.lower(), "")
        sort: Sort = "money" if unit else found.sort
        yield Figure(found.text, sort, frozenset({found.value}), unit, found.at)


def _dated(figure: Figure, known: Sequence[object]) -> bool:
    """Whether a date stands in the sources; what it leaves open, and what they leave open, fits."""
    return any(
        isinstance(mine, tuple)
        and isinstance(theirs, tuple)
        and mine[1] == theirs[1]
        and (mine[0] in (0, theirs[0]))
        and (mine[2] in (0, theirs[2]))
        for mine in figure.readings
        for theirs in known
    )


def _same(mine: Figure, theirs: Figure) -> bool:
    if mine.sort in ("time", "reference") or theirs.sort in ("time", "reference", "date"):
        return mine.sort == theirs.sort and bool(mine.readings & theirs.readings)
    if "factor" in (mine.sort, theirs.sort):
        return _same_factor(mine, theirs)
    if mine.unit and theirs.unit and mine.unit != theirs.unit:
        return False
    if mine.sort == "percent" or theirs.sort == "percent":
        return _same_share(mine, theirs)
    return bool(mine.readings & theirs.readings)


def _same_share(mine: Figure, theirs: Figure) -> bool:
    """Whether one of the two is the other as a share: 19 % is 0.19, and an amount of money is no share."""
    if "money" in (mine.sort, theirs.sort):
        return False
    if mine.sort == theirs.sort:
        return bool(mine.readings & theirs.readings)
    share, plain = (mine, theirs) if mine.sort == "percent" else (theirs, mine)
    hundredths = {value / 100 for value in share.readings if isinstance(value, Decimal)}
    # "19" in a text is founded by "19 %" in a source and the other way round: a table may have the sign in its head
    return bool((share.readings | hundredths) & plain.readings)


def _same_factor(mine: Figure, theirs: Figure) -> bool:
    """Whether one says the other: doubled is 200 % or 100 % more, a third is 33 %; a mere 2 doubles nothing."""
    if mine.sort == theirs.sort:
        return bool(mine.readings & theirs.readings)
    factor, other = (mine, theirs) if mine.sort == "factor" else (theirs, mine)
    for value in (each for each in factor.readings if isinstance(each, Decimal)):
        if other.sort == "percent":
            shares = [value * 100, (value - 1) * 100]
            near = Decimal("0.5")
        elif other.sort == "number" and value != value.to_integral_value():
            shares, near = [value], Decimal("0.005")
        else:
            continue
        if any(isinstance(each, Decimal) and abs(each - share) < near for each in other.readings for share in shares):
            return True
    return False
