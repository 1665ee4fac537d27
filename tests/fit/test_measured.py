"""Does what a boot reported take the place of what is computed, and only where it speaks of it?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from modelctl.facts.gpus import gpus
from modelctl.fit.measured import Run, latest, measured
from modelctl.fit.memory import memory_of, on_cpu
from modelctl.fit.types import GIB, Draft, Interval, LlamaInputs, Memory, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from modelctl.weights.measured import Measured
from modelctl.weights.shape import TensorRow
from tests.fit.test_vllm import LLAMA_70B, QWEN3_8B

L4, H100 = gpus()["L4"], gpus()["H100"]
INPUTS = VllmInputs(version=(0, 32), context=16384, sequences=64, batched_tokens=2048)
RUN = Run("vllm", "0.32.0", "H100", INPUTS, ())
MODEL = ModelFacts("hub", config=QWEN3_8B)


def boot(run: Run = RUN, model: ModelFacts = MODEL, **changes: object) -> Measured:
    card = gpus().get(run.gpu.partition(":")[0])
    row = Measured(
        engine=run.engine,
        version=run.version,
        gpu=run.gpu,
        inputs=run.digest,
        alike=run.alike(card),
        model=model.shape_digest,
        at="2026-11-20",
        app="chat-8b",
        app_version=12,
        weights=int(15.27 * GIB),
        cache=int(54.63 * GIB),
        tokens=397_776,
        graphs=int(0.66 * GIB),
        run=run.shown(),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def fit(run: Run, *rows: Measured, model: ModelFacts = MODEL) -> Memory:
    card = gpus()[run.gpu]
    found = measured(memory_of(run.inputs, model, card), run, replace(model, measured=rows), card)
    assert isinstance(found, Memory)
    return found


def test_a_boot_of_just_this_run_is_believed() -> None:
    found = fit(RUN, boot())
    assert (found.measured, found.verdict, found.reason) == (True, "fits", "")
    assert found.weights == Interval.exactly(int(15.27 * GIB) / GIB)
    assert found.cache == Interval.exactly(int(54.63 * GIB) / GIB)
    assert found.tokens == Interval.exactly(397_776)
    assert found.full == Interval.exactly(397_776 / 16384)
    assert found.typical and found.typical.value == pytest.approx(397_776 / 2048, rel=0.001)
    assert found.other["CUDA graphs"] == Interval.exactly(int(0.66 * GIB) / GIB)
    assert found.boot == "chat-8b v12 on 2026-11-20, with a context of 16,384"


def test_a_boot_that_worked_fits_whatever_was_computed() -> None:
    tight = replace(INPUTS, context=32768, sequences=None, batched_tokens=None)
    run = replace(RUN, gpu="L4", inputs=tight)
    assert fit(run).verdict == "may fit"
    found = fit(run, boot(run, cache=int(4.6 * GIB), tokens=33_500))
    assert (found.verdict, found.reason) == ("fits", "")
    assert found.largest_context and found.largest_context >= 32768


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, gpu="L4"),
        replace(RUN, gpu="H100:2"),
        replace(RUN, version="0.33.0"),
        replace(RUN, engine="llama.cpp"),
        replace(RUN, inputs=replace(INPUTS, utilization=0.9)),
        replace(RUN, inputs=replace(INPUTS, sequences=128)),
        replace(RUN, inputs=replace(INPUTS, batched_tokens=8192)),
        replace(RUN, inputs=replace(INPUTS, kv_dtype="fp8")),
        replace(RUN, inputs=replace(INPUTS, tensor=2)),
        replace(RUN, inputs=replace(INPUTS, eager=True)),
        replace(RUN, inputs=replace(INPUTS, draft=Draft("ngram", 4, weights=0))),
        replace(RUN, flags=(("--compilation-config", '{"level": 0}'),)),
        replace(RUN, inputs=replace(INPUTS, kv_dtype="fp8", context=8192)),
    ],
    ids=str,
)
def test_a_boot_of_another_run_says_nothing(other: Run) -> None:
    found = fit(RUN, boot(other))
    assert found == fit(RUN)


def test_a_boot_of_another_model_says_nothing() -> None:
    assert fit(RUN, boot(model=replace(MODEL, config=LLAMA_70B))) == fit(RUN)


def test_flags_that_memory_does_not_follow_from_may_differ() -> None:
    other = replace(RUN, flags=(("--served-model-name", "x"), ("--enable-auto-tool-choice",)))
    assert fit(other, boot()).measured


def test_of_another_context_the_cache_is_as_large_and_the_rest_follows() -> None:
    longer = replace(RUN, inputs=replace(INPUTS, context=40960))
    found = fit(longer, boot())
    assert not found.measured
    assert found.boot == "chat-8b v12 on 2026-11-20, with a context of 16,384"
    assert found.weights == Interval.exactly(int(15.27 * GIB) / GIB)
    assert found.cache.value == int(54.63 * GIB) / GIB
    assert found.cache.high - found.cache.low == pytest.approx(0.2)
    assert found.tokens and found.tokens.value == pytest.approx(397_776, rel=0.001)
    assert found.verdict == "fits"


def test_a_context_past_the_measured_cache_does_not_fit() -> None:
    run = replace(RUN, gpu="L4")
    rows = boot(run, cache=int(4.0 * GIB), tokens=29_120)
    longer = replace(run, inputs=replace(INPUTS, context=32768))
    found = fit(longer, rows)
    assert found.verdict == "does not fit"
    assert found.reason == "one request takes 4.5 GiB of the cache, and a boot had 4.0 for it"
    assert found.largest_context and 28_000 < found.largest_context < 29_200


def test_a_context_about_as_long_as_the_measured_cache_may_fit() -> None:
    run = replace(RUN, gpu="L4")
    rows = boot(run, cache=int(4.53 * GIB), tokens=32_976)
    found = fit(replace(run, inputs=replace(INPUTS, context=32768)), rows)
    assert found.verdict == "may fit"
    assert found.reason == (
        "one request takes 4.50 GiB of the cache, and a boot had 4.53 for it, give or take 0.1"
    )


def test_a_boot_of_several_copies_counts_the_cache_of_all() -> None:
    """Each of them logs its own: what is computed is of all of them together."""
    two = replace(RUN, gpu="H100:2", inputs=replace(INPUTS, data=2))
    card = gpus()["H100"]
    computed = memory_of(two.inputs, MODEL, card)

    def of(run: Run) -> Memory:
        model = replace(MODEL, measured=(boot(two),))
        found = measured(memory_of(run.inputs, MODEL, card), run, model, card)
        assert isinstance(found, Memory)
        return found

    same, near = of(two), of(replace(two, inputs=replace(two.inputs, context=40960)))
    assert same.measured
    assert near.boot and not near.measured
    assert same.tokens == Interval.exactly(2 * 397_776)
    assert same.full == Interval.exactly(2 * 397_776 / 16384)
    assert near.tokens and near.tokens.value == pytest.approx(2 * 397_776, rel=0.001)
    assert same.typical and near.typical and isinstance(computed, Memory) and computed.typical
    assert same.typical.value == pytest.approx(2 * 397_776 / 2048, rel=0.001)
    assert near.typical.value == pytest.approx(same.typical.value, rel=0.001)
    assert same.typical.value == pytest.approx(computed.typical.value, rel=0.1)
    assert same.cache == Interval.exactly(int(54.63 * GIB) / GIB)


def test_where_a_batch_follows_from_the_context_another_one_says_nothing() -> None:
    """vLLM's own batch is no longer than what all sequences could fill."""
    short = replace(RUN, inputs=replace(INPUTS, context=1024, batched_tokens=2048))
    longer = replace(RUN, inputs=replace(INPUTS, context=40960))
    assert fit(longer, boot(short)) == fit(longer)
    embedding = replace(RUN, inputs=replace(INPUTS, task="embed"))
    assert embedding.alike(H100) == ""


def test_a_model_whose_shape_nobody_knows_has_the_figures_of_its_boot() -> None:
    strange = replace(MODEL, config={"architectures": ["NeverHeardOf"]})
    assert isinstance(memory_of(INPUTS, strange, H100), Unknown)
    found = fit(RUN, boot(model=strange), model=strange)
    assert (found.measured, found.verdict) == (True, "fits")
    assert found.tokens == Interval.exactly(397_776)
    assert found.typical is None


def test_the_latest_boot_of_a_run_takes_the_place_of_the_one_before() -> None:
    old, new = boot(), replace(boot(), at="2026-12-01", tokens=400_000)
    other = boot(replace(RUN, gpu="L4"))
    assert latest([old, other, new]) == (new, other)


GGUF = ModelFacts(
    "local",
    header={
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 4096,
        "llama.embedding_length": 256,
        "llama.feed_forward_length": 512,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 4,
    },
    tensors=(
        TensorRow("token_embd.weight", "F16", (256, 1000), 1),
        TensorRow("blk.*.attn_k.weight", "F16", (256, 256), 2),
    ),
)


def test_llama_cpp_on_a_cpu_has_the_buffers_of_its_boot() -> None:
    inputs = LlamaInputs(context=4096, gpus=0)
    run = Run("llama.cpp", "b11312", "cpu", inputs, ())
    row = boot(run, GGUF, weights=2**20, cache=2**21, compute=2**22, graphs=None, tokens=4096)
    computed = on_cpu(inputs, GGUF, 4.0)
    found = measured(computed, run, replace(GGUF, measured=(row,)), None)
    assert isinstance(found, Memory) and isinstance(computed, Memory)
    assert (found.measured, found.verdict) == (True, "fits")
    assert found.weights == Interval.exactly(2**20 / GIB)
    assert found.cache == Interval.exactly(2**21 / GIB)
    assert found.other["compute"] == Interval.exactly(2**22 / GIB)
    assert found.other["runtime"] == computed.other["runtime"]


def test_a_digest_does_not_change_with_options_that_come_later() -> None:
    """Committed locks hold it: what has its default value is not in it."""
    assert RUN.digest == "ff078e11383cea45"
    assert replace(RUN, inputs=replace(INPUTS, prefix_caching=None)).digest == RUN.digest
