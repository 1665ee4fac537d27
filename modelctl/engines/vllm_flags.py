"""Which words does `vllm serve` get for one variant? Every flag but the model's and the address's.

Read off vLLM 0.32's parser and config classes; docs/engines.md has the table of fields and flags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec.structs import replace

from modelctl.engines.args import joined, with_args
from modelctl.engines.base import Args, Ask
from modelctl.facts import gpus, vllm
from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import flag_table
from modelctl.resolved import Flag, Unknown
from modelctl.spec.models import Model, Spec

GUESSED_TOKENS: Mapping[str, int] = {
    "ngram": 5,
    "ngram_gpu": 5,
    "draft_model": 5,
    "eagle": 3,
    "eagle3": 3,
}
"""How many tokens a method guesses where the spec says nothing: those that cannot tell by
themselves. A draft model whose method is not named is read as `draft_model`, as vLLM does."""
TOKENS_OF_OWN_LAYER = 1
"""The same for `mtp` with the model's own extra layer, which guesses one token at a time."""

ADAPTERS_AT_ONCE = 8
"""How many adapters one batch mixes; each takes GPU memory, the others wait in main memory."""

CPU_CACHE_BYTES_PER_TOKEN = 128 * 2**10
"""What a token's cache takes where the model's shape is not known: that of an 8B model."""
CPU_CACHE_LEAST = 512 * 2**20
CPU_BLOCK = 128
"""Tokens; a request's cache is whole blocks."""

NO_MODEL = Model.model_construct()


def flags(ask: Ask) -> tuple[Flag, ...]:
    own = [*_model(ask), *_limits(ask), *_behaviour(ask)]
    own += _on_gpus(ask) if ask.count > 0 else _on_a_cpu(ask)
    return tuple(map(joined, with_args(own, replace(ask, args=_that_hold(ask)))))


def lora_rank(ask: Ask) -> int:
    """The smallest rank that vLLM accepts and that all adapters fit in; theirs, where known."""
    ranks = []
    for adapter in ((ask.spec.model or NO_MODEL).adapters or {}).values():
        facts = ask.setting.model.beside.get(adapter.source or "")
        known = facts.adapter_rank if facts is not None else None
        ranks.append(max(adapter.rank or 0, known if isinstance(known, int) else 0))
    allowed = names(ask.setting.version).lora_ranks
    wanted = max(ranks) or 16
    return min((rank for rank in allowed if rank >= wanted), default=wanted)


def names(version: str) -> vllm.Names:
    return vllm.nearest(version, engine_facts("vllm").default)


def names_gpus(spec: Spec) -> bool:
    types = [gpus.written(entry.type or gpus.NONE)[0].lower() for entry in spec.gpu or ()]
    return any(name != gpus.NONE for name in types)


def _that_hold(ask: Ask) -> Args:
    """A person's own flags; on the CPU beside GPUs without those that only a GPU knows."""
    if not ask.args or ask.count > 0 or not names_gpus(ask.spec):
        return ask.args
    only, table = names(ask.setting.version).gpu_only, flag_table("vllm", ask.setting.version)

    def is_a_gpus(name: str) -> bool:
        match = table.find(name) if table else None
        word = match.fact.name if match else name.lstrip("-").replace("_", "-")
        return word.split(".")[0] in only

    return {name: value for name, value in ask.args.items() if not is_a_gpus(name)}


def _model(ask: Ask) -> list[Flag]:
    spec, model = ask.spec, ask.spec.model or NO_MODEL
    own: list[Flag] = [("--served-model-name", *ask.setting.served_as)]
    if model.tokenizer:
        own.append(("--tokenizer", ask.setting.rooted(model.tokenizer)))
    if model.trust_remote_code:
        own.append(("--trust-remote-code",))
    if ask.setting.task == "embed":
        own += [("--runner", "pooling"), ("--convert", "embed")]
    if ask.setting.task == "rerank":
        own += [("--runner", "pooling"), ("--convert", "classify")]
    if spec.dtype not in (None, "auto"):
        own.append(("--dtype", str(spec.dtype)))
    if model.adapters:
        own.append(("--enable-lora",))
        own.append(("--max-loras", str(min(ADAPTERS_AT_ONCE, len(model.adapters)))))
        if len(model.adapters) > ADAPTERS_AT_ONCE:
            own.append(("--max-cpu-loras", str(len(model.adapters))))
        own.append(("--max-lora-rank", str(lora_rank(ask))))
        pairs = [
            ask.setting.rooted(adapter.source, before=f"{name}=")
            for name, adapter in model.adapters.items()
        ]
        own.append(("--lora-modules", *pairs))
    return own


def _limits(ask: Ask) -> list[Flag]:
    spec = ask.spec
    context = "auto" if isinstance(ask.context, Unknown) else str(ask.context)
    own: list[Flag] = [("--max-model-len", context)]
    if ask.sequences is not None:
        own.append(("--max-num-seqs", str(ask.sequences)))
    if ask.max_batched_tokens is not None:
        own.append(("--max-num-batched-tokens", str(ask.max_batched_tokens)))
    if spec.prefix_caching is not None:
        yes = spec.prefix_caching
        own.append(("--enable-prefix-caching",) if yes else ("--no-enable-prefix-caching",))
    if spec.multimodal is not None:
        limits = spec.multimodal.model_dump(exclude_none=True)
        if limits:
            own.append(("--limit-mm-per-prompt", json.dumps(limits)))
    return own


def _behaviour(ask: Ask) -> list[Flag]:
    spec = ask.spec
    own: list[Flag] = []
    if spec.tools is not None:
        own += [("--enable-auto-tool-choice",), ("--tool-call-parser", spec.tools)]
    if spec.reasoning is not None:
        own.append(("--reasoning-parser", spec.reasoning))
    own.append(("--disable-uvicorn-access-log",))
    if ask.setting.drain > 0:
        own.append(("--shutdown-timeout", str(ask.setting.drain)))
    return own


def _on_gpus(ask: Ask) -> list[Flag]:
    """What only a GPU can do."""
    spec, parallel = ask.spec, ask.parallel
    own: list[Flag] = []
    for flag, count in (
        ("--tensor-parallel-size", parallel.tensor),
        ("--pipeline-parallel-size", parallel.pipeline),
        ("--data-parallel-size", parallel.data),
        ("--nnodes", ask.setting.nodes),
    ):
        if count is not None and count > 1:
            own.append((flag, str(count)))
    if parallel.expert:
        own.append(("--enable-expert-parallel",))
    if ask.memory_utilization is not None:
        own.append(("--gpu-memory-utilization", repr(ask.memory_utilization)))
    if ask.kv_cache not in (None, "auto"):
        own.append(("--kv-cache-dtype", str(ask.kv_cache)))
    if spec.quantization not in (None, "auto"):
        own.append(("--quantization", str(spec.quantization)))
    if {spec.quantization, ask.setting.model.quantization} & {
        *names(ask.setting.version).deprecated
    }:
        own.append(("--allow-deprecated-quantization",))
    if spec.speculative is not None:
        own.append(_speculative(ask))
    if spec.compile == "fast-boot":
        own.append(("--enforce-eager",))
    if spec.snapshot == "gpu":
        own.append(("--enable-sleep-mode",))
    return own


def _on_a_cpu(ask: Ask) -> list[Flag]:
    """Memory for one request of full length, not for all there is; a compiler only if asked for.

    A laptop is to answer soon, and may have no C++ compiler.
    """
    tokens = 8192 if isinstance(ask.context, Unknown) else ask.context
    blocks = -(-tokens // CPU_BLOCK) + 1
    known = ask.setting.model.cache_per_token
    each = CPU_CACHE_BYTES_PER_TOKEN if isinstance(known, Unknown) else known
    size = max(CPU_CACHE_LEAST, blocks * CPU_BLOCK * each)
    own: list[Flag] = [] if ask.spec.compile == "full" else [("--enforce-eager",)]
    own.append(("--kv-cache-memory-bytes", str(size)))
    if ask.setting.nodes > 1:  # vLLM has no pipeline on CPUs
        hosts = str(ask.setting.nodes)
        own += [("--nnodes", hosts), ("--tensor-parallel-size", hosts)]
    return own


def _speculative(ask: Ask) -> Flag:
    said = ask.spec.speculative
    assert said is not None
    tokens = said.tokens or GUESSED_TOKENS.get(said.method or "draft_model")
    if tokens is None and said.method == "mtp" and said.model is None:
        tokens = TOKENS_OF_OWN_LAYER
    config = {"method": said.method, "num_speculative_tokens": tokens}
    words = json.dumps({key: value for key, value in config.items() if value is not None})
    if said.model is None:
        return ("--speculative-config", words)
    before = f'{words.removesuffix("}")}{", " if len(words) > 2 else ""}"model": "'
    return ("--speculative-config", ask.setting.rooted(said.model, before, '"}'))
