"""`ask`, `explain` and `models`: what a person wants to know of a running server."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
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

from dirigent.cli.client import Client, Refused, connected
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.cli.telling import wide_console
from dirigent.core.errors import DirigentError
from dirigent.core.events import TextDelta
from dirigent.core.ports import HttpAnswer
from dirigent.dialects.openai_chat import OpenAIChat

__all__ = ["ask", "explain", "models"]


@click.command(
    short_help="Ask a model and stream its answer.",
    epilog='Example: dirigent ask auto "Summarise the GDPR in one sentence."',
)
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
        said: list[str] = []
        first = None
        try:
            async with aclosing(_pieces(answer)) as pieces:
                async for piece in pieces:
                    first = first if first is not None else monotonic() - began
                    said.append(piece)
                    if not as_object:
                        click.echo(piece, nl=False)
        finally:
            if said and not as_object:
                click.echo()  # also where the answer breaks off: what follows begins on a line of its own
        seconds = monotonic() - began
        run = await _run_of(client, answer)
        if as_object:
            as_json({**run, "text": "".join(said), "seconds": round(seconds, 3)})
            return
        click.echo(click.style(_closing(model, run, seconds, first), dim=True), err=True)

    _run(data, work)


async def _pieces(answer: HttpAnswer) -> AsyncGenerator[str, None]:
    """The text of an answer as it comes. Raises what the stream reports."""
    reader = OpenAIChat().reader()
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            for event in reader.feed(chunk):
                if isinstance(event, TextDelta):
                    yield event.text
    reader.end()


async def _run_of(client: Client, answer: HttpAnswer) -> dict[str, Any]:
    """What the server noted of the run; nothing where another of its workers did."""
    try:
        run: dict[str, Any] = await client.fetch("GET", f"/api/v1/runs/{quote(answer.headers['x-dirigent-run'])}")
    except Refused:
        return {"run": answer.headers["x-dirigent-run"], "deployment": answer.headers.get("x-dirigent-model")}
    return run


def _closing(asked: str, run: dict[str, Any], seconds: float, first: float | None) -> str:
    by = run.get("deployment") or "?"
    who = by if by == asked else f"{asked} -> {by}"
    known = run.get("output_tokens") is not None
    tokens = f"{run['input_tokens']} + {run['output_tokens']} tokens" if known else "tokens unknown"
    cost = run["cost"] if run.get("cost") is not None else "cost unknown"
    began = f", first after {first:.1f} s" if first is not None else ""
    return f"-- {who} · {cost} · {tokens} · {seconds:.1f} s{began}"


@click.command(
    short_help="Show which model would answer, and why.",
    epilog='Example: dirigent explain auto "Prove that there are infinitely many primes."',
)
@click.argument("model")
@click.argument("text")
@data_option
@json_option
def explain(model: str, text: str, data: Path | None, as_object: bool) -> None:
    """Show which candidate of MODEL would answer TEXT, and why, without asking any."""
    text = sys.stdin.read() if text == "-" else text

    async def work(client: Client) -> None:
        explained = await client.fetch("POST", "/api/v1/route/explain", {"model": model, "text": text})
        chosen = explained["deployment"]
        if as_object:
            as_json(explained)
        else:
            console = wide_console()
            console.print(Text.assemble((chosen or "nobody", "bold green" if chosen else "bold red"), " would answer"))
            for decision in explained["decisions"]:
                _show(console, decision)
            if not explained["decisions"]:
                console.print(explained["reason"])
        if chosen is None:
            sys.exit(1)

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
    for name, value in {"measured": decision["features"], **decision["details"]}.items():
        if words := _short(value):
            console.print(Text(f"{name}: {words}", style="dim"))
    console.print(Text(f"decided in {decision['microseconds']:.0f} µs", style="dim"))


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)


def _short(value: object) -> str:
    """A value in few words: what is nothing is left out of a mapping."""
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, dict):
        told = {name: _short(inner) for name, inner in value.items() if inner not in (0, False, None, "", [], {})}
        return ", ".join(f"{name}={words}" for name, words in told.items() if words)
    return ", ".join(_short(inner) for inner in value) if isinstance(value, list) else str(value)


@click.command(short_help="List the models of the running server.", epilog="Example: dirigent models --json")
@data_option
@json_option
def models(data: Path | None, as_object: bool) -> None:
    """List the models of the running server: what each is, can do, costs, and how it is doing."""

    async def work(client: Client) -> None:
        listed = await client.fetch("GET", "/api/v1/models")
        if as_object:
            as_json(listed)
            return
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for column in ("model", "type", "asks", "window", "price in/out", "can", "state"):
            table.add_column(column, overflow="fold", no_wrap=column in ("model", "type", "window"))
        for each in listed["models"]:
            table.add_row(
                each["name"],
                each["type"],
                ", ".join(each["mentions"]) or "-",
                f"{each['context_window']:,}" if each["context_window"] else "?",
                _price(each["price"]),
                _abilities(each["capabilities"], each["tasks"]),
                "well" if each["healthy"] else Text("rests", style="red"),
            )
        console = wide_console()
        console.print(table)
        console.print(Text(f"revision {listed['revision']}; prices are per million tokens", style="dim"))

    _run(data, work)


def _abilities(capabilities: list[str] | None, tasks: list[str] | None) -> str:
    """What a model can do beyond plain text; of one that does not chat, what it does instead."""
    if tasks is not None and "chat" not in tasks:
        return ", ".join(tasks)
    return "?" if capabilities is None else ", ".join(capabilities) or "text"


def _price(price: dict[str, Any] | None) -> str:
    if price is None or "input" not in price or "output" not in price:
        return "unknown"
    if float(price["input"]) == float(price["output"]) == 0:
        return "free"
    return f"{price['input']}/{price['output']} {price.get('currency', 'USD')}"


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
