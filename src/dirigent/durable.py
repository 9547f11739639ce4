"""Runs that survive their process: how a request becomes one, and how it goes on, segment by segment.

A run stays on the catalog of the revision with which it began. What it may do is asked anew at each segment: a key
that was revoked meanwhile ends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Any

from dirigent.conductor import Conductor
from dirigent.core.allowances import Charge
from dirigent.core.errors import Forbidden, Overrun, Unsupported
from dirigent.core.events import collect
from dirigent.core.journal import Began, Claimed, Ended, State, Submission, read
from dirigent.core.logbook import Append, Facts, Logbook
from dirigent.core.messages import Message, Request, Text, Unread
from dirigent.core.observations import Served
from dirigent.core.outputs import plain
from dirigent.core.run import Record, Run
from dirigent.core.spending import spent_in
from dirigent.dialects.dialect import Dialect

__all__ = ["Durable"]

_PATH = "/runs"
"""What stands for the path in the record of a run that nobody called for over HTTP."""


class Durable:
    """Takes requests on as durable runs, and goes on with those that an engine has claimed."""

    def __init__(self, conductor: Conductor, dialects: Iterable[Dialect]) -> None:
        self._conductor = conductor
        self._dialects = {dialect.name: dialect for dialect in dialects}
        self._records: dict[str, Record] = {}

    @staticmethod
    def submission(
        run: Run,
        request: Request,
        body: bytes,
        *,
        target: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        **more: Any,
    ) -> Submission:
        """The run that this request becomes; `body` is what came, in the request's dialect, or plain data.

        `run` was opened for it, so its caller may ask the model. Raises Unsupported where nobody could read it again.
        """
        if isinstance(request.job, Unread):
            raise Unsupported(f"a request for {request.task} cannot be taken on: it goes to its provider as it came")
        return Submission(
            run=run.id,
            principal=run.principal,
            model=run.model,
            alias=run.record.alias,
            revision=run.catalog.revision,
            dialect=request.dialect,
            body=body,
            target=target,
            headers=headers,
            purpose=run.purpose,
            priority=run.priority,
            sticky=run.sticky,
            trace=run.trace,
            submitted=time(),
            **more,
        )

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        """Goes on with a run until it is over. Raises Suspended where it waits, and what ends it otherwise."""
        submission = claimed.submission
        run = await self._opened(submission)
        run.logbook = Logbook(run.id, state, append)
        if run.allotment is not None:  # what it may use up counts from its beginning, wherever that was
            spent = spent_in(state)
            before = Charge(spent.cost, spent.input_tokens + spent.output_tokens, spent.attempts)
            run.allotment.resume(before, spent.of_models)
        self._records[run.id] = run.record
        request = self.request(submission)
        facing = run.catalog.facing(run.model)
        if run.catalog.profile(run.model).durable:  # it writes down by itself what must not be done twice
            output: Any = plain(await collect(facing.answer(request, run)))
        else:
            if not state.length:
                await run.logbook.write(Began(at=time()))

            async def asked(below: Run) -> tuple[object, Facts]:
                return plain(await collect(facing.answer(request, below))), {}

            output = await run.step("answer", "model", asked)
        return Ended(at=time(), status="done", output=output)

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        """Notes a run that is over, with what all its segments have used up."""
        submission, spent = claimed.submission, spent_in(state)
        record = self._records.pop(submission.run, None) or Record()
        principal = submission.principal
        status = {"done": 200, "failed": 500, "cancelled": 499}[ended.status]
        self._conductor.ports.observer.observe(
            Served(
                at=time(),
                run=submission.run,
                request=submission.run,
                tenant=principal.tenant,
                project=principal.project,
                key=principal.key,
                path=submission.target or _PATH,
                model=submission.model,
                deployment=record.deployment or spent.deployment,
                route=record.route if record.decisions else spent.reason,
                revision=submission.revision,
                status=status,
                code=ended.code,
                attempts=spent.attempts,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                cost=None if spent.unpriced else spent.cost,
                seconds=max(0.0, time() - submission.submitted),
                purpose=submission.purpose,
                member=principal.member,
                transaction=submission.transaction,
            )
        )

    def rested(self, run: str) -> None:
        """A run waits: nothing of it stays in this process."""
        self._records.pop(run, None)

    def request(self, submission: Submission) -> Request:
        """What was asked, read again: in the dialect in which it came, or as plain data. Raises Invalid."""
        if submission.dialect:
            headers = {name.encode(): value.encode("latin-1") for name, value in submission.headers}
            dialect = self._dialects[submission.dialect]
            request = dialect.read_request(submission.body, submission.target, headers)
        else:
            said = read(submission.body) if submission.body else ""
            words = said if isinstance(said, str) else submission.body.decode()
            request = Request(model=submission.model, messages=(Message("user", (Text(words),)),))
        return request.changed(model=submission.model, stream=False, include_usage=False)

    async def _opened(self, submission: Submission) -> Run:
        """The run on its own catalog, by the rights of now. Raises what a conductor raises, and Overrun."""
        now, principal = time(), submission.principal
        if principal.expires is not None and principal.expires <= now:
            raise Forbidden(f"the key {principal.key} has expired")
        if submission.ends is not None and submission.ends <= now:
            raise Overrun("the time in which the run was to be over has passed")
        run = self._conductor.open(
            submission.run,
            submission.model,
            principal,
            priority=submission.priority,
            purpose=submission.purpose,
            sticky=submission.sticky,
            trace=submission.trace,
            on=await self._conductor.pinned(submission.revision),
            alias=submission.alias,
        )
        if submission.ends is not None:
            run.deadline = min(run.deadline, run.started + submission.ends - now)
        return run
