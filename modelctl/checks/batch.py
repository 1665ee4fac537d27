"""Does a step of vLLM hold what it has to: a token of each sequence, or a whole prompt?"""

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


def guesses(case: Case) -> Iterator[Finding]:
    """Beside adapters a step has to hold each sequence's guesses as well.

    Source: `create_engine_config`, vllm/engine/arg_utils.py, 0.32.0, which refuses it.
    """
    for variant in case.resolved.variants:
        card, inputs = gpus.gpus().get(variant.gpu or ""), variant.memory
        if card is None or variant.origin != "entry" or not isinstance(inputs, VllmInputs):
            continue
        if not inputs.adapters or inputs.draft is None or inputs.version < _READ:
            continue
        said = inputs.sequences is not None and inputs.batched_tokens is not None
        if not said and not _known(case, variant, inputs):
            continue
        filled, each = with_batch(inputs, card.usable_gib, card.name), inputs.draft.tokens + 1
        tokens, sequences = filled.batched_tokens or 0, filled.sequences or 0
        if tokens < sequences * each:
            yield wrong(
                ("speculative",),
                "engine/wrong-option",
                f"beside adapters a step holds {each} tokens of each of {sequences} sequences, and "
                f"{an(card.name)} gets steps of {tokens}: vLLM refuses to start",
                f"max_sequences: {tokens // each} or less, or max_batched_tokens: "
                f"{sequences * each} or more",
            )
            return


def whole_prompts(case: Case) -> Iterator[Finding]:
    """Where prompts are not taken in chunks, vLLM refuses a step shorter than the context.

    Source: `verify_max_model_len`, vllm/config/scheduler.py, and `is_chunked_prefill_supported`,
    vllm/config/model.py, 0.32.0. A step of its own choice is as long as the context then.
    """
    for variant in case.resolved.variants:
        inputs = variant.memory
        if variant.origin == "upgrade" or not isinstance(inputs, VllmInputs):
            continue
        tokens = inputs.batched_tokens
        if inputs.whole_prompts and tokens is not None and tokens < inputs.context:
            off = any("enable-chunked-prefill" in _plain(flag[0]) for flag in variant.flags)
            model = case.facts.architecture
            why = (
                "enable-chunked-prefill is off"
                if off
                else f"vLLM takes the prompts of {model} whole"
            )
            yield wrong(
                _step(case, variant),
                "engine/wrong-option",
                f"a step of {tokens:,} tokens cannot hold a prompt of {inputs.context:,}, and "
                f"{why}: vLLM refuses to start",
                f"leave it out, or {inputs.context}",
            )
            return


def _step(case: Case, variant: Variant) -> Path_:
    """Where the length of a step is written: a field or a flag, of the entry or of the spec."""
    fields: list[tuple[Path_, bool]] = []
    for index, entry, _, _ in case.entries:
        if index == variant.entry:
            fields += [(("gpu", index, "args", name), _is_step(name)) for name in entry.args or ()]
            fields.append((("gpu", index, "max_batched_tokens"), bool(entry.max_batched_tokens)))
    ours = (case.spec.backend and case.spec.backend.args) or {}
    fields += [(("backend", "args", name), _is_step(name)) for name in ours]
    return next((path for path, is_it in fields if is_it), ("max_batched_tokens",))


def _is_step(name: str) -> bool:
    return _plain(name) == "max-num-batched-tokens"


def _plain(name: object) -> str:
    return str(name).lstrip("-").replace("_", "-")


def _known(case: Case, variant: Variant, inputs: VllmInputs) -> bool:
    """Whether the step is the card's alone: images may need a longer one, so may whole prompts."""
    config = case.facts.config
    if isinstance(config, Unknown) or inputs.task != "generate" or inputs.version < _READ:
        return False
    shape = shape_of(config)
    if isinstance(shape, Unknown) or shape.vision:
        return False
    flags = " ".join(str(flag[0]).replace("_", "-") for flag in variant.flags)
    return not any(word in flags for word in _CHANGES_IT)


def _path(case: Case, variant: Variant) -> Path_:
    """The number where the entry has its own, else the entry: another may take more."""
    for index, entry, _, _ in case.entries:
        if index == variant.entry and entry.max_sequences is not None:
            return ("gpu", index, "max_sequences")
    return ("gpu", variant.entry or 0)


RULES: tuple[Rule, ...] = (steps, guesses, whole_prompts)
