#!/bin/sh
# Everything with curl alone.
#
#   export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=$(cat .dirigent/first-key)
#   sh examples/curl.sh
set -eu

server=${OPENAI_BASE_URL%/v1}
ask() {
    curl --silent --show-error --fail-with-body --no-buffer \
        -H "authorization: Bearer $OPENAI_API_KEY" -H 'content-type: application/json' "$@"
    echo
}

echo '== Which models are there?'
ask "$server/v1/models"

echo '== An answer, with the headers that say who gave it and what it cost'
ask --include "$server/v1/chat/completions" \
    -d '{"model": "auto", "messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 20}'

echo '== The same, streamed'
ask "$server/v1/chat/completions" \
    -d '{"model": "auto", "messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 20, "stream": true}'

echo '== Who would answer this, and why? Nobody is asked.'
ask "$server/api/v1/route/explain" -d '{"model": "auto", "text": "Prove that there are infinitely many primes."}'

echo '== What happens to a name that nobody knows?'
ask "$server/v1/chat/completions" -d '{"model": "nobody", "messages": [{"role": "user", "content": "Hello?"}]}' || true
