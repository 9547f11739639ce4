"""What `make install` fetches: pinned, hashed, from wherever the operator's index is, and not much of it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tests.parsed import ROOT

LOCKS = ("base", "local", "office", "all", "dev", "build", "compile", "uv")
BASE_AT_MOST, LOCAL_AT_MOST = 25, 40


def test_each_lock_holds_what_the_project_asks_for() -> None:
    extras = project()["project"]["optional-dependencies"]
    base = project()["project"]["dependencies"]
    local = base + extras["local"] + extras["postgres"]
    whole = base + [line for extra in extras.values() for line in extra]
    asked = {"base": base, "local": local, "office": local + extras["office"], "all": whole}

    for lock, requirements in {**asked, "dev": whole + project()["dependency-groups"]["dev"]}.items():
        missing = {pinned(line) for line in requirements} - set(pins(lock))
        assert missing == set(), f"requirements/{lock}.txt is stale: run `make lock`"


def test_the_build_backend_is_the_one_that_is_locked() -> None:
    wanted = project()["build-system"]["requires"]

    assert {pinned(line) for line in wanted} <= set(pins("build"))


def test_every_pin_carries_a_hash_and_no_lock_says_where_to_fetch() -> None:
    for lock in LOCKS:
        text = text_of(lock)
        assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins(lock)), lock
        assert "://" not in text
        assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)", text, re.MULTILINE)


def test_an_installation_stays_small() -> None:
    assert len({pin.partition("==")[0] for pin in pins("base")}) <= BASE_AT_MOST
    assert len({pin.partition("==")[0] for pin in pins("local")}) <= LOCAL_AT_MOST


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of(lock: str) -> str:
    """A lock file as it stands."""
    return (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")


def pins(lock: str) -> list[str]:
    """The pins of a lock file, each as `name==version`."""
    return [pinned(line) for line in text_of(lock).splitlines() if re.match(r"[A-Za-z0-9]", line)]


def pinned(requirement: str) -> str:
    """A requirement without extras, markers and hashes, its name as the index spells it."""
    name, _, version = re.split(r"[ ;]", re.sub(r"\[.*?\]", "", requirement), maxsplit=1)[0].partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"
