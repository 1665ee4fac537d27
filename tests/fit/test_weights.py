"""How many bytes of weights lie on one GPU? By arithmetic, and from tensors: both say the same.

`checkpoints.json` has what transformers' own modules are made of, for their configs: the full run
makes it again and compares.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.fit.tensors import by_tensors
from modelctl.fit.types import GIB, Interval, VllmInputs
from modelctl.fit.weights import by_shape, parts_of
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import PLAIN, named, scheme_of
from modelctl.weights.config_shape import shape_of
from modelctl.weights.safetensors import read_tensors
from modelctl.weights.shape import Scheme, Shape, TensorRow
from modelctl.weights.tensors import grouped
from tests.engines.conftest import made

FILE = Path(__file__).with_name("checkpoints.json")
CHECKPOINTS: Mapping[str, Any] = json.loads(FILE.read_text())
RUN = VllmInputs(version=(0, 32), context=8192, dtype="bfloat16")
WITH_IMAGES = {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "glm4v", "llava_next", "gemma4-e2b",
               "gemma4-26b"}  # fmt: skip
SMALL = {"gpt2", "opt", "bert", "roberta"}
"""Whose biases and norms count, for there is little else."""


def rows_of(name: str, dtype: str = "BF16") -> list[TensorRow]:
    return [TensorRow(row, dtype, tuple(s), n) for row, s, n in CHECKPOINTS[name]["rows"]]


def known(name: str) -> Shape:
    found = shape_of(CHECKPOINTS[name]["config"])
    assert isinstance(found, Shape), found
    return found


def plain(name: str, inputs: VllmInputs = RUN) -> float:
    return by_shape(known(name), PLAIN, inputs).value


def stored(name: str, inputs: VllmInputs = RUN, online: Scheme | None = None) -> Interval:
    found = by_tensors(rows_of(name), known(name), online, inputs)
    assert isinstance(found, Interval)
    return found


def online(method: str) -> Scheme:
    found = named(method)
    assert isinstance(found, Scheme)
    return found


@pytest.mark.parametrize("tensor", [1, 2, 4])
@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_arithmetic_and_tensors_say_the_same(name: str, tensor: int) -> None:
    inputs = replace(RUN, tensor=tensor)
    off = 0.02 if name in WITH_IMAGES else 0.05 if name in SMALL else 0.002
    if name == "gemma3n_text":
        off = 0.01  # vLLM makes keys and values also for layers that read another one's cache
    assert plain(name, inputs) == pytest.approx(stored(name, inputs).value, rel=off)


@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_one_gpu_has_all_that_the_checkpoint_has(name: str) -> None:
    shape = known(name)
    count = sum(prod(row.shape) * row.count for row in rows_of(name))
    beside = parts_of(shape, PLAIN, RUN).copies + shape.rotary * 2
    # RoBERTa's modules have a head that is not loaded for embeddings.
    assert stored(name).value == pytest.approx(count * 2 + beside, rel=0.006)


@pytest.mark.full
def test_the_tensors_are_those_of_the_real_modules(tmp_path: Path) -> None:
    asked = {name: [said["kind"], said["keys"]] for name, said in CHECKPOINTS.items()}
    (tmp_path / "in").write_text(json.dumps(asked))
    python, worker = made("vllm/bin/python"), Path(__file__).with_name("checkpoints_worker.py")
    subprocess.run(
        [str(python), str(worker), str(tmp_path / "in"), str(tmp_path / "out")],
        check=True,
        capture_output=True,
        timeout=300,
    )
    found = json.loads((tmp_path / "out").read_text())
    for name, said in CHECKPOINTS.items():
        assert found[name]["rows"] == said["rows"], name
        assert shape_of(found[name]["config"]) == known(name), name


@pytest.mark.parametrize("name", ["qwen3-8b", "qwen3-30b", "deepseek_v2", "gpt_oss", "jamba"])
def test_a_checkpoint_of_headers_alone_says_what_its_tensors_take(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    written = sparse(file, CHECKPOINTS[name]["rows"])
    with file.open("rb") as opened:

        def read(begin: int, end: int) -> bytes:
            opened.seek(begin)
            return opened.read(end - begin)

        found = by_tensors(grouped(read_tensors(read, file.stat().st_size)), known(name), None, RUN)
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(plain(name), rel=0.002)
    assert file.stat().st_blocks * 512 < 2**21 < written


def sparse(file: Path, rows: list[Any]) -> int:
    """Every tensor of its real shape, and no data: the file has holes in their place."""
    names = [
        (name.replace("*", str(n), 1).replace("*", "0"), shape)
        for name, shape, count in rows
        for n in range(count)
    ]
    ends = list(accumulate(prod(shape) * 2 for _, shape in names))
    header = {
        name: {"dtype": "BF16", "shape": shape, "data_offsets": [end - prod(shape) * 2, end]}
        for (name, shape), end in zip(names, ends, strict=True)
    }
    text = json.dumps(header).encode()
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + ends[-1])
    return ends[-1]


def test_keys_and_values_are_copied_where_gpus_outnumber_their_heads() -> None:
    # Four KV heads on eight GPUs: each has one whole, twice what a share would be.
    shape = known("qwen3-30b")
    eight = parts_of(shape, PLAIN, replace(RUN, tensor=8)).layers
    four = parts_of(shape, PLAIN, replace(RUN, tensor=4)).layers
    keys = 48 * 2048 * 128 * 2 * 2
    norms = 48 * (2 * 2048 + 2 * 128) * 2
    assert four - eight == pytest.approx((four - keys - norms) / 2, rel=1e-3)


def test_a_stage_of_a_pipeline_has_its_layers_and_one_of_the_two_ends() -> None:
    # 36 layers over 5 stages: 8 at most, beside the embedding or the head.
    parts = parts_of(known("qwen3-8b"), PLAIN, replace(RUN, pipeline=5))
    whole = parts_of(known("qwen3-8b"), PLAIN, RUN)
    assert parts.layers == pytest.approx(whole.layers * 8 / 36)
    assert parts.embedding + parts.head == 151936 * 4096 * 2


def test_experts_are_divided_by_data_parallel_too() -> None:
    one = parts_of(known("qwen3-30b"), PLAIN, RUN)
    four = parts_of(known("qwen3-30b"), PLAIN, replace(RUN, data=4, expert=True))
    assert four.layers == one.layers
    assert four.experts == pytest.approx(one.experts / 4, rel=0.01)


def test_the_vocabulary_is_padded_to_64_rows() -> None:
    shape = replace(known("llama3-8b"), vocabulary=49155)
    assert parts_of(shape, PLAIN, RUN).head == 49216 * 4096 * 2


def test_latent_attention_keeps_its_expansion_twice() -> None:
    assert parts_of(known("deepseek_v2"), PLAIN, RUN).copies == 27 * 512 * 16 * 256 * 2


def test_a_model_that_claims_millions_of_positions_pays_for_their_table() -> None:
    # Llama 4 Scout: 10,485,760 rows of 128 numbers.
    config = CHECKPOINTS["llama4_text"]["config"] | {"max_position_embeddings": 10_485_760}
    shape = shape_of(config)
    assert isinstance(shape, Shape)
    assert parts_of(shape, PLAIN, RUN).tables / GIB == 2.5


def test_scales_of_bitsandbytes_are_read_back_to_32_bit() -> None:
    layer = "model.layers.*.mlp.up_proj.weight"
    of = {"": (12288 * 4096 // 2, 1), ".absmax": (12288 * 4096 // 64,), ".nested_absmax": (3072,)}
    rows = [TensorRow(layer + name, "U8", shape, 36) for name, shape in of.items()]
    found = by_tensors(rows, known("qwen3-8b"), None, RUN)
    assert isinstance(found, Interval)
    halves, scales, nested = (36 * prod(shape) for shape in of.values())
    beside = known("qwen3-8b").rotary * 2
    assert found.value - beside == pytest.approx(halves + 4 * scales + nested)


def test_layers_of_two_widths_have_a_table_each() -> None:
    # Gemma 4: full layers have heads of 512, sliding ones of 256.
    shape = known("gemma4-26b")
    longest = CHECKPOINTS["gemma4-26b"]["config"]["text_config"]["max_position_embeddings"]
    assert shape.rotary == longest * (256 + 512)


@pytest.mark.parametrize("name", ["gemma4-e2b", "gemma4-26b"])
def test_encoders_of_gemma_4_weigh_what_its_modules_do(name: str) -> None:
    rows = [row for row in CHECKPOINTS[name]["rows"] if "language_model" not in row[0]]
    assert known(name).vision == pytest.approx(sum(prod(s) * n for _, s, n in rows), rel=0.01)


def test_positions_that_are_stretched_have_longer_tables() -> None:
    config = CHECKPOINTS["gemma3_text"]["config"]
    full = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    near = {"rope_type": "default", "rope_theta": 1e4}
    said = {"full_attention": full, "sliding_attention": near}
    shape = shape_of(config | {"rope_parameters": said})
    assert isinstance(shape, Shape)
    assert shape.rotary == config["max_position_embeddings"] * 256 * (8 + 1)


@pytest.mark.parametrize(
    ("said", "each"),
    [
        ({"quant_method": "fp8"}, 1.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1 + 4 / 16384),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 0.515625),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.51953125),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 0.5625),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5625),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}}, 1.0),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128,
                        "symmetric": True}}}}, 0.515625),
    ],
)  # fmt: skip
def test_a_config_says_what_a_quantized_parameter_takes(said: Any, each: float) -> None:
    found = scheme_of({"quantization_config": said})
    assert isinstance(found, Scheme)
    assert found.linear == each


def test_attention_that_is_left_out_keeps_16_bit() -> None:
    said = {
        "quant_method": "compressed-tensors",
        "ignore": ["re:.*self_attn.*", "lm_head"],
        "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
    }
    found = scheme_of({"quantization_config": said})
    assert found == Scheme("compressed-tensors", 1.0, attention=2.0)


def test_a_method_that_no_table_has_is_unknown() -> None:
    assert scheme_of({"quantization_config": {"quant_method": "aqlm"}}) == Unknown(
        "no facts about the quantization aqlm"
    )


def test_mxfp4_experts_are_padded_to_whole_tiles() -> None:
    # gpt-oss-20b on one H100 logged 13.64 GiB with vLLM 0.19.
    shape = replace(known("gpt_oss"), layers=known("gpt_oss").layers[:24])
    assert shape.experts
    shape = replace(shape, experts=replace(shape.experts, count=32, layers=24))
    scheme = scheme_of({"quantization_config": {"quant_method": "mxfp4"}})
    assert isinstance(scheme, Scheme)
    found = by_shape(shape, scheme, replace(RUN, version=(0, 19)))
    assert found.value / GIB == pytest.approx(13.64, rel=0.02)


@pytest.mark.parametrize("method", ["fp8", "int8_per_channel_weight_only", "nvfp4_per_token"])
@pytest.mark.parametrize("name", ["qwen3-8b", "qwen3-30b"])
def test_what_quantizes_while_loading_takes_the_same_either_way(name: str, method: str) -> None:
    scheme = online(method)
    by_tensor = stored(name, online=scheme).value
    assert by_shape(known(name), scheme, RUN).value == pytest.approx(by_tensor, rel=0.01)
    assert by_tensor < stored(name).value * 0.66


def test_layers_that_only_guess_ahead_are_not_loaded() -> None:
    # DeepSeek-V3 has one layer behind the last: its tensors are counted with the others'.
    extra = [
        TensorRow("model.layers.*.eh_proj.weight", "BF16", (7168, 14336), 1),
        TensorRow("model.layers.*.embed_tokens.weight", "BF16", (129280, 7168), 1),
        TensorRow("model.layers.*.shared_head.head.weight", "BF16", (129280, 7168), 1),
    ]
    sparse_layers = {"mlp.experts", "mlp.gate.", "mlp.shared_experts"}
    rows = [
        replace(row, count=row.count + 1)
        if row.count == 5 or any(part in row.name for part in sparse_layers)
        else row
        for row in rows_of("deepseek_v3")
    ]
    found = by_tensors([*rows, *extra], known("deepseek_v3"), None, RUN)
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(stored("deepseek_v3").value, rel=1e-6)


def test_a_head_that_is_the_embedding_is_loaded_once() -> None:
    head = TensorRow("lm_head.weight", "BF16", (256000, 2304), 1)
    found = by_tensors([*rows_of("gemma2"), head], known("gemma2"), None, RUN)
    assert found == stored("gemma2")


def test_numbers_of_32_bit_are_loaded_as_16() -> None:
    found = by_tensors(rows_of("qwen3-8b", "F32"), known("qwen3-8b"), None, RUN)
    assert found == stored("qwen3-8b")


def test_without_a_shape_tensors_still_say_their_size() -> None:
    found = by_tensors(rows_of("qwen3-8b"), Unknown("no facts"), None, RUN)
    assert isinstance(found, Interval)
    assert found.low < stored("qwen3-8b").value < found.high


def test_a_type_that_no_table_has_is_not_guessed() -> None:
    rows = [TensorRow("model.x.weight", "F2_E1M0", (8, 8), 1)]
    assert by_tensors(rows, known("qwen3-8b"), None, RUN) == Unknown(
        "no facts about tensors of type F2_E1M0"
    )
