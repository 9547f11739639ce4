"""The table of verifiers: how a cascade finds out whether an answer is good enough."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.verifiers.agreement import Agreement
from dirigent.models.verifiers.judge import Judge
from dirigent.models.verifiers.structure import Structure
from dirigent.models.verifiers.verifier import Verifier

__all__ = ["VERIFIERS"]

VERIFIERS: Registry[Verifier] = Registry(Verifier, [Structure, Agreement, Judge])
