"""Are the tables of flags whole, and is one read only when somebody asks for it?"""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import FlagTable, flag_table

TABLES = [
    ("vllm", "0.32.0"),
    ("vllm", "0.33.0"),
    ("llama-server", "b11312"),
    ("llama-cpp-python", "0.3.36"),
]


def known(server: str, version: str) -> FlagTable:
    found = flag_table(server, version)
    assert found is not None
    return found


@pytest.mark.parametrize(("server", "version"), TABLES)
def test_each_spelling_means_one_flag_and_each_row_has_a_kind(server: str, version: str) -> None:
    table = known(server, version)
    assert table.source.verified
    for fact in table.flags:
        needs_a_type = fact.kind in ("value", "values", "repeated")
        assert (fact.type is not None) >= needs_a_type, fact
        match = table.find(fact.name)
        assert match is not None
        assert match.fact is fact


def test_every_default_version_has_a_table() -> None:
    assert known("vllm", engine_facts("vllm").default)
    assert known("llama-server", engine_facts("llama.cpp").default)
    assert known("llama-cpp-python", engine_facts("llama-cpp-python").default)


def test_no_file_is_read_for_a_version_that_only_looks_like_one() -> None:
    assert flag_table("vllm", "../engines") is None


@pytest.mark.parametrize(
    ("name", "written", "negated"),
    [
        ("ngl", "--gpu-layers", False),
        ("n_gpu_layers", "--n-gpu-layers", False),
        ("--no-webui", "--no-webui", True),
        ("nkvo", "--no-kv-offload", True),
    ],
)
def test_a_spelling_is_written_as_the_server_takes_it(
    name: str, written: str, negated: bool
) -> None:
    match = known("llama-server", "b11312").find(name)
    assert match is not None
    assert (match.written, match.negated) == (written, negated)


def test_specs_without_args_read_no_table() -> None:
    program = (
        "from modelctl.facts import flags\n"
        "from tests.checks.judging import LLAMA, VLLM, judged\n"
        "judged(VLLM), judged(LLAMA)\n"
        "assert flags.flag_table.cache_info().misses == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
