"""What is compiled can be compiled, and nobody is ever served by a build of other sources than those that stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_installation import pins, project
from tools.compile import __main__ as command
from tools.compile import sources
from tools.compile.sources import SRC, compilable, digest, file_of, fresh

_READERS = {"Decoder", "decode", "convert", "schema", "schema_components", "type_info", "multi_type_info"}
"""What of msgspec looks at the annotations of a struct, which a compiled module has lost."""


def test_each_module_on_the_list_exists_and_stands_there_once() -> None:
    modules = compilable()

    assert [module for module in modules if not (SRC / file_of(module)).is_file()] == []
    assert len(modules) == len(set(modules)) > 0


@pytest.mark.parametrize("module", compilable())
def test_no_compiled_module_has_an_async_generator(module: str) -> None:
    found = [ast.unparse(node) for node in ast.walk(parsed(SRC / file_of(module))) if is_async_generator(node)]

    assert found == [], "mypyc cannot compile these: let them stand in a module of their own"


def test_the_search_for_async_generators_finds_one() -> None:
    answering = parsed(SRC / "dirigent" / "models" / "deployment.py")

    assert any(is_async_generator(node) for node in ast.walk(answering))


def test_no_struct_of_a_compiled_module_is_read_from_data() -> None:
    trees = {file: parsed(file) for file in sorted((SRC / "dirigent").rglob("*.py"))}
    compiled = {SRC / file_of(module) for module in compilable()}
    structs = {name: fields for tree in trees.values() for name, fields in structs_in(tree)}
    own = {name for file in compiled for name, _ in structs_in(trees[file])}

    read = closed({name for tree in trees.values() for name in read_in(tree)}, structs)

    assert "Price" in closed(read | {"Deployment"}, structs)  # the search follows what fields are made of
    assert own & read == set(), "their annotations are lost: let them stand in a module that is not compiled"


def test_mypyc_is_the_mypy_that_checks_the_types() -> None:
    dev = [line for line in project()["dependency-groups"]["dev"] if line.startswith("mypy==")]
    asked = [line for line in (sources.ROOT / "requirements/compile.in").read_text().splitlines() if "==" in line]

    assert dev[0] in asked
    assert set(asked) <= set(pins("compile"))


def test_a_build_counts_while_no_source_changes(built: Path, source: Path) -> None:
    assert fresh() == built

    source.write_text("ONE = 2\n", encoding="utf-8")

    assert fresh() is None


def test_a_new_file_is_a_change_even_where_it_is_old(built: Path, source: Path) -> None:
    source.rename(source.with_name("another.py"))

    assert fresh() is None
    assert built.exists()


def test_a_build_that_was_never_sealed_is_none(built: Path) -> None:
    sources.STAMP.unlink()

    assert fresh() is None
    assert built.exists()


def test_a_machine_without_a_compiler_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    status = command.main(["check"])

    assert status == 1
    assert "no C compiler" in capsys.readouterr().err


def test_a_machine_without_headers_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\n", encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})

    status = command.main(["check"])

    assert status == 1
    assert "headers" in capsys.readouterr().err


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one source file of a small project."""
    for folder in ("src/dirigent", "requirements"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("pyproject.toml", *(f"requirements/{lock}" for lock in sources._LOCKS)):
        (tmp_path / name).write_text("", encoding="utf-8")
    file = tmp_path / "src/dirigent/one.py"
    file.write_text("ONE = 1\n", encoding="utf-8")
    lists = tmp_path / "tools/compile/modules.txt"
    lists.parent.mkdir(parents=True)
    lists.write_text("dirigent.one\n", encoding="utf-8")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "SRC", tmp_path / "src")
    monkeypatch.setattr(sources, "_LIST", lists)
    return file


@pytest.fixture
def built(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program of its build, sealed."""
    program = tmp_path / ".venv-compiled/bin/dirigent"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(sources, "BUILD", tmp_path / ".venv-compiled")
    monkeypatch.setattr(sources, "STAMP", tmp_path / ".venv-compiled/.compiled")
    sources.STAMP.write_text(digest(), encoding="utf-8")
    return program


def parsed(file: Path) -> ast.Module:
    """A module's syntax."""
    return ast.parse(file.read_text(encoding="utf-8"))


def is_async_generator(node: ast.AST) -> bool:
    """Whether this is a function that is asynchronous and yields itself, not only a function within it."""
    return isinstance(node, ast.AsyncFunctionDef) and any(isinstance(each, ast.Yield) for each in own_nodes(node))


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, and not in one within it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from own_nodes(child)


def structs_in(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """The structs that a module defines, and the names in the annotations of their fields and among their bases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(each in {"Struct", "Kind", "Model"} for each in bases(node)):
            fields = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
            yield node.name, {name for field in fields for name in names(field)} | set(bases(node))


def bases(node: ast.ClassDef) -> list[str]:
    """The names of a class's bases."""
    return [name for base in node.bases for name in names(base)]


def read_in(tree: ast.Module) -> Iterator[str]:
    """The names that stand in calls of what reads data into structs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ({*names(node.func)} & _READERS):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                yield from names(argument)


def names(node: ast.AST) -> Iterator[str]:
    """All names in an expression, those in strings included."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value.isidentifier():
            yield each.value


def closed(found: set[str], structs: dict[str, set[str]]) -> set[str]:
    """These names and those of everything that the structs among them are made of."""
    while more := {name for one in found for name in structs.get(one, ())} - found:
        found |= more
    return found
