"""Can each GPU of the list compute in what the weights and the KV cache are made of?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding
from modelctl.facts import gpus, quantization, vllm
from modelctl.facts.quantization import Capability, Need
from modelctl.resolved import Unknown
from modelctl.spec.wanted import Path_
from modelctl.weights.config import inner

_SHOWN = 4


def weights(case: Case) -> Iterator[Finding]:
    """The method that is asked for, else the one that the checkpoint was quantized with."""
    if case.engine.name != "vllm":
        return  # llama.cpp runs every type of GGUF on every GPU
    need = _need_of_weights(case)
    if need is None:
        return
    for index, card in _cards(case):
        if need.least is not None and card.compute_capability < need.least:
            yield wrong(
                ("gpu", index),
                "gpu/quantization",
                f"vLLM runs {need.name} from compute capability {_written(need.least)} on, and "
                f"{an(card.name)} has {_written(card.compute_capability)}",
                _rather(case, need.least),
            )
        elif need.native_from is not None and card.compute_capability < need.native_from:
            yield doubtful(
                ("gpu", index),
                "gpu/not-native",
                f"{an(card.name)} does not compute in {need.name}: it widens the weights first, "
                "which saves memory and no time",
                f"{_at_least(need.native_from)}; or allow it, since it works",
            )


def kv_cache(case: Case) -> Iterator[Finding]:
    if case.engine.name != "vllm":
        return
    cards = dict(_cards(case))
    for index, entry, _, _ in case.entries:
        kind, card = entry.kv_cache or case.spec.kv_cache, cards.get(index)
        need = quantization.kv_types().get(kind or "")
        if card is None or need is None or need.least is None:
            continue
        if card.compute_capability < need.least:
            own = entry.kv_cache is not None
            where: Path_ = ("gpu", index, "kv_cache") if own else ("gpu", index)
            yield wrong(
                where,
                "gpu/kv-cache",
                f"vLLM has a KV cache of type {need.name} from compute capability "
                f"{_written(need.least)} on, and {an(card.name)} has "
                f"{_written(card.compute_capability)}",
                f"kv_cache: auto on this entry, or {_at_least(need.least)}",
            )


def numbers(case: Case) -> Iterator[Finding]:
    """What vLLM does by itself where a GPU has no bfloat16, and what it refuses."""
    if case.engine.name != "vllm":
        return
    names, config = vllm.names(case.setting.version), case.facts.config
    kind = "" if isinstance(config, Unknown) else str(config.get("model_type"))
    delicate = names is not None and kind in names.no_float16
    if case.spec.dtype == "float16" and delicate:
        yield wrong(
            ("dtype",),
            "engine/wrong-option",
            f"vLLM refuses {kind} in float16, whose numbers are too small for it",
            "dtype: auto, or bfloat16",
        )
    if case.spec.dtype not in (None, "auto") or case.facts.quantization != "bfloat16":
        return
    for index, card in _cards(case):
        instead = vllm.instead_of_bfloat16(kind, case.setting.version, card.compute_capability)
        if instead is not None:
            wide = instead == "float32"
            price = "takes twice the memory" if wide else "has a smaller range"
            yield doubtful(
                ("gpu", index),
                "gpu/no-bfloat16",
                f"the model is bfloat16 and {an(card.name)} has none: vLLM takes {instead} there, "
                f"which {price}",
                f"dtype: {instead} says so for every GPU, or {_at_least(vllm.BFLOAT16)}",
            )


def _need_of_weights(case: Case) -> Need | None:
    asked, own = case.spec.quantization, case.facts.quantization
    if asked in (None, "auto"):
        return None if isinstance(own, Unknown) else quantization.need_of(own, _config(case))
    return quantization.need_of(asked, _config(case) if asked == own else {})


def _config(case: Case) -> Mapping[str, Any]:
    """What the checkpoint says of how it was quantized; nothing where nothing is known."""
    config = case.facts.config
    if isinstance(config, Unknown):
        return {}
    for section in (config, inner(config)):
        said = section.get("quantization_config") or section.get("compression_config")
        if isinstance(said, Mapping):
            return said
    return {}


def _cards(case: Case) -> Iterator[tuple[int, gpus.Gpu]]:
    for index, _, name, _ in case.entries:
        choice = gpus.choice(name)
        if choice is not None:
            yield index, choice.card


def _at_least(least: Capability) -> str:
    """The cheapest GPUs that will do."""
    fitting = [
        card
        for card in sorted(gpus.gpus().values(), key=lambda card: card.usd_per_second)
        if card.compute_capability >= least and gpus.choice(card.name) is not None
    ]
    return " or ".join(card.name for card in fitting[:_SHOWN]) or "no GPU of Modal's has it"


def _rather(case: Case, least: Capability) -> str:
    others = "leave it out, or " if len(case.entries) > 1 else ""
    return f"{others}{_at_least(least)}"


def an(name: str) -> str:
    """`an H100`, `a T4`: the article that the first letter's name asks for."""
    return f"an {name}" if name[0] in "AHLR" else f"a {name}"


def _written(capability: Capability) -> str:
    return ".".join(map(str, capability))


RULES: tuple[Rule, ...] = (weights, kv_cache, numbers)
