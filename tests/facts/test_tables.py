"""Does every row say where it is from, and do the readers read what people write?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from modelctl.facts import gpus
from modelctl.facts.engines import engine_facts
from modelctl.facts.tables import table


def rows(data: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping that has a source."""
    if isinstance(data, dict):
        if "source" in data:
            yield path, data
        for key, value in data.items():
            yield from rows(value, f"{path}/{key}")


@pytest.mark.parametrize("name", ["gpus", "engines"])
def test_rows_have_a_source_and_a_date(name: str) -> None:
    found = list(rows(table(name)))
    assert len(found) > 10
    for path, row in found:
        if row["source"] == "unverified":
            assert row["date"] is None, path
        else:
            assert datetime.date.fromisoformat(row["date"]) <= datetime.date(2100, 1, 1), path


def test_every_gpu_has_a_source_for_each_figure() -> None:
    for name, card in gpus.gpus().items():
        assert set(card.sources) == {
            *("usable_gib", "usd_per_second", "bandwidth_gbs"),
            *("tflops", "smi_names", "max_count"),
        }, name
        assert card.usable_gib > 10
        assert 0 < card.usd_per_second < 0.01
        assert card.max_count in (4, 8)
        assert (7, 5) <= card.compute_capability <= (12, 1)
        assert card.smi_names


def test_no_name_of_nvidia_smi_means_two_cards() -> None:
    names = [name for card in gpus.gpus().values() for name in card.smi_names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("spelling", [*table("gpus")["spellings"], *table("gpus")["ambiguous"]])
def test_every_spelling_means_a_gpu(spelling: str) -> None:
    assert gpus.choice(spelling) is not None
    assert spelling not in gpus.choices()


@pytest.mark.parametrize(
    ("written", "modal", "cards"),
    [
        ("H100", "H100", ["H100", "H200"]),
        ("h100", "H100", ["H100", "H200"]),
        ("H100!", "H100!", ["H100"]),
        ("H100-80GB", "H100", ["H100", "H200"]),
        ("A10G", "A10", ["A10"]),
        ("B200+", "B200+", ["B200", "B300"]),
        ("rtx pro 6000", "RTX-PRO-6000", ["RTX-PRO-6000"]),
        ("A100", "A100-40GB", ["A100-40GB"]),
        ("A100-80GB", "A100-80GB", ["A100-80GB"]),
    ],
)
def test_what_people_write(written: str, modal: str, cards: list[str]) -> None:
    choice = gpus.choice(written)
    assert choice is not None
    assert choice.modal == modal
    assert [card.name for card in choice.cards] == cards
    assert choice.ambiguous == (written == "A100")


@pytest.mark.parametrize("name", ["B300", "H10", "", "none", "any", "RTX 4090", "A100-60GB"])
def test_what_modal_does_not_have(name: str) -> None:
    assert gpus.choice(name) is None


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("L40S:2", None, ("L40S", 2)),
        ("L40S", 3, ("L40S", 3)),
        ("L40S:2", 3, ("L40S", 3)),
        ("H100!:8", None, ("H100!", 8)),
        ("L4:0", None, ("L4", 0)),
        ("L4:x", None, ("L4:x", 1)),
        ("L4:1:2", None, ("L4:1:2", 1)),
    ],
)
def test_counts(text: str, count: int | None, expected: tuple[str, int]) -> None:
    assert gpus.written(text, count) == expected


@pytest.mark.parametrize("engine", ["vllm", "llama.cpp"])
def test_engines(engine: str) -> None:
    facts = engine_facts(engine)
    assert facts.default in facts.versions
    assert all(version in row.image for version, row in facts.versions.items())
    assert "auto" in facts.kv_cache


def test_the_image_of_a_version_that_is_not_known() -> None:
    assert engine_facts("vllm").image("0.99.1") == "vllm/vllm-openai:v0.99.1"
    assert engine_facts("llama.cpp").image("b12") == "ghcr.io/ggml-org/llama.cpp:server-cuda-b12"
