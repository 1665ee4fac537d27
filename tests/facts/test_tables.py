"""Does every row say where it is from, and do the readers read what people write?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from modelctl.facts import gpus, places, quantization, tables, vllm
from modelctl.facts.engines import engine_facts
from modelctl.facts.tables import table
from tests.facts.schemas import SCHEMAS


def rows(data: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping that has a source."""
    if isinstance(data, dict):
        if "source" in data:
            yield path, data
        for key, value in data.items():
            yield from rows(value, f"{path}/{key}")
    if isinstance(data, list):
        for at, value in enumerate(data):
            yield from rows(value, f"{path}[{at}]")


@pytest.mark.parametrize("name", tables.names())
def test_rows_have_a_source_and_a_date(name: str) -> None:
    found = list(rows(table(name)))
    assert found
    for path, row in found:
        if row["source"] == "unverified":
            assert row["date"] is None, path
        else:
            assert datetime.date.fromisoformat(row["date"]) <= datetime.date(2100, 1, 1), path


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_has_the_shape_that_its_reader_expects(name: str) -> None:
    jsonschema.validate(table(name), SCHEMAS[name], cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", ["non_torch", "compiled", "encoder"])
def test_what_is_expected_lies_between_the_least_and_the_most(name: str) -> None:
    for row in table("memory")[name]:
        for value, low, high in (row[key] for key in ("gib", "one", "several", "apart", "text")
                                 if key in row):  # fmt: skip
            assert low <= value <= high, row


def test_the_version_of_the_tables_is_that_of_their_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = tables.version()
    assert len(before) == 12
    assert before == tables.version.__wrapped__()
    changed = {**table("places"), "volume": {}}
    read = tables.table
    monkeypatch.setattr(tables, "table", lambda name: changed if name == "places" else read(name))
    assert tables.version.__wrapped__() != before


def test_every_method_and_type_of_a_known_version_has_its_needs() -> None:
    for version in table("vllm_names"):
        names = vllm.names(version)
        assert names is not None
        assert set(names.quantization) <= set(quantization.methods())
        assert set(names.kv_cache) <= set(quantization.kv_types())


@pytest.mark.parametrize(
    ("method", "config", "least", "native"),
    [
        ("fp8", {}, (7, 5), (8, 9)),
        ("compressed-tensors", {"format": "float-quantized"}, (7, 5), (8, 9)),
        ("compressed-tensors", {"format": "nvfp4-pack-quantized"}, (7, 5), (10, 0)),
        ("compressed-tensors", {"format": "of-tomorrow"}, (7, 0), None),
        ("modelopt", {"quant_algo": "NVFP4"}, (7, 5), (10, 0)),
        ("modelopt", {"quant_algo": "FP8"}, (8, 0), (8, 9)),
        ("gptq", {}, (6, 0), None),
    ],
)
def test_what_a_checkpoint_needs_of_a_gpu(
    method: str,
    config: dict[str, str],
    least: tuple[int, int],
    native: tuple[int, int] | None,
) -> None:
    need = quantization.need_of(method, config)
    assert need is not None
    assert (need.least, need.native_from) == (least, native)


@pytest.mark.parametrize(
    ("regions", "factor"),
    [((), 1.0), (("us",), 1.5), (("us-east",), 1.75), (("eu", "us-west"), 1.75)],
)
def test_what_a_region_multiplies_the_price_by(regions: tuple[str, ...], factor: float) -> None:
    assert places.region_factor(regions) == factor


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
