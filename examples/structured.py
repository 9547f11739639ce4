"""An answer with a given structure. The embedded model is held to it token by token, so even a small one keeps it.

export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=$(cat .dirigent/first-key)
python examples/structured.py "The printer on the third floor has not worked since Monday."
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from openai import OpenAI
from pydantic import BaseModel, Field

text = sys.argv[1] if len(sys.argv) > 1 else "The printer on the third floor has not worked since Monday."


class Ticket(BaseModel):
    """What the help desk needs to know."""

    team: Literal["hardware", "software", "network"]
    urgency: Annotated[int, Field(ge=1, le=5)]
    # A bound on every text: without one a small model may write until it may not write any more.
    summary: Annotated[str, Field(min_length=1, max_length=80)]


completion = OpenAI().chat.completions.parse(
    model="auto",
    messages=[
        {"role": "system", "content": "Fill in a ticket for the message of a colleague."},
        {"role": "user", "content": text},
    ],
    response_format=Ticket,
    temperature=0,
    max_tokens=200,
)
ticket = completion.choices[0].message.parsed
if ticket is None:
    sys.exit("the answer has no ticket in it")
print(ticket.model_dump_json(indent=2))
