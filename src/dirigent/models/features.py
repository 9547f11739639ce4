"""What can be measured of a request without asking anybody: the facts that rules and strategies decide by.

Measuring a prompt of a kilobyte takes less than a tenth of a millisecond. A long text is looked at in its beginning and
its end; counts are then scaled up to its whole length, so they are estimates, and `sampled` says so.

Longer than 400 lines, because what is measured step by step and what is measured at once must stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from dirigent.core.tokens import estimated
from dirigent.models.glance import Glance, glance
from dirigent.models.language import UNKNOWN, tongue
from dirigent.models.terms import Terms, terms_in

__all__ = ["LOOKED_AT", "NAMES", "Demands", "Features", "Measuring", "measure", "tokens_in"]

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
    return Measuring(texts, tools, images, audio, wants_json, max_output).features()


class Measuring:
    """A conversation that is measured step by step: what nobody asks for is not worked out."""

    __slots__ = (
        "_audio",
        "_code",
        "_features",
        "_images",
        "_lines",
        "_looked",
        "_max_output",
        "_prompt",
        "_scale",
        "_seen",
        "_terms",
        "_texts",
        "_tools",
        "_wants_json",
        "_weighed",
    )

    def __init__(  # noqa: PLR0917  made once per request, and names cost time there
        self,
        texts: Sequence[tuple[str, str]],
        tools: int,
        images: int,
        audio: int,
        wants_json: bool,  # noqa: FBT001
        max_output: int | None,
    ) -> None:
        self._texts = texts
        self._tools = tools
        self._images = images
        self._audio = audio
        self._wants_json = wants_json
        self._max_output = max_output
        self._weighed: _Weighed | None = None
        self._features: Features | None = None
        self._seen: Glance | None = None

    @property
    def context_tokens(self) -> int:
        """As in Features."""
        return self._weights().context

    def demands(self) -> Demands:
        """What makes a request demanding, without the rest."""
        seen = self._look()
        scale, code, terms = self._scale, self._code, self._terms
        weighed = self._weighed or self._weights()
        return Demands(
            round(len(seen.words) * scale),
            terms.specialist,
            code,
            _maths(self._looked, seen, terms, code),
            round(seen.numbers * scale),
            terms.tasks,
            terms.requirements + _points(self._looked),
            weighed.context,
            weighed.turns,
            self._tools,
            self._wants_json,
            self._images,
        )

    def features(self) -> Features:
        """All of it."""
        if self._features is None:
            self._features = self._measured()
        return self._features

    def _measured(self) -> Features:
        demands = self.demands()
        seen, terms, scale = self._look(), self._terms, self._scale
        weighed = self._weights()
        words = len(seen.words)
        language = tongue(seen.words, seen.accented, seen.foreign)
        if language == UNKNOWN and words <= _SHORT:
            language = terms.language or UNKNOWN  # a few nouns: their own language is all there is to go by
        return Features(
            characters=len(self._prompt),
            words=demands.words,
            sentences=round(_sentences(self._lines) * scale),
            word_length=round(seen.letters / words, 2) if words else 0.0,
            tokens=weighed.prompt,
            turns=weighed.turns,
            context_tokens=weighed.context,
            system_tokens=weighed.system,
            max_output=self._max_output or 0,
            tools=self._tools,
            images=self._images,
            audio=self._audio,
            wants_json=self._wants_json,
            code=demands.code,
            maths=demands.maths,
            numbers=demands.numbers,
            questions=_questions(self._looked, scale),
            tasks=demands.tasks,
            requirements=demands.requirements,
            specialist_terms=demands.specialist_terms,
            specialist_field=terms.field,
            language=language,
            sampled=scale > 1,
        )

    def _look(self) -> Glance:
        seen = self._seen
        if seen is None:
            texts = self._texts
            first = _first_of_prompt(texts)
            said = [text for role, text in (texts[first:] if first else texts) if role == "user"]
            prompt = self._prompt = said[0] if len(said) == 1 else "\n".join(said)
            looked, self._scale = _looked_at(prompt)
            self._looked = looked
            seen = self._seen = glance(looked)
            self._terms = terms_in(seen.words)
            lines = self._lines = _lines(looked)
            self._code = _code(looked, lines)
        return seen

    def _weights(self) -> _Weighed:
        found = self._weighed
        if found is None:
            found = self._weighed = _weighed(self._texts)
        return found


class Demands(NamedTuple):
    """The features that make a request demanding, as they are in Features."""

    words: int
    specialist_terms: int
    code: float
    maths: float
    numbers: int
    tasks: int
    requirements: int
    context_tokens: int
    turns: int
    tools: int
    wants_json: bool
    images: int


class _Weighed(NamedTuple):
    """Tokens of a conversation, and the messages of its user."""

    prompt: int
    context: int
    system: int
    turns: int


def _weighed(texts: Sequence[tuple[str, str]]) -> _Weighed:
    first = _first_of_prompt(texts)
    tokens = context = system = turns = 0
    for place, (role, text) in enumerate(texts):
        if role == "user":
            turns += 1
            if place >= first:
                weight = tokens_in(text)
                tokens += weight
            else:
                weight = _known_tokens(text)
        else:
            weight = _known_tokens(text)
            if role in ("system", "developer"):
                system += weight
        context += weight + 4
    return _Weighed(tokens, context, system, turns)


_MOST_KNOWN: Final = 20_000
"""About 2 MB; then it starts anew."""
_known: dict[tuple[int, int], int] = {}
"""Tokens of the texts that come again, instructions and what was said before, by hash and length: no text is kept."""


def _known_tokens(text: str) -> int:
    key = hash(text), len(text)
    tokens = _known.get(key)
    if tokens is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        tokens = _known[key] = tokens_in(text)
    return tokens


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


def _points(looked: str) -> int:
    return len(_POINT.findall(f"\n{looked}"))


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
