"""What can be measured of a request without asking anybody: the facts that rules and strategies decide by.

Measuring a prompt of a kilobyte takes less than a tenth of a millisecond. A long text is looked at in its beginning and
its end; counts are then scaled up to its whole length, so they are estimates, and `sampled` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from dirigent.core.tokens import estimated
from dirigent.models.glance import Glance, glance
from dirigent.models.language import UNKNOWN, tongue
from dirigent.models.terms import Terms, terms_in

__all__ = ["LOOKED_AT", "NAMES", "Features", "measure", "tokens_in"]

LOOKED_AT: Final = 4_000
"""Characters of the prompt that are looked at: the first 2,500 and the last 1,500 of a longer one."""

_SHORT: Final = 6
Share = Annotated[float, Meta(ge=0, le=1)]


class Features(msgspec.Struct, frozen=True):
    """What is measured of one request. *The prompt* is all that the user said since the last answer of a model."""

    characters: int = 0
    """Characters of the prompt."""
    words: int = 0
    """Words of the prompt: letters and digits in a row."""
    sentences: int = 0
    """Sentences of the prompt: its lines, and the ends of sentences within them."""
    word_length: float = 0.0
    """Mean letters of a word."""
    tokens: int = 0
    """Estimated tokens of the prompt, by the rule of `tokens_in`."""
    turns: int = 0
    """Messages of the user in the whole conversation."""
    context_tokens: int = 0
    """Estimated tokens of the whole conversation, instructions included, with 4 more for the frame of each message."""
    system_tokens: int = 0
    """Estimated tokens of the instructions: the messages of role `system` and `developer`."""
    max_output: int = 0
    """Tokens to which the caller limits the answer; 0 where it sets no limit."""
    tools: int = 0
    """Tools that the caller offers."""
    images: int = 0
    """Pictures in the conversation."""
    audio: int = 0
    """Recordings in the conversation."""
    wants_json: bool = False
    """Whether the answer must have a given structure."""
    code: Share = 0.0
    """Share of the prompt's lines that are program text: inside a fence, or written like it."""
    maths: Share = 0.0
    """How mathematical the prompt is: 0 without formulas and words of mathematics, 1 where every third word is one."""
    numbers: int = 0
    """Numbers written in digits."""
    questions: int = 0
    """Question marks, or 1 where the prompt begins like a question without one."""
    tasks: int = 0
    """Verbs that ask for thought, such as `compare`, `prove`, `begründe`, `entwirf`; each counts once."""
    requirements: int = 0
    """Demands on the answer: points of lists, and words such as `must`, `without`, `exactly`, `mindestens`."""
    specialist_terms: int = 0
    """Different terms of a subject in the prompt, German or English; a German compound counts by the term it holds."""
    specialist_field: str = ""
    """The subject with most of these terms, such as `law`; empty where there are none."""
    language: str = UNKNOWN
    """ISO 639-1 code of the prompt's language, or `unknown`."""
    sampled: bool = False
    """Whether the prompt was too long to be looked at as a whole."""


NAMES: Final = frozenset(Features.__struct_fields__)
"""The names that an expression over features may use."""

_BARE: Final = re.compile(
    r"""[ \t]*(?:
        (?:def|class|async\ def)\ \w+.*:\s*$ | (?:import|from|package|using)\ [\w.]+(?:\ import\b.*|;)?\s*$
      | (?:public|private|protected|static|const|let|var|fn|func|function|struct|enum|interface)\ [\w<].*[({=;]
      | (?:return|raise|throw|yield|await)\b.*[;)\]\w]\s*$
      | (?:if|for|while|elif|else|try|except|switch|catch)\b.*[:{]\s*$
      | SELECT\ .*\bFROM\b | (?:INSERT\ INTO|UPDATE|DELETE\ FROM|CREATE\ TABLE)\ \w | <\/?\w+[^\n]*>\s*$
      | (?:[$>]|>>>)\ \w | [\w.\[\]]+\ [-+*/]?=\ \S | [\w.]+\(.*\)\s*$ | \#include\b | @\w+ | (?://|/\*)
      | Traceback\ | \w+(?:Error|Exception):\ )""",
    re.VERBOSE,
)
"""A line of program text that does not end like one, in `;`, `{` or `}`."""
_STARTS: Final = frozenset(
    re.findall(
        r"\w+",
        "de cl as im fr pa us pu pr st co le va fn fu en in re th ra yi aw if fo wh el tr ex sw ca SE IN UP DE CR Tr",
    )
)
"""How the words begin with which a line in _BARE may begin."""
_LATEX: Final = re.compile(r"\\[a-zA-Z]{2,}|\$[^$\n]{1,200}\$")
_QUESTION: Final = re.compile(
    r"(?:what|who|whom|whose|how|where|when|why|which|is|are|can|could|does|do|did|should|would|will"
    r"|was|wer|wen|wem|wie|wo|wann|warum|wieso|weshalb|wozu|welche[rsnm]?|ist|sind|kann|können|gibt|darf|muss|hat)\b"
)
_POINT: Final = re.compile(r"\n[ \t]*(?:[-*•–]|\d{1,2}[.)]|[a-z]\))[ \t]+\S")


def measure(
    texts: Sequence[tuple[str, str]],
    *,
    tools: int,
    images: int,
    audio: int,
    wants_json: bool,
    max_output: int | None,
) -> Features:
    """The features of a conversation: the role and text of each message in order, and what comes with them."""
    first = _first_of_prompt(texts)
    prompt = "\n".join([text for role, text in texts[first:] if role == "user"])
    looked, scale = _looked_at(prompt)
    seen = glance(looked)
    words = len(seen.words)
    counted = terms_in(seen.words)
    lines = _lines(looked)
    code = _code(looked, lines)
    language = tongue(seen.words, seen.accented, seen.foreign)
    if language == UNKNOWN and words <= _SHORT:
        language = counted.language or UNKNOWN  # a few nouns: their own language is all there is to go by
    tokens = context = system = turns = 0
    for place, (role, text) in enumerate(texts):
        weight = tokens_in(text)
        context += weight + 4
        if role == "user":
            turns += 1
            if place >= first:
                tokens += weight
        elif role in ("system", "developer"):
            system += weight
    return Features(
        characters=len(prompt),
        words=round(words * scale),
        sentences=round(_sentences(lines) * scale),
        word_length=round(seen.letters / words, 2) if words else 0.0,
        tokens=tokens,
        turns=turns,
        context_tokens=context,
        system_tokens=system,
        max_output=max_output or 0,
        tools=tools,
        images=images,
        audio=audio,
        wants_json=wants_json,
        code=code,
        maths=_maths(looked, seen, counted, code),
        numbers=round(seen.numbers * scale),
        questions=_questions(looked, scale),
        tasks=counted.tasks,
        requirements=counted.requirements + len(_POINT.findall(f"\n{looked}")),
        specialist_terms=counted.specialist,
        specialist_field=counted.field,
        language=language,
        sampled=scale > 1,
    )


def tokens_in(text: str) -> int:
    """Tokens of a text as `core.tokens` estimates them; a long text is judged by its beginning and end."""
    sample, scale = _looked_at(text)
    return estimated(sample) if scale == 1 else round(estimated(sample) * scale)


def _first_of_prompt(texts: Sequence[tuple[str, str]]) -> int:
    """Where the prompt begins: after the last answer that a question of the user follows."""
    asked = False
    for place in range(len(texts) - 1, -1, -1):
        role = texts[place][0]
        if role == "user":
            asked = True
        elif asked and role == "assistant":
            return place + 1
    return 0


def _looked_at(text: str) -> tuple[str, float]:
    if len(text) <= LOOKED_AT:
        return text, 1.0
    return f"{text[:2_500]}\n{text[-1_500:]}", len(text) / LOOKED_AT


def _lines(looked: str) -> list[str]:
    return [line for line in looked.split("\n") if line and not line.isspace()]


def _sentences(lines: Sequence[str]) -> int:
    text = "\n".join([line.rstrip() for line in lines])
    ends = text.count(". ")
    if "?" in text:
        ends += text.count("? ")
    if "!" in text:
        ends += text.count("! ")
    return len(lines) + ends


def _code(looked: str, lines: Sequence[str]) -> float:
    """The share of the lines that are program text."""
    if not lines:
        return 0.0
    fenced, rest, left = 0, looked, lines
    if "```" in looked:
        fenced, rest = _without_fences(looked)
        left = _lines(rest)
    assigns, fails = "= " in rest, "Error: " in rest or "Exception: " in rest
    bare = 0
    for line in left:
        body = line.strip()
        if body[-1] in ";{}":
            bare += 1
        # What the expression cannot match shows at the ends of a line, and most lines of most prompts are prose.
        elif (
            body[:2] in _STARTS
            or body[0] in "<$>#@/"
            or (body[-1] == ")" and " " not in body[: body.find("(")])
            or (assigns and "= " in line)
            or (fails and ": " in line)
        ):
            bare += _BARE.match(line) is not None
    return min(1.0, round((fenced + bare) / len(lines), 3))


def _without_fences(looked: str) -> tuple[int, str]:
    """The lines of all blocks between fences, and the text without these; a fence is open until the end of the text."""
    fenced, kept, done = 0, [], 0
    while (start := looked.find("```", done)) >= 0 and (line := looked.find("\n", start)) >= 0:
        end = looked.find("```", line)
        end = len(looked) if end < 0 else end
        fenced += looked.count("\n", line + 1, end) + 2
        kept.append(looked[done:start])
        done = end + 3
    return fenced, "".join((*kept, looked[done:]))


def _maths(looked: str, seen: Glance, counted: Terms, code: float) -> float:
    if not seen.words:
        return 0.0
    # In program text the same signs are no mathematics, so its share is taken off.
    signs = seen.operators + seen.symbols
    if "\\" in looked or "$" in looked:
        signs += len(_LATEX.findall(looked))
    return min(1.0, round((signs * (1 - code) + 1.5 * counted.mathematical) * 3 / (len(seen.words) + 6), 3))


def _questions(looked: str, scale: float) -> int:
    if marks := looked.count("?") + looked.count("？"):
        return round(marks * scale)
    return int(_QUESTION.match(looked.lstrip()[:16].lower()) is not None)
