"""The command line: one command per thing a person wants, each with an example and with `--json` for programs."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from operator import attrgetter, methodcaller

import click

from dirigent import __version__
from dirigent.cli.lazy import Lazy, Row
from dirigent.cli.orders import GROUPS, ORDERS

__all__ = ["main"]

_BY_HAND = {
    "ask": Row("asking", attrgetter("ask"), "Ask a model and stream its answer."),
    "check": Row("checking", attrgetter("check"), "Name every fault of a configuration."),
    "demo": Row("demo", attrgetter("demo"), "Show a use case on sample data, offline."),
    "explain": Row("asking", attrgetter("explain"), "Show which model would answer, and why."),
    "live": Row("watching", attrgetter("live"), "Print what happens, while it happens."),
    "models": Row("asking", attrgetter("models"), "List the models of the running server."),
    "publish": Row("publishing", attrgetter("publish"), "Publish a configuration on every node."),
    "pull": Row("pulling", attrgetter("pull"), "Fetch and check the weights of a local model."),
    "rollback": Row("publishing", attrgetter("rollback"), "Go back to an earlier revision."),
    "serve": Row("serving", attrgetter("serve"), "Start the server."),
    "try": Row("trying", attrgetter("try_"), "Walk one step of a pipeline alone."),
    "worker": Row("serving", attrgetter("worker"), None),
}
_IN_GROUPS = {
    "audit": {
        "export": Row("auditing", attrgetter("export"), "Write the audit into a file that can be verified anywhere."),
        "verify": Row("auditing", attrgetter("verify_audit"), "Show whether anybody has changed the audit."),
    },
    "usage": {
        "reconcile": Row("reconciling", attrgetter("reconcile"), "Hold a provider's invoice against what was booked."),
    },
    "runs": {
        "bulk": Row("bulking", attrgetter("bulk"), "Ask a model for each row of a table."),
        "events": Row("running", attrgetter("events"), "Tell what happens in a run."),
        "fork": Row("running", attrgetter("fork"), "Begin another run from a point of this one."),
        "show": Row("running", attrgetter("show"), "Show a run."),
    },
}
_PARTS = dict.fromkeys(name.partition(".")[0] for name in ORDERS)
_ROWS = _BY_HAND | {
    part: Row("operating", methodcaller("group", part, _IN_GROUPS.get(part, {})), GROUPS.get(part, ""))
    for part in _PARTS
}


@click.group(cls=Lazy, rows=_ROWS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="dirigent %(version)s")
def main() -> None:
    """Dirigent puts all your language models behind one OpenAI-compatible endpoint.

    \b
    First steps:
      dirigent pull                     fetch the embedded model's weights
      dirigent serve                    start; prints address, key and an example
      dirigent ask auto "Hello!"        ask from the terminal
      dirigent explain auto "Hello!"    see which model would answer, and why
      dirigent keys issue               a key for a program or a person

    Exit codes: 0 done, 1 the answer is no, 2 wrong use.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a letter shows `?`, and nothing breaks
            stream.reconfigure(errors="replace")
