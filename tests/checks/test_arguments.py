"""What does a person read about a flag in args that the engine's version has not, or not so?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.assess import assess
from modelctl.checks import check
from modelctl.resolve import resolve
from modelctl.spec.load import load
from modelctl.spec.project import find_project
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import LLAMA, TODAY, VLLM, judged, said

NEWER = {"version": "0.33.0"}


def args(engine: dict[str, Any], values: dict[str, Any], **backend: Any) -> list[str]:
    name = "vllm" if engine is VLLM else "llama.cpp"
    return said(judged({**engine, "backend": {"name": name, "args": values, **backend}}))


def test_a_flag_that_nobody_has_is_told_with_the_nearest() -> None:
    assert args(VLLM, {"max-num-seq": 8}) == [
        "backend.args.max-num-seq error engine/unknown-flag: vLLM 0.32.0 has no flag --max-num-seq"
        " | did you mean max-num-seqs?"
    ]
    assert args(LLAMA, {"chat-tempalte": "x"}) == [
        "backend.args.chat-tempalte error engine/unknown-flag: llama.cpp b11312 has no flag "
        "--chat-tempalte | did you mean chat-template?"
    ]
    assert args(VLLM, {"frobnicate": True}) == [
        "backend.args.frobnicate error engine/unknown-flag: vLLM 0.32.0 has no flag --frobnicate "
        "| vllm serve --help=all lists them"
    ]
    assert args(LLAMA, {"q!": 1}) == [
        "backend.args.q! error engine/short-flag: 'q!' is no long flag | a flag's long name "
        "without its dashes, such as batch-size"
    ]


def test_it_is_found_in_the_args_of_one_gpu_too() -> None:
    entry = {"type": "H100", "args": {"block-sise": 16}}
    assert said(judged({**VLLM, "gpu": [entry]})) == [
        "gpu[0].args.block-sise error engine/unknown-flag: vLLM 0.32.0 has no flag --block-sise | "
        "did you mean block-size?"
    ]


def test_a_flag_of_the_other_engine_says_whose_it_is() -> None:
    assert args(VLLM, {"ctx-size": 8192}) == [
        "backend.args.ctx-size error engine/unknown-flag: --ctx-size is a flag of llama.cpp, and "
        "vLLM 0.32.0 has none of that name | context says it, for one request"
    ]
    assert args(LLAMA, {"gpu-memory-utilization": 0.9}) == [
        "backend.args.gpu-memory-utilization error engine/unknown-flag: --gpu-memory-utilization "
        "is a flag of vLLM, and llama.cpp b11312 has none of that name | memory_utilization says it"
    ]


OTHERS = """\
name: chat
model: hf://o/r
backend: {{name: vllm{version}, args: {{gpu-memory-utilization: 0.9}}}}
gpu: L4
environments:
  local: {{backend: {{name: llama.cpp{args}}}}}
"""


def in_environment(folder: Path, **words: str) -> list[str]:
    (folder / "modelctl.yaml").write_text("project: acme\n")
    (folder / "specs").mkdir(exist_ok=True)
    text = OTHERS.format(**{"version": "", "args": "", **words})
    (folder / "specs/chat.yaml").write_text(text)
    [want] = load((), find_project(folder, folder), ["local"], (), cwd=folder).wanted
    facts = ModelFacts("hub")
    found = check(want, assess(resolve(want, facts), facts), facts, today=TODAY)
    return [line for line in said(found) if line.startswith("backend")]


def test_a_flag_that_an_environment_with_another_engine_inherits_can_be_left_out(
    tmp_path: Path,
) -> None:
    assert in_environment(tmp_path) == [
        "backend.args.gpu-memory-utilization error engine/unknown-flag: --gpu-memory-utilization "
        "is a flag of vLLM, and llama.cpp b11312 has none of that name | backend: {args: null} in "
        "spec, environment local leaves out what spec says"
    ]
    assert in_environment(tmp_path, args=", args: null") == []
    assert in_environment(tmp_path, args=", args: {gpu-memory-utilization: 0.8}") == [
        "backend.args.gpu-memory-utilization error engine/unknown-flag: --gpu-memory-utilization "
        "is a flag of vLLM, and llama.cpp b11312 has none of that name | memory_utilization says it"
    ]


def test_so_can_a_version(tmp_path: Path) -> None:
    assert in_environment(tmp_path, version=", version: 0.32.0") == [
        "backend.version not checked engine/unknown-version: llama.cpp 0.32.0 is not in the "
        "tables: its flags were not checked | it is one of vllm; backend: {name: llama.cpp, "
        "version: null} leaves it out"
    ]


@pytest.mark.parametrize(
    ("engine", "flag", "value"),
    [
        (VLLM, "runner", "pooling"),
        (VLLM, "convert", "embed"),
        (LLAMA, "embedding", True),
        (LLAMA, "embeddings", True),
        (LLAMA, "rerank", True),
        (LLAMA, "reranking", True),
    ],
)
def test_what_a_model_is_for_is_said_by_its_task(
    engine: dict[str, Any], flag: str, value: object
) -> None:
    assert args(engine, {flag: value}) == [
        f"backend.args.{flag} error engine/reserved-flag: --{flag} is set by modelctl | "
        "model.task says it"
    ]


def test_a_flag_that_is_gone_names_what_came_after_it() -> None:
    assert args(VLLM, {"task": "embed"}) == [
        "backend.args.task error engine/removed-flag: vLLM 0.32.0 has no --task any more | "
        "model.task says it (vLLM: runner and convert)"
    ]
    assert args(LLAMA, {"draft-min": 2}) == [
        "backend.args.draft-min error engine/removed-flag: llama.cpp b11312 has no --draft-min any "
        "more | use --spec-draft-n-min or --spec-ngram-mod-n-min"
    ]


def test_what_a_version_has_again_is_not_gone_there() -> None:
    assert args(VLLM, {"disable-log-requests": True}, **NEWER) == []


@pytest.mark.parametrize("name", ["tensor-parallel-size", "tp", "tensor_parallel_size"])
def test_what_modelctl_sets_is_refused_in_every_spelling(name: str) -> None:
    assert args(VLLM, {name: 2}) == [
        f"backend.args.{name} error engine/reserved-flag: --tensor-parallel-size is set by "
        "modelctl | parallel: {tensor: N} says it"
    ]


def test_so_is_what_ends_the_engine_at_once() -> None:
    assert args(LLAMA, {"c": 1}) == [
        "backend.args.c error engine/reserved-flag: --ctx-size is set by modelctl | context says "
        "it, for one request"
    ]
    assert args(LLAMA, {"list-devices": True}) == [
        "backend.args.list-devices error engine/reserved-flag: --list-devices prints something and "
        "ends the engine | leave it out"
    ]


@pytest.mark.parametrize(
    ("engine", "name", "value", "sentence"),
    [
        (VLLM, "seed", "x", '--seed takes a whole number, not "x"'),
        (VLLM, "seed", 1.5, "--seed takes a whole number, not 1.5"),
        (VLLM, "seed", True, "--seed takes a whole number, not true"),
        (VLLM, "seed", [1, 2], "--seed takes a whole number, not a list"),
        (VLLM, "seed", {"a": 1}, "--seed takes a whole number, not a mapping"),
        (VLLM, "watermark", "much", '--watermark takes a number, not "much"'),
        (
            VLLM,
            "max-num-scheduled-tokens",
            "8 k",
            '--max-num-scheduled-tokens takes a whole number, or one such as 8K, not "8 k"',
        ),
        (
            VLLM,
            "cudagraph-capture-sizes",
            [1, "two"],
            '--cudagraph-capture-sizes takes a whole number, not "two"',
        ),
        (VLLM, "cudagraph-capture-sizes", [], "--cudagraph-capture-sizes is given an empty list"),
        (VLLM, "enable-lora", 1, "--enable-lora takes no value"),
        (
            VLLM,
            "compilation-config",
            "{mode",
            '--compilation-config takes JSON, and "{mode" is none',
        ),
        (
            VLLM,
            "allowed-media-domains",
            ["a", "--b"],
            '--allowed-media-domains is given "--b", which the engine reads as another flag',
        ),
        (LLAMA, "temp", "warm", '--temp takes a number, not "warm"'),
        (LLAMA, "metrics", "yes", "--metrics takes no value"),
        (LLAMA, "tensor-split", "3,x", '--tensor-split takes a number, not "x"'),
    ],
)
def test_a_value_of_another_kind(
    engine: dict[str, Any], name: str, value: object, sentence: str
) -> None:
    (line,) = args(engine, {name: value})
    assert line.split(" | ")[0] == f"backend.args.{name} error engine/flag-value: {sentence}"


def test_a_value_that_is_not_among_the_choices_is_told_with_them() -> None:
    assert args(LLAMA, {"split-mode": "rows"}) == [
        'backend.args.split-mode error engine/flag-value: --split-mode takes no "rows" | did you '
        "mean row? one of none, layer, row, tensor"
    ]
    assert args(LLAMA, {"pooling": "max"}) == [
        'backend.args.pooling error engine/flag-value: --pooling takes no "max" | one of none, '
        "mean, cls, last, rank"
    ]


def test_a_part_of_a_json_flag_is_a_mapping() -> None:
    assert args(VLLM, {"compilation-config.pass_config.fuse": True}) == [
        "backend.args.compilation-config.pass_config.fuse error engine/unknown-flag: "
        "--compilation-config.pass_config.fuse is a part of --compilation-config, which takes a "
        "mapping | compilation-config: {pass_config: {fuse: …}}"
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"compilation-config": {"mode": 3}},
        {"hf-overrides": "module:function"},
        {"max_num_seqs": 8, "q": "fp8"},
        {"moe-backend": "Flashinfer-Trtllm"},
        {"cudagraph-capture-sizes": [1, 2, 4]},
        {"middleware": ["a.b", "c.d"]},
        {"max-num-batched-tokens": "8K"},
        {"disable-log-stats": False, "enable-lora": False},
        {"no-async-scheduling": True},
        {"seed": None},
    ],
)
def test_what_vllm_takes(values: dict[str, Any]) -> None:
    assert args(VLLM, values) == []


@pytest.mark.parametrize(
    "values",
    [
        {"n-gpu-layers": 20},
        {"ngl": "auto", "ts": [3, 1], "ncmoe": 4},
        {"flash-attn": True, "jinja": False, "kv_unified": True},
        {"chat-template-kwargs": {"enable_thinking": False}},
        {"override-kv": ["a.b=int:1", "c.d=bool:true"]},
    ],
)
def test_what_llama_cpp_takes(values: dict[str, Any]) -> None:
    assert args(LLAMA, values) == []


def test_the_flags_of_a_version_without_a_list_are_not_checked() -> None:
    assert args(VLLM, {"anything": 1}, version="0.99.0") == [
        "backend.version not checked engine/unknown-version: vllm 0.99.0 is not in the tables: its "
        "flags were not checked | known: 0.32.0, 0.33.0"
    ]


def test_nor_are_those_of_an_image_whose_version_nobody_said() -> None:
    spec = {**VLLM, "image": {"base": "registry/mine:1"}}
    backend = {"name": "vllm", "args": {"brand-new": 1}}
    assert said(judged({**spec, "backend": backend})) == [
        "backend.args.brand-new not checked engine/unlisted-flag: vLLM 0.32.0 has no flag "
        "--brand-new; whether your own image has that version is not known | backend: {version: …} "
        "says which"
    ]
    versioned = {**backend, "version": "0.32.0"}
    (line,) = said(judged({**spec, "backend": versioned}))
    assert "error engine/unknown-flag" in line
