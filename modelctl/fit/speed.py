"""How fast is it, to first order? A bound that no engine can beat, and a prediction."""

from __future__ import annotations

import math

from msgspec import Struct

from modelctl.facts.gpus import Gpu
from modelctl.facts.speed import Request, band, efficiency, request, step_seconds
from modelctl.fit.types import Interval

_TERA, _GIGA = 1e12, 1e9
_EIGHT, _FOUR = 9.0, 6.0
"""The most bits that a weight of 8 or 4 takes, with its scales and padding."""
_HAS_FOUR_BITS = (10, 0)


class Load(Struct, frozen=True):
    """What a token costs on all GPUs of a copy together.

    `dense` and `experts` are bytes of weights: read in each step, and read by those experts that a
    batch asks for (`active` of `count` in each layer). `parameters` is how many a token goes
    through. `kv` is bytes that the cache holds of a token, `fixed` those of a whole request that do
    not grow. `bits` is what a weight takes.
    """

    dense: float
    parameters: float
    kv: float
    bits: float
    experts: float = 0.0
    count: int = 0
    active: int = 0
    fixed: float = 0.0

    def weights(self, batch: float) -> float:
        """Bytes of weights that one step of a batch reads."""
        if not self.count:
            return self.dense
        touched = 1 - math.pow(1 - self.active / self.count, batch)
        return self.dense + self.experts * touched


class Speed(Struct, frozen=True):
    """Tokens a second of one copy: what it writes for `requests` at once, each as `request` says.

    `bound` cannot be beaten by any engine on such cards; `predicted` is what to expect. `single` is
    one request's own rate, alone.
    """

    requests: int
    request: Request
    bound: float
    predicted: Interval
    single: Interval


def speed_of(load: Load, card: Gpu, count: int, requests: int) -> Speed | None:
    """The speed of one copy on `count` cards; None where the card's compute is not known."""
    if card.fp16_tflops is None or requests < 1:
        return None
    asked, share = request(), efficiency(load.bits)
    best = _Cards(card.bandwidth_gbs * _GIGA * count, _peak(card, load.bits) * _TERA * count)
    usual = _Cards(
        best.bandwidth * share.bandwidth,
        _usual(card, load.bits) * _TERA * count * share.compute,
    )
    bound = _rate(load, best, requests, asked, 0.0)
    alone = 1 / _step(load, usual, 1, asked.prompt + asked.output / 2, step_seconds())
    return Speed(
        requests,
        asked,
        bound,
        _banded(_rate(load, usual, requests, asked, step_seconds()), bound),
        _banded(alone, None),
    )


class _Cards(Struct, frozen=True):
    """All cards of a copy: bytes a second, and operations a second."""

    bandwidth: float
    compute: float


def _rate(load: Load, cards: _Cards, requests: int, asked: Request, rest: float) -> float:
    """Tokens a second once as many requests come as end: prompts are read between the steps."""
    context = asked.prompt + asked.output / 2
    prompts = requests * 2 * load.parameters * asked.prompt / cards.compute
    steps = asked.output * _step(load, cards, requests, context, rest)
    return requests * asked.output / (prompts + steps)


def _step(load: Load, cards: _Cards, batch: int, context: float, rest: float) -> float:
    """Seconds until each of a batch has one more token: the slower of reading and computing."""
    read = load.weights(batch) + batch * (context * load.kv + load.fixed)
    computed = 2 * load.parameters * batch
    return max(read / cards.bandwidth, computed / cards.compute) + rest


def _peak(card: Gpu, bits: float) -> float:
    """The most dense TFLOP/s that weights of this width could be computed with."""
    narrow = card.fp8_tflops if bits <= _EIGHT and card.fp8_tflops else None
    if narrow is not None and bits <= _FOUR and card.compute_capability >= _HAS_FOUR_BITS:
        return 2 * narrow
    return narrow or card.fp16_tflops or 0.0


def _usual(card: Gpu, bits: float) -> float:
    """What engines compute with: 8 bits where the card has units for it, else 16."""
    eight = _FOUR < bits <= _EIGHT and card.fp8_tflops
    return eight or card.fp16_tflops or 0.0


def _banded(value: float, most: float | None) -> Interval:
    high = value * (1 + band())
    capped = high if most is None else max(value, min(high, most))
    return Interval(value, value * (1 - band()), capped)
