"""The habits of the source that no linter knows: where the environment is read, where money is computed."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tests.parsed import MODULES, imported_modules, imported_names, imports, lives_in, place, tree

READS_THE_ENVIRONMENT = (
    "settings.py",
    "local/process.py",  # the child that holds the weights: native code is tuned by variables, and only by them
)
STARTS_PROGRAMS = (
    "annex",
    "cli/stage.py",  # a demo has a node of its own
    "local",
    "store/upgrade.py",  # what changes schemas is large, and ends when the schema stands
    "workers.py",
)
SPEAKS_HTTP = (
    "cli/client.py",  # the command line is a caller like any other
    "gateway",
    "admin",
    "net",
    "dialects",  # what a provider's status means is part of its wire format
    "core/ports.py",
    "local/sources.py",
    "models/deployment.py",
    "models/calling.py",  # steps call services of others, whose answers are statuses
    "models/steps/http.py",
)
RETELLS_STATUSES = (
    # what a caller was told is a fact here, which is kept, shown and counted; none of them chooses a status
    "control/records.py",
    "store/records.py",
    "telemetry/conventions.py",
    "store/recording.py",
    "telemetry/metrics.py",
)
STANDS = (
    # how a run stands is a word, such as `waiting`, and none of HTTP's numbers
    "control/bulk.py",
    "control/runs.py",
    "core/traces.py",
    "durable.py",
    "memory/journal.py",
    "store/brief.py",
    "store/bulks.py",
    "store/deliveries.py",
    "store/journal.py",
    "store/runs.py",
    "store/walks.py",
)
SAYS_NOTHING = re.compile(r"(Manager|Handler|Helper|Hybrid|Utils?|Info|Processor)$")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handlers"}
LONGEST = 400


def test_every_module_says_what_it_is_for() -> None:
    silent = [place(module) for module in MODULES if not ast.get_docstring(tree(module))]

    assert silent == []


def test_no_import_hides_in_a_function_or_behind_a_condition() -> None:
    hidden = [
        f"{place(module)}:{statement.lineno}"
        for module in MODULES
        for statement in imports(module)
        if statement not in tree(module).body
    ]

    assert hidden == []


def test_a_long_file_states_its_reason() -> None:
    texts = {place(module): module.read_text(encoding="utf-8") for module in MODULES}

    unexplained = [
        name
        for name, text in texts.items()
        if text.count("\n") > LONGEST and f"Longer than {LONGEST} lines, because" not in text
    ]

    assert unexplained == []


def test_no_name_is_one_that_says_nothing() -> None:
    classes = {
        f"{place(module)}: {node.name}"
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef) and SAYS_NOTHING.search(node.name)
    }

    assert classes == set()
    assert [place(module) for module in MODULES if module.stem in EMPTY_NAMES] == []


def test_the_environment_is_read_in_the_settings_alone() -> None:
    words = {"environ", "environb", "getenv", "getenvb", "putenv"}

    readers = [
        place(module)
        for module in MODULES
        if not lives_in(module, READS_THE_ENVIRONMENT)
        and (attributes_of(module, "os") | {name for source, name in imported_names(module) if source == "os"}) & words
    ]

    assert readers == []


def test_programs_are_started_only_where_the_machine_is_known() -> None:
    modules = {"subprocess", "multiprocessing", "pty"}
    calls = {
        "create_subprocess_exec",
        "create_subprocess_shell",
        "posix_spawn",
        "posix_spawnp",
        "execv",
        "execve",
        "execvp",
    }

    starters = [
        place(module)
        for module in MODULES
        if not lives_in(module, STARTS_PROGRAMS) and (imported_modules(module) & modules or attributes(module) & calls)
    ]

    assert starters == []


def test_no_http_client_of_the_standard_library_is_used() -> None:
    clients = {"http.client", "urllib.request", "ftplib", "smtplib", "xmlrpc.client"}

    users = [
        place(module)
        for module in MODULES
        if place(module) != "net/mail.py"  # which sends e-mail, and that alone
        and (imported_modules(module) | {f"{source}.{name}" for source, name in imported_names(module)}) & clients
    ]

    assert users == []


def test_statuses_are_spoken_only_where_http_is_spoken() -> None:
    words = {"status", "status_code", "HTTPStatus"}

    speakers = [
        place(module)
        for module in MODULES
        if not lives_in(module, SPEAKS_HTTP)
        and (
            "http" in imported_modules(module)
            or attributes(module) & (words - {"status"} if lives_in(module, RETELLS_STATUSES + STANDS) else words)
        )
    ]

    assert speakers == []


def test_money_is_computed_in_one_place_only() -> None:
    computed = [
        f"{place(module)}:{node.lineno}"
        for module in MODULES
        if place(module) != "core/usage.py"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.BinOp | ast.AugAssign)
        if any(isinstance(part, ast.Attribute) and part.attr == "nano" for part in ast.walk(node))
    ]

    assert computed == []


def test_the_ground_stands_on_the_standard_library_and_msgspec_alone() -> None:
    allowed = sys.stdlib_module_names | {"msgspec"}

    foreign = {
        f"{place(module)} imports {name}"
        for module in MODULES
        if lives_in(module, ["core"])
        for name in imported_modules(module)
        if name.partition(".")[0] not in allowed and not name.startswith("dirigent.core")
    }

    assert foreign == set()


def attributes(module: Path) -> set[str]:
    """Every attribute that a module names, of whatever."""
    return {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}


def attributes_of(module: Path, name: str) -> set[str]:
    """Every attribute that a module takes of the bare name `name`."""
    return {
        node.attr
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
