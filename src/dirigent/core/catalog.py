"""The catalog: an immutable snapshot of all that is published, refused as a whole where anything in it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import time
from typing import Any, Final, NoReturn, TypeVar, get_args

import msgspec

from dirigent.core.canonical import revision_of
from dirigent.core.errors import Finding, Invalid, InvalidConfiguration, UnknownModel
from dirigent.core.messages import Task
from dirigent.core.model import Model
from dirigent.core.policy import Policy, governed
from dirigent.core.ports import Listings, Secret, Secrets
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind, Reader, nearest
from dirigent.core.run import Answering
from dirigent.core.source import Source
from dirigent.core.usage import Tariff

__all__ = ["TASKS", "Catalog", "publishable"]

TASKS: Final[tuple[Task, ...]] = get_args(Task)
"""Every task, and what `defaults` may name a model for."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}")
_NAME_RULE = (
    "a name has letters, digits and . _ : / + - only, starts with a letter or digit, and has 128 characters at most"
)
_SECTIONS = ("providers", "sources", "models", "policies", "defaults")
K = TypeVar("K", bound=Kind)


class Catalog:
    """All providers, sources and models of one revision. A run keeps the catalog with which it began."""

    def __init__(
        self,
        revision: str,
        providers: Mapping[str, Kind],
        models: Mapping[str, Model],
        profiles: Mapping[str, Profile],
        *,
        rules: Mapping[str, Sequence[Policy]] = {},
        outer: Sequence[Policy] = (),
        defaults: Mapping[Task, str] = {},
        sources: Mapping[str, Source] = {},
    ) -> None:
        self.revision = revision
        """The first 12 hex digits of the SHA-256 of the canonical configuration."""
        self.providers = providers
        self.sources = sources
        self.models = models
        self.profiles = profiles
        self._tariffs = {name: Tariff(profile.price) for name, profile in profiles.items() if profile.price is not None}
        self.kept: dict[Any, Any] = {}
        """What its models have worked out once for all their answers, each under a key of its own."""
        self.published = int(time())
        """When this snapshot was made, in seconds since 1970."""
        self._defaults = {**_only_choices(profiles), **defaults}
        self._inner = {name: governed(model, rules.get(name, ())) for name, model in models.items()}
        self._outer = {name: governed(inner, outer) for name, inner in self._inner.items()} if outer else self._inner

    def answering(self, name: str) -> Answering:
        """The model called `name` with its policies. Raises UnknownModel with the nearest name that exists."""
        return self._inner.get(name) or self._unknown(name)

    def facing(self, name: str) -> Answering:
        """The same for a caller from outside: the policies that govern everybody stand around it as well."""
        return self._outer.get(name) or self._unknown(name)

    def default(self, task: Task) -> str:
        """The name of the model that answers where a request names none: as configured, else the only one there is.

        Raises Invalid where nobody has said which of several it is.
        """
        name = self._defaults.get(task)
        if name is None:
            raise Invalid(
                f"model: the request names none, and nobody has configured which one answers then; the operator can, "
                f"by `defaults: {{{task}: NAME}}`",
                param="model",
            )
        return name

    def profile(self, name: str) -> Profile:
        """What is known of the model called `name`. Raises UnknownModel."""
        return self.profiles.get(name) or self._unknown(name)

    def tariff(self, name: str) -> Tariff | None:
        """The price of the model called `name`, made ready; None where it is unknown."""
        return self._tariffs.get(name)

    def provider(self, name: str) -> Kind:
        """The provider called `name`, which publishing has made sure of."""
        return self.providers[name]

    def source(self, name: str) -> Source:
        """The source called `name`. Raises Invalid where there is none."""
        found = self.sources.get(name)
        if found is None:
            raise Invalid(f"there is no source {name!r}{nearest(name, self.sources)}")
        return found

    def _unknown(self, name: str) -> NoReturn:
        raise UnknownModel(f"there is no model {name!r}{nearest(name, self.models)}", param="model")


def publishable(
    document: Mapping[str, Any], reader: Reader, listings: Listings, secrets: Secrets, provider: type[Kind]
) -> Catalog:
    """The catalog that `document` describes. Raises InvalidConfiguration with every fault that can be seen at once."""
    draft = _Draft(listings, secrets)
    draft.read(document, reader, provider)
    draft.check()
    if draft.findings:
        raise InvalidConfiguration(draft.findings)
    return Catalog(
        revision_of(document),
        draft.providers,
        draft.models,
        draft.profiles,
        rules=draft.rules,
        outer=draft.outer,
        defaults=draft.defaults,
        sources=draft.sources,
    )


class _Draft:
    """A catalog while it is read and checked; models see it as their survey."""

    def __init__(self, listings: Listings, secrets: Secrets) -> None:
        self.listings = listings
        self.secrets = secrets
        self.findings: list[Finding] = []
        self.providers: dict[str, Kind] = {}
        self.sources: dict[str, Source] = {}
        self.models: dict[str, Model] = {}
        self.profiles: dict[str, Profile] = {}
        self.rules: dict[str, tuple[Policy, ...]] = {}
        self.outer: tuple[Policy, ...] = ()
        self.defaults: dict[Task, str] = {}
        self._named: dict[str, set[str]] = {section: set() for section in _SECTIONS}

    def profile(self, name: str) -> Profile:
        return self.profiles.get(name, Profile())

    def provider(self, name: str) -> Kind | None:
        return self.providers.get(name)

    def provider_names(self) -> Iterable[str]:
        return self._named["providers"]

    def source(self, name: str) -> Source | None:
        return self.sources.get(name)

    def source_names(self) -> Iterable[str]:
        return self._named["sources"]

    def read(self, document: Mapping[str, Any], reader: Reader, provider: type[Kind]) -> None:
        for key in document:
            if key not in _SECTIONS:
                hint = f"{nearest(str(key), _SECTIONS)}; known are {', '.join(_SECTIONS)}"
                self._fault((key,), f"there is no section {key!r} here{hint}")
        self.providers |= self._section("providers", provider, document, reader)
        self.sources |= self._section("sources", Source, document, reader)
        self.models |= self._section("models", Model, self._without_rules(document, reader), reader)
        self.outer = self._policies(document.get("policies"), ("policies",), reader)
        self.defaults |= self._defaults(document.get("defaults"))

    def _section(self, section: str, contract: type[K], document: Mapping[str, Any], reader: Reader) -> dict[str, K]:
        entries = document.get(section)
        if entries is None:  # a section that is begun and still empty
            return {}
        if not isinstance(entries, Mapping):
            self._fault((section,), "expected a mapping of names to settings")
            return {}
        kinds: dict[str, K] = {}
        for name, raw in entries.items():
            self._named[section].add(str(name))
            if not _NAME.fullmatch(str(name)):
                self._fault((section, name), _NAME_RULE)
            kind, faults = reader.read(contract, raw, (section, name))
            self.findings += faults
            kind = kind or _half(contract, raw, (section, name), faults, reader)
            if kind is not None:
                kinds[str(name)] = kind
        return kinds

    def _without_rules(self, document: Mapping[str, Any], reader: Reader) -> Mapping[str, Any]:
        """The document with each model's policies taken out and read: they stand around it, whatever its kind."""
        models = document.get("models")
        if not isinstance(models, Mapping):
            return document
        bare = dict(models)
        for name, raw in models.items():
            if isinstance(raw, Mapping) and "policies" in raw:
                self.rules[str(name)] = self._policies(raw["policies"], ("models", name, "policies"), reader)
                bare[name] = {key: value for key, value in raw.items() if key != "policies"}
        return {**document, "models": bare}

    def _policies(self, entries: object, path: tuple[str | int, ...], reader: Reader) -> tuple[Policy, ...]:
        if entries is None:
            return ()
        if not isinstance(entries, list | tuple):
            self._fault(path, "expected a list of policies, the outermost first")
            return ()
        policies: list[Policy] = []
        for index, raw in enumerate(entries):
            policy, faults = reader.read(Policy, raw, (*path, index))
            self.findings += faults
            if policy is not None:
                self.findings += [Finding((*path, index, *fault.path), fault.message) for fault in policy.faults()]
                policies.append(policy)
        return tuple(policies)

    def _defaults(self, entries: object) -> Iterator[tuple[Task, str]]:
        if entries is None:
            return
        if not isinstance(entries, Mapping):
            self._fault(("defaults",), "expected a mapping of tasks to names of models")
            return
        for task, name in entries.items():
            if task not in TASKS:
                hint = nearest(str(task), TASKS)
                self._fault(("defaults", task), f"there is no task {task!r}{hint}; known are {', '.join(TASKS)}")
            elif not isinstance(name, str):
                self._fault(("defaults", task), "expected the name of a model")
            else:
                yield task, name

    def _fault(self, path: tuple[str | int, ...], message: str) -> None:
        self.findings.append(Finding(path, message))

    def check(self) -> None:
        mentioned = {name: list(model.mentions()) for name, model in self.models.items()}
        for name, mentions in mentioned.items():
            for path, other in mentions:
                if other not in self._named["models"]:
                    hint = nearest(other, self._named["models"])
                    self.findings.append(Finding(("models", name, *path), f"there is no model {other!r}{hint}"))
        order, loops = _ordered(
            {
                name: list(dict.fromkeys(other for _, other in mentions if other in self.models))
                for name, mentions in mentioned.items()
            }
        )
        for loop in loops:
            self.findings.append(
                Finding(
                    ("models", loop[0]), f"models would ask each other without end: {' -> '.join((*loop, loop[0]))}"
                )
            )
        for name in order:
            model = self.models[name]
            self.findings += [Finding(("models", name, *fault.path), fault.message) for fault in model.faults(self)]
            self.profiles[name] = model.profile(self)
        for task, name in self.defaults.items():
            self._check_default(task, name)
        for name, source in self.sources.items():
            found = source.faults(self.secrets)
            self.findings += [Finding(("sources", name, *fault.path), fault.message) for fault in found]
        for name, provider in self.providers.items():
            self.findings += [
                Finding(("providers", name, *fault.path), fault.message)
                for fault in _secret_faults(provider, self.secrets)
            ]

    def _check_default(self, task: Task, name: str) -> None:
        if name not in self._named["models"]:
            self._fault(("defaults", task), f"there is no model {name!r}{nearest(name, self._named['models'])}")
        elif not _may(self.profile(name), task):
            does = " and ".join(sorted(self.profile(name).tasks or ()))
            self._fault(("defaults", task), f"{name!r} does {does}; it takes no requests for {task}")


def _only_choices(profiles: Mapping[str, Profile]) -> dict[Task, str]:
    """The tasks that one model is known to do and that no other may do."""
    able = {task: [name for name, profile in profiles.items() if _may(profile, task)] for task in TASKS}
    return {task: names[0] for task, names in able.items() if len(names) == 1 and profiles[names[0]].tasks}


def _may(profile: Profile, task: Task) -> bool:
    """Whether it may do this; one of which nobody knows what it does may do anything."""
    return profile.tasks is None or task in profile.tasks


def _half(
    contract: type[K], raw: object, path: tuple[str | int, ...], faults: Iterable[Finding], reader: Reader
) -> K | None:
    """An entry without its faulty settings, to see what else is wrong with it; it is never published."""
    faulty = {fault.path[len(path)] for fault in faults if len(fault.path) > len(path)}
    if not faulty or not isinstance(raw, Mapping):
        return None
    kind, others = reader.read(contract, {key: value for key, value in raw.items() if key not in faulty}, path)
    return None if others else kind


def _ordered(edges: Mapping[str, list[str]]) -> tuple[list[str], list[list[str]]]:
    """Names with those first that others mention, and every loop that a depth-first walk closes."""
    order: list[str] = []
    loops: list[list[str]] = []
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        trail: list[str] = [start]
        branches: list[Iterator[str]] = [iter(edges[start])]
        while trail:
            following = next(branches[-1], None)
            if following is None:
                done.add(trail[-1])
                order.append(trail.pop())
                branches.pop()
            elif following in trail:
                loops.append(trail[trail.index(following) :])
            elif following not in done:
                trail.append(following)
                branches.append(iter(edges[following]))
    return order, loops


def _secret_faults(provider: Kind, secrets: Secrets) -> Iterator[Finding]:
    for field in msgspec.structs.fields(provider):
        value = getattr(provider, field.name)
        if not isinstance(value, Secret):
            continue
        if bool(value.env) == bool(value.file):
            yield Finding((field.encode_name,), "a credential stands either in a variable, `env`, or in a file, `file`")
        elif secrets.reveal(value) is None:
            yield Finding((field.encode_name,), f"{value} is missing or empty")
