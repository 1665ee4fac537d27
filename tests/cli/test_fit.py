"""Does it fit, how fast is it, and what does it cost? What a user reads, from a lock alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Project

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = [["config.json", 700, ""], ["model.safetensors", 16_000_000_000, ""]]
COMMON = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
QWEN3_8B: dict[str, Any] = {
    **COMMON,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 36,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
}
LLAMA_70B: dict[str, Any] = {
    **COMMON,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
QWEN3 = """\
model: hf://Qwen/Qwen3-8B
backend: vllm
context: 32768
gpu: [H100!, L40S:2, L4]
cpu: 8
memory: 64GiB
keep_warm: 1
concurrency: {target: 32, max: 64}
"""
LLAMA = """\
model: hf://meta-llama/Llama-3.3-70B-Instruct
backend: vllm
context: 16384
gpu: A100-80GB
"""


@pytest.fixture
def known(project: Project) -> Project:
    """A project whose lock knows two models, by their config.json."""
    sources = {"Qwen/Qwen3-8B": QWEN3_8B, "meta-llama/Llama-3.3-70B-Instruct": LLAMA_70B}
    lock = {
        f"hf://{name}": {"commit": COMMIT, "config": config, "files": FILES}
        for name, config in sources.items()
    }
    project.write("modelctl.lock", json.dumps({"format": 1, "sources": lock}))
    return project


def test_every_gpu_of_the_list_has_a_bar_its_tokens_and_a_verdict(known: Project) -> None:
    known.spec("qwen3-8b", QWEN3)
    known.variables["COLUMNS"] = "80"
    ran = known.run("fit", "qwen3-8b")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[:2] == [
        "qwen3-8b · Qwen/Qwen3-8B · bfloat16 · context 32,768 · concurrency 32 (max 64)",
        "vLLM 0.32.0",
    ]
    assert lines[4] == (
        "GPU          ▓ weights ▒ cache ░ other       tokens    32k     2k  verdict"
    )
    cards = {line.split()[0]: line for line in lines[5:8]}
    assert list(cards) == ["H100", "L40S:2", "L4"]
    assert cards["H100"].endswith("  fits")
    assert cards["L40S:2"].endswith("  fits")
    assert cards["L4"].endswith("  may fit")
    assert "   79.2 " in cards["H100"]
    assert cards["L4"].count("▓") > cards["H100"].count("▓")
    assert max(len(line) for line in lines) <= 80
    assert "L4 fits with" in ran.out
    assert "Cheapest that fits: " in ran.out


def test_the_same_as_json_with_the_ends_of_each_estimate(known: Project) -> None:
    known.spec("qwen3-8b", QWEN3)
    found = known.run("fit", "qwen3-8b", "--output", "json").json
    assert (found["format"], found["model"]) == (1, "Qwen/Qwen3-8B")
    first = found["rows"][0]
    assert (first["gpu"], first["count"], first["verdict"]) == ("H100", 1, "fits")
    # 8.19 billion parameters at 16 bit.
    assert first["weights_gib"]["value"] == pytest.approx(15.26, rel=0.01)
    for name in ("weights_gib", "kv_gib", "kv_tokens", "max_sequences"):
        part = first[name]
        assert part["low"] <= part["value"] <= part["high"]
    cache = first["kv_gib"]["value"] * 2**30
    assert first["kv_tokens"]["value"] == pytest.approx(cache / (36 * 8 * 256 * 2), rel=0.01)
    speed = first["tokens_per_second"]
    assert speed["predicted"]["value"] < speed["bound"]
    assert first["usd_per_hour"] == pytest.approx(
        (0.001097 + 8 * 0.0000131 + 64 * 0.00000222) * 3600
    )


def test_figures_are_rounded_and_nothing_is_less_than_none(known: Project) -> None:
    known.spec("llama-70b", LLAMA)
    known.spec("qwen3-8b", QWEN3)
    (none,) = known.run("fit", "llama-70b", "--output", "json").json["rows"]
    assert none["kv_gib"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert none["kv_tokens"] == {"value": 0, "low": 0, "high": 0}
    for row in known.run("fit", "qwen3-8b", "--output", "json").json["rows"]:
        sizes = [row["weights_gib"], row["kv_gib"], *row["other_gib"].values()]
        for size in [end for part in sizes for end in part.values()]:
            assert size == round(size, 3) >= 0
        assert all(isinstance(end, int) for end in row["kv_tokens"].values())


def test_what_does_not_fit_is_said_with_what_does(known: Project) -> None:
    known.spec("llama-70b", LLAMA)
    ran = known.run("fit", "llama-70b")
    assert ran.code == 1
    assert "does not fit" in ran.out
    assert "A100-80GB fits with gpu: A100-80GB:4." in ran.out


def test_following_the_way_out_makes_it_fit(known: Project) -> None:
    known.spec("llama-70b", LLAMA.replace("A100-80GB", "A100-80GB:4"))
    ran = known.run("fit", "llama-70b", "--output", "json")
    assert ran.code == 0
    assert [row["verdict"] for row in ran.json["rows"]] == ["fits"]


def test_nothing_is_said_of_what_the_lock_does_not_know(project: Project) -> None:
    project.spec("qwen3-8b", QWEN3)
    shown = project.run("fit", "qwen3-8b").out
    assert "H100: not checked: not in modelctl.lock." in shown
    assert "are computed" not in shown


def test_an_architecture_without_facts_is_not_checked(known: Project) -> None:
    lock = (known.root / "modelctl.lock").read_text()
    known.write("modelctl.lock", lock.replace('"qwen3"', '"qwen99"'))
    known.spec("qwen3-8b", QWEN3)
    ran = known.run("fit", "qwen3-8b")
    assert ran.code == 0
    assert "H100: not checked: no facts about the architecture qwen99." in ran.out


def test_fit_looks_at_one_spec(known: Project) -> None:
    known.spec("llama-70b", LLAMA)
    known.spec("qwen3-8b", QWEN3)
    ran = known.run("fit")
    assert ran.code == 1
    assert "fit looks at one spec, and 2 are chosen: modelctl fit NAME" in ran.err


def test_what_does_not_fit_is_an_error_at_its_entry(known: Project) -> None:
    known.spec("llama-70b", LLAMA)
    (found,) = known.run("validate", "--output", "json").json["diagnostics"]
    assert (found["code"], found["severity"], found["line"]) == ("fit/too-large", "error", 5)
    assert found["message"] == (
        "meta-llama/Llama-3.3-70B-Instruct in bfloat16 does not fit an A100-80GB at 16k context"
    )
    assert found["detail"].startswith("weights 13")
    assert found["detail"].endswith("usable 72.9 GiB per GPU")
    assert found["hint"] == "A100-80GB:4"
    assert known.run("fit", "llama-70b").code == 1


def test_following_the_hint_leaves_nothing_to_say(known: Project) -> None:
    known.spec("llama-70b", LLAMA.replace("A100-80GB", "A100-80GB:4"))
    ran = known.run("validate", "--output", "json")
    assert (ran.code, ran.json["diagnostics"]) == (0, [])


def test_what_fits_only_if_all_goes_well_is_a_warning_that_can_be_allowed(known: Project) -> None:
    text = LLAMA.replace("A100-80GB", "H100!:2")
    known.spec("llama-70b", text)
    (found,) = known.run("validate", "--output", "json").json["diagnostics"]
    assert (found["code"], found["severity"]) == ("fit/may-not-fit", "warning")
    assert found["message"] == (
        "meta-llama/Llama-3.3-70B-Instruct in bfloat16 may not fit 2 × H100 at 16k context"
    )
    allowed = 'allow: {fit/may-not-fit: {reason: "it ran for a week"}}\n'
    known.spec("llama-70b", text + allowed)
    assert known.run("validate", "--output", "json").json["diagnostics"] == []


def test_a_target_that_memory_has_no_room_for_is_a_warning(known: Project) -> None:
    known.spec(
        "qwen3-8b",
        QWEN3.replace("L40S:2, L4", "A100-80GB")
        .replace("32,", "400,")
        .replace("max: 64", "max: 600"),
    )
    (found,) = known.run("validate", "--output", "json").json["diagnostics"]
    assert found["code"] == "fit/target"
    assert found["message"].startswith("H100 has room for ")
    assert found["message"].endswith("requests of 2k tokens, and the autoscaler aims at 400")


def test_nothing_is_said_of_what_the_lock_does_not_know_by_the_rules_either(
    project: Project,
) -> None:
    project.spec("qwen3-8b", QWEN3)
    codes = [d["code"] for d in project.run("validate", "--output", "json").json["diagnostics"]]
    assert codes == ["model/unlocked"]
    shown = project.run("fit", "qwen3-8b").out
    assert "H100: not checked: not in modelctl.lock." in shown
    assert "are computed" not in shown


def test_an_architecture_without_facts_is_not_checked_by_the_rules_either(known: Project) -> None:
    lock = (known.root / "modelctl.lock").read_text()
    known.write("modelctl.lock", lock.replace('"qwen3"', '"qwen99"'))
    known.spec("qwen3-8b", QWEN3)
    (found,) = known.run("validate", "--output", "json").json["diagnostics"]
    assert (found["code"], found["severity"]) == ("fit/not-checked", "not checked")
    assert found["message"] == (
        "whether it fits is not known: no facts about the architecture qwen99"
    )


def test_what_the_engine_refuses_there_is_said_beside_what_would_fit(known: Project) -> None:
    known.spec("qwen3-8b", QWEN3.replace("[H100!, L40S:2, L4]", "T4:4") + "kv_cache: fp8\n")
    ran = known.run("fit", "qwen3-8b")
    assert ran.code == 1
    table, _, refused = ran.out.partition("\nvalidate refuses it:\n\n")
    assert "\nT4:4 " in table
    assert "specs/qwen3-8b.yaml:5:6 error gpu/kv-cache\n" in refused
    assert " fits with " not in table


def test_a_row_that_does_not_fit_counts_no_requests(known: Project) -> None:
    known.spec("llama-70b", LLAMA)
    known.variables["COLUMNS"] = "80"
    ran = known.run("fit", "llama-70b")
    (row,) = [line for line in ran.out.splitlines() if line.endswith("does not fit")]
    assert row.split()[-6:] == ["-", "-", "-", "does", "not", "fit"]
    assert len(row) <= 80


def test_a_copy_on_two_hosts_costs_both(known: Project) -> None:
    known.spec("llama-70b", LLAMA.replace("A100-80GB", "H100!:8") + "keep_warm: 1\n")
    one = known.run("fit", "llama-70b", "--output", "json").json["rows"][0]["usd_per_hour"]
    known.spec("llama-70b", LLAMA.replace("A100-80GB", "H100!:8") + "keep_warm: 1\nnodes: 2\n")
    ran = known.run("fit", "llama-70b", "--output", "json")
    assert ran.json["rows"][0]["usd_per_hour"] == pytest.approx(2 * one)
    assert "keep_warm 1: $63.20 an hour" in known.run("fit", "llama-70b").out
