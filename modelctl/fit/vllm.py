"""Does a model fit a GPU under vLLM, how much of a cache is left, and how long may requests be?

requested = GPU memory x utilization; the cache has what weights, activation, CUDA graphs and what
lies outside PyTorch leave of it. Source: vllm/v1/worker/gpu_worker.py, determine_available_memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts import memory as facts
from modelctl.fit.allocator import beyond
from modelctl.fit.cache import CacheLayout, cache_of, states_of
from modelctl.fit.overhead import overhead, with_batch
from modelctl.fit.sums import digits_apart, too_much
from modelctl.fit.types import GIB, TYPICAL, Interval, Memory, Verdict, VllmInputs
from modelctl.fit.weights import by_shape
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import cache_type_of, named, scheme_of
from modelctl.weights.config_shape import shape_of
from modelctl.weights.shape import Scheme, Shape, TensorRow

_WHOLE_MODELS = ("draft_model", "")
"""Methods whose draft is a model of any size; the heads of others are some layers of this one."""
_NOTHING = Interval.exactly(0.0)


class Card(Protocol):
    """A GPU: `facts.gpus.Gpu` is one."""

    @property
    def name(self) -> str: ...
    @property
    def usable_gib(self) -> float: ...


class Model(Struct, frozen=True):
    """What is known of a checkpoint. Tensors say its size exactly; shape and scheme nearly.

    `cache_type` is what it asks for its KV cache where nobody else does, in vLLM's words.
    """

    shape: Shape | Unknown
    scheme: Scheme | Unknown
    tensors: Sequence[TensorRow] | Unknown
    cache_type: str = "auto"


def model_of(config: Mapping[str, Any] | Unknown, tensors: Sequence[TensorRow] | Unknown) -> Model:
    if isinstance(config, Unknown):
        return Model(config, config, tensors)
    return Model(shape_of(config), scheme_of(config), tensors, cache_type_of(config))


def weights(model: Model, inputs: VllmInputs) -> Interval | Unknown:
    """Bytes of weights on the fullest GPU: from the tensors where they are known."""
    online = named(inputs.quantization) if inputs.quantization else None
    if isinstance(online, Unknown):
        return online
    shape, scheme = model.shape, online or model.scheme
    if not isinstance(model.tensors, Unknown):
        from modelctl.fit.tensors import by_tensors  # its patterns take longer than a spec

        loaded = by_tensors(model.tensors, shape, online, inputs)
    elif isinstance(shape, Unknown):
        return shape
    elif isinstance(scheme, Unknown):
        return scheme
    else:
        loaded = by_shape(shape, scheme, inputs)
    if isinstance(loaded, Unknown) or isinstance(shape, Unknown) or isinstance(scheme, Unknown):
        return loaded
    return loaded + Interval.exactly(beyond(shape, scheme, inputs))


def memory(model: Model, inputs: VllmInputs, card: Card, *, largest: bool = True) -> Memory:
    """One GPU of the card. The verdict is `unknown` with a reason where a part cannot be known.

    Without `largest` the largest context is not looked for.
    """
    inputs = with_batch(inputs, card.usable_gib, card.name)
    if inputs.kv_dtype == "auto":
        inputs = replace(inputs, kv_dtype=model.cache_type)
    loaded = weights(model, inputs)
    if isinstance(loaded, Unknown):
        return _unknown(card, inputs, _NOTHING, {}, loaded)
    return assembled(model.shape, _gib(loaded), inputs, card, largest=largest)


def assembled(
    shape: Shape | Unknown,
    loaded: Interval,
    inputs: VllmInputs,
    card: Card,
    *,
    largest: bool = True,
) -> Memory:
    """The same from weights that are known, in GiB. `inputs` must say what a batch is."""
    if isinstance(shape, Unknown):
        return _unknown(card, inputs, loaded, {}, shape)
    if inputs.draft and inputs.draft.method in _WHOLE_MODELS and inputs.draft.weights is None:
        return _unknown(card, inputs, loaded, {}, Unknown("how large the draft is is not known"))
    other = overhead(shape, inputs)
    layout = cache_of(shape, inputs)
    if isinstance(layout, Unknown):
        return _unknown(card, inputs, loaded, other, layout)
    left = _left(loaded, other, inputs, card)
    cache = left if inputs.kv_bytes is None else Interval.exactly(inputs.kv_bytes / GIB)
    at, copies = layout.fit, inputs.data  # each of several copies has a cache of its own
    one, states = layout.least_for(inputs.context), layout.least_for_states(states_of(inputs))
    need, crowd = max(one, states) / GIB, states_of(inputs) if states > one else 0
    spare = left if inputs.kv_bytes is None else left - cache
    verdict = _verdict(cache, need, spare)
    gpus = inputs.tensor * inputs.pipeline
    reason = ""
    if verdict != "fits":
        reason = _reason(loaded, other, need, crowd, inputs, card, verdict == "may fit")
    if verdict == "fits" and inputs.utilization > facts.most_utilization(gpus):
        verdict, reason = "may fit", "the driver leaves less of the GPU than the engine asks for"
    return Memory(
        usable=card.usable_gib,
        budget=card.usable_gib * inputs.utilization,
        weights=loaded,
        cache=cache,
        other=other,
        tokens=_each(cache, lambda size: float(copies * at(size, inputs.context).tokens), layout),
        full=_each(cache, lambda size: copies * at(size, inputs.context).concurrency, layout),
        typical=_each(
            cache,
            lambda size: copies * at(size, min(TYPICAL, inputs.context)).concurrency,
            layout,
        ),
        need=need,
        states=crowd,
        verdict=verdict,
        reason=reason,
        largest_context=_largest_context(layout, cache, crowd)
        if largest and layout.groups
        else None,
    )


def _left(
    loaded: Interval, other: Mapping[str, Interval], inputs: VllmInputs, card: Card
) -> Interval:
    """What is left of the budget; of the whole GPU where the cache's size is given."""
    share = inputs.utilization if inputs.kv_bytes is None else 1.0
    left = Interval.exactly(card.usable_gib * share) - loaded
    for part in other.values():
        left = left - part
    return left


def _largest_context(layout: CacheLayout, cache: Interval, states: int) -> int:
    """A context that surely fits, so that following it leaves nothing to warn of.

    None is short enough where the states of `states` sequences are too much.
    """
    sure, likely = (max(0.0, end) * GIB for end in (cache.low, cache.value))
    if layout.least_for_states(states) > likely:
        return 0
    return layout.largest_context(sure) or layout.largest_context(likely)


def _verdict(cache: Interval, need: float, spare: Interval) -> Verdict:
    if cache.high < need or spare.high < 0:
        return "does not fit"
    return "fits" if cache.low >= need and spare.low >= 0 else "may fit"


def _reason(
    loaded: Interval,
    other: Mapping[str, Interval],
    need: float,
    states: int,
    inputs: VllmInputs,
    card: Card,
    doubtful: bool,
) -> str:
    """The sum that is more than there is: of what is expected, or, in doubt, of the most of all."""
    beside, there_is = _whole(other), card.usable_gib * inputs.utilization
    asked, least = need, f"a state for each of {states:,} sequences" if states else "one request"
    room = least
    if inputs.kv_bytes is not None:
        there_is, asked, room = (
            card.usable_gib,
            inputs.kv_bytes / GIB,
            "the cache that is asked for",
        )
        if asked < need and loaded.value + asked + beside.value <= there_is:
            digits = digits_apart(need, asked)
            return (
                f"{least} takes {need:.{digits}f} GiB of the cache, and {asked:.{digits}f} are "
                "asked for it"
            )
    parts = {"weights": loaded, room: Interval.exactly(asked), "other": beside}
    return too_much(parts, there_is, doubtful=doubtful)


def _unknown(
    card: Card,
    inputs: VllmInputs,
    loaded: Interval,
    other: dict[str, Interval],
    why: Unknown,
) -> Memory:
    """A part is missing: nothing is said, but that weights alone are too much where they are."""
    left = _left(loaded, other, inputs, card)
    verdict: Verdict = "does not fit" if left.high < 0 else "unknown"
    share = card.usable_gib * inputs.utilization
    parts = {"weights": loaded, **({"other": _whole(other)} if other else {})}
    return Memory(
        usable=card.usable_gib,
        budget=share,
        weights=loaded,
        cache=left,
        other=other,
        verdict=verdict,
        reason=why.reason if verdict == "unknown" else too_much(parts, share),
    )


def _whole(other: Mapping[str, Interval]) -> Interval:
    return sum(other.values(), start=_NOTHING)


def _each(cache: Interval, of: Any, layout: CacheLayout) -> Interval | None:
    if not layout.groups:
        return None
    value, low, high = (of(max(0.0, end) * GIB) for end in (cache.value, cache.low, cache.high))
    return Interval(value, low, high)


def _gib(interval: Interval) -> Interval:
    return Interval(interval.value / GIB, interval.low / GIB, interval.high / GIB)
