"""What is said of a model whose layers keep states, of which each sequence needs one?"""

from __future__ import annotations

from typing import Any

from tests.checks import real_models as models
from tests.checks.judging import judged
from tests.checks.real_specs import QWEN35_27B, model, spec

MADE = model(QWEN35_27B, models.QWEN35_27B, tuple(models.qwen35_27b()))


def test_the_sum_has_a_state_for_each_sequence_where_that_is_what_is_too_much() -> None:
    made = MADE()
    found = judged(spec(QWEN35_27B, "RTX-PRO-6000", context=131072), made)
    (detail,) = (one.detail for one in found if one.code == "fit/too-large")
    assert detail == (
        "weights 50.1 + a state for each of 1,024 sequences 49.0 + other 2.5 = 101.6, "
        "usable 87.4 GiB per GPU"
    )
    given = {"kv-cache-memory-bytes": "30G"}
    found = judged(spec(QWEN35_27B, "RTX-PRO-6000", context=131072, backend={"args": given}), made)
    (detail,) = (one.detail for one in found if one.code == "fit/too-large")
    assert detail == (
        "a state for each of 1,024 sequences takes 49.0 GiB of the cache, and 30.0 are asked for it"
    )
    # Without graphs of whole steps, sequences wait for a state instead.
    for loose in ({"enforce-eager": True}, {"compilation-config": {"cudagraph_mode": "PIECEWISE"}}):
        backend = {"args": loose}
        found = judged(spec(QWEN35_27B, "RTX-PRO-6000", context=131072, backend=backend), made)
        assert not [one for one in found if one.code.startswith("fit/")]


def test_sequences_are_lowered_where_they_are_said() -> None:
    made = MADE()

    def hints(*cards: str, **more: Any) -> list[str]:
        found = judged(spec(QWEN35_27B, *cards, context=131072, **more), made)
        return [one.hint.partition(";")[0] for one in found if one.code != "fit/target"]

    own = spec(QWEN35_27B, "RTX-PRO-6000", context=131072)
    own["gpu"][0]["max_sequences"] = 1024
    assert judged(own, made)[0].hint.startswith("max_sequences: 512 on this entry;")
    assert hints("H100", "RTX-PRO-6000") == [
        "max_sequences: 256 on this entry",
        "max_sequences: 512 on this entry",
    ]
    args = {"max-num-seqs": 1024}
    assert hints("RTX-PRO-6000", backend={"args": args}) == ["max-num-seqs: 512"]
    # More at once would not fit, so that is no way out of a target that is too high.
    few = {"max_sequences": 400, "concurrency": {"target": 1000}}
    assert hints("RTX-PRO-6000", **few) == ["concurrency: {target: 400}"]
    blocks = {"args": {"num-gpu-blocks-override": 500}}
    assert hints("RTX-PRO-6000", backend=blocks, max_sequences=512) == [
        "leave it out, or max_sequences: 500"
    ]
    assert hints("RTX-PRO-6000", backend=blocks, max_sequences=500) == []
