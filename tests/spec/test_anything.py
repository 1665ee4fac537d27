"""May anything be in a file? Whatever it holds, diagnostics come back and nothing is raised."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelctl.diagnostics import Rejected
from modelctl.spec.load import load
from modelctl.spec.project import find_project
from modelctl.spec.project_models import Project
from modelctl.spec.source import read_bytes, read_text
from modelctl.spec.wanted import ProjectFile
from tests.examples import examples
from tests.spec.folder import Folder, line
from tests.spec.test_layers import PROJECT, SPEC

FEW = settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
PIECES = [
    *":,[]{}-?&*!|>'\"%@`#~<=+._ \t\n0123456789",
    "\n  ", "\n- ", ": ", "<<: *a", "&a ", "*a", "!!python/object:os.system ", "{{ x }}", "null",
    "no", "0o17", "12:30", "1e999", ".inf", "-.nan", "---\n", "...\n", "\\x1b", "\u2028", "\x85",
    "\ufeff", "é", "🙂", "\x00", "\x07", "hf_" + "a" * 30,
    "name", "model", "gpu", "environments", "prod", "args", "secrets", "checks", "scaling", "only",
]  # fmt: skip


def check(text: str | bytes) -> None:
    """A text as a spec and as a project file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "x.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        project = ProjectFile(folder, None, Project())
        found = load(["x.yaml"], project, ("prod", "local"), cwd=folder)
        for diagnostic in found.diagnostics:
            said = line(diagnostic) + diagnostic.path
            assert said.isprintable()
            assert "pydantic" not in said and len(said) < 1000
            if diagnostic.place:
                place = diagnostic.place
                assert place.line >= 1 and place.column >= 1 and place.width >= 1
        assert found.wanted or found.diagnostics or found.left_out
        file.rename(folder / "modelctl.yaml")
        try:
            find_project(folder, folder)
        except Rejected as rejected:
            assert rejected.diagnostics


@FEW
@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@FEW
@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    check(content)


@FEW
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@example("? - a\n: b")
@example("name: *a")
@example("a: &a [*a]")
@example("environments: {prod: null, local: 5}")
@example("only: {prod: [x]}")
@example("only: 9223372036854775808")
@example("checks: {a: {messages: [{content: [}]}}")
def test_any_pieces_of_yaml(text: str) -> None:
    check(text)


@FEW
@given(st.sampled_from([SPEC, PROJECT]), st.data())
def test_any_spec_that_went_wrong(text: str, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 4))):
        start = draw.draw(st.integers(0, len(text)))
        stop = start + draw.draw(st.integers(0, 12))
        text = text[:start] + draw.draw(st.sampled_from(PIECES)) + text[stop:]
    check(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(PIECES[-10:]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)


@FEW
@given(st.dictionaries(st.sampled_from(PIECES[-10:]), json_values))
def test_any_values_under_real_fields(value: dict[str, object]) -> None:
    import yaml

    check(yaml.safe_dump(value, allow_unicode=True))


# --- files that mean harm ---------------------------------------------------------------------


def bomb() -> str:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    rows += [
        f"{n}: &{n} [{', '.join(['*' + m] * 9)}]"
        for m, n in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (bomb(), "yaml/alias-bomb"),
        ("[" * 500_000, "yaml/too-deep"),
        ("{" * 500_000, "yaml/too-deep"),
        ("- " * 400_000, "yaml/too-deep"),
        ("? " * 400_000, "yaml/too-deep"),
        ("".join(" " * n + "a:\n" for n in range(400)), "yaml/too-deep"),
        ("a: [" + "x, " * 200_000 + "]", "yaml/too-many"),
        ("a: &a {a: *a}\n", "yaml/recursive-alias"),
    ],
    ids=["aliases", "brackets", "braces", "dashes", "questions", "indentation", "many", "itself"],
)
def test_a_bomb_is_said_and_does_not_go_off(text: str, code: str) -> None:
    source = read_text(text, "x.yaml")
    assert source.tree is None
    assert [d.code for d in source.diagnostics][-1] == code


def test_aliases_that_repeat_a_little_are_fine(folder: Folder) -> None:
    folder.write("x.yaml", "name: a\nmodel: hf://o/r\nlabels: &l {team: x}\nenv: *l\n")
    assert folder.says("x.yaml") == []
    assert folder.load("x.yaml").wanted[0].spec.env == {"team": "x"}


def test_a_megabyte_is_the_most(folder: Folder) -> None:
    assert read_bytes(b"#" * 999_990 + b"\na: 1\n", "x.yaml").tree is not None
    folder.write("x.yaml", b"name: a\n" + b"#" * 1_000_000)
    assert "yaml/too-large" in folder.says("x.yaml")[0]
