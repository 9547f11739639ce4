"""What stands in the data folder of a node from its first start on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex, token_urlsafe
from socket import gethostname

from dirigent.core.errors import DirigentError
from dirigent.local.kit import BETTER, DEFAULT, SMALL
from dirigent.local.weights import locate
from dirigent.settings import Settings

__all__ = ["first_key", "node_name", "prepared"]


def first_key(data: Path) -> str:
    """The key that a new data folder begins with; made once, readable by its owner only.

    Raises DirigentError where the file holds no key any more.
    """
    file = data / "first-key"
    try:
        key = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        key = f"dk-{token_urlsafe(32)}"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(key + "\n")
        return key
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise DirigentError(f"{file} holds no key; remove it, and a new one is made")
    return key


def prepared(settings: Settings) -> bool:
    """Makes the data folder with its first key and, unless a file was named, the commented starter configuration.

    True where the configuration is new.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    first_key(settings.data)
    file = settings.config_file
    if settings.config is not None or file.exists():
        return False
    present = [name for name in (DEFAULT, BETTER, SMALL) if locate(name, settings.data / "models").exists()]
    text = (Path(__file__).parents[1] / "starter.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("WEIGHTS", present[0] if present else DEFAULT), encoding="utf-8")
    return True


def node_name(data: Path) -> str:
    """The name of the node whose folder this is: the machine's, and a mark that stays for as long as the folder."""
    file = data / "node"
    with suppress(FileNotFoundError):
        if name := file.read_text(encoding="utf-8").strip():
            return name
    draft = data / f"node.{os.getpid()}"
    draft.write_text(f"{gethostname()[:40]}-{token_hex(4)}\n", encoding="utf-8")
    with suppress(FileExistsError):  # of several workers that begin at once, one has named it
        os.link(draft, file)
    draft.unlink()
    return file.read_text(encoding="utf-8").strip()
