"""What a prompt's features are, found the slow and obvious way: expressions over the text, line by line."""

from __future__ import annotations

import re
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
NUMBER = re.compile(r"[0-9][0-9.,]*")
FENCE = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
CODE = re.compile(
    r"""[ \t]*(?:
        (?:def|class|async\ def)\ \w+.*:\s*$ | (?:import|from|package|using)\ [\w.]+(?:\ import\b.*|;)?\s*$
      | (?:public|private|protected|static|const|let|var|fn|func|function|struct|enum|interface)\ [\w<].*[({=;]
      | (?:return|raise|throw|yield|await)\b.*[;)\]\w]\s*$
      | (?:if|for|while|elif|else|try|except|switch|catch)\b.*[:{]\s*$
      | SELECT\ .*\bFROM\b | (?:INSERT\ INTO|UPDATE|DELETE\ FROM|CREATE\ TABLE)\ \w | <\/?\w+[^\n]*>\s*$
      | (?:[$>]|>>>)\ \w | [\w.\[\]]+\ [-+*/]?=\ \S | [\w.]+\(.*\)\s*[;{]?\s*$ | .*[;{}]\s*$ | \#include\b | @\w+
      | (?://|/\*) | Traceback\ | \w+(?:Error|Exception):\ )""",
    re.VERBOSE,
)
OPERATOR = re.compile(r"[\^=+*/<>](?<=[\w)\s].)\s?[\w(\\-]|%")
SYMBOL = re.compile("[∑∫√∞≤≥≠±×÷∂∈∀∃πθλμσΔΣ²³]")
LATEX = re.compile(r"\\[a-zA-Z]{2,}|\$[^$\n]{1,200}\$")
QUESTION = re.compile(
    r"\s*(?:what|who|whom|whose|how|where|when|why|which|is|are|can|could|does|do|did|should|would|will"
    r"|was|wer|wen|wem|wie|wo|wann|warum|wieso|weshalb|wozu|welche[rsnm]?|ist|sind|kann|können|gibt|darf|muss|hat)\b"
)
POINT = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,2}[.)]|[a-z]\))[ \t]+\S", re.MULTILINE)


def obvious(text: str) -> dict[str, Any]:
    """The features that the text of one short question has by itself, but for its tokens, terms and language."""
    words = WORD.findall(text.lower())
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    fenced = sum(block.count("\n") + 2 for block in FENCE.findall(text))
    bare = sum(CODE.match(line) is not None for line in FENCE.sub("", text).split("\n"))
    return {
        "characters": len(text),
        "words": len(words),
        "word_length": round(sum(map(len, words)) / len(words), 2) if words else 0.0,
        "sentences": len(lines) + sum(line.count(". ") + line.count("? ") + line.count("! ") for line in lines),
        "code": min(1.0, round((fenced + bare) / len(lines), 3)) if lines else 0.0,
        "numbers": len(NUMBER.findall(text)),
        "questions": text.count("?") + text.count("？") or int(QUESTION.match(text.lower()) is not None),
    }


def signs_of_mathematics(text: str) -> int:
    """Operators between operands, symbols and commands of LaTeX."""
    return sum(len(kind.findall(text)) for kind in (OPERATOR, SYMBOL, LATEX))
