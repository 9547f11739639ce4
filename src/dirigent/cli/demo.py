"""`demo`: a use case from beginning to end, on a node of its own, with sample data and the model of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from dirigent.cli.client import Client, Refused, accepted
from dirigent.cli.options import as_json, data_option, fail, json_option, settings_from
from dirigent.cli.stage import Case, Stage, Story
from dirigent.core.errors import DirigentError
from dirigent.demos import DEMOS

__all__ = ["demo"]

_LOOK = 2
"""Seconds for which an answer is waited for before somebody looks whether people are asked."""


@click.command(
    short_help="Show a use case on sample data, offline.",
    epilog="Example: dirigent demo quotes --out quotes/",
)
@click.argument("name", required=False, metavar="[NAME]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where its documents go. [default: a folder of its name in the data folder]",
)
@click.option("--case", "only", multiple=True, help="Only the case of this name; may be given more than once.")
@click.option("--all", "every", is_flag=True, help="Long cases too, such as everybody instead of two people.")
@click.option("--ask", "ask_me", is_flag=True, help="Ask here what people have to decide, instead of approving it.")
@data_option
@json_option
def demo(
    name: str | None,
    out: Path | None,
    only: tuple[str, ...],
    every: bool,
    ask_me: bool,
    data: Path | None,
    as_object: bool,
) -> None:
    """Run the use case NAME from beginning to end, on sample data, and write its documents; without NAME list them all.

    It takes a node of its own that ends with it, the weights of the data folder, and no network. What people have to
    decide is approved by the demo itself, and told; with --ask you decide.
    """
    settings = settings_from(data=data)
    if name is None:
        _list(as_object=as_object)
        return
    if name not in DEMOS:
        raise click.UsageError(f"there is no use case {name!r}: one of {', '.join(DEMOS)}")
    story = Story.of(name)
    cases = [case for case in story.cases if (case.name in only if only else every or case.usual)]
    if missing := set(only) - {case.name for case in story.cases}:
        known = ", ".join(case.name for case in story.cases)
        raise click.UsageError(f"{name} has no case {', '.join(sorted(missing))}; there are {known}")
    folder = out if out is not None else settings.data / "demos" / f"{name}-documents"
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True, highlight=False, quiet=as_object)
    try:
        told = uvloop.run(_played(story, cases, settings.data, folder, console, ask_me=ask_me))
    except DirigentError as error:
        fail(error.message)
    except KeyboardInterrupt:
        fail("stopped; the documents that were written stay")
    if as_object:
        as_json(told)
    if told["status"] != "done":
        fail(told.get("reason") or "a case did not come to its end")


def _list(*, as_object: bool) -> None:
    stories = [Story.of(name) for name in DEMOS]
    if as_object:
        as_json({"demos": [{"name": each.name, "title": each.title, "about": each.about} for each in stories]})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for each in stories:
        table.add_row(each.name, escape(f"{each.title['en']}. {each.about['en']}"))
    Console(highlight=False).print(table)


async def _played(
    story: Story, cases: list[Case], data: Path, out: Path, console: Console, *, ask_me: bool
) -> dict[str, Any]:
    """The cases, one after the other, and what came of all of them."""
    console.print(f"[bold]{escape(story.title['en'])}[/]\n{escape(story.about['en'])}\n")
    async with Stage(story, data) as stage:
        console.print(f"[dim]a node of its own at {stage.address}, with {escape(stage.weights)}[/]")
        told = [await _case(case, stage, out, console, ask_me=ask_me) for case in cases]
    last = told[-1]
    failed = [each for each in told if each["status"] != "done"]
    return {
        "demo": story.name,
        "run": last["run"],
        "status": failed[0]["status"] if failed else "done",
        "reason": failed[0].get("reason", "") if failed else "",
        "documents": [path for each in told for path in each["documents"]],
        "cost": last["cost"],
        "cases": told,
    }


async def _case(case: Case, stage: Stage, out: Path, console: Console, *, ask_me: bool) -> dict[str, Any]:
    began = monotonic()
    decided: list[dict[str, Any]] = []
    console.print(f"\n[bold]{escape(case.name)}[/] [dim]asks {escape(case.model)}[/]")
    headers = {
        "idempotency-key": f"demo-{case.name}-{token_hex(6)}",
        "prefer": f"wait={_LOOK}",
        "x-dirigent-background": "true",
        "x-dirigent-purpose": case.purpose,
        "x-dirigent-transaction": case.transaction or case.name,
        **({"x-dirigent-subject": case.subject} if case.subject else {}),
    }
    said = msgspec.json.encode(case.given(stage.story)).decode()
    body = {"model": case.model, "messages": [{"role": "user", "content": said}]}
    with Status("working …", console=console) as shown:
        while True:
            try:
                answer = await stage.caller.open("POST", "/v1/chat/completions", body, headers=tuple(headers.items()))
            except Refused as refused:
                console.print(f"  [red]{escape(refused.message)}[/]")
                return _ended(case, "failed", decided, began, reason=refused.message)
            run = answer.headers["x-dirigent-run"]
            whole = await answer.read()
            if not accepted(answer):
                break
            shown.update(f"working … {monotonic() - began:.0f} s")
            for question in await stage.questions(run):
                shown.stop()
                decided.append(await _decide(question, stage, case, console, ask_me=ask_me))
                shown.start()
    content = msgspec.json.decode(whole)["choices"][0]["message"]["content"]
    try:
        result = msgspec.json.decode(content)
    except msgspec.DecodeError:
        result = content
    documents = await _documents(result, stage.caller, out, case)
    cost = answer.headers.get("x-dirigent-cost") or await stage.cost(run)
    _show(result, documents, console)
    console.print(f"  [dim]{run} · {monotonic() - began:.1f} s · {f'cost {cost}' if cost else 'cost unknown'}[/]")
    return _ended(case, "done", decided, began, run=run, cost=cost, result=result, documents=documents)


def _ended(case: Case, status: str, decided: list[Any], began: float, **more: Any) -> dict[str, Any]:
    seconds = round(monotonic() - began, 1)
    empty: dict[str, Any] = {"run": None, "cost": None, "documents": []}
    return {"case": case.name, "status": status, "decisions": decided, "seconds": seconds, **empty, **more}


async def _decide(
    question: Mapping[str, Any], stage: Stage, case: Case, console: Console, *, ask_me: bool
) -> dict[str, Any]:
    """Shows a question, and what is said to it."""
    console.print(f"  [yellow]a person is asked:[/] {escape(str(question['title']))}")
    console.print(f"  [dim]because {escape(str(question['why']))}[/]")
    order: dict[str, Any] = {"id": question["id"], "decision": case.decide, "version": question["version"]}
    if ask_me:
        console.print(escape(str(question["text"])))
        console.print(f"  [dim]proposal:[/] {escape(msgspec.json.encode(question['proposal']).decode())}")
        yes = await asyncio.to_thread(click.confirm, "  approve?", err=True)
        order["decision"] = "approve" if yes else "reject"
        if not yes:
            order["reason"] = await asyncio.to_thread(click.prompt, "  why not", err=True)
    elif case.decide == "edit":
        order |= {"answer": case.answer, "reason": "changed by the demo"}
    elif case.decide == "reject":
        order["reason"] = "rejected by the demo"
    decision = await stage.operator.fetch("POST", "/api/v1/approvals/decide", order)
    console.print(f"  [yellow]{decision['outcome'] or 'one of several has decided'}[/], by the demo")
    return {"title": question["title"], "why": question["why"], "outcome": decision["outcome"]}


async def _documents(result: object, caller: Client, out: Path, case: Case) -> list[str]:
    """Writes the files of a result; those of several cases stay apart by the case's name."""
    written = []
    for filed in _files(result):
        answer = await caller.open("GET", f"/api/v1/files/{filed['file']}")
        path = out / f"{case.name} - {Path(str(filed['name'])).name}"
        path.write_bytes(await answer.read())
        written.append(str(path))
    return written


def _files(result: object) -> list[Mapping[str, Any]]:
    """Every file that a result names, wherever it stands in it."""
    if isinstance(result, Mapping):
        if {"file", "name", "content_type", "size"} <= result.keys():
            return [result]
        return [filed for value in result.values() for filed in _files(value)]
    return [filed for value in result for filed in _files(value)] if isinstance(result, list) else []


def _show(result: object, documents: list[str], console: Console) -> None:
    if isinstance(result, Mapping):
        for key, value in result.items():
            if isinstance(value, str | int | float | bool) and value != "":
                console.print(f"  {escape(str(key))}: {escape(str(value))}", soft_wrap=True)
    else:
        console.print(f"  {escape(str(result))}")
    for path in documents:
        console.print(f"  [green]{escape(path)}[/]", soft_wrap=True)
