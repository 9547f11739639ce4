"""The step that looks things up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dirigent.core.errors import Finding, Invalid, Unavailable
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.core.registry import nearest
from dirigent.core.source import Source
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Retrieve"]


class Retrieve(Step, frozen=True, kw_only=True):
    """Find the passages of a collection that answer a question best, each with what a citation needs.

    The result has `passages`, the best first, each with `text`, `document`, `heading`, `position`, `page` and `score`;
    and `text`: all of them numbered, `[1]`, `[2]` …, to be put before a model.
    """

    effect: ClassVar[Effect] = "pure"

    source: str
    """Which collection."""
    question: str
    """What is looked for; templates are filled in."""
    most: Annotated[int, Meta(ge=1, le=50)] = 5
    """Passages at most."""

    async def work(self, place: Place) -> Any:
        """The passages. Raises Unavailable, and Forbidden where the purpose does not reach there."""
        run = place.run
        source = run.catalog.source(self.source)
        if not isinstance(source, Source) or source.offers != "collection":
            raise Invalid(f"the source {self.source!r} is no collection")
        source.permit(self.source, run)
        if run.ports.knowledge is None:
            raise Unavailable("this node learns nothing of documents")
        library = source.library(self.source)
        question = place.text(self.question).strip()
        found = await run.ports.knowledge.search(run.principal.tenant, library, question, self.most)
        place.tell(source=self.source, passages=len(found))
        text = "\n\n".join(
            f"[{number}] {each.document}{f' › {each.heading}' if each.heading else ''}\n{each.text}"
            for number, each in enumerate(found, 1)
        )
        return {"passages": [msgspec.structs.asdict(each) for each in found], "text": text}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A source that is no collection, and the template."""
        source = survey.source(self.source)
        if self.source not in survey.source_names():
            hint = nearest(self.source, survey.source_names())
            yield Finding(("source",), f"there is no source {self.source!r}{hint}")
        elif source is not None and source.offers != "collection":
            yield Finding(("source",), f"{self.source!r} has {source.offers}, and is no collection")
        yield from template_faults(self.question, names, ("question",))
