"""Which llama-server flags does the stand-in take, and what does it say to the others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelctl.local.llama_server.applying import (
    Apply,
    aliases,
    api_keys,
    context_size,
    experts_on_cpu,
    into,
    inverse_into,
    loras,
    reranking,
    speculation,
    template_kwargs,
    tensor_split,
    threads_into,
)
from modelctl.local.llama_server.values import (
    CACHE_TYPE,
    FILE,
    FLASH,
    GGUF,
    KEYS,
    KWARGS,
    LAYERS,
    LOAD_MODE,
    LORA,
    NAMES,
    ON_OFF,
    POOLING,
    REASONING_FORMAT,
    ROPE_SCALING,
    SCALED_LORA,
    SLOTS,
    SPECULATION,
    SPLIT,
    SPLIT_MODE,
    TEXT,
    Kind,
    RefusedError,
    integer,
    number,
)

# llama-server's `--help` says 8080; xllamacpp starts from 0, any free port.
DEFAULT_PORT = 8080


@dataclass(frozen=True)
class Flag:
    """One llama-server flag; without a kind it is a switch, `off` spells its opposite."""

    names: tuple[str, ...]
    kind: Kind | None
    apply: Apply
    meaning: str
    off: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """A flag with the value the command line gave it, checked but not yet applied."""

    flag: Flag
    value: Any


FLAGS: tuple[Flag, ...] = (
    Flag(("--model", "-m"), GGUF, into("model.path"), "the GGUF file (required)"),
    Flag(("--alias", "-a"), NAMES, aliases, "the names the model answers to"),
    Flag(("--host",), NAMES, into("hostnames"), "addresses to listen on (127.0.0.1)"),
    Flag(("--port",), integer(0, 65535), into("port"), f"port to listen on ({DEFAULT_PORT})"),
    Flag(
        ("--ctx-size", "-c"),
        integer(0),
        context_size,
        "tokens of context, divided among the slots; 0 = the model's own length",
    ),
    Flag(
        ("--parallel", "-np"), SLOTS, into("n_parallel"), "slots; -1 = four with one shared cache"
    ),
    Flag(
        ("--kv-unified", "-kvu"),
        None,
        into("kv_unified"),
        "one cache shared by all slots",
        off=("--no-kv-unified", "-no-kvu"),
    ),
    Flag(
        ("--n-gpu-layers", "--gpu-layers", "-ngl"),
        LAYERS,
        into("n_gpu_layers"),
        "layers kept on the GPU; without one this changes nothing",
    ),
    Flag(
        ("--split-mode", "-sm"),
        SPLIT_MODE,
        into("split_mode"),
        "how a model is split over several GPUs",
    ),
    Flag(("--tensor-split", "-ts"), SPLIT, tensor_split, "each GPU's share of the model"),
    Flag(("--main-gpu", "-mg"), integer(0), into("main_gpu"), "the GPU for --split-mode none"),
    Flag(("--cache-type-k", "-ctk"), CACHE_TYPE, into("cache_type_k"), "number type of cached K"),
    Flag(("--cache-type-v", "-ctv"), CACHE_TYPE, into("cache_type_v"), "number type of cached V"),
    Flag(("--flash-attn", "-fa"), FLASH, into("flash_attn_type"), "flash attention"),
    Flag(("--batch-size", "-b"), integer(1), into("n_batch"), "tokens in a logical batch"),
    Flag(("--ubatch-size", "-ub"), integer(1), into("n_ubatch"), "tokens in a physical batch"),
    Flag(
        ("--threads", "-t"),
        integer(),
        threads_into("cpuparams.n_threads"),
        "threads for generation; below 1 = every processor",
    ),
    Flag(
        ("--threads-batch", "-tb"),
        integer(),
        threads_into("cpuparams_batch.n_threads"),
        "threads for prompts (as --threads)",
    ),
    Flag(("--threads-http",), integer(), into("n_threads_http"), "threads for HTTP; -1 = auto"),
    Flag(("--load-mode", "-lm"), LOAD_MODE, into("load_mode"), "how the file is brought in"),
    Flag(("--fit", "-fit"), ON_OFF, into("fit_params"), "fit what is unset to the device memory"),
    Flag(("--metrics",), None, into("endpoint_metrics"), "serve /metrics"),
    Flag(
        ("--slots",),
        None,
        into("endpoint_slots"),
        "serve /slots, as it does unless told otherwise",
        off=("--no-slots",),
    ),
    Flag(
        ("--jinja",),
        None,
        into("use_jinja"),
        "render chats by the Jinja template, as it does unless told otherwise",
        off=("--no-jinja",),
    ),
    Flag(("--chat-template",), TEXT, into("chat_template"), "a template, or a built-in one's name"),
    Flag(("--chat-template-file",), FILE, into("chat_template"), "a file holding the template"),
    Flag(("--chat-template-kwargs",), KWARGS, template_kwargs, "values for the template"),
    Flag(
        ("--reasoning-format",),
        REASONING_FORMAT,
        into("reasoning_format"),
        "where a reply's thinking is put",
    ),
    Flag(("--embeddings", "--embedding"), None, into("embedding"), "serve embeddings"),
    Flag(("--pooling",), POOLING, into("pooling_type"), "how token embeddings become one"),
    Flag(("--reranking", "--rerank"), None, reranking, "serve reranking"),
    Flag(
        ("--cont-batching", "-cb"),
        None,
        into("cont_batching"),
        "batch requests continuously, as it does unless told otherwise",
        off=("--no-cont-batching", "-nocb"),
    ),
    Flag(
        ("--cache-ram", "-cram"),
        integer(-1),
        into("cache_ram_mib"),
        "MiB for prompts kept aside; -1 = no limit, 0 = none",
    ),
    Flag(("--cpu-moe", "-cmoe"), None, experts_on_cpu, "keep all expert weights on the CPU"),
    Flag(
        ("--n-cpu-moe", "-ncmoe"),
        integer(0),
        experts_on_cpu,
        "keep the expert weights of the first N layers on the CPU",
    ),
    Flag(("--swa-full",), None, into("swa_full"), "a full cache for sliding-window layers"),
    Flag(("--lora",), LORA, loras, "LoRA adapters"),
    Flag(("--lora-scaled",), SCALED_LORA, loras, "LoRA adapters with a scale each"),
    Flag(
        ("--api-key",),
        KEYS,
        api_keys,
        "keys a request may carry; those of LLAMA_API_KEY count as well",
    ),
    Flag(
        ("--ui", "--webui"),
        None,
        into("ui"),
        "serve the web page, as it does unless told otherwise",
        off=("--no-ui", "--no-webui"),
    ),
    Flag(
        ("--warmup",),
        None,
        into("warmup"),
        "run once while empty, as it does unless told otherwise",
        off=("--no-warmup",),
    ),
    Flag(
        ("--n-predict", "--predict", "-n"),
        integer(-1),
        into("n_predict"),
        "most tokens in a reply; -1 = no limit",
    ),
    Flag(
        ("--timeout", "-to"),
        integer(0),
        into("timeout_read", "timeout_write"),
        "seconds a connection may stand still",
    ),
    Flag(("--log-verbosity", "--verbosity", "-lv"), integer(), into("verbosity"), "0 to 5"),
    Flag(
        ("--spec-draft-model", "--model-draft", "-md"),
        GGUF,
        into("speculative.draft.mparams.path"),
        "the draft model of speculative decoding",
    ),
    Flag(("--spec-type",), SPECULATION, speculation, "kinds of speculative decoding"),
    Flag(
        ("--spec-draft-n-max",),
        integer(0),
        into("speculative.draft.n_max"),
        "most tokens drafted at once",
    ),
    Flag(
        ("--spec-draft-n-min",),
        integer(0),
        into("speculative.draft.n_min"),
        "fewest tokens drafted at once",
    ),
    Flag(
        ("--spec-draft-ngl", "--gpu-layers-draft", "--n-gpu-layers-draft", "-ngld"),
        LAYERS,
        into("speculative.draft.n_gpu_layers"),
        "layers of the draft model kept on the GPU",
    ),
    Flag(("--rope-scaling",), ROPE_SCALING, into("rope_scaling_type"), "how positions are scaled"),
    Flag(
        ("--rope-scale",),
        number(0),
        inverse_into("rope_freq_scale"),
        "stretch the context N times",
    ),
    Flag(("--rope-freq-base",), number(0), into("rope_freq_base"), "base frequency of RoPE"),
    Flag(("--rope-freq-scale",), number(0), into("rope_freq_scale"), "stretch it 1/N times"),
    Flag(
        ("--yarn-orig-ctx",),
        integer(0),
        into("yarn_orig_ctx"),
        "the length the model was trained for",
    ),
)

ON = {name: flag for flag in FLAGS for name in flag.names}
OFF = {name: flag for flag in FLAGS for name in flag.off}

# Flags a person may well write here, and why they are refused.
NO_HANDLE = "this stand-in cannot: xllamacpp gives no handle on it; a real llama-server can"
REFUSALS = {
    **dict.fromkeys(
        (
            *("--log-prefix", "--no-log-prefix", "--log-timestamps", "--no-log-timestamps"),
            *("--log-colors", "--log-file", "--log-disable", "--override-kv", "--device", "-dev"),
        ),
        NO_HANDLE,
    ),
    "--no-mmap": "llama.cpp removed it: use --load-mode none",
    "--mlock": "llama.cpp removed it: use --load-mode mlock",
    "--draft-max": "llama.cpp removed it: use --spec-draft-n-max",
    "--draft-min": "llama.cpp removed it: use --spec-draft-n-min",
}


def parse(argv: Sequence[str]) -> list[Setting]:
    """Check a command line against the table, in its order; xllamacpp is not needed for it."""
    settings: list[Setting] = []
    words = iter(argv)
    for word in words:
        name = word.replace("_", "-") if word.startswith("--") else word
        if name in OFF:
            settings.append(Setting(OFF[name], False))
        elif name not in ON:
            raise RefusedError(why_not(word, name))
        elif (kind := ON[name].kind) is None:
            settings.append(Setting(ON[name], True))
        else:
            text = next(words, None)
            if text is None:
                raise RefusedError(f"{word} needs a value after it: {kind.wanted}.")
            try:
                settings.append(Setting(ON[name], kind.read(text)))
            except ValueError as error:
                raise RefusedError(f"{word} takes {kind.wanted}, not {text!r}.") from error
    return settings


def why_not(word: str, name: str) -> str:
    if not word.startswith("-"):
        return f"{word!r} stands alone: llama-server takes flags and their values only."
    flag, equals, _ = word.partition("=")
    if equals and flag in ON:
        # Without the value, which may be a key.
        return f"llama-server does not take {flag}=…: write {flag} and its value as two words."
    if name in REFUSALS:
        return f"{word} is refused: {REFUSALS[name]}."
    return (
        f"{word} is not a flag of this stand-in (--help lists them); "
        "put a real llama-server on PATH to use it."
    )
