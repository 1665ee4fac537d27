"""Are the examples right, and does each say what it is for?"""

from __future__ import annotations

import re

import pytest

from modelctl.diagnostics import Severity
from modelctl.render import render
from tests.render.examples import NAMES, ROOT, diagnosed, example, wanted


def test_there_are_enough_to_choose_from() -> None:
    assert len(NAMES) >= 12
    assert set(wanted()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_right_and_only_wants_to_be_locked(name: str) -> None:
    found = [d for d in diagnosed(name) if d.severity is not Severity.NOT_CHECKED]
    assert {(d.severity, d.code) for d in found} <= {(Severity.WARNING, "model/unlocked")}
    assert compile(render(example(name)).text, name, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_is_for(name: str) -> None:
    lines = (ROOT / "specs" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../modelctl.schema.json"
    comment = [line.removeprefix("#").strip() for line in lines[1:] if line.startswith("#")]
    assert 80 < len(" ".join(comment)) < 400
    assert f"name: {name}" in lines


def test_the_examples_cover_what_people_serve() -> None:
    specs = [want.spec for want in wanted().values()]
    models = [spec.model for spec in specs if spec.model]
    sources = " ".join(model.source or "" for model in models)
    assert {model.task for model in models} >= {None, "embed", "rerank"}
    assert {re.split(r"://|/", model.source or "")[0] for model in models} == {
        *("hf", "volume", "s3", ".."),
    }
    for word in ("FP8", "AWQ", "gpt-oss", "GGUF", "VL"):
        assert word in sources
    assert any(model.adapters for model in models)
    assert {spec.speculative.method for spec in specs if spec.speculative} == {"ngram", "eagle3"}
    assert {(spec.backend.name if spec.backend else None) for spec in specs} == {
        *("vllm", "llama.cpp"),
    }
    assert any(spec.nodes == 2 for spec in specs)
    assert any(spec.snapshot == "gpu" for spec in specs)
    assert any(spec.endpoint and spec.endpoint.auth == "api-key" for spec in specs)
    on_a_cpu = [spec.name for spec in specs if spec.gpu and spec.gpu[0].type == "none"]
    assert on_a_cpu == ["qwen3-1-7b-cpu"]


def test_the_page_of_examples_names_each_once() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    linked = re.findall(r"\(\.\./specs/([a-z0-9-]+)\.yaml\)", page)
    assert sorted(linked) == NAMES
    golden = re.findall(r"\(\.\./tests/render/golden/specs/(\w+)\.py\)", page)
    assert sorted(golden) == sorted(name.replace("-", "_") for name in NAMES)
    apps = ROOT / "tests" / "render" / "golden" / "specs"
    assert {path.stem for path in apps.glob("*.py")} == set(golden)
