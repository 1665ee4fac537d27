"""Does following a hint make the spec right? For every case of the tables, and for every code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.checks.catalogue import CATALOGUE
from modelctl.diagnostics import Diagnostic, Severity
from modelctl.spec.wanted import Wanted
from modelctl.weights.facts import ModelFacts
from tests.checks import (
    test_hardware_rules,
    test_image_rules,
    test_llama_rules,
    test_model_rules,
    test_place_rules,
    test_real_failures,
    test_resource_rules,
    test_rules,
    test_vllm_rules,
)
from tests.checks.elsewhere import ELSEWHERE
from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.checks.test_llama_rules import LORAS, MODEL, ONE
from tests.checks.test_place_rules import ADDRESS, PRICE
from tests.checks.test_vllm_rules import HUB
from tests.render.apps import local_gguf, wanted
from tests.weights.test_gguf import file as gguf

Change = dict[str, Any]
SERVER = {"backend": {"name": "llama.cpp"}}
BASE = {"base": "registry/name:tag"}


def flags(engine: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**engine, "backend": {**engine["backend"], "args": values}}


OF_VLLM: list[Change] = [
    {"kv_cache": "fp8"},
    {"gpu": [{"type": "L4", "kv_cache": "fp8_e4m3"}]},
    {"tools": "qwen3_xml"},
    {"reasoning": "deepseek_r1"},
    {"speculative": {"method": "eagle", "model": "hf://c/d"}},
    {"quantization": "fp8_per_block"},
    {"quantization": "fp8_per_tensor"},
    {"dtype": "float16"},
    {"max_batched_tokens": 512},
    {"gpu": [{"type": "L4", "max_batched_tokens": 128}]},
    {"model": {**HUB, "adapters": {"a": {"source": "hf://c/d", "rank": 512}}}},
    {"speculative": {"method": "ngram", "tokens": 4}},
    {"speculative": {"method": "eagle3", "model": "hf://org/repo", "tokens": 4}},
    {"speculative": {"method": "ngram"}},
    {"image": {"packages": ["arctic-inference==0.1.1"]}},
    {"gpu": [{"type": "H100:8"}]},
    {"parallel": {"tensor": 8, "data": 3}},
    {"parallel": {"tensor": 8, "pipeline": 2}},
    {"nodes": None},
]
OF_LLAMA: list[Change] = [
    {"tools": None},
    {"memory_utilization": None},
    {"multimodal": None},
    {"reasoning": "deepseek"},
    {"model": {**MODEL, "adapters": LORAS}},
    {"model": {**MODEL, "adapters": {"sql": {"source": "volume://v/sql/name.gguf"}}}},
    {"model": {**MODEL, "adapters": {"sql": {"source": "volume://v/a.gguf"}}}},
    {"prefix_caching": None},
    {"speculative": {"model": "volume://v/draft/name.gguf"}},
    {"speculative": {"method": "ngram"}},
    {"speculative": {"method": "draft_model", "model": "volume://v/d.gguf", "tokens": 4}},
    {"speculative": {"method": "ngram"}},
    SERVER,
    flags(LLAMA, flash_attn="off", **{"cache-type-v": "f16"}),
    {"kv_cache": "f16"},
    flags(ONE, flash_attn=False, type_v=1),
    {"parallel": {}, "scaling": {"max": 2}},
    {"gpu": [{"type": "L4:2"}], "parallel": {"tensor": 2}},
    {"parallel": {"tensor": 4}},
    {"max_sequences": None},
    {"concurrency": {"target": 1}},
    {"reasoning": None},
    {"prefix_caching": None},
    SERVER,
    SERVER,
    {"speculative": {"method": "ngram", "tokens": 10}},
    {"backend": {**ONE["backend"], "version": "0.3.36"}},
]
OF_IMAGES: list[Change] = [
    {"base": "team/vllm:1.4"},
    {"base": "team/vllm:1.4"},
    BASE,
    BASE,
    {"install": "pip", "base": "a:1"},
    {"install": "pip", "python": "3.13"},
    {"python": "3.11"},
    {"python": "3.11"},
    {},
    {"packages": ["numpy==2.4.0"], "run": ["uv pip install --pre x"]},
    {"apt": ["git", "a"]},
    {"run": ["a && b", "a"]},
]
OF_PLACES: list[Change] = [
    {"buckets": {"/data": {"bucket": "r2://acme", "endpoint": ADDRESS}}},
    {"buckets": {"/data": {"bucket": "s3://acme"}}},
    {"buckets": {"/data": {"bucket": "my-bucket"}}},
    {"buckets": {"/data": {"bucket": "acme", "endpoint": ADDRESS}}},
    {"volumes": {"/data": {"name": "a"}}, "buckets": {"/other": {"bucket": "acme"}}},
    {"volumes": {"/root/data": {"name": "a"}}},
    {"volumes": {"/data": {"name": "a"}}},
    {"env": {}},
    {"volumes": {"/data": {"name": "weird"}}},
    {"secrets": {"a-b": []}},
    {"secrets": {"good.name_1-A": ["X1"]}},
    {"image": {"secret": "registry"}},
    {"checks": {"paris": {"prompt": "Where?", "expect": {"contains": "Paris"}}}},
    {"checks": {"paris": {"prompt": "Where?", "expect": {"contains": "Paris"}}}},
    {"metrics": {"interval": "60s"}},
    {"env": {}, "secrets": {"name": ["DB"]}},
    {"checks": {"paris": {"prompt": "Where?", "expect": {"contains": "(unclosed"}}}},
    {"checks": {"paris": {"prompt": "Where?", "expect": {"matches": "a{9}"}}}},
    {"endpoint": {"cloud": "aws"}},
    {"endpoint": {"compute_regions": ["us-east", "eu"]}},
    {"context": 4096},
]

FOLLOWED: list[tuple[dict[str, Any], str, Change]] = [
    *((spec, line, way) for (spec, line), way in zip(test_vllm_rules.WRONG, OF_VLLM, strict=True)),
    *(
        (spec, line, way)
        for (spec, line), way in zip(test_llama_rules.WRONG, OF_LLAMA, strict=True)
    ),
    *(
        ({**base, "image": image}, line, {"image": way})
        for (base, image, line), way in zip(
            (case for case in test_image_rules.CASES if case[2]), OF_IMAGES, strict=True
        )
    ),
    *(
        ({**VLLM, "allow": PRICE, **fields}, line, way)
        for (fields, line), way in zip(
            (case for case in test_place_rules.CASES if case[1]), OF_PLACES, strict=True
        )
    ),
]


@pytest.mark.parametrize(
    ("spec", "sentence", "change"), FOLLOWED, ids=[line.split(": ")[0] for _, line, _ in FOLLOWED]
)
def test_the_hint_followed_is_right(spec: dict[str, Any], sentence: str, change: Change) -> None:
    assert sure(judged(spec)) == [sentence]
    assert sure(judged({**spec, **change})) == []


def sure(found: list[Diagnostic]) -> list[str]:
    """Without what could not be checked."""
    return said([d for d in found if d.severity is not Severity.NOT_CHECKED])


OPEN_REASON = {"reason": "a gateway is in front"}
OPEN = {"endpoint/auth-none": OPEN_REASON}

MORE: list[tuple[dict[str, Any], str, Change]] = [
    (
        flags(VLLM, **{"max-num-seq": 8}),
        "backend.args.max-num-seq error engine/unknown-flag: vLLM 0.32.0 has no flag --max-num-seq "
        "| did you mean max-num-seqs?",
        {"max_sequences": 64, "backend": {"name": "vllm"}},
    ),
    (
        flags(LLAMA, **{"q!": 1}),
        "backend.args.q! error engine/short-flag: 'q!' is no long flag | a flag's long name "
        "without its dashes, such as batch-size",
        flags(LLAMA, **{"batch-size": 512}),
    ),
    (
        flags(VLLM, seed="x"),
        'backend.args.seed error engine/flag-value: --seed takes a whole number, not "x"',
        flags(VLLM, seed=8),
    ),
    (
        {**VLLM, "model": {**HUB, "adapters": {"a": {"source": "hf://c/d"}}}},
        "model.adapters.a not checked engine/adapter-rank: the rank of a is not known here: it is "
        "taken to be 16 at most | a: {source: …, rank: the r of its adapter_config.json}",
        {"model": {**HUB, "adapters": {"a": {"source": "hf://c/d", "rank": 16}}}},
    ),
    (
        {**VLLM, "model": {"source": "r2://b/x"}},
        "model.source error model/endpoint: a bucket of R2 is found by its account's address, and "
        "none is given | model: {endpoint: https://ACCOUNT.r2.cloudflarestorage.com}",
        {"model": {"source": "r2://b/x", "endpoint": ADDRESS}},
    ),
    (
        {**VLLM, "endpoint": {"auth": "none"}, "allow": {**OPEN, "gpu/uncountable": OPEN_REASON}},
        "allow.gpu/uncountable warning allow/unknown-code: there is no code gpu/uncountable, so "
        "that line does nothing | did you mean gpu/count?",
        {"allow": OPEN},
    ),
    (
        {**VLLM, "snapshot": "gpu", "gpu": [{"type": "none"}], "image": {"base": "acme/cpu:1"}},
        "snapshot error snapshot/gpu-without-gpu: there is no GPU whose memory a snapshot could "
        "hold | snapshot: cpu, or none",
        {"snapshot": "cpu"},
    ),
]


@pytest.mark.parametrize(
    ("spec", "sentence", "change"), MORE, ids=[m[1].split(": ")[0] for m in MORE]
)
def test_so_do_others(spec: dict[str, Any], sentence: str, change: Change) -> None:
    assert said(judged(spec)) == [sentence]
    assert said(judged({**spec, **change})) == []


POLICIES: list[tuple[dict[str, Any], Change, str, Change]] = [
    (
        {"policy": {"gpus": ["L4", "A10"]}},
        {},
        "gpu[0] error policy/gpu: the project's policy does not allow H100 | one of L4, A10",
        {"gpu": [{"type": "L4"}]},
    ),
    (
        {"policy": {"auth": ["api-key"]}},
        {},
        "endpoint.auth error policy/auth: the project's policy does not allow auth: proxy | "
        "auth: api-key",
        {"endpoint": {"auth": "api-key", "api_key": {"secret": "s", "key": "K"}}},
    ),
    (
        {"policy": {"images": ["registry.acme.com/*"]}},
        {},
        "image.base error policy/image: the project's policy does not allow the image "
        "vllm/vllm-openai:v0.32.0 | one that looks like registry.acme.com/*",
        {"image": {"base": "registry.acme.com/vllm:1"}},
    ),
    (
        {"policy": {"regions": ["us-east"]}},
        {"endpoint": {"region": "us-east"}},
        "endpoint error policy/region: the project's policy allows some regions only, and the "
        "containers may run in any | endpoint: {compute_regions: [us-east]}",
        {"endpoint": {"region": "us-east", "compute_regions": ["us-east"]}},
    ),
    (
        {"policy": {"budget": {"usd_per_month": 100.0}}},
        {},
        "keep_warm error policy/budget: keep_warm costs $2,887.95 a month on H100; the project's "
        "policy allows $100.00 | fewer containers, or a cheaper GPU first in the list",
        {"keep_warm": 0},
    ),
    (
        {"environments": {"prod": {"waves": ["tier=canary"]}}},
        {"rollout": {"wave": "early"}},
        "rollout.wave warning rollout/wave: prod has no wave early; its waves are tier=canary | "
        "waves: [tier=canary, early] of the environment in modelctl.yaml, or leave it out",
        {"rollout": {}},
    ),
]


def in_prod(spec: dict[str, Any], **more: Any) -> Wanted:
    return replace(wanted(spec, **more), environment="prod")


@pytest.mark.parametrize(
    ("project", "spec", "sentence", "change"), POLICIES, ids=[p[2].split(": ")[0] for p in POLICIES]
)
def test_what_a_project_asks_for(
    project: dict[str, Any],
    spec: Change,
    sentence: str,
    change: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "environments" in project:
        monkeypatch.setattr("tests.checks.judging.wanted", in_prod)
    assert said(judged({**VLLM, **spec}, project=project)) == [sentence]
    assert said(judged({**VLLM, **spec, **change}, project=project)) == []


Make = Callable[[Path], object]
M = {"source": "./m.gguf"}


def write(name: str, content: bytes = b"") -> Make:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return make


FILES: list[tuple[dict[str, Any], list[Make], str, list[Make], Change]] = [
    ({**LLAMA, "model": M}, [], "model/not-found", [write("m.gguf", gguf())], {}),
    ({**LLAMA, "model": M}, [write("m.gguf")], "model/empty", [write("m.gguf", gguf())], {}),
    (
        {**LLAMA, "model": M},
        [write("m.gguf", b"<html>")],
        "model/not-gguf",
        [write("m.gguf", gguf())],
        {},
    ),
    (
        {**LLAMA, "model": M},
        [write("m.gguf", gguf()[:-40])],
        "model/broken",
        [write("m.gguf", gguf())],
        {},
    ),
    (
        {**LLAMA, "model": {"source": "../../m.gguf"}},
        [write("../../m.gguf", gguf())],
        "model/outside-project",
        [write("m.gguf", gguf())],
        {"model": M},
    ),
    (
        {**LLAMA, "model": {"source": "./m"}},
        [write("m/a.gguf", gguf()), write("m/b.gguf", gguf())],
        "model/which-file",
        [],
        {"model": {"source": "./m/a.gguf"}},
    ),
    (
        {**VLLM, "chat_template": "x.jinja"},
        [],
        "model/chat-template",
        [write("x.jinja", b"{{ messages }}")],
        {},
    ),
    (
        {**VLLM, "chat_template": "x.jinja"},
        [write("x.jinja", b"{% if a %}")],
        "model/template-syntax",
        [write("x.jinja", b"{% if a %}{% endif %}")],
        {},
    ),
    (
        {**VLLM, "image": {"dockerfile": "Dockerfile"}},
        [write("Dockerfile", b"RUN x\n")],
        "image/dockerfile",
        [write("Dockerfile", b"FROM registry/name:tag\nRUN x\n")],
        {},
    ),
    (
        {**VLLM, "image": {"dockerfile": "Dockerfile"}},
        [write("Dockerfile", b"FROM a:1\nCOPY . /there\n")],
        "image/build-context",
        [write("Dockerfile", b"FROM a:1\nRUN curl -o /there https://acme.com/x\n")],
        {},
    ),
    (
        {**VLLM, "image": {"dockerfile": "Dockerfile", "secret": "registry"}},
        [write("Dockerfile", b"FROM a:1 AS x\nFROM b:1\n")],
        "image/secret-stages",
        [],
        {"image": {"base": "registry/name:tag", "secret": "registry"}},
    ),
]


@pytest.mark.parametrize(
    ("spec", "before", "code", "after", "change"), FILES, ids=[case[2] for case in FILES]
)
def test_a_file_put_right_is_right(
    tmp_path: Path,
    spec: dict[str, Any],
    before: list[Make],
    code: str,
    after: list[Make],
    change: Change,
) -> None:
    """The sentences are those of test_judgement, test_model_rules and test_image_rules."""
    folder = tmp_path / "project/specs"
    folder.mkdir(parents=True)
    spec = {**spec, "context": 64}

    def codes(now: dict[str, Any]) -> list[str]:
        found = judged(now, root=folder.parent)
        return [d.code for d in found if d.code not in ("model/unlocked", "fit/not-checked")]

    for make in before:
        make(folder)
    assert codes(spec) == [code]
    for make in after:
        make(folder)
    assert codes({**spec, **change}) == []


def test_a_file_that_the_disk_refuses(tmp_path: Path) -> None:
    facts = ModelFacts("local", problem="unreadable", detail="Permission denied")
    spec = {**LLAMA, "model": M}
    assert said(judged(spec, facts, tmp_path)) == [
        "model.source error model/unreadable: ./m.gguf cannot be read: Permission denied | see who "
        "may read it"
    ]
    assert said(judged({**LLAMA, "model": MODEL}, local_gguf())) == []


def codes_of(sentences: list[str]) -> set[str]:
    pattern = r"(?:error|warning|not checked) ([a-z]+/[a-z0-9-]+):"
    return {code for line in sentences for code in re.findall(pattern, line)}


def test_every_code_has_its_exact_sentence_and_its_hint_followed() -> None:
    followed = {
        *test_rules.WAYS_OUT,
        *codes_of([case[2] for case in test_hardware_rules.CASES]),
        *codes_of([case[1] for case in test_model_rules.CASES]),
        *codes_of([case[1] for case in test_resource_rules.CASES]),
        *codes_of([line for case in test_real_failures.FAILED for line in case[3]]),
        *codes_of([line for _, line, _ in (*FOLLOWED, *MORE)]),
        *codes_of([line for _, _, line, _ in POLICIES]),
        *(case[2] for case in FILES),
        "model/unreadable",
    }
    assert set(CATALOGUE) - followed == set(ELSEWHERE) - followed
    tests = Path(__file__).parents[1]
    for code, where in ELSEWHERE.items():
        file, _, name = where.partition("::")
        text = (tests / file).read_text(encoding="utf-8")
        assert f"def {name}" in text, where
        assert code in text or code in ("fit/may-not-fit", "fit/too-large"), where
    every = "".join(file.read_text(encoding="utf-8") for file in sorted(tests.rglob("test_*.py")))
    assert [code for code in CATALOGUE if code not in every] == []
