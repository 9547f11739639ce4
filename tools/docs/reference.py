"""`make docs`: writes docs/reference. A test compares what it would write with what stands there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.docs.kinds import kind_pages, registries, schema
from tools.docs.pages import commands_page, errors_page, features_page, settings_page, vendors_page, weights_page
from tools.docs.words import page, plural, table

__all__ = ["FOLDER", "rendered"]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
NOTE = "<!-- Written by `make docs` out of the code; change the docstrings there. -->\n\n"


def rendered() -> dict[str, str]:
    """Every reference page by its file name."""
    pages = {
        **kind_pages(),
        "errors.md": errors_page(),
        "features.md": features_page(),
        "settings.md": settings_page(),
        "vendors.md": vendors_page(),
        "weights.md": weights_page(),
        "command-line.md": commands_page(),
    }
    pages["index.md"] = _index()
    return {
        **{name: NOTE + text for name, text in sorted(pages.items())},
        "dirigent.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
    }


def main() -> int:
    """Writes the pages and removes those that nothing is behind any more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = rendered()
    for stale in {path.name for path in FOLDER.iterdir()} - set(pages):
        (FOLDER / stale).unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages in docs/reference")
    return 0


def _index() -> str:
    kinds = [
        (f"[{plural(registry.name)}]({plural(registry.name)}.md)", registry.contract.help())
        for registry in registries()
    ]
    others = [
        ("[features](features.md)", "What is measured of a request, for rules and strategies."),
        ("[vendors](vendors.md)", "Who speaks OpenAI's chat completions, by name."),
        ("[local weights](weights.md)", "The pinned models that `dirigent pull` fetches."),
        ("[errors](errors.md)", "What can go wrong: codes, statuses, what to do."),
        ("[settings](settings.md)", "Where a node listens and keeps its things."),
        ("[command line](command-line.md)", "Every command with its options."),
        ("[dirigent.schema.json](dirigent.schema.json)", "The JSON Schema of a configuration file, for editors."),
    ]
    advice = (
        "Editors with a YAML language server check a configuration as you type if its first line is\n"
        "`# yaml-language-server: $schema=PATH/dirigent.schema.json`."
    )
    return page("# Reference", table(("page", "what"), [*kinds, *others]), advice)


if __name__ == "__main__":
    sys.exit(main())
