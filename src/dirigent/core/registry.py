"""The one plug-in seam: a kind is its own configuration, a registry is the table of the kinds of one contract.

A kind is a frozen msgspec struct. Its fields are its settings, its docstring is its help text, its class name in
snake_case is its `type`. From that come validation, JSON Schema and reference pages; nothing is written twice.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from dirigent.core.errors import Finding, InvalidConfiguration

__all__ = ["Kind", "Reader", "Registry", "nearest"]

Path = tuple[str | int, ...]
_ENTRY_POINTS = "dirigent.kinds"
_DEEPEST = 64
"""Steps of a path below which no kind is read: no configuration is that deep, and Python's own stack has an end."""


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One implementation of a contract, and its settings."""

    contract: ClassVar[str] = ""
    """What it is a kind of, as the glossary names it: `model`, `provider`, `strategy` …"""

    @classmethod
    def type_name(cls) -> str:
        """The `type` by which a configuration names it: the class name in snake_case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def help(cls) -> str:
        """Its docstring, without indentation."""
        return inspect.getdoc(cls) or ""


K = TypeVar("K", bound=Kind)


class Registry(Generic[K]):
    """The kinds of one contract by `type`. Third parties add theirs through the entry-point group `dirigent.kinds`."""

    def __init__(self, contract: type[K], kinds: Iterable[type[K]]) -> None:
        self.contract = contract
        self.kinds: dict[str, type[K]] = {kind.type_name(): kind for kind in kinds}

    def with_plugins(self) -> Registry[K]:
        """The same table and what installed packages add to it; a name that is taken already stays ours.

        Raises InvalidConfiguration where one of them cannot be loaded, with each that cannot.
        """
        found, faults = _plugins()
        if faults:
            raise InvalidConfiguration(faults)
        added = [kind for kind in found if isinstance(kind, type) and issubclass(kind, self.contract)]
        return Registry(self.contract, [*added, *self.kinds.values()])

    @property
    def name(self) -> str:
        """What the kinds are kinds of."""
        return self.contract.contract


def _plugins() -> tuple[list[object], list[Finding]]:
    found: list[object] = []
    faults: list[Finding] = []
    for point in entry_points(group=_ENTRY_POINTS):
        try:
            found.append(point.load())
        except Exception as fault:  # noqa: BLE001 -- a stranger's module may raise anything, and must not stop us silently
            package = point.dist.name if point.dist is not None else "unknown"
            words = f"the plug-in {point.name!r} of the package {package!r} cannot be loaded: {fault!r}"
            faults.append(Finding((), words))
    return found, faults


class Reader:
    """Reads kinds out of plain data and names every fault at once, each with its path."""

    def __init__(self, registries: Iterable[Registry[Any]]) -> None:
        self.registries: dict[type[Kind], Registry[Any]] = {registry.contract: registry for registry in registries}

    def read(self, contract: type[K], raw: object, path: Path) -> tuple[K | None, list[Finding]]:
        """The kind that `raw` describes, or None and why not. A bare string stands for `{type: string}`."""
        registry = self.registries[contract]
        if len(path) > _DEEPEST:
            return None, [Finding(path, "this is nested too deeply")]
        if isinstance(raw, str):
            raw = {"type": raw}
        if not isinstance(raw, Mapping):
            return None, [Finding(path, f"expected a {registry.name}: a mapping with `type`, not {_shape(raw)}")]
        name = raw.get("type")
        if name is None:
            return None, [Finding(path, f"`type` is missing: one of {_listed(registry.kinds)}")]
        kind = registry.kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            hint = nearest(str(name), registry.kinds)
            return None, [
                Finding(
                    (*path, "type"),
                    f"there is no {registry.name} of type {name!r}{hint}; known are {_listed(registry.kinds)}",
                )
            ]
        settings = {key: value for key, value in raw.items() if key != "type"}
        value, findings = self._struct(kind, settings, path)
        return value if isinstance(value, kind) else None, findings

    def _struct(self, cls: type[msgspec.Struct], raw: Mapping[Any, object], path: Path) -> tuple[object, list[Finding]]:
        values: dict[str, object] = {}
        hints = get_type_hints(cls, include_extras=True)
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        known = _listed(fields)
        findings = [
            Finding((*path, key), f"there is no setting {key!r} here{nearest(str(key), fields)}; known are {known}")
            for key in raw
            if key not in fields
        ]
        for key, field in fields.items():
            if key in raw:
                value, faults = self._value(hints[field.name], raw[key], (*path, key))
                findings += faults
                values[field.name] = value
            elif field.required:
                findings.append(Finding(path, f"the setting {key!r} is missing"))
        if findings:
            return None, findings
        try:
            return cls(**values), []
        except (ValueError, TypeError) as fault:  # a kind's own __post_init__ refuses
            return None, [Finding(path, str(fault))]

    def _value(self, hint: Any, raw: object, path: Path) -> tuple[object, list[Finding]]:
        """`raw` as a value of the annotated type; goes down by itself wherever more than one fault may hide."""
        options = (
            [option for option in get_args(hint) if option is not type(None)]
            if type(None) in get_args(hint)
            else [hint]
        )
        if raw is None and len(options) < len(get_args(hint)):
            return None, []
        if len(options) == 1:
            option, origin, arguments = options[0], get_origin(options[0]), get_args(options[0])
            if origin is Annotated and isinstance(raw, list | Mapping):  # its items first, then how many there may be
                value, faults = self._value(arguments[0], raw, path)
                return value, faults or _beyond_bounds(raw, arguments[1:], path)
            if isinstance(option, type) and option in self.registries:
                return self.read(option, raw, path)
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                if isinstance(raw, Mapping):
                    return self._struct(option, raw, path)
                what = (inspect.getdoc(option) or "").partition("\n")[0]
                return None, [Finding(path, f"expected a mapping, not {_shape(raw)}. {what}".rstrip())]
            if (
                origin in (tuple, list, Sequence)
                and isinstance(raw, list)
                and arguments[-1:] in ((...,), arguments[:1])
            ):
                items = [self._value(arguments[0], item, (*path, index)) for index, item in enumerate(raw)]
                return (tuple if origin is tuple else list)(item for item, _ in items), [
                    fault for _, faults in items for fault in faults
                ]
            if origin in (dict, Mapping) and isinstance(raw, Mapping) and not any(map(_broken, raw)):
                pairs = {key: self._value(arguments[1], item, (*path, key)) for key, item in raw.items()}
                return {str(key): item for key, (item, _) in pairs.items()}, [
                    fault for _, faults in pairs.values() for fault in faults
                ]
        if _broken(raw):
            return None, [Finding(path, "holds half of a character (an unpaired surrogate)")]
        try:
            return msgspec.convert(raw, hint, strict=True), []
        except msgspec.ValidationError as fault:
            return None, [_finding(fault, path)]


def _beyond_bounds(raw: object, bounds: Sequence[Any], path: Path) -> list[Finding]:
    """What a list or mapping has too few or too many of."""
    shape: Any = list[Any] if isinstance(raw, list) else dict[str, Any]
    try:
        msgspec.convert(raw, Annotated[(shape, *bounds)])
    except msgspec.ValidationError as fault:
        return [_finding(fault, path)]
    return []


def _finding(fault: msgspec.ValidationError, path: Path) -> Finding:
    message, _, place = str(fault).partition(" - at `$")
    return Finding((*path, *_steps(place.rstrip("`"))), message[:1].lower() + message[1:])


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that is closest, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _broken(raw: object) -> bool:
    """Whether a text in it could not be written down, for half of one of its characters is missing."""
    if isinstance(raw, str):
        return not raw.isascii() and any("\ud800" <= letter <= "\udfff" for letter in raw)
    if isinstance(raw, Mapping):
        return any(map(_broken, raw)) or any(map(_broken, raw.values()))
    return isinstance(raw, list) and any(map(_broken, raw))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _steps(place: str) -> Path:
    return tuple(
        int(index) if index else name for name, index in re.findall(r"\.?([^.\[\]]+)|\[(\d+)\]", place) if name or index
    )


def _shape(raw: object) -> str:
    return {type(None): "nothing", list: "a list", str: "a text", bool: "a truth value"}.get(type(raw), "a number")
