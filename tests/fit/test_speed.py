"""How fast is it? Against the arithmetic by hand, and what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.facts import gpus
from modelctl.facts.speed import request
from modelctl.fit.speed import Load, speed_of

H100 = gpus.gpus()["H100"]
EIGHT_BILLION = Load(dense=16.4e9, parameters=8.2e9, kv=147_456, bits=16)
MIXTURE = Load(dense=3e9, parameters=3.3e9, kv=98_304, bits=16, experts=58e9, count=128, active=8)


def test_one_request_alone_is_bound_by_reading_the_weights() -> None:
    speed = speed_of(EIGHT_BILLION, H100, 1, 1)
    assert speed is not None
    read = 16.4e9 + (1024 + 128) * 147_456
    assert speed.single.value == pytest.approx(1 / (read / (3350e9 * 0.82) + 0.0005))
    assert speed.single.low == pytest.approx(speed.single.value * 0.75)
    assert speed.single.high == pytest.approx(speed.single.value * 1.25)


def test_many_requests_pay_for_their_prompts() -> None:
    speed = speed_of(EIGHT_BILLION, H100, 1, 32)
    assert speed is not None
    assert (speed.request.prompt, speed.request.output) == (1024, 256)
    prompts = 32 * 2 * 8.2e9 * 1024 / (989e12 * 0.45)
    read = 16.4e9 + 32 * 1152 * 147_456
    steps = 256 * (read / (3350e9 * 0.82) + 0.0005)
    assert speed.predicted.value == pytest.approx(32 * 256 / (prompts + steps))
    bound = 32 * 256 / (32 * 2 * 8.2e9 * 1024 / 989e12 + 256 * read / 3350e9)
    assert speed.bound == pytest.approx(bound)


def test_a_mixture_reads_the_experts_that_are_asked_for() -> None:
    assert MIXTURE.weights(1) == pytest.approx(3e9 + 58e9 * 8 / 128)
    assert MIXTURE.weights(1000) == pytest.approx(61e9)


def test_a_card_without_8_bit_units_computes_8_bits_in_16() -> None:
    eight = Load(dense=8e9, parameters=8e9, kv=0, bits=8.1)
    many = 4096
    here, there = (speed_of(eight, gpus.gpus()[name], 1, many) for name in ("A100-80GB", "H100"))
    assert here is not None
    assert there is not None
    assert there.predicted.value / here.predicted.value > 1979 / 312 * 0.8


@given(
    load=st.builds(
        Load,
        dense=st.floats(1e8, 1e12),
        parameters=st.floats(1e8, 1e12),
        kv=st.floats(0, 1e6),
        bits=st.floats(4, 16.5),
    ),
    card=st.sampled_from(sorted(gpus.gpus().values(), key=lambda card: card.name)),
    count=st.integers(1, 8),
    requests=st.integers(1, 512),
)
def test_nothing_predicted_beats_the_bound(
    load: Load, card: gpus.Gpu, count: int, requests: int
) -> None:
    speed = speed_of(load, card, count, requests)
    assert speed is not None
    assert 0 < speed.predicted.low <= speed.predicted.value <= speed.predicted.high
    assert speed.predicted.value <= speed.bound
    assert math.isfinite(speed.bound)
    more = speed_of(load, card, count, requests + 1)
    assert more is not None
    assert more.bound >= speed.bound * 0.999
    assert request().output == speed.request.output
