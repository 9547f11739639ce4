"""Who of a router's candidates cannot take a request, and what is told where nobody has answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dirigent.core.errors import (
    BudgetExceeded,
    Denied,
    DirigentError,
    Forbidden,
    Invalid,
    Misconfigured,
    NoCandidate,
    RateLimited,
    TooLong,
    Unavailable,
    Unsupported,
)
from dirigent.core.messages import Audio, File, Image, Request
from dirigent.core.ports import Capability
from dirigent.core.profile import Profile
from dirigent.core.run import Run

__all__ = ["Field", "joint", "ruled_out_of"]


class Field:
    """All whom a router may ask, and what is known of them for as long as one catalog lasts."""

    __slots__ = ("choosy", "names", "of", "profiles", "spare", "strategy")

    def __init__(
        self,
        of: object,
        names: tuple[str, ...],
        spare: tuple[str, ...],
        profiles: Mapping[str, Profile],
        strategy: str,
    ) -> None:
        self.of = of
        """The router: held, so that its identity is nobody else's meanwhile."""
        self.names = names
        self.spare = spare
        """Those that are fallbacks alone."""
        self.profiles = profiles
        """Each once, in the order of the names."""
        self.strategy = strategy
        self.choosy = any(profile.capabilities is not None for profile in profiles.values())
        """Whether anybody is known to lack something."""


def ruled_out_of(
    field: Field, request: Request, run: Run, issuer: str | None
) -> tuple[Mapping[str, DirigentError], bool]:
    """Who cannot take the request, and why: rights first, then capabilities, room, bonds and health.

    The truth value says that all who could take it rest.
    """
    needs = tuple(_needs(request)) if field.choosy else ()
    out: dict[str, DirigentError] = {}
    resting: list[str] = []
    kept = issuer if request.previous is not None else None
    may_reach, healthy, task = run.grant.may_reach, run.ports.vitals.healthy, request.task
    for name, profile in field.profiles.items():
        if not (ruling := may_reach(name, profile.region, leaf=profile.leaf)).permitted:
            out[name] = Forbidden(ruling.rule)
        elif profile.tasks is not None and task not in profile.tasks:
            out[name] = Unsupported(f"it takes no requests for {task}")
        elif needs and (lacking := _lacking(needs, profile)):
            out[name] = Unsupported(f"it lacks {' and '.join(lacking)}")
        elif profile.context_window is not None and (why := _too_small(profile.context_window, request)):
            out[name] = TooLong(why)
        elif kept is not None and name != kept:
            out[name] = Unsupported(f"{kept} keeps the conversation that is continued")
        elif not healthy(name):
            resting.append(name)
    if not resting:
        return out, False
    all_rest = len(out) + len(resting) == len(field.profiles)
    if not all_rest:  # were all of them resting, trying would be better than refusing
        out |= {name: _resting(name, run) for name in resting}
    return out, all_rest


def _lacking(needs: Iterable[Capability], profile: Profile) -> list[Capability]:
    able = profile.capabilities
    return [] if able is None else [need for need in needs if need not in able]


def _resting(name: str, run: Run) -> Unavailable:
    standing = run.ports.vitals.standing(name)
    why = "its provider asks to wait" if standing.state == "limited" else "it rests after repeated failures"
    return Unavailable(why, retry_after=max(1.0, standing.rests))


def _needs(request: Request) -> Iterable[Capability]:
    if request.tools:
        yield "tools"
    if request.structure is not None:
        yield "json"
    kinds = {type(part) for message in request.messages for part in message.parts}
    if Image in kinds:
        yield "images"
    if Audio in kinds:
        yield "audio"
    if File in kinds:
        yield "files"


def _too_small(window: int, request: Request) -> str:
    """Why the prompt surely does not fit, or nothing. Four characters are a token: it gets the benefit of the doubt."""
    tokens = sum(len(text) for _, text in request.texts()) // 4
    return f"about {tokens} tokens do not fit its window of {window}" if tokens > window else ""


def joint(router: str, failures: Mapping[str, DirigentError], ruled_out: Mapping[str, DirigentError]) -> DirigentError:
    """One error for all candidates: the common one where they agree, else NoCandidate with each one's reason."""
    if len(failures) == 1 and not ruled_out:
        return next(iter(failures.values()))
    reasons = "; ".join(
        [f"{name}: {error.message}" for name, error in failures.items()]
        + [f"{name}: ruled out: {error.message}" for name, error in ruled_out.items()]
    )
    errors = [*failures.values(), *ruled_out.values()]
    if all(isinstance(error, TooLong) for error in errors):
        return TooLong(f"the prompt fits no candidate of {router!r} ({reasons})", param="messages")
    if (
        errors
        and all(isinstance(error, Denied | Invalid) for error in errors)
        and (denied := [error for error in errors if isinstance(error, Denied)])
    ):
        return _denied(router, reasons, denied)
    if all(isinstance(error, Invalid) for error in errors):
        return Unsupported(f"no candidate of {router!r} can take this request ({reasons})", param="model")
    able = [error for error in errors if not isinstance(error, Invalid)]
    waits = [error.retry_after for error in able if error.retry_after is not None]
    soonest = min(waits, default=None)
    if all(isinstance(error, RateLimited) for error in able):
        return RateLimited(f"every candidate of {router!r} asks to slow down ({reasons})", retry_after=soonest)
    if all(isinstance(error, Misconfigured) for error in able):
        return Misconfigured(f"every candidate of {router!r} is set up wrongly ({reasons})")
    return NoCandidate(f"no candidate of {router!r} answered ({reasons})", retry_after=soonest)


def _denied(router: str, reasons: str, errors: Sequence[Denied]) -> Denied:
    """The refusal of a router none of whose candidates the caller may have or can afford."""
    first: Denied = next((error for error in errors if isinstance(error, BudgetExceeded)), errors[0])
    if isinstance(first, BudgetExceeded):
        words = f"no candidate of {router!r} is affordable ({reasons})"
        denied: Denied = BudgetExceeded(words, level=first.level, subject=first.subject, resets=first.resets)
    else:
        words = f"no candidate of {router!r} may take this request ({reasons})"
        denied = type(first)(words, retry_after=first.retry_after)
    # the reasons may hold a provider's words, and those a piece of what was asked
    denied.rule = "; ".join(dict.fromkeys(error.rule or error.message for error in errors))
    return denied
