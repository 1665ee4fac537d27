"""Does the sum that is said not fit, as a reader adds it up?"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from modelctl.facts.gpus import Gpu
from modelctl.fit.sums import too_much
from modelctl.fit.types import GIB, Interval
from tests.fit.test_vllm import B200, CHECKPOINTS, H100, L4, L40S, QWEN3_8B, RUN, fit


def test_sums_that_look_alike_have_more_digits() -> None:
    parts = {"weights": Interval.exactly(70.01), "other": Interval.exactly(2.92)}
    assert too_much(parts, 72.9) == ("weights 70.01 + other 2.92 = 72.93, usable 72.90 GiB per GPU")


def test_a_given_cache_that_is_less_than_a_request_takes_is_said() -> None:
    found = fit(QWEN3_8B, replace(RUN, kv_bytes=4 * GIB))
    assert found.verdict == "does not fit"
    assert found.reason == "one request takes 4.5 GiB of the cache, and 4.0 are asked for it"
    near = fit(QWEN3_8B, replace(RUN, kv_bytes=int(4.49 * GIB)))
    assert near.reason == "one request takes 4.50 GiB of the cache, and 4.49 are asked for it"


def test_weights_that_fit_alone_are_said_with_what_is_beside_them() -> None:
    strange = replace(RUN, kv_dtype="strange")
    assert fit(QWEN3_8B, strange).verdict == "unknown"
    found = fit(QWEN3_8B, replace(strange, utilization=15.2 / H100.usable_gib))
    assert found.verdict == "does not fit"
    assert found.reason == "weights 15.3 + other 2.0 = 17.3, usable 15.2 GiB per GPU"


@given(
    context=some.integers(1, 200_000),
    utilization=some.floats(0.3, 0.97),
    given_cache=some.one_of(some.none(), some.integers(0, 100 * GIB)),
    card=some.sampled_from([H100, L4, L40S, B200]),
    name=some.sampled_from(sorted(CHECKPOINTS)),
)
def test_what_is_said_is_more_than_there_is(
    context: int, utilization: float, given_cache: int | None, card: Gpu, name: str
) -> None:
    run = replace(RUN, context=context, utilization=utilization, kv_bytes=given_cache)
    found = fit(CHECKPOINTS[name]["config"], run, card)
    for sizes in (r"= (?:up to )?(\S+), usable (\S+) GiB", r"takes (\S+) GiB .*, and (\S+) are"):
        if said := re.search(sizes, found.reason):
            assert float(said[1]) > float(said[2])
    assert ("= up to" in found.reason) == (found.verdict == "may fit")
