"""`ask`, `explain` and `models`: what a person wants to know of a running server."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

import click
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dirigent.cli.client import Client, connected
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.core.errors import DirigentError
from dirigent.core.events import TextDelta
from dirigent.dialects.openai_chat import OpenAIChat

__all__ = ["ask", "explain", "models"]


@click.command(epilog='Example: dirigent ask auto "Summarise the GDPR in one sentence."')
@click.argument("model")
@click.argument("text")
@click.option("--system", help="Instructions that stand before the text.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer, in tokens.")
@data_option
@json_option
def ask(model: str, text: str, system: str | None, max_tokens: int | None, data: Path | None, as_object: bool) -> None:
    """Ask MODEL the TEXT and stream its answer; TEXT `-` is read from standard input."""
    text = sys.stdin.read() if text == "-" else text
    body: dict[str, Any] = {
        "model": model,
        "messages": [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens

    async def work(client: Client) -> None:
        began = monotonic()
        answer = await client.open("POST", "/v1/chat/completions", body)
        reader, said = OpenAIChat().reader(), []
        first: float | None = None
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                for event in reader.feed(chunk):
                    if isinstance(event, TextDelta):
                        first = first if first is not None else monotonic() - began
                        said.append(event.text)
                        if not as_object:
                            click.echo(event.text, nl=False)
        reader.end()
        seconds = monotonic() - began
        run = await client.fetch("GET", f"/api/v1/runs/{quote(answer.headers['x-dirigent-run'])}")
        if as_object:
            as_json({"text": "".join(said), "seconds": round(seconds, 3), **run})
            return
        click.echo()
        console = Console(stderr=True, highlight=False)
        console.print(Text(_closing(run, seconds, first), style="dim"))

    _run(data, work)


def _closing(run: dict[str, Any], seconds: float, first: float | None) -> str:
    asked, by = run["model"], run["deployment"]
    who = by if by == asked else f"{asked} -> {by}"
    tokens = (
        f"{run['input_tokens']} + {run['output_tokens']} tokens"
        if run["output_tokens"] is not None
        else "tokens unknown"
    )
    cost = run["cost"] if run["cost"] is not None else "cost unknown"
    return f"-- {who} · {cost} · {tokens} · {seconds:.1f} s, first after {first or seconds:.1f} s"


@click.command(epilog='Example: dirigent explain auto "Prove that there are infinitely many primes."')
@click.argument("model")
@click.argument("text")
@data_option
@json_option
def explain(model: str, text: str, data: Path | None, as_object: bool) -> None:
    """Show which candidate of MODEL would answer TEXT, and why, without asking any."""
    text = sys.stdin.read() if text == "-" else text

    async def work(client: Client) -> None:
        explained = await client.fetch("POST", "/api/v1/route/explain", {"model": model, "text": text})
        if as_object:
            as_json(explained)
            return
        console = Console(highlight=False)
        console.print(
            Text.assemble(
                (explained["deployment"] or "nobody", "bold green" if explained["deployment"] else "bold red"),
                " would answer",
            )
        )
        for decision in explained["decisions"]:
            _show(console, decision)
        if not explained["decisions"]:
            console.print(explained["reason"])

    _run(data, work)


def _show(console: Console, decision: dict[str, Any]) -> None:
    console.print()
    console.print(Text.assemble((decision["router"], "bold"), f" ({decision['strategy']}): {decision['reason']}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, side in (
        ("candidate", "left"),
        ("quality", "right"),
        ("cost", "right"),
        ("seconds", "right"),
        ("verdict", "left"),
    ):
        table.add_column(column, justify=side)  # type: ignore[arg-type]  # the literals are what rich takes
    for each in decision["candidates"]:
        style = "green" if each["verdict"] == "chosen" else "dim" if each["verdict"].startswith("ruled") else ""
        table.add_row(
            each["name"],
            _number(each["quality"], "{:.2f}"),
            each["cost"] or "?",
            _number(each["latency"], "{:.1f}"),
            each["verdict"],
            style=style,
        )
    console.print(table)
    measured = {
        name: value for name, value in decision["features"].items() if value not in (0, 0.0, False, None, "", [], {})
    }
    if measured:
        console.print(
            Text("measured: " + ", ".join(f"{name} {_short(value)}" for name, value in measured.items()), style="dim")
        )
    for name, value in decision["details"].items():
        console.print(Text(f"{name}: {_short(value)}", style="dim"))
    console.print(Text(f"decided in {decision['microseconds']:.0f} µs", style="dim"))


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    return ", ".join(_short(inner) for inner in value) if isinstance(value, list) else str(value)


@click.command(epilog="Example: dirigent models --json")
@data_option
@json_option
def models(data: Path | None, as_object: bool) -> None:
    """List the models of the running server: what each is, can do, costs, and how it is doing."""

    async def work(client: Client) -> None:
        listed = await client.fetch("GET", "/api/v1/models")
        if as_object:
            as_json(listed)
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("model", "type", "asks", "window", "price per million in / out", "can", "state"):
            table.add_column(column)
        for each in listed["models"]:
            table.add_row(
                each["name"],
                each["type"],
                ", ".join(each["mentions"]) or "-",
                f"{each['context_window']:,}" if each["context_window"] else "?",
                _price(each["price"]),
                ", ".join(each["capabilities"]) if each["capabilities"] is not None else "?",
                "well" if each["healthy"] else Text("rests after failures", style="red"),
            )
        console = Console(highlight=False)
        console.print(table)
        console.print(Text(f"revision {listed['revision']}", style="dim"))

    _run(data, work)


def _price(price: dict[str, Any] | None) -> str:
    if price is None or "input" not in price or "output" not in price:
        return "unknown"
    return f"{price['input']} / {price['output']} {price.get('currency', 'USD')}"


def _run(data: Path | None, work: Callable[[Client], Awaitable[None]]) -> None:
    settings = settings_from(data=data)

    async def through() -> None:
        async with connected(settings.data) as client:
            await work(client)

    try:
        uvloop.run(through())
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        fail("stopped; the server has closed the answer as well")
