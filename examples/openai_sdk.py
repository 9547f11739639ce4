"""OpenAI's own client, unchanged: only its address and its key are ours.

export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=$(cat .dirigent/first-key)
python examples/openai_sdk.py "What is a pipeline, in one sentence?"
"""

from __future__ import annotations

import sys

from openai import OpenAI

question = sys.argv[1] if len(sys.argv) > 1 else "What is a pipeline, in one sentence?"
client = OpenAI()  # address and key from OPENAI_BASE_URL and OPENAI_API_KEY

# `with_raw_response` only because we want to see the headers; `client.chat.completions.create` alone works as well.
answer = client.chat.completions.with_raw_response.create(
    model="auto", messages=[{"role": "user", "content": question}], max_tokens=200
)
completion = answer.parse()

print(completion.choices[0].message.content)
print()
print("answered by", answer.headers["x-dirigent-model"])
print("because", answer.headers["x-dirigent-route"])
print("for", answer.headers.get("x-dirigent-cost", "a cost that nobody knows"))
