"""Does vLLM itself lay out, count and refuse as the arithmetic says? Its own functions, exactly."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict, replace

from modelctl.fit.cache import cache_of
from modelctl.fit.cache_layers import stages
from modelctl.fit.types import GIB, Draft, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.shape import Latent, Mixer, Shape, State
from tests.engines.conftest import made
from tests.fit.test_cache import (
    DEEPSEEK_R1,
    GEMMA_3_4B,
    GEMMA_3_12B,
    GPT_OSS_20B,
    GRANITE_4_SMALL,
    JAMBA_MINI,
    LLAMA_4_SCOUT,
    MODEL,
    QWEN3_NEXT,
    RUN,
)

pytestmark = pytest.mark.full

AT_MOST = 2**20


@dataclass(frozen=True)
class Vllm:
    """The real one, in its own environment, asked a line at a time."""

    process: subprocess.Popen[str]
    log: Path

    def line(self, seconds: float) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"vLLM said nothing; its log ends:\n{self.log.read_text()[-3000:]}"
        return line

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.line(120))
        return answer


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    log = tmp_path_factory.mktemp("vllm") / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(made("vllm/bin/python")), str(Path(__file__).with_name("kv_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=log.parent,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
        )
    asked = Vllm(process, log)
    try:
        assert asked.line(180) == "ready\n"
        yield asked
    finally:
        process.kill()
        process.communicate()


class Recurrence(Struct, frozen=True):
    """A state in the words of a model's config, from which vLLM takes the state's shapes."""

    kind: str
    kernel: int = 4
    groups: int = 1
    heads: int = 0
    width: int = 0
    state: int = 0
    inner: int = 0
    dtype: str = "auto"

    def as_shape(self) -> State:
        bytes_of_a_number = 4 if self.dtype == "float32" else None
        match self.kind:
            case "mamba":
                parts = (self.inner, self.kernel, self.inner, 1, self.state)
            case "convolution":
                parts = (self.inner, self.kernel, 0, 0, 0)
            case "lightning":
                parts = (0, 0, self.heads, self.width, self.width)
            case _:
                channels = self.heads * self.width + 2 * self.groups * self.state
                parts = (channels, self.kernel, self.heads, self.width, self.state)
        return State(*parts, kind=self.kind, width=bytes_of_a_number)  # type: ignore[arg-type]


GRANITE = Recurrence("mamba2", groups=1, heads=128, width=64, state=128)
QWEN = Recurrence("delta", groups=16, heads=32, width=128, state=128)
JAMBA = Recurrence("mamba", inner=8192, state=16)


@dataclass(frozen=True)
class Case:
    shape: Shape
    inputs: VllmInputs
    recurrence: Recurrence | None = None
    spare: int = 0
    """Bytes of one GPU beyond what this context needs to start, by the arithmetic."""


def question(case: Case, available: int) -> dict[str, Any]:
    shape, inputs = case.shape, case.inputs
    draft = inputs.draft
    attends = any(kind in ("full", "sliding", "chunked", "both") for kind in shape.layers)
    asked = asdict(inputs) | {
        "layers": shape.layers,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "value_dim": shape.value_dim,
        "full_kv_heads": shape.full_kv_heads,
        "full_head_dim": shape.full_head_dim,
        "window": shape.window,
        "chunk": shape.chunk,
        "latent": shape.latent and [shape.latent.rank, shape.latent.rope],
        "state": case.recurrence and asdict(case.recurrence),
        "dtype": "bfloat16" if inputs.dtype == "auto" else inputs.dtype,
        "block_size": inputs.block_size or 16,
        "available": available,
        "at_most": AT_MOST,
        # What vLLM decides before it asks for a layout: see config/vllm.py and config/model.py.
        "prefix_caching": inputs.prefix_caching is not False and attends,
        "async_scheduling": inputs.async_scheduling is not False,
        "hybrid_cache": inputs.hybrid_cache and not ("chunked" in shape.layers and draft),
        "draft": draft and {**asdict(draft), "kind": "full", "shape": None},
    }
    if draft and draft.shape:
        asked["draft"]["shape"] = {
            name: getattr(draft.shape, name)
            for name in ("kv_heads", "head_dim", "value_dim", "full_kv_heads", "full_head_dim")
        } | {"latent": None}
    return asked


def agree(vllm: Vllm, case: Case) -> None:
    shape, inputs = case.shape, case.inputs
    found = cache_of(shape, inputs)
    assert not isinstance(found, Unknown), found
    available = max(0, found.least_for(inputs.context) + case.spare)
    said = vllm.ask(question(case, available))
    placed = Counter(stages(len(shape.layers), inputs.pipeline))
    assert [placed[stage] for stage in range(inputs.pipeline)] == said["stages"]
    assert len(found.groups) == len(said["groups"])
    assert sorted(group.block for group in found.groups) == said["blocks"]
    if inputs.pipeline == 1:
        assert found.bytes_for(inputs.context) == said["one_request"]
    if inputs.pipeline == 1 and len(found.groups) == 1:
        assert found.bytes_for(inputs.context) == said["sum_of_layers"]
    assert ("refused" in said) == (found.least_for(inputs.context) > available), said
    if "refused" not in said:
        fit = found.fit(available, inputs.context)
        assert fit.blocks == said["num_blocks"]
        assert fit.concurrency == said["concurrency"]
        assert fit.tokens == fit.logged_tokens((0, 32)) == said["tokens"]
        assert found.largest_context(available, at_most=AT_MOST) == said["longest"]


DEPLOYED = {
    "Qwen3-8B": (MODEL, None),
    "gemma-3-12b": (GEMMA_3_12B, None),
    "gemma-3-4b": (GEMMA_3_4B, None),
    "gpt-oss-20b": (GPT_OSS_20B, None),
    "Llama-4-Scout": (LLAMA_4_SCOUT, None),
    "DeepSeek-R1": (DEEPSEEK_R1, None),
    "Qwen3-Next-80B": (QWEN3_NEXT, QWEN),
    "granite-4.0-h-small": (GRANITE_4_SMALL, GRANITE),
    "Jamba-mini": (JAMBA_MINI, JAMBA),
}


@pytest.mark.parametrize("name", DEPLOYED)
@pytest.mark.parametrize("kv_dtype", ["auto", "fp8"])
@pytest.mark.parametrize("parallel", [(1, 1), (8, 1), (2, 2), (1, 3)])
def test_models_that_people_deploy(
    vllm: Vllm, name: str, kv_dtype: str, parallel: tuple[int, int]
) -> None:
    shape, recurrence = DEPLOYED[name]
    if recurrence is not None:
        assert recurrence.as_shape() == shape.state
    for context in (8192, 131072):
        inputs = replace(
            RUN, context=context, kv_dtype=kv_dtype, tensor=parallel[0], pipeline=parallel[1]
        )
        for spare in (-1, 0, 3 * GIB):
            agree(vllm, Case(shape, inputs, recurrence, spare))


TENSOR = st.sampled_from([1, 2, 4, 8])


@st.composite
def recurrences(draw: st.DrawFn) -> Recurrence:
    kind = draw(st.sampled_from(["mamba", "mamba2", "delta", "convolution", "lightning"]))
    dtypes = ["auto", "float32"] if kind in ("mamba", "mamba2", "delta") else ["auto"]
    return Recurrence(
        kind,
        kernel=draw(st.sampled_from([3, 4])),
        groups=draw(st.sampled_from([1, 2, 8, 16])),
        heads=draw(st.sampled_from([16, 24, 32, 64, 128])),
        width=draw(st.sampled_from([64, 80, 128])),
        state=draw(st.sampled_from([16, 64, 128, 256])),
        inner=draw(st.sampled_from([1024, 2048, 8192])),
        dtype=draw(st.sampled_from(dtypes)),
    )


PATTERNS: tuple[tuple[Mixer, ...], ...] = (
    ("full",),
    ("sliding",),
    ("chunked",),
    ("sliding", "full"),
    ("full", "sliding"),
    ("sliding", "sliding", "sliding", "full"),
    ("sliding",) * 5 + ("full",),
    ("full",) * 4 + ("sliding",),
    ("chunked", "chunked", "chunked", "full"),
    ("full", "none"),
    ("state",),
    ("both",),
    ("state", "state", "state", "full"),
    ("state", "none", "full", "none"),
    ("state",) * 9 + ("full",),
    ("state", "sliding", "full"),
)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Shape, Recurrence | None]:
    pattern = draw(st.sampled_from(PATTERNS))
    length = draw(st.integers(16, 64))
    layers = (pattern * length)[:length]
    head_dim = draw(st.sampled_from([64, 80, 96, 128, 192, 256]))
    shape = replace(
        MODEL,
        layers=layers,
        kv_heads=draw(st.sampled_from([1, 2, 3, 4, 8, 16])),
        head_dim=head_dim,
        value_dim=head_dim,
        window=draw(st.sampled_from([128, 129, 500, 1024, 1025, 4096, 32768])),
        chunk=draw(st.sampled_from([1000, 8192])),
    )
    if {"state", "both"} & set(pattern):
        recurrence = draw(recurrences())
        shape = replace(shape, state=recurrence.as_shape())
        if not {"sliding", "both"} & set(pattern) and draw(st.booleans()):
            shape = replace(shape, latent=Latent(512, 64, nope=128, value=128))
        return shape, recurrence
    if set(pattern) <= {"full", "none"} and draw(st.booleans()):
        rank, rope = draw(st.sampled_from([(512, 64), (256, 32), (384, 64)]))
        return replace(shape, latent=Latent(rank, rope, nope=128, value=128)), None
    if draw(st.booleans()):
        return replace(shape, value_dim=draw(st.sampled_from([64, 128]))), None
    if "sliding" in pattern and draw(st.booleans()):
        heads, dim = draw(st.sampled_from([(1, 512), (4, 256), (2, 320), (16, 64)]))
        return replace(shape, full_kv_heads=heads, full_head_dim=dim), None
    return shape, None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape, recurrence = draw(shapes())
    types = ["auto", "auto", "bfloat16", "fp8", "fp8_e5m2"]
    if not shape.latent:
        types += ["fp8_per_token_head", "int8_per_token_head", "int4_per_token_head"]
    inputs = VllmInputs(
        version=(0, 32),
        context=draw(st.one_of(st.integers(1, 300_000), st.sampled_from([4096, 32768, 131072]))),
        dtype=draw(st.sampled_from(["auto", "bfloat16", "float16", "float32"])),
        kv_dtype=draw(st.sampled_from(types)),
        tensor=draw(TENSOR),
        pipeline=draw(st.sampled_from([1, 1, 2, 3, 4]) if len(shape.layers) >= 40 else st.just(1)),
        batched_tokens=draw(st.sampled_from([256, 2048, 8192, 16384])),
        prefix_caching=draw(st.booleans()),
        block_size=draw(st.sampled_from([None, None, 32, 64])),
        async_scheduling=draw(st.sampled_from([None, True, False])),
        draft=draw(st.none() if shape.latent and recurrence else st.none() | drafts(shape)),
        hybrid_cache=recurrence is not None or draw(st.sampled_from([True, True, False])),
    )
    spare = draw(
        st.one_of(st.sampled_from([-1, 0, 1]), st.integers(-GIB, GIB), st.integers(0, 120 * GIB))
    )
    return Case(shape, inputs, recurrence, spare)


def drafts(shape: Shape) -> st.SearchStrategy[Draft]:
    """Drafts like the model's own layers, and ones with heads of their own."""
    layers = st.integers(1, 3)
    own = st.builds(
        lambda count, heads, dim: replace(
            MODEL, layers=("full",) * count, kv_heads=heads, head_dim=dim, value_dim=dim
        ),
        layers,
        st.sampled_from([1, 2, 8]),
        st.sampled_from([64, 128]),
    )
    tokens = st.integers(1, 5)
    if shape.layers[0] == "none" or not {"full", "both"} & set(shape.layers):
        return st.builds(
            lambda draft, guessed: Draft("eagle3", guessed, None, len(draft.layers), draft),
            own,
            tokens,
        )
    return st.one_of(
        st.builds(lambda count, guessed: Draft("mtp", guessed, None, count), layers, tokens),
        st.builds(
            lambda draft, guessed: Draft("eagle3", guessed, None, len(draft.layers), draft),
            own,
            tokens,
        ),
    )


@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(case=cases())
@example(case=Case(GPT_OSS_20B, replace(RUN, draft=Draft("eagle3", 3, None, 1))))
@example(case=Case(LLAMA_4_SCOUT, replace(RUN, draft=Draft("eagle3", 3, None, 1))))
def test_any_model_any_way(vllm: Vllm, case: Case) -> None:
    agree(vllm, case)
