"""A run on a terminal: its steps as bars in time, with who answered, tokens and cost; waits for people stand apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["waterfall"]

_STYLES = {"done": "green", "failed": "red", "runs": "cyan", "waits": "yellow", "skipped": "dim"}
_MARKS = {"done": "✓", "failed": "✗", "runs": "…", "waits": "⏸", "skipped": "○"}
_STATUS = {"done": "green", "failed": "red", "cancelled": "red", "waiting": "yellow"}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NARROW = 100


def waterfall(console: Console, run: Mapping[str, Any], now: int) -> None:
    """Shows a run to a person; `now` in milliseconds since 1970."""
    _head(console, run)
    steps: Sequence[Mapping[str, Any]] = run["steps"]
    if not steps:
        console.print(Text("no step has begun yet", style="dim"))
        return
    narrow = console.width < _NARROW
    scale = _Scale(steps, now)
    names = min(max(len(_name(step)) for step in steps), 24 if narrow else 34)
    bars = max(8, console.width - names - (37 if narrow else 54))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("step", width=names, no_wrap=True, overflow="ellipsis")
    table.add_column(Text(_axis(scale.whole, bars)), width=bars, no_wrap=True)
    table.add_column("time", justify="right", width=10, no_wrap=True)
    if not narrow:
        table.add_column("by", width=14, no_wrap=True, overflow="ellipsis")
    table.add_column("tokens", justify="right", width=11 if narrow else 12, no_wrap=True)
    table.add_column("cost", justify="right", width=9 if narrow else 12, no_wrap=True)
    outer = {step["path"] for step, below in pairwise(steps) if below["depth"] > step["depth"]}
    for step in steps:
        style = _STYLES[step["state"]]
        name = Text(_name(step), style=style if step["state"] in ("failed", "skipped") else "")
        cells: list[Text] = [name, scale.bar(step, bars, style), Text(_took(step, now))]
        if not narrow:
            cells.append(Text(step["step"] if step["path"] in outer else _by(step), style="dim"))
        cells += [Text(_tokens(step), style="dim"), Text(_cost(step, short=narrow))]
        table.add_row(*cells)
        if (below := _below(step, narrow=narrow and step["path"] not in outer)) is not None:
            table.add_row(Text(""), Text(below, style="dim", overflow="ellipsis"), *(Text("") for _ in cells[2:]))
    console.print(table)
    _foot(console, run)


class _Scale:
    """Time as it was worked: what was waited is cut out, so that a second is seen beside a weekend."""

    def __init__(self, steps: Sequence[Mapping[str, Any]], now: int) -> None:
        self._now = now
        spans = sorted(
            (step["began"], step["ended"] if step["ended"] is not None else now)
            for step in steps
            if step["began"] is not None
        )
        self._first = spans[0][0] if spans else now
        waits = [
            (end - step["waited"], end) for step in steps if step["waited"] and (end := _end_of_wait(step)) is not None
        ]
        self._waits: list[tuple[int, int]] = []
        for start, end in sorted(waits):
            if self._waits and start <= self._waits[-1][1]:
                self._waits[-1] = (self._waits[-1][0], max(end, self._waits[-1][1]))
            else:
                self._waits.append((start, end))
        self.whole = max(1, max((self._at(end) for _, end in spans), default=1))
        """Milliseconds that the bars stand for."""

    def bar(self, step: Mapping[str, Any], width: int, style: str) -> Text:
        """When it was at work; a mark where it waited."""
        if step["began"] is None or step["state"] == "skipped":
            return Text("")
        begin = self._at(step["began"]) / self.whole * width
        end = self._at(step["ended"] if step["ended"] is not None else self._now) / self.whole * width
        if step["waited"]:
            text = Text(" " * min(width - 1, int(begin)))
            text.append("┊", style="yellow")
            return text
        begin = min(begin, width - 0.125)
        full, rest = divmod(max(1, round((end - int(begin)) * 8)), 8)
        drawn = ("█" * full + (_EIGHTHS[rest] if rest else ""))[: width - int(begin)]
        text = Text(" " * int(begin))
        text.append(drawn or "▏", style=style)
        return text

    def _at(self, moment: int) -> int:
        """Milliseconds of work until a moment."""
        waited = sum(min(end, moment) - start for start, end in self._waits if start < moment)
        return max(0, moment - self._first - waited)


def _head(console: Console, run: Mapping[str, Any]) -> None:
    line = Text.assemble((run["run"], "bold"), "  ", (run["status"], _STATUS.get(run["status"], "cyan")))
    line.append(f"  {run['model']}")
    line.append(f" @{run['revision']}", style="dim")
    console.print(line, soft_wrap=True)
    facts = [f"worked {_seconds(run['worked'])}"]
    if run["waited"]:
        facts.append(f"waited {_seconds(run['waited'])}")
    if run["cost"] is not None:
        facts.append(f"cost {run['cost']} {run['currency']}{' and more' if run['unpriced'] else ''}")
    elif run["unpriced"]:
        facts.append("cost unknown")
    if run["input_tokens"] or run["output_tokens"]:
        facts.append(f"{run['input_tokens']:,} → {run['output_tokens']:,} tokens")
    began = datetime.fromtimestamp(run["submitted"] / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    facts.insert(0, began)
    if run["code"] is not None:
        facts.append(run["code"])
    if run["forked"] is not None:
        facts.append(f"from {run['forked']}")
    console.print(Text(" · ".join(facts), style="dim"))
    console.print()


def _foot(console: Console, run: Mapping[str, Any]) -> None:
    for approval in run["waiting"]:
        console.print()
        console.print(
            Text.assemble(("waits for people: ", "yellow"), f"dirigent approvals show {approval}"), soft_wrap=True
        )


def _name(step: Mapping[str, Any]) -> str:
    own = step["path"].replace(":", "/").rpartition("/")[2]
    return f"{'  ' * step['depth']}{_MARKS[step['state']]} {own}"


def _below(step: Mapping[str, Any], *, narrow: bool) -> str | None:
    """What belongs below a step: the words of what was asked for, who decided, why it failed."""
    words = []
    if step["state"] == "skipped":
        words.append(f"not: {step['reason']}")
    if step["outcome"] is not None:
        words.append(f"{step['outcome']} by {', '.join(step['by']) or 'nobody'}")
    if step["code"] is not None:
        words.append(step["code"])
    if narrow and step["deployment"] is not None:
        words.append(step["deployment"])
    if step["words"] is not None:
        said = step["words"]
        words.append(said if isinstance(said, str) else msgspec.json.encode(said).decode())
    return " · ".join(words)[:2_000] or None


def _axis(whole: int, width: int) -> str:
    end = _seconds(whole)
    return f"0{end:>{width - 1}}" if width > len(end) + 1 else ""


def _took(step: Mapping[str, Any], now: int) -> str:
    if step["state"] == "skipped":
        return "skipped"
    if step["began"] is None:
        return ""
    if step["waited"]:
        return f"⏸ {_seconds(step['waited'])}"
    return _seconds((step["ended"] if step["ended"] is not None else now) - step["began"])


def _by(step: Mapping[str, Any]) -> str:
    if step["by"]:
        return ", ".join(step["by"])
    if step["deployment"] is not None:
        return str(step["deployment"])
    return "people" if step["waited"] and step["approval"] else str(step["step"])


def _tokens(step: Mapping[str, Any]) -> str:
    if not step["input_tokens"] and not step["output_tokens"]:
        return ""
    return f"{_short(step['input_tokens'])}→{_short(step['output_tokens'])}"


def _cost(step: Mapping[str, Any], *, short: bool) -> str:
    if step["cost"] is None:
        return "unknown" if step["unpriced"] else ""
    whole, _, rest = step["cost"].partition(".")
    shown = f"{whole}.{rest[:6]}" if rest else whole
    return shown if short else f"{shown} {step['currency']}"


def _short(number: int) -> str:
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def _seconds(milliseconds: int) -> str:
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1_000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours < 48 else f"{hours // 24}d {hours % 24}h"


def _end_of_wait(step: Mapping[str, Any]) -> int | None:
    return None if step["began"] is None else int(step["began"] + step["waited"])
