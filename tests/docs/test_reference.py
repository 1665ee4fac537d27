"""Are the pages of reference those of the code? `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

import pytest

from modelctl.cli.exits import Exit
from modelctl.spec.kinds import Kind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import Spec
from modelctl.spec.project_models import Project
from modelctl.spec.schema import schema_json
from scripts import reference_commands, reference_spec
from tests.conftest import ROOT
from tests.docs.pages import DOCS

PAGES: dict[str, Callable[[], str]] = {**reference_spec.PAGES, **reference_commands.PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    path, page = DOCS / "reference" / name, PAGES[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == page


def paths(kind: Kind, path: str = "", deep: int = 0) -> set[str]:
    """Every field below a kind, dotted; names that people choose are left out."""
    if isinstance(kind, NamedKind):
        return paths(kind.value, path, deep)
    if isinstance(kind, ListKind):
        return paths(kind.item, path, deep)
    if not isinstance(kind, ShapeKind) or deep > 4:
        return set()
    found = set()
    for name, inner in kind.fields.items():
        here = f"{path}.{name}" if path else name
        found |= {here} | paths(inner, here, deep + 1)
    return found


def test_each_default_and_each_example_is_of_a_field() -> None:
    known = paths(ShapeKind(Spec)) | paths(ShapeKind(Project))
    assert set(reference_spec.DEFAULT) - known == set()
    assert set(reference_spec.EXAMPLE) - known == set()


def test_the_schema_has_the_same_defaults() -> None:
    schema = schema_json("spec")
    shapes = {"": schema} | {
        name.lower(): next((f for f in [shape, *shape.get("anyOf", [])] if "properties" in f), {})
        for name, shape in schema["$defs"].items()
        if name != "Fields"
    }
    said = {
        ".".join(filter(None, (path, name))): json.dumps(field["default"]).strip('"')
        for path, shape in shapes.items()
        for name, field in shape.get("properties", {}).items()
        if "default" in field
    }
    assert len(said) > 8
    page = {field: default.strip("`") for field, default in reference_spec.DEFAULT.items()}
    assert {field: page.get(field) for field in said} == said


def test_every_field_says_what_it_does() -> None:
    pages = [reference_spec.spec_page(), reference_spec.project_page()]
    rows = [row for page in pages for row in page.splitlines() if row.startswith("| `")]
    assert len(rows) > 120
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_exit_code_has_its_sentence() -> None:
    assert set(reference_commands.EXITS) == set(Exit)


def test_every_variable_that_the_code_reads_is_on_the_page() -> None:
    page = reference_commands.variables_page()
    read = set()
    for file in (ROOT / "modelctl").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "local" not in file.relative_to(ROOT / "modelctl").parts[:1]:
            read |= set(re.findall(r"environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"", text))
        read |= set(re.findall(r"\"(MODELCTL_[A-Z_]+)\"", text))
    inside = {"COMP_WORDS", "TERM", "NO_PROXY", "PYTHONPATH", "MODELCTL_", "MODELCTL_PLANE"}
    assert {name for name in read - inside if f"`{name}`" not in page} == set()
