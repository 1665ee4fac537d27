"""Does a step of vLLM's own choice hold one token of each sequence that it may run?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.checks.hardware import an
from modelctl.engines.base import Finding
from modelctl.facts import gpus
from modelctl.fit.overhead import with_batch
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Unknown, Variant
from modelctl.spec.wanted import Path_
from modelctl.weights.config_shape import shape_of

_CHANGES_IT = ("performance-mode", "all2all-backend", "chunked-prefill")
"""In the names of flags by which vLLM chooses another step."""

_READ = (0, 32)
"""The first release whose choice was looked up."""


def steps(case: Case) -> Iterator[Finding]:
    """Where max_batched_tokens is said, the engine's own rules compare the two.

    Source: `verify_max_model_len`, vllm/config/scheduler.py, 0.32.0, which refuses it.
    """
    for variant in case.resolved.variants:
        card, inputs = gpus.gpus().get(variant.gpu or ""), variant.memory
        if card is None or variant.origin != "entry" or not isinstance(inputs, VllmInputs):
            continue
        if inputs.sequences is None or inputs.batched_tokens is not None:
            continue
        if not _known(case, variant, inputs):
            continue
        tokens = with_batch(inputs, card.usable_gib, card.name).batched_tokens or 0
        if tokens < inputs.sequences:
            yield wrong(
                _path(case, variant),
                "engine/wrong-option",
                f"{an(card.name)} gets steps of {tokens} tokens from vLLM {case.setting.version}, "
                f"which cannot hold one of each of {inputs.sequences} sequences",
                f"max_batched_tokens: {inputs.sequences} or more; or max_sequences: {tokens} or "
                "less",
            )


def _known(case: Case, variant: Variant, inputs: VllmInputs) -> bool:
    """Whether the step is the card's alone: images may need a longer one, so may whole prompts."""
    config = case.facts.config
    if isinstance(config, Unknown) or inputs.task != "generate" or inputs.version < _READ:
        return False
    shape = shape_of(config)
    if isinstance(shape, Unknown) or shape.vision:
        return False
    said = " ".join(str(flag[0]).replace("_", "-") for flag in variant.flags)
    return not any(word in said for word in _CHANGES_IT)


def _path(case: Case, variant: Variant) -> Path_:
    """The number where the entry has its own, else the entry: another may take more."""
    for index, entry, _, _ in case.entries:
        if index == variant.entry and entry.max_sequences is not None:
            return ("gpu", index, "max_sequences")
    return ("gpu", variant.entry or 0)


RULES: tuple[Rule, ...] = (steps,)
