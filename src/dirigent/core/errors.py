"""What can go wrong, in our own words.

    DirigentError
    ├── Invalid                     the request is at fault; the same request fails again
    │   ├── UnknownModel            no model of that name is published
    │   ├── Unsupported             no candidate, or no dialect, can do what was asked
    │   ├── TooLong                 the prompt does not fit the context window
    │   └── TooLarge                the body is larger than the gateway reads
    ├── Denied                      the caller may not
    │   ├── Unauthenticated         no key, or a key that nobody issued
    │   ├── Forbidden               a rule of access or of the purpose says no; it is named
    │   ├── PurposeRequired         the request names no purpose, or one that its key may not name
    │   ├── BudgetExceeded          the money of a budget is used up, or would be by this request
    │   ├── LimitExceeded           the requests, tokens or calls of a limit are used up for now
    │   └── PriceUnknown            a budget stands, and nobody knows what this deployment costs
    ├── Failed                      what stands behind us failed
    │   ├── Unavailable             not reachable, overloaded or still loading
    │   │   ├── Busy                all its places are taken, and the queue is full or too slow
    │   │   └── NoCandidate         every candidate of a router failed or was ruled out
    │   ├── TimedOut                no answer within the time that was given
    │   ├── RateLimited             the provider asked us to slow down
    │   ├── Misconfigured           the provider refused our credentials or does not know the deployment
    │   └── BadAnswer               the provider's answer cannot be read
    ├── Rejected                    the provider says that the request is at fault
    ├── Overrun                     the run met its own limit of depth or time
    └── InvalidConfiguration        a configuration was refused, with each of its faults

Each error carries a stable `code` for programs, `retryable` (asking again later may succeed) and `fallback` (another
candidate may succeed now). No error here knows HTTP; `gateway/errors.py` alone maps codes to statuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

__all__ = [
    "BadAnswer",
    "BudgetExceeded",
    "Busy",
    "Denied",
    "DirigentError",
    "Failed",
    "Finding",
    "Forbidden",
    "Invalid",
    "InvalidConfiguration",
    "LimitExceeded",
    "Misconfigured",
    "NoCandidate",
    "Overrun",
    "PriceUnknown",
    "PurposeRequired",
    "RateLimited",
    "Rejected",
    "TimedOut",
    "TooLarge",
    "TooLong",
    "Unauthenticated",
    "Unavailable",
    "UnknownModel",
    "Unsupported",
]


class DirigentError(Exception):
    """The root of all that Dirigent raises on purpose."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    fallback: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The field of the request that is at fault, as the caller wrote it, such as `messages[0].role`."""
        self.retry_after = retry_after
        """Seconds after which asking again makes sense; None where nobody said."""


class Invalid(DirigentError):
    """The request is at fault."""

    code = "invalid_request"


class UnknownModel(Invalid):
    """No model of that name is published."""

    code = "model_not_found"


class Unsupported(Invalid):
    """The request asks for something that no candidate can do, or that the provider's dialect cannot say."""

    code = "unsupported"
    fallback = True


class TooLong(Invalid):
    """The prompt does not fit into the model's context window; a model with a larger one may take it."""

    code = "context_length_exceeded"
    fallback = True


class TooLarge(Invalid):
    """The body is larger than the gateway reads."""

    code = "request_too_large"


class Denied(DirigentError):
    """The caller is known, but may not do this."""

    code = "forbidden"
    rule: str = ""
    """The rule that said so, in our own words alone; empty where the message has no others either."""


class Unauthenticated(Denied):
    """The request carries no key, or one that is not valid."""

    code = "invalid_api_key"


class Forbidden(Denied):
    """A rule says no; the message names it. Another candidate of a router may be permitted."""

    fallback = True


class PurposeRequired(Denied):
    """Every request serves a registered purpose that its key may name, and this one does not say which."""

    code = "purpose_required"


class BudgetExceeded(Denied):
    """A budget is used up, or would be by this request: nobody was asked. A cheaper candidate may still fit."""

    code = "budget_exceeded"
    fallback = True

    def __init__(self, message: str, *, level: str, subject: str, resets: float | None = None) -> None:
        super().__init__(message)
        self.level = level
        self.subject = subject
        self.resets = resets
        """When the window ends, in seconds since 1970; None where it never does."""


class LimitExceeded(Denied):
    """A limit is used up for now; `retry_after` says when asking again makes sense."""

    code = "limit_exceeded"
    retryable = True
    fallback = True


class PriceUnknown(Denied):
    """A budget stands, and what is not known to be affordable is not asked."""

    code = "price_unknown"
    fallback = True


class Failed(DirigentError):
    """Something behind the gateway failed; the request itself may be fine."""

    code = "provider_error"
    retryable = True
    fallback = True
    unasked = False
    """Whether it is certain that the request has reached nobody, since no connection came about."""


class Unavailable(Failed):
    """A deployment cannot be reached, is overloaded or is still loading."""

    code = "unavailable"


class Busy(Unavailable):
    """A deployment answers as many requests as it may, and the queue before it is full or did not move in time."""

    code = "busy"


class NoCandidate(Unavailable):
    """Every candidate of a router failed or was ruled out; the message names each with its reason."""

    code = "no_candidate"


class TimedOut(Failed):
    """A deployment did not answer within the time that it was given."""

    code = "timeout"


class RateLimited(Failed):
    """The provider asked us to slow down."""

    code = "rate_limit_exceeded"


class Misconfigured(Failed):
    """The provider refused our credentials or does not know the deployment: the operator has to act, not the caller."""

    code = "deployment_misconfigured"
    retryable = False


class BadAnswer(Failed):
    """The provider answered something that its own dialect does not allow."""

    code = "bad_answer"


class Rejected(DirigentError):
    """The provider says that the request is at fault; its own words are kept."""

    code = "invalid_request"

    def __init__(
        self, message: str, *, param: str | None = None, kind: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.kind = kind
        """The provider's `type` of the error, if it gave one."""
        self.reason = reason
        """The provider's own `code`, if it gave one."""


class Overrun(DirigentError):
    """The run met its own limit of depth or time."""

    code = "run_limit_exceeded"


class Finding(msgspec.Struct, frozen=True):
    """One fault of a configuration: where it stands and what is wrong, in words that tell how to mend it."""

    path: tuple[str | int, ...]
    message: str

    def dotted(self) -> str:
        """The path as people write it: `models.auto.candidates[2]`."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text or "(whole file)"


class InvalidConfiguration(DirigentError):
    """A configuration was refused as a whole; `findings` names every fault that could be seen at once."""

    code = "invalid_configuration"

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{finding.dotted()}: {finding.message}" for finding in findings))
        self.findings = tuple(findings)
