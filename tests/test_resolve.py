"""Is every question answered, and answered as the table of defaults says?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.assess import assess
from modelctl.assess.cost import cost_of
from modelctl.checks import check
from modelctl.resolve import resolve
from modelctl.resolved import (
    Bucket,
    Endpoint,
    Fetch,
    Mount,
    Placement,
    Scaling,
    Unknown,
    Weights,
)
from modelctl.weights.facts import NOT_LOCKED
from modelctl.weights.read import model_facts
from tests.checks.judging import TODAY
from tests.examples import examples
from tests.render.apps import GGUF, QWEN3, SHA, SMOLLM2, local_gguf, resolved, wanted


def test_the_shortest_spec() -> None:
    """What holds where nothing is said: a change here changes what people get."""
    found = resolved({"name": "m", "model": {"source": "hf://a/b"}, "gpu": [{"type": "L4"}]})
    assert (found.engine, found.engine_version, found.server) == ("vllm", "0.32.0", "vllm")
    assert (found.task, found.served_as, found.snapshot) == ("generate", ("m",), "none")
    assert found.weights == Weights(
        "hub",
        "hf://a/b",
        "/models/a/b/main",
        revision="main",
        fetch=Fetch("hf://a/b", NOT_LOCKED, "modelctl-weights", "/a/b/main/", NOT_LOCKED),
    )
    assert found.placement == Placement(("L4",), None, None, None, (), None, False)
    assert found.scaling == Scaling(0, None, 0, 300, None, None)
    assert found.endpoint == Endpoint("proxy", None, "us-east", 1200, 30)
    assert found.max_concurrency is None
    assert (found.rollout.strategy, found.rollout.gate) == ("rolling", "health")
    assert found.rollout.on_failure == "rollback"
    assert found.variants[0].context == Unknown("not in modelctl.lock")


def test_a_gguf_file_is_served_by_llama_cpp_on_a_cpu() -> None:
    found = resolved({"name": "m", "model": {"source": f"../models/{GGUF}"}}, local_gguf())
    assert found.engine == "llama.cpp"
    assert found.placement == Placement((), 4.0, 4096, None, (), None, False)
    assert found.endpoint.startup_timeout == 600
    assert [variant.key for variant in found.variants] == ["cpu"]


def test_a_local_model_lies_in_the_volume_under_its_digest() -> None:
    found = resolved(SMOLLM2, local_gguf())
    assert found.weights.argument == f"/models/{SHA}/{GGUF}"
    assert found.weights.upload is not None
    assert found.weights.upload.volume == "modelctl-weights"
    assert found.weights.upload.prefix == f"/{SHA}/"
    assert found.weights.upload.root == "models"
    assert found.weights.upload.size == 98362432
    assert found.mounts == (Mount("/models", "modelctl-weights", read_only=True, create=True),)


def test_a_model_that_was_not_hashed_has_no_address() -> None:
    found = resolved(SMOLLM2, local_gguf(digest=Unknown("not hashed"), files=()))
    assert found.weights.argument == Unknown("not hashed")
    assert found.weights.upload is None


@pytest.mark.parametrize(
    ("source", "file", "argument", "mounts", "buckets"),
    [
        ("volume://v/a/m.gguf", None, "/models/a/m.gguf", (Mount("/models", "v", True),), ()),
        ("volume://v/a", "m.gguf", "/models/a/m.gguf", (Mount("/models", "v", True),), ()),
        ("s3://b/p", "m.gguf", "/models/m.gguf", (), (Bucket("/models", "b", True, "p/", "k"),)),
        (
            "gs://b",
            "m.gguf",
            "/models/m.gguf",
            (),
            (Bucket("/models", "b", True, None, "k", "https://storage.googleapis.com"),),
        ),
    ],
)
def test_where_weights_are(
    source: str, file: str | None, argument: str, mounts: Any, buckets: Any
) -> None:
    model = {"source": source, "file": file, "secret": "k"}
    found = resolved({"name": "m", "model": model, "backend": {"name": "llama.cpp"}})
    assert found.weights.argument == argument
    assert (found.mounts, found.buckets) == (mounts, buckets)


@pytest.mark.parametrize(
    ("gpus", "variants", "asked"),
    [
        (["H100"], ["H100 entry 0", "H200 upgrade 0", "cpu cpu None"], ("H100",)),
        (["H100!"], ["H100 entry 0", "cpu cpu None"], ("H100!",)),
        (["B200+:2"], ["B200:2 entry 0", "B300:2 upgrade 0", "cpu cpu None"], ("B200+:2",)),
        (["A100"], ["A100-40GB entry 0", "cpu cpu None"], ("A100-40GB",)),
        (["A10G"], ["A10 entry 0", "cpu cpu None"], ("A10",)),
        (["H100", "H200"], ["H100 entry 0", "H200 entry 1", "cpu cpu None"], ("H100", "H200")),
        (["L4", "L4:2", "L4"], ["L4 entry 0", "L4:2 entry 1", "cpu cpu None"], ("L4", "L4:2")),
        (["none"], ["cpu cpu None"], ()),
        ([], ["cpu cpu None"], ()),
        (["NOPE:3"], ["NOPE:3 entry 0", "cpu cpu None"], ("NOPE:3",)),
    ],
)
def test_variants(gpus: list[str], variants: list[str], asked: tuple[str, ...]) -> None:
    found = resolved({**QWEN3, "gpu": [{"type": name} for name in gpus]})
    assert [f"{v.key} {v.origin} {v.entry}" for v in found.variants] == variants
    assert found.placement.gpus == asked


def test_an_entry_says_what_holds_on_it_alone() -> None:
    found = resolved(
        {
            **SMOLLM2,
            "max_sequences": 2,
            "backend": {"name": "llama.cpp", "args": {"batch-size": 512, "seed": 1}},
            "gpu": [
                {"type": "L4", "context": 1024, "max_sequences": 8, "args": {"batch-size": 64}},
                {"type": "T4"},
            ],
        },
        local_gguf(),
    )
    l4, t4, cpu = found.variants
    assert (l4.context, l4.max_sequences) == (1024, 8)
    assert (t4.context, t4.max_sequences) == (cpu.context, cpu.max_sequences) == (2048, 2)
    assert ("--batch-size", "64") in l4.flags
    assert ("--seed", "1") in l4.flags
    assert ("--batch-size", "512") in t4.flags


def test_the_context_is_the_models_own_where_that_is_less() -> None:
    spec = {key: value for key, value in SMOLLM2.items() if key != "context"}
    assert resolved(spec, local_gguf(context_length=2048)).variants[0].context == 2048
    assert resolved(spec, local_gguf(context_length=131072)).variants[0].context == 8192


def test_secrets() -> None:
    found = resolved(
        {
            **QWEN3,
            "model": {"source": "hf://a/b", "secret": "hub"},
            "secrets": {"one": ["A", "B"], "key": ["X"]},
            "endpoint": {"auth": "api-key", "api_key": {"secret": "key", "key": "K"}},
        }
    )
    assert found.secrets == {"one": ("A", "B"), "key": ("X", "K")}
    assert found.weights.fetch is not None
    assert found.weights.fetch.secret == "hub"  # only what fetches the model needs it
    assert found.endpoint.api_key == ("key", "K")


def test_checks_open_the_gate() -> None:
    checks = {"paris": {"prompt": "Capital of France?", "expect": {"contains": "Paris"}}}
    found = resolved({**QWEN3, "checks": checks})
    assert found.rollout.gate == "checks"
    (check_,) = found.checks
    assert (check_.name, check_.messages, check_.contains) == (
        "paris",
        (("user", "Capital of France?"),),
        "Paris",
    )


def test_what_it_costs() -> None:
    cost = cost_of(resolved({**QWEN3, "keep_warm": 2, "scaling": {"max": 4}, "cpu": 8.0}))
    assert [v.key for v in cost.variants] == ["H100", "H200", "A100-80GB", "L40S:2"]
    gpu, cores, memory = 0.001097, 8 * 0.0000131, 128 / 1024 * 0.00000222
    assert cost.first == pytest.approx((gpu + cores + memory) * 3600)
    # An upgrade is Modal's gift: it is billed as what was asked for.
    assert cost.of("H200") == cost.of("H100")
    assert cost.warm == pytest.approx(cost.first * 2)
    assert cost.at_most == pytest.approx(cost.first * 4)
    assert cost_of(resolved({**QWEN3, "keep_warm": 0})).warm == 0
    assert cost.warm_range == pytest.approx((cost.of("A100-80GB") * 2, cost.of("H100") * 2))
    assert cost.break_even(180) == pytest.approx(1 - 480 / 3600)
    assert isinstance(cost.of("T4"), Unknown)


@pytest.mark.parametrize(("regions", "factor"), [([], 1), (["us"], 1.5), (["us", "eu-west"], 1.75)])
def test_choosing_a_region_costs_more(regions: list[str], factor: float) -> None:
    plain, placed = (
        cost_of(resolved({**QWEN3, "endpoint": {"compute_regions": chosen}})).first
        for chosen in ([], regions)
    )
    assert placed == pytest.approx(plain * factor)


WORDS = st.text("ab:/.-!", max_size=8)
COUNTS = st.none() | st.integers(1, 9)
SOURCES = st.sampled_from(["hf://a/b", "volume://v/m.gguf", "x://y", ""]) | WORDS
BACKENDS = st.sampled_from([{"name": "vllm"}, {"name": "llama.cpp"}, {"version": "zz"}])
GPUS = st.sampled_from(["H100", "L4:2", "none"]) | WORDS


@given(
    st.fixed_dictionaries(
        {"model": st.fixed_dictionaries({"source": SOURCES})},
        optional={
            "backend": BACKENDS,
            "gpu": st.lists(
                st.fixed_dictionaries({"type": GPUS, "count": COUNTS}),
                max_size=3,
            ),
            "context": COUNTS,
            "kv_cache": WORDS,
            "parallel": st.fixed_dictionaries(
                {"tensor": COUNTS, "pipeline": COUNTS, "data": COUNTS}
            ),
            "keep_warm": COUNTS,
            "scaling": st.fixed_dictionaries({"max": COUNTS}),
            "concurrency": st.fixed_dictionaries({"target": COUNTS, "max": COUNTS}),
            "snapshot": st.sampled_from(["none", "cpu", "gpu"]),
            "budget": st.fixed_dictionaries({"usd_per_hour": st.floats(0.01, 9)}),
            "labels": st.dictionaries(WORDS, WORDS, max_size=2),
            "env": st.dictionaries(WORDS, WORDS, max_size=2),
            "nodes": COUNTS,
        },
    )
)
@settings(max_examples=examples(150), deadline=None)
def test_no_spec_is_too_strange(spec: dict[str, Any]) -> None:
    """Resolving, costing and judging never fail; what is wrong is said."""
    want = wanted({"name": "m", **spec})
    model = want.spec.model
    source = model.source if model else None
    facts = model_facts(source, want.file.parent, want.project.root, hashed=False)
    found = resolve(want, facts)
    assert found.variants[-1].key == "cpu"
    for diagnostic in check(want, assess(found, facts), facts, today=TODAY):
        assert diagnostic.message
        assert diagnostic.place is not None
