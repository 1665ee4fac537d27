"""Does a GGUF model fit? What llama.cpp allocates: weights, cache, states, buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts.ggml import ggml_types
from modelctl.facts.tables import table
from modelctl.fit.llama_compute import Cells, batch_of, compute_buffer
from modelctl.fit.llama_weights import GgufModel, model_of
from modelctl.fit.sums import too_much
from modelctl.fit.types import GIB, Interval, LlamaInputs, Memory, Verdict
from modelctl.resolved import Unknown
from modelctl.weights.gguf_layers import Keys, Layer, Layers
from modelctl.weights.shape import Header, TensorRow

PAD = 256
"""Tokens: what a context and a window are rounded up to."""
_STATE = 4
_NOTHING = Interval.exactly(0)


class Buffers(Struct, frozen=True):
    """What lies where, in bytes: `gpus` has one entry a GPU, `host` is the main memory."""

    gpus: tuple[Part, ...]
    host: Part


class Part(Struct, frozen=True):
    weights: float
    cache: float
    compute: Interval


def memory(
    header: Header,
    tensors: Sequence[TensorRow],
    inputs: LlamaInputs,
    usable: float | None,
    *,
    largest: bool = True,
) -> Memory | Unknown:
    """What the fullest GPU holds, or the main memory of a model that no GPU serves.

    `usable` is GiB of one GPU or of the main memory that was asked for, None where that is not
    known. GPUs of one variant are alike. Unknown with the reason where the model is not. Without
    `largest` the largest context is not looked for, which takes longer than all the rest.
    """
    if (unsized := of_a_type_unknown(inputs)) is not None:
        return unsized
    if inputs.by_hand:
        return Unknown(f"{inputs.by_hand} says what lies where, which is not followed")
    model = model_of(header, tensors)
    if isinstance(model, Unknown):
        return model
    found = _memory(model, inputs, usable)
    if usable is None:
        return found
    if inputs.gpus and inputs.gpu_layers is None and found.verdict != "fits":
        return _with_as_many_as_fit(model, inputs, usable, found)
    if not largest:
        return found
    return replace(found, largest_context=_largest_context(model, inputs, usable))


def cells_of(layers: Layers, inputs: LlamaInputs) -> Cells:
    """Tokens of the cache. llama-context.cpp and llama-kv-cache-iswa.cpp of llama.cpp b11312."""
    streams = 1 if inputs.unified else inputs.slots
    full = _padded(_padded(inputs.context) // streams)
    if not layers.window or not inputs.windowed:
        return Cells(streams, full, full)
    window = layers.window * (inputs.slots if inputs.unified else 1) + batch_of(inputs)
    return Cells(streams, full, _padded(min(full, window)))


def cache_bytes(layer: Layer, cells: Cells, inputs: LlamaInputs, guessed: int = 0) -> float:
    """What one layer keeps for all slots: a cache as long as was asked for, and its state."""
    count = cells.windowed if layer.mixer in ("sliding", "chunked") else cells.full
    cached = cells.streams * count * bytes_per_token(layer, inputs)
    return cached + layer.state * _STATE * inputs.slots * (1 + guessed)


def of_a_type_unknown(inputs: LlamaInputs) -> Unknown | None:
    """Why the cache cannot be counted: a type that ggml does not have, such as fp8."""
    for kind in (inputs.k_type, inputs.v_type):
        if kind.upper() not in ggml_types():
            return Unknown(f"llama.cpp has no KV cache of type {kind}")
    return None


def bytes_per_token(layer: Layer, inputs: LlamaInputs) -> float:
    return _row(inputs.k_type, layer.keys) + _row(inputs.v_type, layer.values)


def _memory(model: GgufModel, inputs: LlamaInputs, usable: float | None) -> Memory:
    buffers = buffers_of(model, inputs)
    part = max(buffers.gpus, key=_expected) if inputs.gpus else buffers.host
    other = {"compute": _gib(part.compute), **_beside(model, inputs)}
    weights, cache = _gib(Interval.exactly(part.weights)), _gib(Interval.exactly(part.cache))
    verdict, reason = _judged(weights, cache, other, usable, on_gpu=inputs.gpus > 0)
    cells = cells_of(model.layers, inputs)
    return Memory(
        usable=usable or 0.0,
        budget=usable or 0.0,
        weights=weights,
        cache=cache,
        other=other,
        tokens=Interval.exactly(cells.full * cells.streams),
        full=Interval.exactly(inputs.slots),
        typical=Interval.exactly(inputs.slots),
        need=part.cache / GIB / inputs.slots,
        verdict=verdict,
        reason=reason,
    )


def _judged(
    weights: Interval,
    cache: Interval,
    other: Mapping[str, Interval],
    usable: float | None,
    *,
    on_gpu: bool,
) -> tuple[Verdict, str]:
    """A container may have more main memory than it asked for; a GPU has what it has."""
    if usable is None:
        return "unknown", "how much memory there is, is not known"
    beside = sum(other.values(), start=_NOTHING)
    total = weights + cache + beside
    if total.high <= usable:
        return "fits", ""
    parts, doubtful = {"weights": weights, "cache": cache, "other": beside}, total.low <= usable
    if not on_gpu:
        asked = "and the container asks for {}"
        return "may fit", too_much(parts, usable, doubtful=doubtful, where=asked)
    return (
        "may fit" if doubtful else "does not fit",
        too_much(parts, usable, doubtful=doubtful),
    )


def _with_as_many_as_fit(
    model: GgufModel, inputs: LlamaInputs, usable: float, whole: Memory
) -> Memory:
    """llama.cpp leaves layers in main memory until the rest fits: it starts, and is slow."""
    count = len(model.layers.rows)
    for number in range(count + 1, -1, -1):
        found = _memory(model, replace(inputs, gpu_layers=number), usable)
        if found.verdict == "fits":
            there = max(0, number - 1)
            reason = f"{there} of {count} layers fit on the GPU, the CPU computes the others"
            return replace(found, verdict="may fit", reason=reason)
    return whole


def _largest_context(model: GgufModel, inputs: LlamaInputs, usable: float) -> int | None:
    """Tokens of one request, as large as surely fits beside the other slots."""
    share = 1 if inputs.unified else inputs.slots
    most = Keys(model.header).of("context_length") or inputs.context // share

    def fits(context: int) -> bool:
        asked = replace(inputs, context=context * share)
        return _memory(model, asked, usable).verdict == "fits"

    low, high = 0, -(-most // PAD)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(min(most, middle * PAD)) else (low, middle - 1)
    return min(most, low * PAD) or None


_MOST_GPUS = 1024
"""More than any host has; a spec may say any number, which another rule refuses."""


def buffers_of(model: GgufModel, inputs: LlamaInputs) -> Buffers:
    """Where each layer lies, and what comes with it."""
    inputs = replace(inputs, gpus=min(inputs.gpus, _MOST_GPUS))
    layers, weights = model.layers, model.weights
    cells = cells_of(layers, inputs)
    guessed = _guessed(model, inputs)
    sizes = {layer: cache_bytes(layer, cells, inputs, guessed) for layer in set(layers.rows)}
    kept = [sizes[layer] for layer in layers.rows]
    compute = compute_buffer(model.header, layers, inputs, cells, model.vocabulary)
    outputs = model.vocabulary * inputs.slots * 4.0
    count = len(layers.rows)
    first = (
        count + 1 - min(count + 1, count + 1 if inputs.gpu_layers is None else inputs.gpu_layers)
    )
    host_weights, host_cache = weights.embedding, 0.0
    gpus = [[0.0, 0.0] for _ in range(inputs.gpus)]
    for number in range(count):
        if not gpus or number < first:
            host_weights += weights.layers[number] + weights.experts[number]
            host_cache += kept[number]
            continue
        onto = gpus[_gpu_of(number - first, count + 1 - first, inputs)]
        onto[0] += weights.layers[number]
        if number < inputs.cpu_expert_layers:
            host_weights += weights.experts[number]
        else:
            onto[0] += weights.experts[number]
        if inputs.kv_on_gpu:
            onto[1] += kept[number]
        else:
            host_cache += kept[number]
    if gpus and first <= count:
        gpus[_gpu_of(count - first, count + 1 - first, inputs)][0] += weights.output + weights.tied
    else:
        host_weights += weights.output  # a tied one is there already
    if inputs.split in ("row", "tensor") and gpus:
        even = sum(weight for weight, _ in gpus) / len(gpus)
        cached = sum(cache for _, cache in gpus)
        main = [cached if number == 0 else 0.0 for number in range(len(gpus))]
        spread = [cached / len(gpus)] * len(gpus) if inputs.split == "tensor" else main
        gpus = [[even, cache] for cache in spread]
    host = compute + Interval.exactly(outputs) if not gpus else Interval.exactly(outputs)
    copies = Interval(0, 0, compute.value * 0.25) if len(gpus) > 1 else _NOTHING
    parts = [Part(weight, cache, compute + copies) for weight, cache in gpus]
    return Buffers(tuple(parts), Part(host_weights, host_cache, host))


def _gpu_of(place: int, count: int, inputs: LlamaInputs) -> int:
    """Layers go in order, each GPU as many as its share; the output counts as one."""
    if inputs.split == "none":
        return 0
    shares = inputs.shares[: inputs.gpus]
    shares = (*shares, *[0.0] * (inputs.gpus - len(shares))) if any(shares) else ()
    shares = shares or (1.0,) * inputs.gpus
    reached, end = 0.0, place / count * sum(shares)
    for number, share in enumerate(shares):
        reached += share
        if end < reached:
            return number
    return inputs.gpus - 1


def _guessed(model: GgufModel, inputs: LlamaInputs) -> int:
    """For how many guessed tokens a state is kept, to go back to."""
    draft = inputs.draft
    guesses = draft is not None and draft.method.startswith("draft-")
    simple = draft is not None and draft.method == "draft-simple"
    if draft is None or not guesses or simple or not model.layers.rolls_back:
        return 0
    return draft.tokens


def _beside(model: GgufModel, inputs: LlamaInputs) -> dict[str, Interval]:
    facts = table("llama_memory")
    found = {"runtime": _row_of(facts["gpu" if inputs.gpus else "process"])}
    if inputs.adapters is None or inputs.adapters:
        found["adapters"] = _file(inputs.adapters)
    if inputs.projector is None or inputs.projector:
        extra = _row_of(facts["projector"])
        found["projector"] = _file(inputs.projector) + extra
    if inputs.draft is not None and (inputs.draft.weights is None or inputs.draft.weights):
        found["draft"] = _file(inputs.draft.weights) + _gib(_draft_cache(model, inputs))
    elif inputs.draft is not None and model.layers.drafting:
        found["draft"] = _gib(_draft_cache(model, inputs))
    return found


def _draft_cache(model: GgufModel, inputs: LlamaInputs) -> Interval:
    """Its cache is as long as the model's own, at 16 bit; how wide, only its own header says."""
    assert inputs.draft is not None
    cells = cells_of(model.layers, inputs)
    if (shape := inputs.draft.shape) is not None:
        caching = sum(mixer not in ("state", "none") for mixer in shape.layers)
        wide = shape.kv_heads * (shape.head_dim + shape.value_dim) * 2
        return Interval.exactly(float(cells.streams * cells.full * caching * wide))
    alike = model.layers.drafting or model.layers.rows[-1:]
    plain = replace(inputs, k_type="f16", v_type="f16")
    each = max(cache_bytes(replace(layer, state=0), cells, plain) for layer in alike)
    if model.layers.drafting and not inputs.draft.weights:
        return Interval.exactly(each * len(model.layers.drafting))
    most = each * max(1, inputs.draft.layers)
    return Interval(most / 2, 0, most)


def _file(size: int | None) -> Interval:
    return Interval.exactly(size / GIB) if size is not None else _NOTHING


def _row_of(row: dict[str, float]) -> Interval:
    return Interval(row["gib"], row["low"], row["high"])


def _row(kind: str, elements: int) -> float:
    found = ggml_types()[kind.upper()]
    return elements / found.block * found.size


def _padded(tokens: int) -> int:
    return -(-tokens // PAD) * PAD


def _expected(part: Part) -> float:
    return part.weights + part.cache


def _gib(size: Interval) -> Interval:
    return Interval(size.value / GIB, size.low / GIB, size.high / GIB)
