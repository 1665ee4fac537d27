"""Can the model be shared out among this many GPUs: its heads, vocabulary, layers and experts?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.facts import gpus
from modelctl.resolve import parallel_of
from modelctl.resolved import Unknown
from modelctl.spec.models import Gpu, Parallel
from modelctl.spec.wanted import Path_
from modelctl.weights.config import LAYERS, number

# vllm/transformers_utils/model_arch_config_convertor.py (0.32), and what attribute maps add.
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = (
    "num_key_value_heads",
    "n_head_kv",
    "num_kv_heads",
    "multi_query_group_num",
    "num_attention_groups",
)
_EXPERTS = ("expert", "moe", "block_configs")
_PADDED_TO = (
    64  # vllm/model_executor/layers/vocab_parallel_embedding.py: DEFAULT_VOCAB_PADDING_SIZE
)


def tensor(case: Case) -> Iterator[Finding]:
    """Every GPU gets as many heads, and as many rows of the vocabulary."""
    config = _config(case)
    if config is None or config.get("is_encoder_decoder"):
        return
    problem = _sharing(config)
    for index, entry, name, count in case.entries:
        parallel = parallel_of(case.spec, entry, count)
        size = parallel.tensor or 1
        message = problem(size)
        if message:
            yield wrong(
                _where(case, index, entry, "tensor"),
                "parallel/heads",
                message,
                _other_sizes(case, problem, parallel, name, size),
            )


def pipeline(case: Case) -> Iterator[Finding]:
    config = _config(case)
    layers = None if config is None else number(config, *LAYERS)
    if not isinstance(layers, int):
        return
    for index, entry, _, count in case.entries:
        stages = parallel_of(case.spec, entry, count).pipeline or 1
        if stages > layers:
            yield wrong(
                _where(case, index, entry, "pipeline"),
                "parallel/layers",
                f"{layers} layers cannot be shared out among {stages} groups",
                f"pipeline: {layers} or less",
            )


def expert(case: Case) -> Iterator[Finding]:
    config = _config(case)
    if config is None or isinstance(number(config, *LAYERS), Unknown) or _has_experts(config):
        return
    said: list[tuple[Path_, Parallel | None]] = [(("parallel",), case.spec.parallel)]
    said += [(("gpu", index, "parallel"), entry.parallel) for index, entry, _, _ in case.entries]
    for path, parallel in said:
        if parallel is not None and parallel.expert:
            yield wrong(
                (*path, "expert"),
                "parallel/no-experts",
                "the model has no experts to spread, and vLLM refuses expert: true then",
                "leave expert out",
                key=True,
            )


def _sharing(config: Mapping[str, Any]) -> Callable[[int], str]:
    """What stands against a number of GPUs, "" for nothing; what is not known never does."""
    heads, shared = number(config, *_HEADS), number(config, *_KV_HEADS)
    vocabulary = number(config, "vocab_size")
    latent = isinstance(number(config, "kv_lora_rank"), int)

    def problem(parts: int) -> str:
        if isinstance(heads, int) and heads % parts:
            return f"{heads} attention heads cannot be shared out among {parts} GPUs"
        uneven = isinstance(shared, int) and shared > 0 and shared % parts and parts % shared
        if uneven and not latent:
            return f"{shared} KV heads cannot be shared out among {parts} GPUs"
        if isinstance(vocabulary, int):
            padded = math.ceil(vocabulary / _PADDED_TO) * _PADDED_TO
            if padded % parts:
                size = f"{vocabulary:,} tokens"
                if padded != vocabulary:
                    size += f", padded to {padded:,},"
                return f"a vocabulary of {size} cannot be shared out among {parts} GPUs"
        return ""

    return problem


def _other_sizes(
    case: Case, problem: Callable[[int], str], parallel: Parallel, name: str, size: int
) -> str:
    """The next numbers of GPUs below and above that the model can be shared out among."""
    choice = gpus.choice(name)
    most = (choice.card.max_count if choice else 8) * case.setting.nodes
    fitting = [parts for parts in range(1, most + 1) if not problem(parts)]
    near = [max((n for n in fitting if n < size), default=0)]
    near += [min((n for n in fitting if n > size), default=0)]
    sizes = [n for n in near if n]
    if not sizes:
        return "another model"
    if (parallel.pipeline or 1) * (parallel.data or 1) == 1 and case.setting.nodes == 1:
        listed = " or ".join(gpus.key(choice.modal if choice else name, n) for n in sizes)
        return listed if case.spec.parallel is None else f"tensor: {_or(sizes)}, on {listed}"
    return f"tensor: {_or(sizes)}"


def _or(sizes: Sequence[int]) -> str:
    return " or ".join(map(str, sizes))


def _has_experts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            any(word in str(name).lower() for word in _EXPERTS) or _has_experts(inside)
            for name, inside in value.items()
        )
    return isinstance(value, str) and "moe" in value.lower()


def _where(case: Case, index: int, entry: Gpu, field: str) -> Path_:
    if entry.parallel is not None and getattr(entry.parallel, field) is not None:
        return ("gpu", index, "parallel", field)
    if case.spec.parallel is not None and getattr(case.spec.parallel, field) is not None:
        return ("parallel", field)
    return ("gpu", index)


def _config(case: Case) -> Mapping[str, Any] | None:
    """What vLLM reads of the model; None where it is another engine or nothing is known."""
    config = case.facts.config
    return None if case.engine.name != "vllm" or isinstance(config, Unknown) else config


RULES: tuple[Rule, ...] = (tensor, pipeline, expert)
