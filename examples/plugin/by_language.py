"""A strategy from outside: the candidate by the language of the prompt.

Its fields are its settings, its docstrings their help, its class name in snake_case its `type`. Dirigent finds it
through the entry point in pyproject.toml; nothing in Dirigent itself is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dirigent.core.errors import Finding
from dirigent.core.registry import nearest
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["ByLanguage"]


class ByLanguage(Strategy, frozen=True):
    """Ask the candidate that is meant for the language of the prompt."""

    languages: Mapping[str, str]
    """The candidate for each language, such as `de: european`; ISO 639-1 codes."""
    otherwise: str
    """The candidate for every other language, and for prompts too short to tell."""

    async def order(self, question: Question) -> Ranking:
        """The candidate of the language first, the others as configured."""
        language = question.features.language
        meant = self.languages.get(language, self.otherwise)
        if meant not in question.candidates:  # it lacks something that this request needs, or rests after failures
            reason = f"{meant}, meant for {language}, cannot take this, so {question.candidates[0]} comes first"
            return Ranking(question.candidates, reason)
        others = (name for name in question.candidates if name != meant)
        return Ranking((meant, *others), f"the prompt is in {language}, which goes to {meant}")

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Candidates that the router does not have."""
        for language, name in self.languages.items():
            if name not in candidates:
                yield Finding(("languages", language), _stranger(name, candidates))
        if self.otherwise not in candidates:
            yield Finding(("otherwise",), _stranger(self.otherwise, candidates))


def _stranger(name: str, candidates: Sequence[str]) -> str:
    return f"{name!r} is no candidate of this router{nearest(name, candidates)}"
