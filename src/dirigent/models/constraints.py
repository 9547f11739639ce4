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

__all__ = ["joint", "ruled_out_of"]


def ruled_out_of(
    names: Iterable[str], request: Request, run: Run, issuer: str | None
) -> tuple[Mapping[str, DirigentError], bool]:
    """Who cannot take the request, and why: rights first, then capabilities, room, bonds and health.

    The truth value says that all who could take it rest.
    """
    needs = tuple(_needs(request))
    out: dict[str, DirigentError] = {}
    resting: list[str] = []
    kept = issuer if request.previous is not None else None
    for name in dict.fromkeys(names):
        profile = run.catalog.profile(name)
        if not (ruling := run.grant.may_reach(name, profile.region, leaf=profile.leaf)).permitted:
            out[name] = Forbidden(ruling.rule)
            continue
        if profile.tasks is not None and request.task not in profile.tasks:
            out[name] = Unsupported(f"it takes no requests for {request.task}")
            continue
        lacking = [need for need in needs if profile.capabilities is not None and need not in profile.capabilities]
        if lacking:
            out[name] = Unsupported(f"it lacks {' and '.join(lacking)}")
        elif why := _too_small(profile, request):
            out[name] = TooLong(why)
        elif kept is not None and name != kept:
            out[name] = Unsupported(f"{kept} keeps the conversation that is continued")
        elif not run.ports.vitals.healthy(name):
            resting.append(name)
    all_rest = bool(resting) and len(out) + len(resting) == len(set(names))
    if not all_rest:  # were all of them resting, trying would be better than refusing
        out |= {name: _resting(name, run) for name in resting}
    return out, all_rest


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


def _too_small(profile: Profile, request: Request) -> str:
    """Why the prompt surely does not fit, or nothing. Four characters are a token: it gets the benefit of the doubt."""
    if profile.context_window is None:
        return ""
    tokens = sum(len(text) for _, text in request.texts()) // 4
    return (
        f"about {tokens} tokens do not fit its window of {profile.context_window}"
        if tokens > profile.context_window
        else ""
    )


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
