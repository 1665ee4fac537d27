"""Is every YAML of README and docs right? Each is read and checked as `modelctl validate` does.

A block titled modelctl.yaml is a project file. What is no spec at all (a workflow of CI, say) is
only read. All others are specs; what a part of a spec leaves out is filled in.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Project, place_model
from tests.docs.pages import Block, blocks

PROJECT = """\
project: assistants
environments: {staging: {}, prod: {}}
"""
REST: dict[str, Any] = {
    "model": "hf://Qwen/Qwen3-8B",
    "backend": "vllm",
    "context": 8192,
    "gpu": ["L40S"],
}
OTHER = {"jobs", "repos", "steps", "stages", "pipelines", "runs", "include", "version", "inputs"}
NEVERTHELESS = {"model/unlocked", "engine/adapter-rank", "engine/quantization"}
"""What may be warned of: examples have no lock, so that nobody knows what it would say."""


def kind(block: Block) -> str:
    if 'title="modelctl.yaml"' in block.about:
        return "project"
    return "other" if OTHER & set(yaml.safe_load(block.text) or {}) else "spec"


def whole(block: Block, name: str) -> str:
    """The text as a spec of this name. Lines stay what they are: nothing is written anew."""
    said = yaml.safe_load(block.text)
    text = "".join(
        f"name: {name}\n" if line.startswith("name:") else line
        for line in block.text.splitlines(keepends=True)
    )
    rest = {} if "name" in said else {"name": name, **REST}
    return text + "".join(f"{k}: {json.dumps(v)}\n" for k, v in rest.items() if k not in said)


def judged(project: Project) -> list[dict[str, Any]]:
    ran = project.run("validate", "--output", "json")
    assert ran.code in (0, 1), ran.err
    found: list[dict[str, Any]] = ran.json["diagnostics"]
    return found


@pytest.fixture
def shop(project: Project, gguf: Path) -> Project:
    project.write("modelctl.yaml", PROJECT)
    place_model(gguf, project)
    (project.root / "specs").mkdir()
    (project.root / "specs" / "models").symlink_to("../models")
    return project


def test_every_spec_of_the_pages_is_right(shop: Project) -> None:
    places = {}
    for number, block in enumerate(found for found in blocks("yaml") if kind(found) == "spec"):
        places[f"page-{number}"] = block.place
        shop.write(f"specs/page-{number}.yaml", whole(block, f"page-{number}"))
    assert len(places) > 20
    wrong = [
        f"{places[Path(row['file']).stem]}: {row['code']} {row['message']}"
        for row in judged(shop)
        if row["severity"] == "error" or row["code"] not in NEVERTHELESS
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "block", [b for b in blocks("yaml") if kind(b) == "project"], ids=lambda b: b.place
)
def test_every_project_file_of_the_pages_is_right(shop: Project, block: Block) -> None:
    shop.write("modelctl.yaml", block.text)
    shop.spec("chat", textwrap.dedent(whole(Block("", 0, "", "", "{}"), "chat")).partition("\n")[2])
    assert [row for row in judged(shop) if row["code"] not in NEVERTHELESS] == []


def test_a_wrong_snippet_would_be_found(shop: Project) -> None:
    block = Block("docs/x.md", 1, "yaml", "", "contxt: 8192\n")
    shop.write("specs/page-0.yaml", whole(block, "page-0"))
    assert [row["code"] for row in judged(shop)] == ["spec/unknown-field", "model/unlocked"]
