"""The command line: one command per thing a person wants, each with an example and with `--json` for programs."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from dirigent import __version__
from dirigent.cli.asking import ask, explain, models
from dirigent.cli.auditing import export, verify_audit
from dirigent.cli.operating import groups
from dirigent.cli.publishing import publish, rollback
from dirigent.cli.pulling import pull
from dirigent.cli.serving import check, serve, worker

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


_GROUPS = groups({"audit": (verify_audit, export)})
for _command in (serve, worker, pull, check, ask, explain, models, publish, rollback, *_GROUPS):
    main.add_command(_command)
