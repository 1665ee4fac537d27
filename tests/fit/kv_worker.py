"""How does vLLM lay out a KV cache? Runs inside vLLM's environment, one JSON line a question.

The model's dimensions are put into vLLM's own classes (specs of layers, shapes of states, the
alignment of pages, the stages of a pipeline), and its own functions group, count and refuse. Only
the configuration is a stand-in, since a real one needs a model's folder and a GPU's backends:
attention is what `TritonAttentionBackend` declares.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

import torch
import vllm.config.vllm as configuration
from vllm.config import VllmConfig
from vllm.distributed.utils import get_pp_indices
from vllm.model_executor.layers.attention.attention import _largest_kernel_block_within
from vllm.model_executor.layers.mamba.mamba_utils import (
    MambaStateDtypeCalculator,
    MambaStateShapeCalculator,
)
from vllm.model_executor.models import ModelRegistry
from vllm.platforms.interface import Platform
from vllm.utils.torch_utils import STR_DTYPE_TO_TORCH_DTYPE
from vllm.v1.attention.backends.triton_attn import TritonAttentionBackend
from vllm.v1.core.kv_cache_utils import (
    _estimate_max_model_len_from_groups,
    _max_memory_usage_bytes_from_groups,
    _pool_bytes_per_block,
    generate_scheduler_kv_cache_config,
    get_kv_cache_capacity,
    get_kv_cache_configs,
    get_kv_cache_groups,
    get_max_concurrency_for_kv_cache_config,
    max_memory_usage_bytes,
)
from vllm.v1.core.single_type_kv_cache_manager import register_all_kvcache_specs
from vllm.v1.kv_cache_interface import (
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowSpec,
    get_kv_quant_mode,
)
from vllm.v1.kv_cache_layout import KVCacheLayout


class Gpu(Platform):
    """The alignment of pages, which is the base class's, for one attention backend."""

    @classmethod
    def _find_non_ssm_backends(cls, vllm_config: Any) -> list[Any]:
        return [TritonAttentionBackend]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints goes to the log
    configuration.set_current_vllm_config = lambda *_, **__: contextlib.nullcontext()
    register_all_kvcache_specs(None)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    config = config_of(asked)
    if asked["state"] and any(kind not in ("state", "none") for kind in asked["layers"]):
        state = state_spec(asked, config)
        model = SimpleNamespace(
            get_mamba_state_shape_from_config=lambda _: state.shapes,
            get_mamba_state_dtype_from_config=lambda _: state.dtypes,
        )
        ModelRegistry.resolve_model_cls = lambda *_, **__: (model, "")
        Gpu._align_hybrid_block_size(config, TritonAttentionBackend)
    workers = specs_of(asked, config)
    every = {name: spec for worker in workers for name, spec in worker.items()}
    groups = get_kv_cache_groups(config, every)  # may make full layers of others, in place
    found: dict[str, Any] = {
        "stages": [end - start for start, end in stages_of(asked)],
        "groups": [len(group.layer_names) for group in groups],
        "blocks": sorted(group.kv_cache_spec.block_size for group in groups),
        "one_request": _max_memory_usage_bytes_from_groups(config, groups),
        "sum_of_layers": max_memory_usage_bytes(config, every.values()),
    }
    try:
        configs = get_kv_cache_configs(config, workers, [asked["available"]] * len(workers))
    except ValueError as refused:
        return found | {"refused": str(refused)}
    scheduled = generate_scheduler_kv_cache_config(configs)
    tokens, concurrency = get_kv_cache_capacity(config, scheduled)
    assert concurrency == get_max_concurrency_for_kv_cache_config(config, configs[0])
    config.model_config.max_model_len = asked["at_most"]
    longest = min(
        _estimate_max_model_len_from_groups(
            config,
            worker.kv_cache_groups,
            asked["available"] - _pool_bytes_per_block(config, worker.kv_cache_groups),
        )
        for worker in configs
    )
    return found | {
        "num_blocks": scheduled.num_blocks,
        "tokens": tokens,
        "concurrency": concurrency,
        "longest": longest,
    }


def config_of(asked: dict[str, Any]) -> Any:
    """What vLLM's functions read of a configuration, with vLLM's own derived properties."""
    latent, drafted = asked["latent"], asked["draft"]
    speculative = drafted and SimpleNamespace(
        method=drafted["method"],
        num_speculative_tokens=drafted["tokens"],
        use_eagle=lambda: True,
        use_eagle_block_drop=lambda: True,
        use_multi_module_mtp=lambda: False,
    )
    prefixed = asked["prefix_caching"]
    config = SimpleNamespace(
        model_config=SimpleNamespace(
            max_model_len=asked["context"],
            original_max_model_len=asked["context"],
            dtype=STR_DTYPE_TO_TORCH_DTYPE[asked["dtype"]],
            use_mla=bool(latent),
            architecture="",
            hf_config=SimpleNamespace(model_type=""),
            get_num_kv_heads=lambda _: heads_here(asked, asked["kv_heads"]),
            get_head_size=lambda: sum(latent) if latent else asked["head_dim"],
        ),
        cache_config=SimpleNamespace(
            get_resolved_kv_cache_layout=lambda: KVCacheLayout.LBNHC,
            num_gpu_blocks_override=None,
            prefix_cache_retention_interval=None,
            kv_cache_dtype_skip_layers=[],
            cache_dtype=asked["kv_dtype"],
            enable_prefix_caching=prefixed,
            block_size=asked["block_size"],
            mamba_cache_mode="align" if prefixed else "none",
            mamba_block_size=asked["block_size"] if prefixed else asked["context"],
            mamba_page_size_padded=None,
        ),
        scheduler_config=SimpleNamespace(
            disable_hybrid_kv_cache_manager=not asked["hybrid_cache"],
            max_num_batched_tokens=asked["batched_tokens"],
            async_scheduling=asked["async_scheduling"],
        ),
        parallel_config=SimpleNamespace(
            tensor_parallel_size=asked["tensor"],
            pipeline_parallel_size=asked["pipeline"],
            decode_context_parallel_size=1,
        ),
        attention_config=SimpleNamespace(hisparse_config=None),
        speculative_config=speculative,
        diffusion_config=None,
        use_v2_model_runner=True,
        quant_config=None,
    )
    for name in (
        "max_concurrent_batches",
        "max_in_flight_tokens",
        "num_speculative_tokens",
        "num_prefill_lookahead_tokens",
    ):
        setattr(config, name, getattr(VllmConfig, name).fget(config))
    return config


def stages_of(asked: dict[str, Any]) -> list[tuple[int, int]]:
    count = asked["pipeline"]
    return [get_pp_indices(len(asked["layers"]), stage, count) for stage in range(count)]


def specs_of(asked: dict[str, Any], config: Any) -> list[dict[str, Any]]:
    """The specs of each pipeline stage's layers, by name; the draft's are on the last stage."""
    workers = []
    for start, end in stages_of(asked):
        worker: dict[str, Any] = {}
        for index in range(start, end):
            kind = asked["layers"][index]
            for part in {"both": ("full", "state"), "none": ()}.get(kind, (kind,)):
                worker[f"layers.{index}.{part}"] = spec_of(part, asked, config)
        workers.append(worker)
    if draft := asked["draft"]:
        own = asked | (draft["shape"] or {})
        for index in range(draft["layers"]):
            workers[-1][f"draft.{index}"] = spec_of(draft["kind"], own, config)
    return workers


def spec_of(kind: str, asked: dict[str, Any], config: Any) -> Any:
    cache = config.cache_config
    quantized = cache.cache_dtype
    number = (
        config.model_config.dtype if quantized == "auto" else STR_DTYPE_TO_TORCH_DTYPE[quantized]
    )
    if kind == "state":
        return state_spec(asked, config)
    if asked["latent"]:
        return MLAAttentionSpec(
            block_size=cache.block_size,
            num_kv_heads=1,
            max_tp_shards=1,
            head_size=sum(asked["latent"]),
            dtype=number,
            cache_dtype_str=quantized,
            kv_quant_mode=get_kv_quant_mode(quantized),
        )
    full = kind == "full"
    heads = asked["full_kv_heads"] if full and asked["full_kv_heads"] else asked["kv_heads"]
    key, value = asked["head_dim"], asked["value_dim"]
    if full and asked["full_head_dim"]:
        key = value = asked["full_head_dim"]
    common = {
        "num_kv_heads": heads_here(asked, heads),
        "head_size": key,
        "head_size_v": value,
        "dtype": number,
        "kv_quant_mode": get_kv_quant_mode(quantized),
    }
    if kind == "full":
        spec = FullAttentionSpec(block_size=cache.block_size, **common)
    elif kind == "chunked":
        spec = ChunkedLocalAttentionSpec(
            block_size=cache.block_size, attention_chunk_size=asked["chunk"], **common
        )
    else:
        one = TritonAttentionBackend.customize_spec(
            SlidingWindowSpec(block_size=1, sliding_window=asked["window"], **common)
        )
        a_token = one.real_page_size_bytes
        block = _largest_kernel_block_within(
            TritonAttentionBackend, a_token, a_token * cache.block_size, cache.block_size, one
        )
        spec = SlidingWindowSpec(block_size=block, sliding_window=asked["window"], **common)
    return TritonAttentionBackend.customize_spec(spec)


def heads_here(asked: dict[str, Any], heads: int) -> int:
    """As `ModelConfig.get_num_kv_heads` has it."""
    return 1 if asked["latent"] else max(1, heads // asked["tensor"])


def state_spec(asked: dict[str, Any], config: Any) -> MambaSpec:
    """As `MambaBase.get_kv_cache_spec` and the mixers have it."""
    state, tensor = asked["state"], asked["tensor"]
    shapes, types = MambaStateShapeCalculator, MambaStateDtypeCalculator
    dtype, wanted = config.model_config.dtype, state["dtype"]
    ahead = config.num_speculative_tokens
    match state["kind"]:
        case "mamba":
            shape = shapes.mamba1_state_shape(
                tensor, state["inner"], state["state"], state["kernel"]
            )
            numbers = types.mamba1_state_dtype(dtype, "auto", wanted)
        case "mamba2":
            shape = shapes.mamba2_state_shape(
                tensor,
                state["heads"] * state["width"],
                state["groups"],
                state["heads"],
                state["width"],
                state["state"],
                state["kernel"],
                ahead,
            )
            numbers = types.mamba2_state_dtype(dtype, "auto", wanted)
        case "delta":
            shape = shapes.gated_delta_net_state_shape(
                tensor,
                state["groups"],
                state["heads"],
                state["state"],
                state["width"],
                state["kernel"],
                ahead,
            )
            numbers = types.gated_delta_net_state_dtype(dtype, "auto", wanted)
        case "convolution":
            shape = shapes.short_conv_state_shape(tensor, state["inner"], state["kernel"], ahead)
            numbers = types.short_conv_state_dtype(dtype, "auto")
        case "lightning":
            shape = shapes.linear_attention_state_shape(state["heads"], tensor, state["width"])
            numbers = types.linear_attention_state_dtype(dtype, "auto")
    cache = config.cache_config
    checkpoints = {"num_prefill_checkpoint_blocks": 1, "prefill_checkpoint_alignment": 1}
    return MambaSpec(
        shapes=tuple(shape),
        dtypes=numbers,
        block_size=cache.mamba_block_size,
        page_size_padded=cache.mamba_page_size_padded,
        mamba_cache_mode=cache.mamba_cache_mode,
        num_speculative_blocks=ahead,
        **(checkpoints if state["kind"] == "mamba2" else {}),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
