"""A configuration file becomes plain data with the line of every path, or faults that each say where."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.configuration import Misread, described, read_sheet
from dirigent.core.errors import Finding, InvalidConfiguration


def sheet(folder: Path, text: str | bytes) -> Path:
    file = folder / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(folder: Path, text: str | bytes) -> list[str]:
    """The faults of a file that cannot be read, without the name of the file."""
    file = sheet(folder, text)
    with pytest.raises(InvalidConfiguration) as refused:
        read_sheet(file)
    return [line.removeprefix(f"{file}:") for line in described(refused.value, file)]


def test_every_path_has_the_line_on_which_it_stands(tmp_path: Path) -> None:
    text = "models:\n  a: {type: x}\n\n  # words\n  b:\n    list:\n      - 1\n      - {k: v}\n"

    read = read_sheet(sheet(tmp_path, text))

    assert read.document == {"models": {"a": {"type": "x"}, "b": {"list": [1, {"k": "v"}]}}}
    assert [read.line(path) for path in [("models",), ("models", "b"), ("models", "b", "list", 1, "k")]] == [1, 5, 8]


def test_a_path_that_is_not_there_has_the_line_of_the_nearest_thing_around_it(tmp_path: Path) -> None:
    read = read_sheet(sheet(tmp_path, "a:\n  b: 1\n"))

    assert read.line(("a", "b", "c", 7)) == 2
    assert read.line(("z",)) == 1


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("NO", "NO"), ("2001-01-01", "2001-01-01"), ("1:30", "1:30"),
        ("7", 7), ("-7", -7), ("1_000", 1000), ("0x1f", "0x1f"), ("'7'", "7"), ('"true"', "true"),
        ("0.1", Decimal("0.1")), ("2.50", Decimal("2.50")), ("1e3", Decimal("1e3")), (".5", Decimal("0.5")),
        (".nan", ".nan"), ("9" * 40, "9" * 40),
    ],
)  # fmt: skip
def test_a_scalar_is_what_it_looks_like_and_nothing_cleverer(tmp_path: Path, written: str, value: object) -> None:
    read = read_sheet(sheet(tmp_path, f"a: {written}\n")).document["a"]

    assert read == value
    assert type(read) is type(value)


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert read_sheet(sheet(tmp_path, "")).document == {}
    assert read_sheet(sheet(tmp_path, "# nothing\n")).document == {}
    assert read_sheet(sheet(tmp_path, b"\xef\xbb\xbfa: 1\n")).document == {"a": 1}


@pytest.mark.parametrize(
    "value",
    ["{{ x }}", "{{ input.text }} and more", "{{ x | money('EUR', 'de') }}", '{{ x["a"] }}', "{{ x ? 'a' : 'b' }}"],
)
@pytest.mark.parametrize("before", ["prompt: ", "- ", "a: {b: 1}\nprompt: "])
def test_a_template_without_quotation_marks_is_told_to_need_them(before: str, value: str, tmp_path: Path) -> None:
    file = sheet(tmp_path, f"steps:\n  {before.replace(chr(10), chr(10) + '  ')}{value}\n")

    try:
        read = read_sheet(file)
    except Misread as misread:
        told = described(misread, file)
    else:
        told = described(Misread(read.faults, read), file)

    assert len(told) == 1
    assert "a text that begins with `{{` needs quotation marks" in told[0]


def test_what_the_format_does_not_allow_is_named_all_at_once_with_path_and_line(tmp_path: Path) -> None:
    text = "a: &x 1\nb: *x\nc: !!python/name:os.system 1\nd:\n  e: 1\n  e: 2\n? [k]\n: 1\n"
    file = sheet(tmp_path, text)

    read = read_sheet(file)
    named = described(Misread(read.faults, read), file)

    assert [line.removeprefix(f"{file}:") for line in named] == [
        "1: (whole file): a key is a plain text, not what stands in line 7",
        "1: a: the anchor &x is not part of this format",
        "2: b: the alias *x is not part of this format; write the value out",
        "3: c: the tag tag:yaml.org,2002:python/name:os.system is not part of this format",
        "6: d.e: the key 'e' stands twice in the same mapping; first in line 5",
    ]
    assert read.document["d"] == {"e": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2\nb: 3\n", "2: (whole file): while parsing a flow sequence, did not find expected ',' or ']'"),
        ("a: 1\n b: 2\n", "2: (whole file): mapping values are not allowed in this context"),
        ("a: b: c\n", "1: (whole file): mapping values are not allowed in this context"),
        ("- a\n", "1: (whole file): the file holds no mapping: it has sections such as `providers:` and `models:`"),
        ("a: 1\n---\nb: 2\n", "2: (whole file): the file holds a second document; only one is read"),
        ("a: 1\nb: \x00\n", "2: (whole file): the character '\\x00' is not allowed in YAML"),
        (b"a: 1\nb: \xe4\n", "2: (whole file): the file is not UTF-8: byte 0xe4 is out of place"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_refused_with_the_line_of_the_fault(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert refusal(tmp_path, text) == [words]


@pytest.mark.parametrize("text", ["- " * 200_000, "[" * 200_000, "{a: " * 100_000])
def test_no_nesting_is_deep_enough_to_end_the_process(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == ["1: (whole file): the file is nested more than 64 levels deep"]


def test_a_file_that_is_not_there_or_no_file_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read: No such file"):
        read_sheet(tmp_path / "nowhere.yaml")
    with pytest.raises(InvalidConfiguration, match="cannot be read: Is a directory"):
        read_sheet(tmp_path)


def test_a_file_of_more_than_four_mebibytes_is_not_read(tmp_path: Path) -> None:
    assert refusal(tmp_path, "#" * (4 * 1024 * 1024 + 1)) == ["1: (whole file): the file is larger than 4 MiB"]


def test_faults_are_described_in_the_order_of_the_file(tmp_path: Path) -> None:
    read = read_sheet(sheet(tmp_path, "a: 1\nb: 2\nc: 3\n"))
    findings = [Finding(("c",), "third"), Finding(("a", 0, "x"), "first"), Finding(("b",), "second")]

    named = described(Misread(findings, read), read.file)

    assert [line.rsplit("/", 1)[1] for line in named] == [
        "c.yaml:1: a[0].x: first",
        "c.yaml:2: b: second",
        "c.yaml:3: c: third",
    ]


@given(
    written=st.binary(max_size=200) | st.text(alphabet="a: -[]{}\n\t'\"&*!|>%@`#,?0.1\\", max_size=80).map(str.encode)
)
def test_any_bytes_are_read_or_refused_with_a_line(written: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = sheet(tmp_path_factory.getbasetemp(), written)

    try:
        found = read_sheet(file).faults
    except InvalidConfiguration as refused:
        found = refused.findings

    assert all(finding.message for finding in found)


@pytest.mark.parametrize(
    ("written", "line", "advice"),
    [
        ("models:\n\tm: {type: echo}\n", 2, "not a tab"),
        ("models:\n  m: {type: echo}\n   p: {type: echo}\n", 3, "same column"),
    ],
)
def test_mistakes_of_beginners_are_answered_with_advice(written: str, line: int, advice: str, tmp_path: Path) -> None:
    (fault,) = refusal(tmp_path, written)

    assert f":{line}" in fault or fault.startswith(f"{line}")
    assert advice in fault
