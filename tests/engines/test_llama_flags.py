"""Which command line does each field become for llama.cpp, and for which of its servers?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.resolve import resolve
from modelctl.resolved import LocalFile, RemoteFile, Resolved
from modelctl.weights.facts import ModelFacts
from tests.engines.test_flags import line, written
from tests.render.apps import GGUF, SHA, SMOLLM2, VOLUME, local_gguf, wanted

LLAMA: dict[str, Any] = {**SMOLLM2, "gpu": [{"type": "L4"}]}
MODEL: dict[str, Any] = SMOLLM2["model"]
PYTHON: dict[str, Any] = {"name": "llama.cpp", "server": "llama-cpp-python"}
# One request at a time, so nothing is said of several.
ONE: dict[str, Any] = {
    **{key: LLAMA[key] for key in ("name", "model", "context", "gpu")},
    "backend": PYTHON,
}
COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"


def args(**own: Any) -> dict[str, Any]:
    return {"backend": {"name": "llama.cpp", "args": own}}


def model(**said: Any) -> dict[str, Any]:
    return {"model": {**MODEL, **said}}


def flags(app: Resolved, key: str | None = None) -> str:
    variant = next(v for v in app.variants if key in (None, v.key))
    return " ".join(written(word) for flag in variant.flags for word in flag)


def test_each_slot_has_the_whole_context_for_itself() -> None:
    assert line(LLAMA) == (
        "--alias smollm2-135m --ctx-size 8192 --parallel 4 --n-gpu-layers all --metrics --no-ui"
    )
    assert line(VOLUME, "A10") == (
        "--alias llama-3.1-8b --ctx-size 65536 --parallel 8 --cache-type-k q8_0 "
        "--cache-type-v q8_0 --flash-attn on --n-gpu-layers all --metrics --no-ui"
    )


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"max_sequences": 2}, "--ctx-size 4096 --parallel 2 "),
    ({"max_sequences": None, "concurrency": {"max": 6}}, "--ctx-size 12288 --parallel 6 "),
    ({"max_sequences": None, "concurrency": {"target": 9}}, "--ctx-size 8192 --parallel 4 "),
    ({"context": None}, "--ctx-size 32768 --parallel 4 "),
    ({"kv_cache": "auto"}, "--parallel 4 --n-gpu-layers all "),
    ({"kv_cache": "f16"}, "--cache-type-k f16 --cache-type-v f16 --n-gpu-layers"),
    (
        {"kv_cache": "iq4_nl"},
        "--cache-type-k iq4_nl --cache-type-v iq4_nl --flash-attn on --n-gpu-layers",
    ),
    ({"max_batched_tokens": 1024}, "--batch-size 1024 --ubatch-size 1024 "),
    ({"reasoning": "deepseek"}, "--reasoning-format deepseek"),
    ({"prefix_caching": False}, "--no-cache-prompt --cache-ram 0"),
    ({"prefix_caching": True}, "--n-gpu-layers all --metrics"),
    ({"cpu": 7.5}, "--n-gpu-layers all --threads 8 "),
    (model(served_as=["zeta", "alpha"]), "--alias zeta --ctx-size"),
    (model(task="embed"), "--batch-size 2048 --ubatch-size 2048 --n-gpu-layers all --embeddings "),
    (model(task="rerank"), "--batch-size 2048 --ubatch-size 2048 --n-gpu-layers all --reranking "),
    ({**model(task="embed"), "max_batched_tokens": 4096}, "--batch-size 4096 --ubatch-size 4096"),
    (
        model(
            adapters={
                "sql": {"source": "volume://loras/sql.gguf"},
                "tone": {"source": "volume://loras/tone.gguf"},
            }
        ),
        "--lora-scaled /volumes/loras/sql.gguf:0 --lora-scaled /volumes/loras/tone.gguf:0 ",
    ),
    (
        model(adapters={"sql": {"source": "volume://loras/sql.gguf"}}),
        "--no-cache-prompt --cache-ram 0",
    ),
    (
        {"speculative": {"method": "draft_model", "model": "volume://small/d.gguf", "tokens": 8}},
        "--spec-type draft-simple --spec-draft-model /volumes/small/d.gguf --spec-draft-ngl all "
        "--spec-draft-n-max 8 ",
    ),
    (
        {"speculative": {"model": "volume://small/d.gguf"}},
        "--spec-type draft-simple --spec-draft-model /volumes/small/d.gguf --spec-draft-ngl all ",
    ),
    (
        {"speculative": {"method": "eagle3", "model": "volume://small/e.gguf"}},
        "--spec-type draft-eagle3 --spec-draft-model /volumes/small/e.gguf ",
    ),
    ({"speculative": {"method": "mtp", "tokens": 2}}, "--spec-type draft-mtp --spec-draft-n-max 2"),
    (
        {"speculative": {"method": "ngram", "tokens": 16}},
        "--spec-type ngram-simple --spec-ngram-simple-size-m 16 ",
    ),
    (
        {"speculative": {"method": "ngram-map-k"}},
        "--spec-type ngram-map-k --ctx-size",
    ),
    ({"gpu": [{"type": "L4:2"}]}, "--n-gpu-layers all --split-mode layer "),
    ({"gpu": [{"type": "L4:2"}], "parallel": {"pipeline": 2}}, "--split-mode layer "),
    ({"gpu": [{"type": "L4:2"}], "parallel": {"tensor": 2}}, "--split-mode tensor "),
    ({"gpu": [{"type": "L4:2", "parallel": {"tensor": 2}}]}, "--split-mode tensor "),
    (
        {"gpu": [{"type": "L4:2", "parallel": {"pipeline": 2}}], "parallel": {"tensor": 2}},
        "--split-mode layer ",
    ),
    (
        {"gpu": [{"type": "L4", "context": 1024, "max_sequences": 2}]},
        "--ctx-size 2048 --parallel 2",
    ),
    ({"gpu": [{"type": "L4", "max_batched_tokens": 256}]}, "--batch-size 256 --ubatch-size 256"),
    ({"gpu": [{"type": "L4", "args": {"n-cpu-moe": 12}}]}, "--no-ui --n-cpu-moe 12"),
    (args(**{"cpu-moe": True}), "--no-ui --cpu-moe"),
    (args(**{"n-gpu-layers": 20}), "--metrics --no-ui --n-gpu-layers 20"),
    (args(**{"kv-unified": True}), "--no-ui --kv-unified"),
    (args(**{"split-mode": "row", "main-gpu": 1}), "--no-ui --split-mode row --main-gpu 1"),
    (args(jinja=False), "--no-ui --no-jinja"),
    (args(pooling="last"), "--no-ui --pooling last"),
]


@pytest.mark.parametrize(("change", "has"), FIELDS, ids=[str(c[0])[:60] for c in FIELDS])
def test_llama_server(change: dict[str, Any], has: str) -> None:
    assert has in f"{line({**LLAMA, **change})} "


PYTHON_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"context": None}, "--n_ctx 8192 "),
    ({"kv_cache": "q8_0"}, "--type_k 8 --type_v 8"),
    ({"kv_cache": "f16"}, "--type_k 1 --type_v 1"),
    ({"kv_cache": "auto"}, "--use_mlock false "),
    ({"max_batched_tokens": 1024}, "--n_batch 1024 --n_ubatch 1024"),
    ({"prefix_caching": True}, "--cache true"),
    ({"cpu": 2}, "--n_threads 2 --n_threads_batch 2"),
    (model(task="embed"), "--n_batch 2048 --n_ubatch 2048 --embedding true"),
    (
        model(adapters={"sql": {"source": "volume://loras/sql.gguf"}}),
        "--lora_path /volumes/loras/sql.gguf",
    ),
    (
        {"speculative": {"method": "ngram", "tokens": 6}},
        "--draft_model prompt-lookup-decoding --draft_model_num_pred_tokens 6",
    ),
    ({"gpu": [{"type": "L4:2"}], "parallel": {"tensor": 2}}, "--split_mode 3"),
    (
        {"backend": {**PYTHON, "args": {"flash_attn": False}}},
        "--use_mlock false --flash_attn false",
    ),
    ({"backend": {**PYTHON, "args": {"n-gpu-layers": 20}}}, "--use_mlock false --n_gpu_layers 20"),
    ({"backend": {**PYTHON, "args": {"tensor_split": [3, 1]}}}, "--tensor_split 3 1"),
    (
        {"backend": {**PYTHON, "args": {"chat_format": "chatml-function-calling"}}},
        "--chat_format chatml-function-calling",
    ),
]


def test_llama_cpp_python_overrides_what_is_wrong_for_a_server() -> None:
    safe = "--interrupt_requests false --flash_attn true --logits_all false --use_mlock false"
    assert line(ONE) == f"--model_alias smollm2-135m --n_ctx 2048 --n_gpu_layers -1 {safe}"
    assert line(ONE, "cpu") == f"--model_alias smollm2-135m --n_ctx 2048 --n_gpu_layers 0 {safe}"


@pytest.mark.parametrize(("change", "has"), PYTHON_FIELDS, ids=[str(c[1]) for c in PYTHON_FIELDS])
def test_llama_cpp_python(change: dict[str, Any], has: str) -> None:
    assert has in f"{line({**ONE, **change})} "


@pytest.mark.parametrize("spec", [LLAMA, ONE])
def test_every_layer_stays_on_a_cpu(spec: dict[str, Any]) -> None:
    assert line(spec, "cpu").replace("_", "-").count("--n-gpu-layers 0") == 1


def test_an_endpoint_without_a_gpu_has_as_many_threads_as_cores_of_its_own() -> None:
    assert "--n-gpu-layers 0 --threads 4 " in line({**LLAMA, "gpu": [{"type": "none"}]})
    assert "--n_threads 4 --n_threads_batch 4" in line({**ONE, "gpu": [{"type": "none"}]})


def of_the_hub(spec: dict[str, Any], *files: str) -> Resolved:
    remote = tuple(RemoteFile(file, 10) for file in files)
    facts = ModelFacts(kind="hub", format="gguf", commit=COMMIT, remote=remote)
    return resolve(wanted({**LLAMA, **spec}), facts)


HUB: dict[str, Any] = {"source": "hf://org/repo"}
FOLDER = f"/models/org/repo/{COMMIT}"


def test_of_a_repository_one_file_is_served_and_fetched() -> None:
    app = of_the_hub({"model": {**HUB, "file": "*q4*"}}, "m-q4.gguf", "m-q8.gguf", "README.md")
    assert app.weights.argument == f"{FOLDER}/m-q4.gguf"
    assert app.weights.fetch is not None
    assert app.weights.fetch.files == (RemoteFile("m-q4.gguf", 10),)


def test_a_split_file_is_given_by_its_first_part_and_fetched_whole() -> None:
    parts = [f"q8/m-{n:05}-of-00003.gguf" for n in (1, 2, 3)]
    app = of_the_hub({"model": {**HUB, "file": "q8/*"}}, *parts, "m-q4.gguf")
    assert app.weights.argument == f"{FOLDER}/q8/m-00001-of-00003.gguf"
    assert app.weights.fetch is not None
    assert app.weights.fetch.files == tuple(RemoteFile(part, 10) for part in parts)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (LLAMA, f"--mmproj {FOLDER}/mmproj-f16.gguf"),
        (ONE, f"--chat_format mtmd --clip_model_path {FOLDER}/mmproj-f16.gguf"),
    ],
)
def test_the_projector_of_a_repository(spec: dict[str, Any], word: str) -> None:
    said = {**HUB, "mmproj": "mmproj*"}
    app = of_the_hub({**spec, "model": said}, "m.gguf", "mmproj-f16.gguf")
    assert word in flags(app)
    assert app.weights.argument == f"{FOLDER}/m.gguf"


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"source": "volume://v/a/m.gguf", "mmproj": "p.gguf"}, "/models/a/p.gguf"),
        ({"source": "volume://v/a", "file": "m.gguf", "mmproj": "p.gguf"}, "/models/a/p.gguf"),
        ({"source": "volume://v", "file": "q/m.gguf", "mmproj": "q/p.gguf"}, "/models/q/p.gguf"),
        ({"source": "s3://b/a", "file": "m.gguf", "mmproj": "p.gguf"}, "/models/p.gguf"),
    ],
)
def test_the_projector_beside_a_model_that_is_read_in_place(
    said: dict[str, Any], path: str
) -> None:
    app = resolve(wanted({**LLAMA, "model": said}), ModelFacts(kind="volume"))
    assert f"--mmproj {path} " in flags(app)


def test_the_projector_of_a_local_folder() -> None:
    files = (LocalFile(GGUF, 9, SHA), LocalFile("mmproj.gguf", 9, SHA))
    facts = local_gguf(root=Path("models"), files=files)
    app = resolve(wanted({**LLAMA, "model": {"source": "../models", "mmproj": "mmproj*"}}), facts)
    assert f"--mmproj /models/{SHA}/mmproj.gguf " in flags(app)
    assert app.weights.argument == f"/models/{SHA}/{GGUF}"
