"""What the supervisor and the model's process say to each other: one line each way, in JSON."""

from __future__ import annotations

import os
import sys

import msgspec

__all__ = ["Launch", "Listening", "Refusal", "Tuning", "command", "cores"]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Tuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a local model uses this machine."""

    threads: int = msgspec.field(default_factory=cores)
    """Threads that compute."""
    slots: int = msgspec.field(default_factory=lambda: 2 if cores() <= 2 else 4)
    """Answers at once; more wait in line inside the process."""
    context_per_slot: int = 4096
    """Tokens that one request and its answer may have together."""
    batch: int = 128
    """Prompt tokens between two looks at whether the caller is still there: 128 costs 4 % of prompt speed against 512,
    and an abandoned prompt ends within a second instead of four (measured with the small model on two cores)."""
    niceness: int = 5
    """How far it steps back behind the gateway when both want the processor."""
    prompt_cache_mib: int = 0
    """Memory for prompts of earlier answers, in MiB. The slots keep their last prompt anyway."""
    port: int = 0
    """Its port on the loopback; 0 takes a free one."""


class Launch(msgspec.Struct, frozen=True):
    """What the process is told on its standard input, where other users of the machine cannot read the key."""

    parent: int
    path: str
    name: str
    key: str
    log: str
    tuning: Tuning


class Listening(msgspec.Struct, frozen=True, tag="listening"):
    """The process answers at this port of the loopback."""

    port: int
    slots: int
    context_per_slot: int
    seconds: float
    """From its start to here."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The process cannot serve the model; the words are for a person."""

    words: str


def command() -> list[str]:
    """The command that becomes the model's process."""
    # GOMP_SPINCOUNT must stand in the environment before libgomp is loaded: with its default, threads that wait for
    # each other burn their whole time slice, and on two busy cores generation falls to a tenth.
    return ["env", "GOMP_SPINCOUNT=1000", sys.executable, "-P", "-m", "dirigent.local.process"]
