"""Does llama.cpp allocate what was worked out? Asked of the real llama-server, file by file.

It plans a start before it makes one: weights, cache and buffers at their full size, with nothing
allocated (`--fit on`, its own no_alloc). The files have all tensors of a real model and no data.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from modelctl.fit.llama_cpp import buffers_of, memory
from modelctl.fit.llama_weights import GgufModel, model_of
from modelctl.fit.types import LlamaInputs, Memory
from modelctl.weights.gguf import Gguf, read_gguf
from modelctl.weights.tensors import grouped
from tests.engines import sparse_ggufs as sparse
from tests.engines.conftest import made

pytestmark = pytest.mark.full

MIB = 2**20
Kind = gguf.GGMLQuantizationType

MODELS: dict[str, Callable[[], sparse.Model]] = {
    "llama": lambda: sparse.transformer(
        "llama", layers=32, hidden=4096, heads=32, kv_heads=8, head=128, intermediate=14336,
        vocabulary=128256, kind=Kind.Q4_K,
    ),
    "mixtral": lambda: sparse.transformer(
        "llama", layers=32, hidden=4096, heads=32, kv_heads=8, head=128, intermediate=14336,
        vocabulary=32000, experts=8, active=2, kind=Kind.Q4_K,
    ),
    "qwen2": lambda: sparse.transformer(
        "qwen2", layers=28, hidden=3584, heads=28, kv_heads=4, head=128, intermediate=18944,
        vocabulary=152064, biased=True, kind=Kind.Q8_0,
    ),
    "qwen3": lambda: sparse.transformer(
        "qwen3", layers=28, hidden=1024, heads=16, kv_heads=8, head=128, intermediate=3072,
        vocabulary=151936, normed=True, tied=True,
    ),
    "qwen3moe": lambda: sparse.transformer(
        "qwen3moe", layers=48, hidden=2048, heads=32, kv_heads=4, head=128, intermediate=768,
        vocabulary=151936, normed=True, experts=128, active=8, kind=Kind.Q4_K,
    ),
    "gemma2": lambda: sparse.transformer(
        "gemma2", layers=42, hidden=3584, heads=16, kv_heads=8, head=256, intermediate=14336,
        vocabulary=256000, around=True, tied=True, kind=Kind.Q8_0, attention__sliding_window=4096,
    ),
    "gemma3": lambda: sparse.transformer(
        "gemma3", layers=62, hidden=5376, heads=32, kv_heads=16, head=128, intermediate=21504,
        vocabulary=262144, normed=True, around=True, tied=True, kind=Kind.Q4_0,
        attention__sliding_window=1024,
    ),
    "gpt-oss": lambda: sparse.transformer(
        "gpt-oss", layers=24, hidden=2880, heads=64, kv_heads=8, head=64, intermediate=2880,
        vocabulary=201088, experts=32, active=4, sinks=True, kind=Kind.MXFP4,
        attention__sliding_window=128,
    ),
    "deepseek2": lambda: sparse.deepseek2(
        layers=8, dense=3, hidden=7168, heads=128, rank=512, query_rank=1536, intermediate=18432,
        experts=256, active=8, width=2048, vocabulary=129280, kind=Kind.Q8_0,
    ),
    "mamba": lambda: sparse.mamba(
        layers=64, hidden=2560, inner=5120, state=16, kernel=4, vocabulary=50280
    ),
    "lfm2": lambda: sparse.lfm2(
        kv_heads=tuple(8 if n in (2, 5, 8, 10, 12, 14) else 0 for n in range(16)),
        hidden=2048, heads=32, intermediate=8192, vocabulary=65536,
    ),
    "bert": lambda: sparse.encoder(
        layers=24, hidden=1024, heads=16, intermediate=4096, vocabulary=30522
    ),
}  # fmt: skip

SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "as it is": ({}, []),
    "a larger step": ({"ubatch": 1024}, ["--ubatch-size", "1024"]),
    "without flash attention": ({"flash_attention": False}, ["--flash-attn", "off"]),
    "one cache for all": (
        {"unified": True, "k_type": "q8_0", "v_type": "q8_0"},
        ["--kv-unified", "--cache-type-k", "q8_0", "--cache-type-v", "q8_0"],
    ),
    "three slots": ({"slots": 3, "outputs": 3}, ["--parallel", "3"]),
    "whole windows": ({"windowed": False}, ["--swa-full"]),
    "logits of all tokens": (
        {"context": 4096, "slots": 16, "outputs": 784},
        ["--ctx-size", "4096", "--parallel", "16", "--spec-type", "ngram-simple"],
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    folder = tmp_path_factory.mktemp("sparse")

    def file(name: str) -> Path:
        path = folder / f"{name}.gguf"
        return path if path.exists() else sparse.write(MODELS[name](), path)

    yield file
    for path in folder.glob("*.gguf"):
        path.unlink()


def header_of(path: Path) -> Gguf:
    with path.open("rb") as file:

        def read(begin: int, end: int) -> bytes:
            file.seek(begin)
            return file.read(end - begin)

        return read_gguf(read, path.stat().st_size)


def planned(path: Path, *arguments: str) -> dict[str, float]:
    """What llama-server says that it would allocate in main memory, in MiB."""
    command = [str(made("llama.cpp/llama-server")), "--model", str(path), "--port", "0"]
    command += ["--fit", "on", "--no-repack", "--log-verbosity", "5", *arguments]
    found: dict[str, float] = {"cache": 0.0, "compute": 0.0}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if size := re.search(r"size = +([\d.]+) MiB \( *\d+ cells", line):
                found["cache"] += float(size[1])
            if size := re.search(r"compute buffer size = +([\d.]+) MiB", line):
                found["compute"] += float(size[1])
            if sizes := re.search(r"- Host .*\| +\d+ = +(\d+) \+ +\d+ \+ +\d+", line):
                found["weights"] = float(sizes[1])
            if "projected to use" in line:
                break
        process.kill()
    assert "weights" in found, "".join(said[-20:])
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", MODELS)
def test_buffers_are_those_of_llama_cpp(
    files: Callable[[str], Path], name: str, setting: str
) -> None:
    path = files(name)
    values, arguments = SETTINGS[setting]
    if name == "bert":  # takes a text in one step, and has no logits
        if {"slots", "ubatch"} & values.keys():
            return
        values = {**values, "batch": 512, "ubatch": 512, "pooled": True}
        arguments = [*arguments, "--embeddings", "--batch-size", "512", "--ubatch-size", "512"]
    said = {"context": 16384, "slots": 4, "outputs": 4, "gpus": 0, "gpu_layers": 0, **values}
    inputs = LlamaInputs(**said)
    real = planned(path, "--ctx-size", "16384", "--parallel", "4", *arguments)
    found = header_of(path)
    model = model_of(found.header, grouped(found.tensors))
    assert isinstance(model, GgufModel)
    ours = buffers_of(model, inputs).host
    assert ours.weights / MIB == pytest.approx(real["weights"], abs=1.5)
    assert ours.cache / MIB == pytest.approx(real["cache"], abs=0.02)
    assert ours.compute.low / MIB <= real["compute"] <= ours.compute.high / MIB
    assert ours.compute.value / MIB == pytest.approx(real["compute"], rel=0.1, abs=8)


def test_a_start_allocates_what_was_planned(gguf: Path) -> None:
    """Of a real model, with memory taken and touched."""
    inputs = LlamaInputs(context=8192, slots=4, outputs=4, gpus=0, gpu_layers=0)
    server = made("llama.cpp/llama-server")
    command = [str(server), "--model", str(gguf), "--port", "0", "--ctx-size", "8192"]
    command += ["--parallel", "4", "--fit", "off", "--no-repack", "--log-verbosity", "4"]
    sizes: dict[str, float] = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if size := re.search(r"(model|KV|compute) buffer size = +([\d.]+) MiB", line):
                sizes[size[1]] = float(size[2])
            if "compute buffer size" in line:
                break
        process.kill()
    found = header_of(gguf)
    model = model_of(found.header, grouped(found.tensors))
    assert isinstance(model, GgufModel)
    ours = buffers_of(model, inputs).host
    assert ours.weights / MIB == pytest.approx(sizes["model"], abs=0.1)
    assert ours.cache / MIB == pytest.approx(sizes["KV"], abs=0.01)
    assert ours.compute.value / MIB == pytest.approx(sizes["compute"], rel=0.15)
    whole = memory(found.header, grouped(found.tensors), inputs, 2.0)
    assert isinstance(whole, Memory)
    assert whole.verdict == "fits"
