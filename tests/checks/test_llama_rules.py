"""What is refused of a spec for llama.cpp, in which words, and what is not?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.resolved import RemoteFile
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import judged, said
from tests.render.apps import SMOLLM2, local_gguf
from tests.weights.test_gguf import file as gguf

LLAMA: dict[str, Any] = {**SMOLLM2, "gpu": [{"type": "L4"}]}
MODEL: dict[str, Any] = SMOLLM2["model"]
ONE: dict[str, Any] = {
    **{key: LLAMA[key] for key in ("name", "model", "context", "gpu")},
    "backend": {"name": "llama.cpp", "server": "llama-cpp-python"},
}
TWO: dict[str, Any] = {**LLAMA, "gpu": [{"type": "L4:2"}]}
LORAS: dict[str, Any] = {"sql": {"source": "volume://v/sql.gguf"}}

WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {**LLAMA, "tools": "hermes"},
        "tools error engine/unsupported-field: llama.cpp has no tools | leave it out: tool calls "
        "follow the chat template",
    ),
    (
        {**LLAMA, "memory_utilization": 0.9},
        "memory_utilization error engine/unsupported-field: llama.cpp has no memory_utilization | "
        "leave it out: it takes what context and slots need",
    ),
    (
        {**LLAMA, "multimodal": {"image": 2}},
        "multimodal error engine/unsupported-field: llama.cpp has no multimodal | leave it out: a "
        "request may hold what fits into its context",
    ),
    (
        {**LLAMA, "reasoning": "qwen3"},
        "reasoning error engine/wrong-option: llama.cpp has no reasoning format qwen3 | one of "
        "none, auto, deepseek, deepseek-legacy",
    ),
    (
        {**LLAMA, "model": {**MODEL, "adapters": {"sql": {**LORAS["sql"], "rank": 8}}}},
        "model.adapters.sql.rank error engine/unsupported-field: llama.cpp has no rank of an "
        "adapter | leave it out: the GGUF file says it",
    ),
    (
        {**LLAMA, "model": {**MODEL, "adapters": {"sql": {"source": "volume://v/sql"}}}},
        "model.adapters.sql error engine/wrong-format: llama.cpp takes the adapter sql as a GGUF "
        "file, and volume://v/sql names none | volume://v/sql/name.gguf",
    ),
    (
        {**LLAMA, "model": {**MODEL, "adapters": {"sql": {"source": "volume://v/a,b.gguf"}}}},
        "model.adapters.sql error engine/wrong-option: llama.cpp would take /volumes/v/a,b.gguf "
        "apart where it has a comma or a colon | a path without either",
    ),
    (
        {**LLAMA, "prefix_caching": True, "model": {**MODEL, "adapters": LORAS}},
        "prefix_caching warning engine/adapters-mix: llama-server answers requests without lora "
        "from prompts that were read with one | leave it out, or let every request say lora, "
        "as in [{id: 0, scale: 0}]",
    ),
    (
        {**LLAMA, "speculative": {"model": "volume://v/draft"}},
        "speculative.model error engine/wrong-format: llama.cpp takes the draft model as a GGUF "
        "file, and volume://v/draft names none | volume://v/draft/name.gguf",
    ),
    (
        {**LLAMA, "speculative": {"method": "medusa"}},
        "speculative.method error engine/wrong-option: llama.cpp has no speculative method medusa "
        "| one of ngram, draft_model, eagle3, mtp, ngram-simple, ngram-map-k, ngram-map-k4v, "
        "draft-simple, draft-eagle3, draft-mtp, draft-dflash, draft-dspark",
    ),
    (
        {**LLAMA, "speculative": {"method": "draft_model", "tokens": 4}},
        "speculative error engine/wrong-option: draft_model guesses with a model, and none is "
        "named | speculative: {method: draft_model, model: hf://org/repo, tokens: 4}",
    ),
    (
        {**LLAMA, "speculative": {"method": "ngram", "model": "volume://v/d.gguf"}},
        "speculative.model error engine/wrong-option: ngram guesses from the text itself, without "
        "a model | leave model out, or method: draft_model",
    ),
    (
        {
            **LLAMA,
            "kv_cache": "q8_0",
            "backend": {"name": "llama.cpp", "args": {"flash-attn": "off"}},
        },
        "backend.args.flash-attn error engine/wrong-option: a KV cache of type q8_0 needs flash "
        "attention | leave flash-attn out, or kv_cache: f16",
    ),
    (
        {
            **LLAMA,
            "backend": {"name": "llama.cpp", "args": {"flash_attn": "off", "cache-type-v": "q4_0"}},
        },
        "backend.args.flash_attn error engine/wrong-option: a V cache of type q4_0 needs flash "
        "attention | leave flash_attn out, or cache-type-v: f16",
    ),
    (
        {
            **LLAMA,
            "gpu": [{"type": "L4"}, {"type": "T4", "args": {"flash-attn": False}}],
            "kv_cache": "q5_1",
        },
        "gpu[1].args.flash-attn error engine/wrong-option: a KV cache of type q5_1 needs flash "
        "attention | leave flash-attn out, or kv_cache: f16",
    ),
    (
        {
            **ONE,
            "backend": {**ONE["backend"], "args": {"flash_attn": False, "type_v": 8}},
        },
        "backend.args.flash_attn error engine/wrong-option: a V cache of type q8_0 needs flash "
        "attention | leave flash_attn out, or type_v: 1",
    ),
    (
        {**TWO, "parallel": {"data": 2}},
        "parallel.data error engine/unsupported-field: llama.cpp has no data parallelism | "
        "scaling: {max: N} adds containers, each with a copy",
    ),
    (
        {**TWO, "gpu": [{"type": "L4:2", "parallel": {"expert": True}}]},
        "gpu[0].parallel.expert error engine/unsupported-field: llama.cpp has no expert "
        "parallelism | parallel: {tensor: N} slices the experts too",
    ),
    (
        {**TWO, "gpu": [{"type": "L4:4"}], "parallel": {"tensor": 2, "pipeline": 2}},
        "parallel error engine/wrong-option: llama.cpp spreads a model by slices or by layers, not "
        "both | parallel: {tensor: N} or parallel: {pipeline: N}",
    ),
    (
        {**ONE, "max_sequences": 4},
        "max_sequences error engine/wrong-option: llama-cpp-python answers one request at a time | "
        "leave it out, or server: llama-server, which takes requests in parallel",
    ),
    (
        {**ONE, "concurrency": {"target": 4}},
        "concurrency.target warning engine/one-at-a-time: llama-cpp-python answers one request at "
        "a time: of 4 all but one wait | target: 1, or server: llama-server, which takes requests "
        "in parallel",
    ),
    (
        {**ONE, "reasoning": "deepseek"},
        "reasoning error engine/unsupported-field: llama-cpp-python's server has no reasoning | "
        "leave it out, or server: llama-server",
    ),
    (
        {**ONE, "prefix_caching": False},
        "prefix_caching error engine/unsupported-field: llama-cpp-python's server has no way to "
        "forget the prompt before | leave it out, or server: llama-server",
    ),
    (
        {**ONE, "model": {**MODEL, "task": "rerank"}},
        "model.task error engine/wrong-option: llama-cpp-python's server does not rerank | server: "
        "llama-server",
    ),
    (
        {**ONE, "model": {**MODEL, "adapters": LORAS}},
        "model.adapters.sql warning engine/always-adapted: llama-cpp-python's server puts the "
        "adapter sql on every answer | server: llama-server, where a request chooses",
    ),
    (
        {**ONE, "speculative": {"model": "volume://v/d.gguf"}},
        "speculative error engine/wrong-option: llama-cpp-python's server guesses from the text "
        "itself only | speculative: {method: ngram, tokens: 10}, or server: llama-server",
    ),
    (
        {**ONE, "backend": {**ONE["backend"], "version": "b11312"}},
        "backend.version error engine/wrong-option: b11312 is a build of llama.cpp, and the server "
        "is llama-cpp-python | version: 0.3.36",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), WRONG, ids=[c[1].split(": ")[0] for c in WRONG])
def test_sentences(spec: dict[str, Any], sentence: str) -> None:
    found = [one for one in said(judged(spec)) if "engine/unknown-version" not in one]
    assert found == [sentence]


def write_gguf(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    (path.parent.parent / "specs").mkdir(exist_ok=True)
    path.write_bytes(gguf())


RIGHT: list[dict[str, Any]] = [
    ONE,
    {**ONE, "concurrency": {"target": 1, "max": 8}},
    {**ONE, "kv_cache": "q8_0", "speculative": {"method": "ngram"}, "prefix_caching": True},
    {**ONE, "backend": {**ONE["backend"], "args": {"n_batch": 256, "flash_attn": False}}},
    {**LLAMA, "model": {**MODEL, "adapters": LORAS}},
    {**LLAMA, "speculative": {"method": "mtp", "tokens": 2}},
    {**LLAMA, "speculative": {"method": "eagle3", "model": "volume://v/e.gguf"}},
    {**LLAMA, "max_batched_tokens": 512, "reasoning": "none", "prefix_caching": False},
    {**TWO, "parallel": {"tensor": 2}},
    {**TWO, "parallel": {"pipeline": 2}},
    {
        **LLAMA,
        "gpu": [{"type": "L4:2", "parallel": {"tensor": 2}}, {"type": "H100"}],
    },
    {
        **LLAMA,
        "backend": {"name": "llama.cpp", "args": {"n-cpu-moe": 8, "tensor-split": [3, 1]}},
        "kv_cache": "q4_0",
    },
]


@pytest.mark.parametrize("spec", RIGHT)
def test_what_llama_cpp_has_is_not_refused(spec: dict[str, Any]) -> None:
    assert said(judged(spec)) == []


def test_a_repository_may_hold_safetensors_beside_the_gguf() -> None:
    files = (RemoteFile("model.safetensors", 9), RemoteFile("m-q4.gguf", 9))
    facts = ModelFacts("hub", "safetensors", commit="0" * 40, digest="0" * 40, remote=files)
    spec = {**LLAMA, "model": {"source": "hf://org/repo"}}
    assert not [one for one in said(judged(spec, facts)) if " error " in one]
    without = ModelFacts("hub", "safetensors", commit="0" * 40, digest="0" * 40, remote=files[:1])
    assert any("holds safetensors" in one for one in said(judged(spec, without)))


def test_a_projector_that_no_file_matches() -> None:
    spec = {**LLAMA, "model": {**MODEL, "mmproj": "mmproj*"}}
    assert said(judged(spec, local_gguf())) == [
        "model.mmproj error model/which-file: the multimodal projector is one GGUF file: no files "
        "match mmproj* | the file's own name"
    ]


def test_of_an_adapter_s_repository_one_file_must_be_clear() -> None:
    files = (RemoteFile("a.gguf", 9), RemoteFile("b.gguf", 9))
    beside = {"hf://org/lora": ModelFacts("hub", "gguf", commit="0" * 40, remote=files)}
    spec = {**LLAMA, "model": {**MODEL, "adapters": {"x": {"source": "hf://org/lora"}}}}
    assert said(judged(spec, local_gguf(beside=beside))) == [
        "model.adapters.x error model/which-file: the adapter x is one GGUF file: 2 GGUF files "
        "match *.gguf: a.gguf, b.gguf | a repository with one, or volume://name/path.gguf"
    ]


def test_a_projector_that_is_not_beside_a_local_model_is_missed_without_its_hash(
    tmp_path: Path,
) -> None:
    write_gguf(tmp_path / "models" / "m.gguf")
    spec = {**LLAMA, "model": {"source": "../models/m.gguf", "mmproj": "x.gguf"}}
    assert [one for one in said(judged(spec, root=tmp_path)) if " error " in one] == [
        "model.mmproj error model/which-file: the multimodal projector is one GGUF file: no files "
        "match x.gguf | the file's own name"
    ]


@pytest.mark.parametrize("source", ["../models/m-00001-of-00003.gguf", "../models"])
def test_a_split_file_in_the_project_has_all_of_its_parts(tmp_path: Path, source: str) -> None:
    spec = {**LLAMA, "model": {"source": source}}
    for part in (1, 2):
        write_gguf(tmp_path / "models" / f"m-0000{part}-of-00003.gguf")
    assert [one for one in said(judged(spec, root=tmp_path)) if " error " in one] == [
        "model.source error model/which-file: part 3 of 3 of m is missing | all parts of it beside "
        "each other"
    ]
    write_gguf(tmp_path / "models" / "m-00003-of-00003.gguf")
    assert not [one for one in said(judged(spec, root=tmp_path)) if " error " in one]


def test_a_split_file_of_a_repository_has_all_of_its_parts() -> None:
    files = tuple(RemoteFile(f"m-0000{part}-of-00003.gguf", 9) for part in (1, 2, 3))
    spec = {**LLAMA, "model": {"source": "hf://org/repo", "file": "m-*"}}

    def errors(remote: tuple[RemoteFile, ...]) -> list[str]:
        facts = ModelFacts("hub", "gguf", commit="0" * 40, digest="0" * 40, remote=remote)
        return [one for one in said(judged(spec, facts)) if " error " in one]

    assert errors(files) == []
    assert errors(files[:2]) == [
        "model.file error model/which-file: hf://org/repo: part 3 of 3 of m is missing | all parts "
        "of it beside each other"
    ]


def test_a_locked_repository_without_a_file_of_a_model() -> None:
    facts = ModelFacts("hub", commit="0" * 40, digest="0" * 40)
    spec = {**LLAMA, "model": {"source": "hf://acme/none"}}
    found = [d for d in judged(spec, facts) if d.code in ("model/no-weights", "model/unlocked")]
    assert [f"{d.path} {d.severity}: {d.message} | {d.hint}" for d in found] == [
        "model.source error: hf://acme/none holds no file that an engine could read | another "
        "repository, or modelctl lock --upgrade where it has some now"
    ]


def test_a_glob_in_a_repository_that_is_not_locked_is_no_name() -> None:
    spec = {**LLAMA, "model": {"source": "hf://org/repo", "file": "*Q4_1*"}}
    assert [d.hint for d in judged(spec) if d.code == "model/unlocked"] == [
        "run modelctl lock, or name one file in full, without *"
    ]


EMBEDS: dict[str, Any] = {**LLAMA, "model": {**MODEL, "task": "embed"}, "checks": None}
NO_POOLING = "engine/no-pooling: the GGUF file names no pooling, and llama-server answers every "
NO_POOLING += "request at /v1/embeddings with 400 then | backend: {name: llama.cpp, args: {pooling:"
NO_POOLING += " mean}}, or last or cls, as the model's page says"
POOLED_NOT = "engine/no-pooling: with pooling: none llama-server answers every request at "
POOLED_NOT += "/v1/embeddings with 400 | pooling: mean, or last or cls, as the model's page says"


def pooled(word: str | None, *cards: str | None) -> dict[str, Any]:
    """What backend.args say of pooling, and each GPU's args."""
    args = [{} if each is None else {"pooling": each} for each in (word, *cards)]
    gpus = [{"type": "L4", "args": each} for each in args[1:]]
    more = {"gpu": gpus} if gpus else {}
    return {**EMBEDS, **more, "backend": {"name": "llama.cpp", "args": args[0]}}


@pytest.mark.parametrize(
    ("spec", "own", "sentences"),
    [
        (pooled(None), None, [f"model.task error {NO_POOLING}"]),
        (pooled(None), 0, [f"model.task error {NO_POOLING}"]),
        (pooled("none"), 1, [f"backend.args.pooling error {POOLED_NOT}"]),
        (pooled("mean", None, "none"), None, [f"gpu[1].args.pooling error {POOLED_NOT}"]),
        (pooled(None, None, "mean"), None, [f"model.task error {NO_POOLING}"]),
        (pooled("mean"), None, []),
        (pooled("last", None, "cls"), None, []),
        (pooled(None, "mean", "cls"), None, []),
        (pooled("none", "mean", "cls"), None, []),
        (pooled(None), 1, []),
        ({**pooled(None), "model": MODEL}, None, []),
        ({**pooled(None), "model": {**MODEL, "task": "rerank"}}, None, []),
    ],
)
def test_tokens_that_are_not_pooled_make_no_embedding(
    spec: dict[str, Any], own: int | None, sentences: list[str]
) -> None:
    header: dict[str, Any] = {"general.architecture": "llama"}
    header |= {} if own is None else {"llama.pooling_type": own}
    found = said(judged(spec, local_gguf(header=header)))
    assert [one for one in found if "gpu/duplicate" not in one] == sentences


def test_of_a_header_that_nobody_read_no_pooling_is_missed() -> None:
    assert said(judged(EMBEDS, local_gguf())) == []
