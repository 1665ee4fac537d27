"""What fits instead? Another share, a shorter context, a smaller cache, more: each is tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts import gpus
from modelctl.facts.gpus import Gpu
from modelctl.facts.memory import most_utilization
from modelctl.facts.quantization import kv_types, need_of
from modelctl.fit.memory import memory_of
from modelctl.fit.overhead import with_batch
from modelctl.fit.types import LlamaInputs, Memory, MemoryInputs, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from modelctl.weights.sharing import cannot_cut

COUNTS = (1, 2, 4, 8)
_KV_8 = {"vllm": "fp8", "llama": "q8_0"}
_SHARES = (0.9, 0.92, 0.95, 0.98)
"""Of a GPU, the share that is usual, and what may be tried up to all that the driver leaves."""
_STEP = 1024
"""Contexts are proposed in multiples of this many tokens, once they are longer."""


class Way(Struct, frozen=True):
    """One change that makes it fit: a field of the spec, and its value."""

    field: Literal["memory_utilization", "context", "kv_cache", "max_sequences", "gpu"]
    value: str
    memory: Memory


class Offer(Struct, frozen=True):
    """A card that fits, so many of it, and what they cost together in USD an hour."""

    card: Gpu
    count: int
    usd_per_hour: float

    @property
    def key(self) -> str:
        return gpus.key(self.card.name, self.count)


def ways_out(inputs: MemoryInputs, model: ModelFacts, card: Gpu, count: int) -> Iterator[Way]:
    """Changes that make it fit this card, the least first. Nothing that the checkpoint lacks.

    None where the engine takes such weights or such a cache on no number of these cards.
    """
    if not _computes(inputs, model, card):
        return
    yield from _another_share(inputs, model, card)
    yield from _shorter(inputs, model, card)
    yield from _smaller_cache(inputs, model, card)
    yield from _fewer(inputs, model, card)
    yield from _more(inputs, model, card, count)


def cheapest(
    inputs: MemoryInputs, model: ModelFacts, prices: Mapping[str, float] | None = None
) -> Offer | None:
    """The least expensive cards that it fits, of all that may be asked for.

    `prices` are USD a second by a card's name; without them, those of the tables.
    """
    prices = prices or {}
    offers = sorted(
        (
            Offer(
                choice.card,
                count,
                count * prices.get(choice.card.name, choice.usd_per_second) * 3600,
            )
            for choice in gpus.choices().values()
            for count in COUNTS
            if count <= choice.card.max_count
        ),
        key=lambda offer: (offer.usd_per_hour, offer.count, offer.card.name),
    )
    return next((offer for offer in offers if _on(inputs, model, offer.card, offer.count)), None)


def _another_share(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Iterator[Way]:
    """The usual share of the GPU where less was asked for, less of it where all of it was."""
    if not isinstance(inputs, VllmInputs):
        return
    asked, most = inputs.utilization, most_utilization(inputs.tensor * inputs.pipeline)
    shares = _SHARES[:1] if asked < _SHARES[0] else _SHARES if asked > most else ()
    for share in shares:
        changed = replace(inputs, utilization=share)
        if share <= most and (memory := _fits(changed, model, card)) is not None:
            yield Way("memory_utilization", str(share), memory)
            return


def _shorter(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Iterator[Way]:
    found = memory_of(inputs, model, card, largest=True)
    if isinstance(found, Unknown) or not found.largest_context:
        return
    most = found.largest_context
    slots = inputs.slots if isinstance(inputs, LlamaInputs) else 1
    context = most - most % _STEP if most > 4 * _STEP else most - most % 128
    if context < 128 or context * slots >= inputs.context:
        return
    changed = replace(inputs, context=context * slots)
    if (memory := _fits(changed, model, card)) is not None:
        yield Way("context", str(context), memory)


def _smaller_cache(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Iterator[Way]:
    changed: MemoryInputs
    if isinstance(inputs, VllmInputs):
        if inputs.kv_dtype not in ("auto", "bfloat16", "float16"):
            return
        if card.compute_capability < (8, 9):
            return
        word = _KV_8["vllm"]
        changed = replace(inputs, kv_dtype=word)
    else:
        if (inputs.k_type, inputs.v_type) != ("f16", "f16"):
            return
        word = _KV_8["llama"]
        changed = replace(inputs, k_type=word, v_type=word, flash_attention=True)
    if (memory := _fits(changed, model, card)) is not None:
        yield Way("kv_cache", word, memory)


def _fewer(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Iterator[Way]:
    """Half as many requests at once, or half of that: the most that fits, of as long a context."""
    if isinstance(inputs, VllmInputs):
        most = with_batch(inputs, card.usable_gib, card.name).sequences or 1
    else:
        most = inputs.slots
    asked = most // 2
    while asked >= 1:
        if (memory := _fits(_of_sequences(inputs, asked), model, card)) is not None:
            yield Way("max_sequences", str(asked), memory)
            return
        asked //= 2


def _of_sequences(inputs: MemoryInputs, count: int) -> MemoryInputs:
    """The slots of llama.cpp have a share of its context each, unless they share all of it."""
    if isinstance(inputs, VllmInputs):
        return replace(inputs, sequences=count)
    each = inputs.context if inputs.unified else inputs.context // inputs.slots * count
    outputs = None if inputs.outputs is None else max(1, inputs.outputs * count // inputs.slots)
    return replace(inputs, slots=count, context=each, outputs=outputs)


def _more(inputs: MemoryInputs, model: ModelFacts, card: Gpu, count: int) -> Iterator[Way]:
    for larger in COUNTS:
        if count < larger <= card.max_count:
            changed = _with_count(inputs, larger, model)
            if changed is not None and (memory := _fits(changed, model, card)) is not None:
                yield Way("gpu", gpus.key(card.name, larger), memory)
                return


def _on(inputs: MemoryInputs, model: ModelFacts, card: Gpu, count: int) -> bool:
    changed = _with_count(inputs, count, model)
    if changed is None or not _computes(changed, model, card):
        return False
    return _fits(changed, model, card) is not None


def _with_count(inputs: MemoryInputs, count: int, model: ModelFacts) -> MemoryInputs | None:
    """The same on so many cards of one host, all of which share each layer; None if they cannot."""
    if isinstance(inputs, LlamaInputs):
        return replace(inputs, gpus=count, shares=())
    if cannot_cut(model.config, count, whole_experts=inputs.expert):
        return None
    return replace(inputs, tensor=count, pipeline=1, data=1)


def _computes(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> bool:
    """Whether vLLM takes the weights and the cache on such a card; llama.cpp takes all on all."""
    if not isinstance(inputs, VllmInputs):
        return True
    method, config = inputs.quantization or model.quantization, model.config
    said = {} if isinstance(config, Unknown) else config.get("quantization_config") or {}
    needs = [None if isinstance(method, Unknown) else need_of(method, said)]
    needs.append(kv_types().get(inputs.kv_dtype))
    return all(
        need is None or need.least is None or card.compute_capability >= need.least
        for need in needs
    )


def _fits(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Memory | None:
    found = memory_of(inputs, model, card)
    return found if not isinstance(found, Unknown) and found.verdict == "fits" else None
