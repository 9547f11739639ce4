"""`ask`, `explain` and `models` against a running node, by programs and by people."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cli.terminal import Ran, on_a_terminal, ran
from tests.journeys.node import Node, clean_environment

HARD = "Prove that the square root of 2 is irrational, then compare two proofs and analyse each step in detail."
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def one_object(told: Ran) -> Any:
    """What stands on standard output, which is one JSON object and nothing else."""
    assert told.out.count("\n") == 1
    return json.loads(told.out)


def test_ask_says_the_answer_on_standard_output_and_who_gave_it_beside(served: Node) -> None:
    told = ran("ask", "auto", "hi", "--data", served.data)

    assert told.status == 0
    assert told.out == "Hello, you.\n"
    assert re.fullmatch(r"-- auto -> echo · 0 USD · 1 \+ 2 tokens · \d+\.\d s, first after \d+\.\d s\n", told.err)


def test_ask_streams_each_word_as_it_comes(served: Node) -> None:
    command = [sys.executable, "-m", "dirigent", "ask", "slow", "hi", "--data", str(served.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(3) == b"one"
        asking.terminate()
        rest = asking.stdout.read()

    assert rest.count(b"more") < 290  # of three hundred, with a pause before each


def test_ask_reads_the_text_from_standard_input_for_a_dash(served: Node) -> None:
    told = ran("ask", "echo", "-", "--data", served.data, given="What is on my mind?")

    assert told.out == "Hello, you.\n"


def test_ask_as_json_is_one_object_with_text_run_and_cost(served: Node) -> None:
    told = one_object(ran("ask", "auto", "hi", "--data", served.data, "--json"))

    assert (told["text"], told["model"], told["deployment"]) == ("Hello, you.", "auto", "echo")
    assert told["cost"] == "0 USD"
    assert told["run"].startswith("run-")
    assert told["seconds"] > 0


def test_ask_for_a_model_that_is_not_there_says_no(served: Node) -> None:
    told = ran("ask", "ehco", "hi", "--data", served.data)

    assert (told.status, told.out) == (1, "")
    assert told.err == "error: there is no model 'ehco'; did you mean 'echo'?\n"


def test_ask_where_nobody_answers_says_why(served: Node) -> None:
    told = ran("ask", "broken", "hi", "--data", served.data, "--json")

    assert (told.status, told.out) == (1, "")
    assert told.err.startswith("error: 'broken' fails because its configuration says so")


def test_without_a_running_server_every_question_says_what_to_do(nowhere: Path) -> None:
    for arguments in (("ask", "auto", "hi"), ("explain", "auto", "hi"), ("models",)):
        told = ran(*arguments, "--data", nowhere)
        assert (told.status, told.out) == (1, "")
        assert told.err == (
            f"error: no server runs on the data folder {nowhere}; start one with `dirigent serve --data {nowhere}`\n"
        )


def test_a_server_that_was_killed_and_left_its_notice_is_said_not_to_answer(nowhere: Path) -> None:
    nowhere.mkdir()
    (nowhere / "server.json").write_text('{"host": "127.0.0.1", "port": 1, "pid": 1}')
    (nowhere / "first-key").write_text("dk-x\n")

    told = ran("models", "--data", nowhere)

    assert told.status == 1
    assert "the server at http://127.0.0.1:1 does not answer" in told.err


def test_explain_as_json_has_what_scripts_rely_on(served: Node) -> None:
    told = one_object(ran("explain", "auto", HARD, "--data", served.data, "--json"))

    assert {"model", "deployment", "reason", "features", "candidates", "microseconds"} <= set(told)
    assert told["deployment"] == "premium"
    assert [set(each) >= {"name", "quality", "cost", "latency", "verdict"} for each in told["candidates"]] == [True] * 3


def test_explain_shows_who_would_answer_and_the_verdict_on_each_candidate(served: Node) -> None:
    easy = ran("explain", "auto", "hi", "--data", served.data)
    hard = ran("explain", "auto", HARD, "--data", served.data)

    assert easy.out.startswith("echo would answer\n")
    assert hard.out.startswith("premium would answer\n")
    assert re.search(r"^premium +0\.90 +0\.\d+ USD +\? +chosen", hard.out, re.MULTILINE)
    assert re.search(r"^broken .* fallback 2", hard.out, re.MULTILINE)
    assert "maths=" in hard.out
    assert re.search(r"^decided in \d+ µs", hard.out, re.MULTILINE)


def test_explain_of_a_plain_model_says_that_nobody_stands_in_between(served: Node) -> None:
    assert "no router stands in between" in ran("explain", "echo", "hi", "--data", served.data).out


def test_models_shows_one_line_for_each_where_there_is_room(served: Node) -> None:
    told = ran("models", "--data", served.data)

    rows = told.out.splitlines()
    assert len(rows) == 1 + 7 + 1
    (premium,) = [row for row in rows if row.startswith("premium")]
    assert "128,000" in premium
    assert "2.5/10 USD" in premium
    assert "files, images, json, logprobs, tools" in premium
    assert rows[-1].startswith(f"revision {served.revision}")


def test_models_as_json_lists_them_all(served: Node) -> None:
    told = one_object(ran("models", "--data", served.data, "--json"))

    assert told["revision"] == served.revision
    assert [each["name"] for each in told["models"]][:3] == ["echo", "slow", "broken"]


def test_nothing_runs_over_the_edge_of_a_terminal_of_eighty_columns(served: Node) -> None:
    for arguments in (("models",), ("explain", "auto", HARD), ("explain", "hard", "hi")):
        shown = COLOUR.sub("", on_a_terminal(*arguments, "--data", served.data).out)
        assert max(map(len, shown.splitlines())) <= 80, shown


def test_colours_are_for_terminals_alone(served: Node) -> None:
    shown = on_a_terminal("explain", "auto", "hi", "--data", served.data)
    told = ran("explain", "auto", "hi", "--data", served.data)

    assert COLOUR.search(shown.out)
    assert not COLOUR.search(told.out + told.err)


def test_a_reader_who_has_heard_enough_ends_the_command_quietly(served: Node) -> None:
    command = f'"{sys.executable}" -m dirigent models --data "{served.data}" | head -c 5'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False)

    assert done.stdout == "model"
    assert "Traceback" not in done.stderr


def test_a_terminal_without_the_letters_gets_question_marks(served: Node) -> None:
    told = ran("explain", "auto", "hi", "--data", served.data, environment={"PYTHONIOENCODING": "ascii"})

    assert told.status == 0
    assert re.search(r"^decided in \d+ \?s", told.out, re.MULTILINE)
