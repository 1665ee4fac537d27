"""Does the llama-server stand-in apply every flag that it takes, and refuse the rest?"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from modelctl.local.llama_server.flags import FLAGS, parse
from modelctl.local.llama_server.server import configure, main
from modelctl.local.llama_server.values import RefusedError

# --- what it refuses -----------------------------------------------------------------------------

NO_HANDLE = (
    "is refused: this stand-in cannot: xllamacpp gives no handle on it; a real llama-server can."
)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--log-prefix", f"--log-prefix {NO_HANDLE}"),
        ("--override-kv a=int:1", f"--override-kv {NO_HANDLE}"),
        ("--mlock", "--mlock is refused: llama.cpp removed it: use --load-mode mlock."),
        ("hello", "'hello' stands alone: llama-server takes flags and their values only."),
        (
            "--port=80",
            "llama-server does not take --port=…: write --port and its value as two words.",
        ),
        ("--port", "--port needs a value after it: a whole number from 0 to 65535."),
        ("--port 80a", "--port takes a whole number from 0 to 65535, not '80a'."),
        ("--port 65536", "--port takes a whole number from 0 to 65535, not '65536'."),
        ("-c 4k", "-c takes a whole number of at least 0, not '4k'."),
        ("-np 0", "-np takes a whole number of at least 1, or -1, not '0'."),
        ("-np 9999999999", "-np takes a whole number of at least 1, or -1, not '9999999999'."),
        ("-ngl most", "-ngl takes a whole number, auto or all, not 'most'."),
        ("-fa --metrics", "-fa takes one of auto, on, off, not '--metrics'."),
        (
            "-ctk q3_K",
            "-ctk takes one of f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1, not 'q3_K'.",
        ),
        ("-sm rows", "-sm takes one of none, layer, row, tensor, not 'rows'."),
        ("-ts 1,x", "-ts takes shares of at least 0, separated by commas, not '1,x'."),
        ("--rope-scale 0", "--rope-scale takes a number above 0, not '0'."),
        ("--rope-scale nan", "--rope-scale takes a number above 0, not 'nan'."),
        ("--chat-template-kwargs [1]", "--chat-template-kwargs takes a JSON object, not '[1]'."),
        (
            "--chat-template-file /nowhere",
            "--chat-template-file takes the path of a readable text file, not '/nowhere'.",
        ),
        (
            "--lora-scaled a:b:c",
            "--lora-scaled takes FILE:SCALE pairs separated by commas, not 'a:b:c'.",
        ),
    ],
)
def test_refusals(line: str, sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse(line.split())
    assert str(refused.value) == sentence


def test_a_model_is_needed() -> None:
    with pytest.raises(RefusedError, match=r"^--model is required\.$"):
        configure([], {})


def test_llama_arg_variables_are_refused() -> None:
    with pytest.raises(
        RefusedError, match=r"^LLAMA_ARG_CTX_SIZE is set, but this stand-in reads flags"
    ):
        configure([], {"LLAMA_ARG_CTX_SIZE": "1"})


def test_without_xllamacpp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(RefusedError) as refused:
        configure([], {})
    assert str(refused.value).endswith(
        "pip install 'modelctl[local]', or put llama-server on PATH."
    )


# --- every flag of the table, as CommonParams holds it -------------------------------------------


def attribute(params: Any, path: str) -> Any:
    for name in path.split("."):
        params = getattr(params, name)
    return params


EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
PROCESSORS = os.cpu_count()

# A command line, and what it sets: one line at least for each flag and each of its spellings.
APPLIED: list[tuple[str, dict[str, Any]]] = [
    ("", {"port": 8080, "n_parallel": -1, "hostnames": ["127.0.0.1"], "n_ctx": 0}),
    ("", {"default_template_kwargs": {"preserve_reasoning": "true"}, "api_keys": []}),
    ("--model GGUF", {"model.path": "GGUF"}),
    ("-m GGUF", {"model.path": "GGUF"}),
    ("--alias a,b -a c", {"model_alias": {"a", "b", "c"}}),
    ("--host 0.0.0.0,::1", {"hostnames": ["0.0.0.0", "::1"]}),
    ("--port 81", {"port": 81}),
    ("--ctx-size 4096", {"n_ctx": 4096, "fit_params_min_ctx": 4096}),
    ("--ctx_size 4096", {"n_ctx": 4096}),
    ("-c 0", {"n_ctx": 0, "fit_params_min_ctx": -1}),
    ("--parallel 3", {"n_parallel": 3}),
    ("-np 3", {"n_parallel": 3}),
    ("--kv-unified", {"kv_unified": True}),
    ("-kvu", {"kv_unified": True}),
    ("-kvu --no-kv-unified", {"kv_unified": False}),
    ("-kvu -no-kvu", {"kv_unified": False}),
    ("--n-gpu-layers 7", {"n_gpu_layers": 7}),
    ("--gpu-layers auto", {"n_gpu_layers": -1}),
    ("-ngl all", {"n_gpu_layers": -2}),
    ("--split-mode none", {"split_mode.name": "LLAMA_SPLIT_MODE_NONE"}),
    ("-sm row", {"split_mode.name": "LLAMA_SPLIT_MODE_ROW"}),
    ("-sm tensor", {"split_mode.name": "LLAMA_SPLIT_MODE_TENSOR"}),
    ("--tensor-split 3,1", {"tensor_split": [3.0, 1.0] + [0.0] * 126}),
    ("-ts 3/1", {"tensor_split": [3.0, 1.0] + [0.0] * 126}),
    ("--main-gpu 1", {"main_gpu": 1}),
    ("-mg 2", {"main_gpu": 2}),
    ("--cache-type-k q8_0", {"cache_type_k.name": "GGML_TYPE_Q8_0"}),
    ("-ctk iq4_nl", {"cache_type_k.name": "GGML_TYPE_IQ4_NL"}),
    ("--cache-type-v q5_1", {"cache_type_v.name": "GGML_TYPE_Q5_1"}),
    ("-ctv bf16", {"cache_type_v.name": "GGML_TYPE_BF16"}),
    ("--flash-attn on", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}),
    ("-fa off", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_DISABLED"}),
    ("-fa on -fa auto", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_AUTO"}),
    ("-fa 1", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}),
    ("--batch-size 64", {"n_batch": 64}),
    ("-b 65", {"n_batch": 65}),
    ("--ubatch-size 32", {"n_ubatch": 32}),
    ("-ub 33", {"n_ubatch": 33}),
    ("--threads 3", {"cpuparams.n_threads": 3}),
    ("-t -1", {"cpuparams.n_threads": PROCESSORS}),
    ("--threads-batch 5", {"cpuparams_batch.n_threads": 5}),
    ("-tb 0", {"cpuparams_batch.n_threads": PROCESSORS}),
    ("--threads-http 9", {"n_threads_http": 9}),
    ("--load-mode mmap+mlock", {"load_mode.name": "LLAMA_LOAD_MODE_MMAP_MLOCK"}),
    ("-lm dio", {"load_mode.name": "LLAMA_LOAD_MODE_DIRECT_IO"}),
    ("--fit off", {"fit_params": False}),
    ("-fit off -fit on", {"fit_params": True}),
    ("--metrics", {"endpoint_metrics": True}),
    ("--no-slots", {"endpoint_slots": False}),
    ("--no-slots --slots", {"endpoint_slots": True}),
    ("--no-jinja", {"use_jinja": False}),
    ("--no-jinja --jinja", {"use_jinja": True}),
    ("--chat-template chatml", {"chat_template": "chatml"}),
    ("--chat-template-file TEXT", {"chat_template": "from a file"}),
    (
        '--chat-template-kwargs {"a":{"b":[1,true]}}',
        {"default_template_kwargs": {"preserve_reasoning": "true", "a": '{"b":[1,true]}'}},
    ),
    ("--reasoning-format none", {"reasoning_format.name": "COMMON_REASONING_FORMAT_NONE"}),
    (
        "--reasoning-format deepseek-legacy",
        {"reasoning_format.name": "COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY"},
    ),
    ("--embeddings", {"embedding": True}),
    ("--embedding", {"embedding": True}),
    ("--pooling cls", {"pooling_type.name": "LLAMA_POOLING_TYPE_CLS"}),
    ("--reranking", {"embedding": True, "pooling_type.name": "LLAMA_POOLING_TYPE_RANK"}),
    ("--rerank", {"embedding": True, "pooling_type.name": "LLAMA_POOLING_TYPE_RANK"}),
    ("--no-cont-batching", {"cont_batching": False}),
    ("-nocb --cont-batching", {"cont_batching": True}),
    ("-nocb -cb", {"cont_batching": True}),
    ("--cache-ram 100", {"cache_ram_mib": 100}),
    ("-cram -1", {"cache_ram_mib": -1}),
    ("--cpu-moe", {"tensor_buft_overrides": EXPERTS}),
    ("-cmoe", {"tensor_buft_overrides": EXPERTS}),
    (
        "--n-cpu-moe 2",
        {"tensor_buft_overrides": rf"blk\.0{EXPERTS},blk\.1{EXPERTS}"},
    ),
    ("-ncmoe 1 -cmoe", {"tensor_buft_overrides": rf"blk\.0{EXPERTS},{EXPERTS}"}),
    ("-ncmoe 0", {"tensor_buft_overrides": ""}),
    ("--swa-full", {"swa_full": True}),
    (
        "--lora GGUF,GGUF --lora-scaled GGUF:0.5",
        {"lora_adapters": [("GGUF", 1.0), ("GGUF", 1.0), ("GGUF", 0.5)]},
    ),
    ('--api-key a,b --api-key "c,d"', {"api_keys": ["a", "b", "c,d"]}),
    ("--no-ui", {"ui": False}),
    ("--no-webui", {"ui": False}),
    ("--no-ui --ui", {"ui": True}),
    ("--no-ui --webui", {"ui": True}),
    ("--no-warmup", {"warmup": False}),
    ("--no-warmup --warmup", {"warmup": True}),
    ("--n-predict 5", {"n_predict": 5}),
    ("--predict 6", {"n_predict": 6}),
    ("-n 5 -n -1", {"n_predict": -1}),
    ("--timeout 7", {"timeout_read": 7, "timeout_write": 7}),
    ("-to 8", {"timeout_read": 8, "timeout_write": 8}),
    ("--log-verbosity 1", {"verbosity": 1}),
    ("--verbosity 2", {"verbosity": 2}),
    ("-lv 4", {"verbosity": 4}),
    ("--spec-draft-model GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    ("--model-draft GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    ("-md GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    (
        "--spec-type draft-mtp,ngram-map-k4v",
        {"speculative.types": ["NONE", "DRAFT_MTP", "NGRAM_MAP_K4V"]},
    ),
    ("--spec-type draft-mtp,none", {"speculative.types": ["NONE", "NONE"]}),
    ("--spec-draft-n-max 9", {"speculative.draft.n_max": 9}),
    ("--spec-draft-n-min 2", {"speculative.draft.n_min": 2}),
    ("--spec-draft-ngl 4", {"speculative.draft.n_gpu_layers": 4}),
    ("--gpu-layers-draft all", {"speculative.draft.n_gpu_layers": -2}),
    ("--n-gpu-layers-draft auto", {"speculative.draft.n_gpu_layers": -1}),
    ("-ngld 3", {"speculative.draft.n_gpu_layers": 3}),
    ("--rope-scaling yarn", {"rope_scaling_type.name": "LLAMA_ROPE_SCALING_TYPE_YARN"}),
    ("--rope-scale 4", {"rope_freq_scale": 0.25}),
    ("--rope-freq-base 10000", {"rope_freq_base": 10000.0}),
    ("--rope-freq-scale 0.5", {"rope_freq_scale": 0.5}),
    ("--yarn-orig-ctx 2048", {"yarn_orig_ctx": 2048}),
]


@pytest.mark.parametrize(("line", "expected"), APPLIED)
def test_applied(line: str, expected: dict[str, Any], tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF")
    text = tmp_path / "text"
    text.write_text("from a file")

    def fill(word: str) -> str:
        return word.replace("GGUF", str(gguf)).replace("TEXT", str(text))

    params = configure(["-m", str(gguf), *map(fill, line.split())], {}).params
    for path, value in expected.items():
        found = attribute(params, path)
        if path == "lora_adapters":
            found = [(adapter.path.replace(str(gguf), "GGUF"), adapter.scale) for adapter in found]
        if path == "speculative.types":
            found = [kind.name.removeprefix("COMMON_SPECULATIVE_TYPE_") for kind in found]
        assert found == (fill(value) if isinstance(value, str) else value)


def test_every_spelling_of_every_flag_is_among_them() -> None:
    tried = {word for line, _ in APPLIED for word in line.split() if word.startswith("-")}
    table = {name for flag in FLAGS for name in (*flag.names, *flag.off)}
    assert table - tried == set()


def test_keys_of_the_environment_come_first(tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF")
    argv = ["-m", str(gguf), "--api-key", "c"]
    assert configure(argv, {"LLAMA_API_KEY": "a,b"}).params.api_keys == ["a", "b", "c"]
    assert configure(argv, {"LLAMA_API_KEY": ""}).params.api_keys == ["c"]
    with pytest.raises(RefusedError, match=r"^LLAMA_API_KEY is set but holds no key\.$"):
        configure(argv, {"LLAMA_API_KEY": ","})
    with pytest.raises(RefusedError, match=r"^a comma-separated value holds a line break\.$"):
        configure(argv, {"LLAMA_API_KEY": "a\nb"})


def test_help_lists_every_flag_and_version_says_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [signal.getsignal(stop) for stop in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert main(["--help"]) == 0
        listed = capsys.readouterr().out
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("stand-in for llama-server, from xllamacpp 20")
    finally:
        for stop, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(stop, handler)
    for flag in FLAGS:
        for name in (*flag.names, *flag.off):
            assert name in listed
