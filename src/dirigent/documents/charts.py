"""Charts: numbers drawn plainly. The data has the ink, lines step back, and words stand beside what they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from itertools import accumulate
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dirigent.core.documents import Chart, Column
from dirigent.core.errors import Invalid
from dirigent.core.forms import Language, day, month
from dirigent.documents.cells import dated, exact, shown, worded
from dirigent.documents.fonts import FONT_NAME
from dirigent.documents.looks import BORDER, INK, MUTED, series

__all__ = ["drawn"]

_WIDTH, _HEIGHT = 6.7, 2.8
"""Inches: as wide as the text of a page."""
_DOTS = 220
_MOST_ROWS, _MOST_SERIES, _MOST_SLICES = 400, 6, 6
_SMALL, _TEXT = 7.5, 8.0
_UP, _DOWN = "#209993", "#9c3a11"
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
"""Lines differ in their strokes as well as in their colours."""

mpl.rcParams.update({
    "font.family": FONT_NAME,
    "font.size": _TEXT,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": BORDER,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.fonttype": "path",
    "axes.unicode_minus": True,
})  # fmt: skip


def drawn(chart: Chart, language: Language, colour: str, form: Literal["png", "svg"] = "png") -> bytes:
    """The chart as a picture. Raises Invalid where its rows have nothing that could be drawn."""
    numbers = _Numbers(chart, language, series(colour))
    picture = Figure(figsize=(_WIDTH, _height(numbers)), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    _DRAWN[chart.kind](axes, numbers)
    if chart.title:
        picture.suptitle(chart.title, x=0.002, ha="left", fontsize=9.5, fontweight="bold", color=INK)
    sink = BytesIO()
    picture.savefig(sink, format=form, dpi=_DOTS, facecolor="white", metadata={"Date": None} if form == "svg" else None)
    return sink.getvalue()


class _Numbers:
    """What is drawn: the names of the rows, and a series of numbers for each field."""

    def __init__(self, chart: Chart, language: Language, colours: Sequence[str]) -> None:
        if not chart.rows or not chart.y:
            raise Invalid("a chart needs rows, and at least one field with numbers")
        if len(chart.y) > _MOST_SERIES:
            raise Invalid(f"a chart shows {_MOST_SERIES} series at most; more of them nobody can tell apart")
        rows = chart.rows[:_MOST_ROWS]
        self.chart, self.language, self.colours = chart, language, colours
        names = [row.get(chart.x) for row in rows]
        self.labels = _labels(names, language)
        self.timed = all(dated(name) is not None for name in names)
        self.series = {field: [float(exact(row.get(field)) or 0) for row in rows] for field in chart.y}
        if not any(exact(row.get(field)) is not None for row in rows for field in chart.y):
            raise Invalid(f"none of the rows has a number in {' or '.join(map(repr, chart.y))}")
        self.first = self.series[chart.y[0]]

    def name(self, field: str) -> str:
        return self.chart.names.get(field, field.replace("_", " "))

    def written(self, value: float) -> str:
        """A number in the chart's form."""
        decimals = self.chart.decimals
        if decimals is None and self.chart.form == "money":
            decimals = 0 if max(map(abs, self.first)) >= 100 else 2
        column = Column("y", form=self.chart.form, decimals=decimals, currency=self.chart.currency)
        return shown(_decimal(value), column, self.language)

    @property
    def lying(self) -> bool:
        """Whether bars lie: long names are read from left to right."""
        longest = max(map(len, self.labels))
        single = self.chart.kind == "bar" and len(self.series) == 1 and not self.timed
        return single and longest * len(self.labels) > 76 and longest > 9


def _height(numbers: _Numbers) -> float:
    return max(1.6, 0.5 + 0.27 * len(numbers.labels)) if numbers.lying and len(numbers.labels) <= 40 else _HEIGHT


def _bars(axes: Axes, numbers: _Numbers) -> None:
    if numbers.lying:
        _lying_bars(axes, numbers)
        return
    places, count = range(len(numbers.labels)), len(numbers.series)
    width = 0.72 / count
    for index, (field, values) in enumerate(numbers.series.items()):
        at = [place + (index - (count - 1) / 2) * width for place in places]
        bars = axes.bar(at, values, width * 0.92, color=numbers.colours[index], label=numbers.name(field), zorder=2)
        if count * len(values) <= 14:
            axes.bar_label(bars, [numbers.written(value) for value in values], padding=2, fontsize=_SMALL, color=INK)
    axes.margins(y=0.12)
    _ground(axes, numbers)


def _lying_bars(axes: Axes, numbers: _Numbers) -> None:
    places = list(range(len(numbers.labels)))
    bars = axes.barh(places, numbers.first, 0.66, color=numbers.colours[0], zorder=2)
    axes.set_yticks(places, [_cut(label, 42) for label in numbers.labels])
    axes.invert_yaxis()
    axes.bar_label(bars, [numbers.written(each) for each in numbers.first], padding=3, fontsize=_SMALL, color=INK)
    axes.margins(x=0.14, y=0.02)
    axes.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def _stacked(axes: Axes, numbers: _Numbers) -> None:
    above, below = [0.0] * len(numbers.labels), [0.0] * len(numbers.labels)
    for index, (field, values) in enumerate(numbers.series.items()):
        base = [up if value >= 0 else down for value, up, down in zip(values, above, below, strict=True)]
        axes.bar(
            range(len(values)), values, 0.66, bottom=base, color=numbers.colours[index], label=numbers.name(field),
            edgecolor="white", linewidth=0.8, zorder=2,
        )  # fmt: skip
        above = [up + max(value, 0) for up, value in zip(above, values, strict=True)]
        below = [down + min(value, 0) for down, value in zip(below, values, strict=True)]
    if len(numbers.labels) <= 14:
        for place, total in enumerate(above):
            axes.annotate(
                numbers.written(total + below[place]), (place, total), (0, 2), textcoords="offset points",
                ha="center", va="bottom", fontsize=_SMALL,
            )  # fmt: skip
    axes.margins(y=0.12)
    _ground(axes, numbers)


def _lines(axes: Axes, numbers: _Numbers) -> None:
    places = list(range(len(numbers.labels)))
    for index, (field, values) in enumerate(numbers.series.items()):
        axes.plot(
            places, values, color=numbers.colours[index], linewidth=1.8, linestyle=_DASHES[index],
            marker="o" if len(places) <= 24 else None, markersize=3.2, label=numbers.name(field), zorder=3,
        )  # fmt: skip
    last = numbers.first[-1]
    if len(numbers.series) == 1:
        axes.annotate(
            numbers.written(last), (places[-1], last), (5, 0), textcoords="offset points", va="center", fontsize=_SMALL,
            fontweight="bold", color=numbers.colours[0],
        )  # fmt: skip
    axes.margins(x=0.03 if len(numbers.series) > 1 else 0.06, y=0.14)
    _ground(axes, numbers)


def _pie(axes: Axes, numbers: _Numbers) -> None:
    pairs = [(label, value) for label, value in zip(numbers.labels, numbers.first, strict=True) if value > 0]
    if not pairs:
        raise Invalid("a pie shows parts of a whole, and none of these is larger than zero")
    pairs.sort(key=lambda pair: -pair[1])
    if len(pairs) > _MOST_SLICES:
        rest = sum(value for _, value in pairs[_MOST_SLICES - 1 :])
        pairs = [*pairs[: _MOST_SLICES - 1], ({"de": "Übrige", "en": "Others"}[numbers.language], rest)]
    total = sum(value for _, value in pairs)
    colours = [*numbers.colours[: len(pairs)]]
    wedges, *_ = axes.pie(
        [value for _, value in pairs], colors=colours, startangle=90, counterclock=False,
        wedgeprops={"width": 0.42, "edgecolor": "white", "linewidth": 1.5},
    )  # fmt: skip
    share = Column("y", form="percent", decimals=1)
    words = [
        f"{_cut(label, 34)}   {numbers.written(value)}   ({shown(_decimal(value / total), share, numbers.language)})"
        for label, value in pairs
    ]
    axes.text(0, 0, numbers.written(total), ha="center", va="center", fontsize=10, fontweight="bold")
    axes.legend(
        wedges, words, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, labelspacing=0.9, handlelength=0.9,
        handleheight=0.9,
    )  # fmt: skip


def _waterfall(axes: Axes, numbers: _Numbers) -> None:
    """Each bar begins where the one before it ended; the last one is the sum, from zero."""
    values = numbers.first
    ends = list(accumulate(values))
    total = {"de": "Ergebnis", "en": "Result"}[numbers.language]
    labels = [*numbers.labels, total]
    starts = [0.0, *ends[:-1], 0.0]
    heights = [*values, ends[-1]]
    kinds = [numbers.colours[0], *(_UP if value >= 0 else _DOWN for value in values[1:]), numbers.colours[0]]
    axes.bar(range(len(labels)), heights, 0.62, bottom=starts, color=kinds, zorder=2)
    for place, end in enumerate(ends):
        axes.plot([place + 0.31, place + 0.69], [end, end], color=MUTED, linewidth=0.7, zorder=1)
    for place, (start, height) in enumerate(zip(starts, heights, strict=True)):
        sign = "+" if 0 < place < len(values) and height > 0 else ""
        axes.annotate(
            f"{sign}{numbers.written(height)}", (place, max(start, start + height)), (0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=_SMALL,
        )  # fmt: skip
    numbers.labels = labels
    axes.margins(y=0.14)
    _ground(axes, numbers)


def _ground(axes: Axes, numbers: _Numbers) -> None:
    """The axes: a line at zero, thin lines across, names below, and who is who above."""
    count = len(numbers.labels)
    every = max(1, -(-count // 12))
    longest = max(map(len, numbers.labels))
    turned = longest * min(count, 12) > 95
    axes.set_xticks(
        range(0, count, every),
        [_wrapped(label, 95 // min(count, 12)) if not turned else _cut(label, 22) for label in numbers.labels[::every]],
        rotation=35 if turned else 0,
        ha="right" if turned else "center",
    )
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.written(value)))
    axes.grid(axis="y", color=BORDER, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=_SMALL)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=2) if min(axes.get_ylim()) < 0 else None
    if len(numbers.series) > 1 and numbers.chart.kind != "waterfall":
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(numbers.series), frameon=False, borderaxespad=0.2,
            handlelength=2.4 if numbers.chart.kind == "line" else 1.0, columnspacing=1.6,
        )  # fmt: skip


_DRAWN: dict[str, Callable[[Axes, _Numbers], None]] = {
    "bar": _bars,
    "line": _lines,
    "pie": _pie,
    "stacked": _stacked,
    "waterfall": _waterfall,
}


def _labels(values: Sequence[Any], language: Language) -> list[str]:
    moments = [dated(value) for value in values]
    if all(moment is not None for moment in moments):
        known = [moment for moment in moments if moment is not None]
        if all(moment.day == 1 for moment in known) and len({(m.year, m.month) for m in known}) == len(known):
            return [month(moment, language) for moment in known]
        return [day(moment.date() if isinstance(moment, datetime) else moment, language) for moment in known]
    return [worded(value, language) if not isinstance(value, int) else str(value) for value in values]


def _decimal(value: float) -> Decimal:
    return Decimal(repr(round(float(value), 6)))  # what the axis has is a float of another kind


def _wrapped(text: str, width: int) -> str:
    """A label on two lines where one is too narrow."""
    if len(text) <= width or " " not in text:
        return text
    words, line = text.split(" "), ""
    while words and len(line) + len(words[0]) < max(width, 6):
        line = f"{line} {words.pop(0)}".strip()
    return f"{line}\n{' '.join(words)}" if line and words else text


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
