"""Texts with blanks, `{{ expression | filter }}`: `compile` reads one once, the `Template` fills it in."""

from dirigent.core.template.filters import FILTERS
from dirigent.core.template.plain import LONGEST
from dirigent.core.template.template import Template, compile  # noqa: A004 - read as `template.compile`

__all__ = ["FILTERS", "LONGEST", "Template", "compile"]
