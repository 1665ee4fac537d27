"""Would the table's factors hold for a model that they were not fitted to?

For each model, the two that matter most are fitted anew to the rows of all other models of the same
versions: what a vocabulary's logits take, and what is there whatever the model. Then the model's
own rows are predicted with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.fit_rows import Row
from modelctl.facts import memory as facts
from modelctl.fit.overhead import (
    embeddings,
    overhead,
    runner_of,
    sampler,
    widest,
    with_batch,
)
from modelctl.fit.types import GIB, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.shape import Shape

FEWEST = 4
"""Rows of other models, below which the table's own factors stay."""


@dataclass(frozen=True)
class Sample:
    """`taken` is what the engine took beside weights and cache in GiB; `logits` sequences by
    vocabulary by 4 bytes, in GiB; `known` what of it the table says apart from the two factors."""

    row: Row
    versions: int
    several: bool
    logits: float
    known: float
    taken: float | None


def sample(row: Row) -> Sample | None:
    if isinstance(row.shape, Unknown) or not row.usable:
        return None
    inputs = with_batch(row.inputs, row.usable, row.gpu)
    logits = (inputs.sequences or 0) * row.shape.vocabulary * 4 / GIB
    if not _chooses(row.shape, inputs):
        logits = 0.0
    factors = facts.activation(inputs.version, runner_of(row.shape, inputs))
    several = inputs.tensor * inputs.pipeline > 1
    fixed = _outside(row.shape, inputs) + factors.base
    all_of_it = sum(part.value for part in overhead(row.shape, inputs).values())
    known = all_of_it - fixed - factors.logits * logits
    weights, cache = row.number("weights_gib"), row.number("kv_gib")
    said = row.said.get("total_gib") and row.said.get("gpu_memory_utilization")
    taken = None
    if said and weights and cache is not None and not row.said.get("kv_only"):
        taken = row.usable * inputs.utilization - weights - cache
    versions = sum(inputs.version >= since for since in ((0, 12), (0, 17), (0, 27)))
    return Sample(row, versions, several, logits, known, taken)


def beside(row: Row, samples: Sequence[Sample]) -> float | None:
    """What the engine takes beside weights and cache, without having seen this model. GiB."""
    own = sample(row)
    if own is None or isinstance(row.shape, Unknown):
        return None
    inputs = with_batch(row.inputs, row.usable or 0.0, row.gpu)
    others = [
        other
        for other in samples
        if other.row.model != row.model
        and other.versions == own.versions
        and other.taken is not None
    ]
    alike = [other for other in others if other.several == own.several]
    factors = facts.activation(inputs.version, runner_of(row.shape, inputs))
    slope = factors.logits
    fixed = _outside(row.shape, inputs) + factors.base
    if own.logits and len(others) >= FEWEST:
        slope = _slope(others) or slope
    if len(alike) >= FEWEST:
        left = sorted((o.taken or 0.0) - o.known - slope * o.logits for o in alike)
        fixed = left[len(left) // 2]
    return own.known + slope * own.logits + fixed


def _chooses(shape: Shape, inputs: VllmInputs) -> bool:
    """Whether the peak is where tokens are chosen: not in a layer, and not where it compiles."""
    chosen = sampler(shape, inputs)
    return chosen >= widest(shape, inputs) and chosen / GIB >= embeddings(shape, inputs)


def _outside(shape: Shape, inputs: VllmInputs) -> float:
    gpus, runner = inputs.tensor * inputs.pipeline, runner_of(shape, inputs)
    return facts.non_torch(inputs.version, runner, inputs.card, gpus)[0]


def _slope(samples: Sequence[Sample]) -> float | None:
    """Least squares of what is left over the size of the logits, with a level of its own for one
    GPU and for several. None where all have the same size."""
    above = below = 0.0
    for several in (False, True):
        some = [one for one in samples if one.several == several]
        if not some:
            continue
        mean = sum(one.logits for one in some) / len(some)
        level = sum((one.taken or 0.0) - one.known for one in some) / len(some)
        above += sum((o.logits - mean) * ((o.taken or 0.0) - o.known - level) for o in some)
        below += sum((one.logits - mean) ** 2 for one in some)
    return above / below if below > 1e-6 else None
