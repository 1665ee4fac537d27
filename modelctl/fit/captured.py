"""How many steps does vLLM capture as CUDA graphs where nobody lists them?

Source: `_set_cudagraph_sizes`, vllm/config/vllm.py, and `_init_candidates`,
vllm/v1/worker/gpu/cudagraph_utils.py, 0.32.0.
"""

from __future__ import annotations

from modelctl.facts.memory import LargestGraph
from modelctl.fit.types import VllmInputs

_EACH, _BY_8 = 32, 256
"""Up to where every size is captured for interactivity, and every eighth for all."""


def graphs(inputs: VllmInputs, largest: LargestGraph) -> int:
    """Steps of any kind, and again those of answers alone, with as many tokens for each request.

    `inputs` must say sequences and tokens of a batch.
    """
    sizes = captured(inputs, largest)
    if inputs.task != "generate":  # others have no graphs of whole steps
        return len(sizes)
    queries = _queries(inputs)
    most = min(queries * (inputs.sequences or 0), max(sizes, default=0))
    whole = {-(-size // queries) * queries for size in sizes}
    return len(sizes) + sum(1 for size in whole if size <= most)


def captured(inputs: VllmInputs, largest: LargestGraph) -> list[int]:
    """Tokens of each step that is captured, in order."""
    sequences, tokens = inputs.sequences or 0, inputs.batched_tokens or 0
    queries = _queries(inputs)
    most = min(tokens, largest.tokens)
    if not largest.always:
        most = min(most, 2 * sequences * queries)
    small = [1, 2, 4]
    if inputs.performance == "interactivity":
        small = list(range(1, _EACH + 1))
    sizes = {*small, *_by_steps(most)}
    if not largest.always:
        sizes |= {count * queries for count in _requests(min(sequences, largest.tokens), queries)}
    if tokens <= most:
        sizes.add(tokens)
    return sorted(size for size in sizes if 0 < size <= most)


def _requests(most: int, queries: int) -> set[int]:
    """How many requests there are in the steps of answers alone that are added to the others."""
    if queries == 1:
        return {most}
    return {most, *(count for count in (1, 2, 4) if count <= most), *_by_steps(most)}


def _by_steps(most: int) -> list[int]:
    return [*range(8, min(most + 1, _BY_8), 8), *range(_BY_8, most + 1, 16)]


def _queries(inputs: VllmInputs) -> int:
    """Tokens that a step has of each request that is being answered: one, and what is guessed."""
    return 1 + (inputs.draft.tokens if inputs.draft else 0)
