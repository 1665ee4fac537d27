"""Does the page on llama.cpp name flags that exist, and all that a spec becomes?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import flag_table
from modelctl.spec.models import Spec
from tests.conftest import ROOT
from tests.engines.test_flags import flags
from tests.engines.test_llama_flags import FIELDS, LLAMA, ONE, PYTHON_FIELDS

PAGE = (ROOT / "docs" / "engines-llama-cpp.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")][2:]
SERVERS = [("llama-server", "llama.cpp"), ("llama-cpp-python", "llama-cpp-python")]
FLAG = re.compile(r"--[a-z][a-z_-]+")


@pytest.mark.parametrize(("server", "product"), SERVERS)
def test_every_flag_on_the_page_is_one_of_that_server(server: str, product: str) -> None:
    table = flag_table(server, engine_facts(product).default)
    assert table is not None
    column = 1 + [name for name, _ in SERVERS].index(server)
    named = {flag for row in ROWS for flag in FLAG.findall(row[column])}
    assert len(named) > 10
    assert not {flag for flag in named if table.find(flag) is None}


def test_every_field_on_the_page_is_one_of_a_spec() -> None:
    for row in ROWS:
        for field in row[0].split(", "):
            name = field.split(":")[0]
            assert name.split(".")[0] in Spec.model_fields, name


@pytest.mark.parametrize(
    ("spec", "cases"), [(LLAMA, FIELDS), (ONE, PYTHON_FIELDS)], ids=[s for s, _ in SERVERS]
)
def test_every_flag_that_a_field_becomes_is_on_the_page(
    spec: dict[str, Any], cases: list[tuple[dict[str, Any], str]]
) -> None:
    written = set(FLAG.findall(PAGE))
    for change, _ in cases:
        own = {**spec, **change}
        said = (own.get("backend") or {}).get("args") or {}
        if said or any("args" in entry for entry in own["gpu"]):
            continue
        for flag in flags(own):
            method = flag[0].startswith("--spec-ngram-")
            assert method or flag[0] in written, flag
