"""How much of a KV cache fits? vLLM's blocks: how layers share them, how many a request takes."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts.kv_cache import behaves
from modelctl.fit.cache_layers import Layer, Placed, ceil_div, layers_of
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.shape import Shape

LONGEST = 2**27
"""Tokens that no context reaches: where the search for the largest one ends."""

USUAL_BATCH = 8192
"""`max_num_batched_tokens` of GPUs from 70 GiB, where nobody says which GPU it is."""

ASYNCHRONOUS_DRAFTS = ("eagle", "eagle3", "mtp", "draft_model", "dflash", "dspark", "ngram_gpu")


class CacheFit(Struct, frozen=True):
    """What a cache holds: `tokens` at once, `concurrency` requests of the whole context."""

    blocks: int
    tokens: int
    concurrency: float
    groups: int
    block: int

    def logged_tokens(self, version: tuple[int, int]) -> int:
        """What that version writes as "GPU KV cache size", in tokens.

        Up to 0.20 each group counted as if it held the whole of every request, which says too
        little of hybrid models.
        """
        if behaves("capacity_by_concurrency", version) or not self.groups:
            return self.tokens
        return self.blocks // self.groups * self.block


class CacheLayout(Struct, frozen=True):
    """How layers share blocks.

    Layers of one group hold the same blocks of a request; the groups draw from one pool whose
    blocks take `block_bytes` of a GPU, of the fullest stage. `groups` has a layer for each group:
    all of a group are alike, or need equally many blocks. `in_flight` tokens may be scheduled and
    not done. `held_back` is what the engine keeps before it says whether a context fits, in bytes.
    """

    groups: tuple[Layer, ...]
    block_bytes: int
    in_flight: int
    held_back: int

    def blocks_for(self, context: int) -> int:
        """Blocks that one request of `context` tokens takes, over all groups."""
        return sum(group.blocks_for(context, self.in_flight) for group in self.groups)

    def bytes_for(self, context: int) -> int:
        """Bytes of one GPU that one request of `context` tokens takes."""
        return self.block_bytes * self.blocks_for(context)

    def least_for(self, context: int) -> int:
        """Bytes of one GPU without which the engine refuses to start with this context."""
        return self.bytes_for(context) + self.held_back

    def least_for_states(self, sequences: int) -> int:
        """Bytes of one GPU that hold a block of states for each of so many sequences."""
        return self.block_bytes * sequences if any(g.kind == "state" for g in self.groups) else 0

    def fit(self, bytes_of_one_gpu: float, context: int) -> CacheFit:
        """What fits into so many bytes, counted in requests of `context` tokens."""
        if not self.groups:
            return CacheFit(0, 0, float("inf"), 0, 0)
        number = max(0, int(bytes_of_one_gpu)) // self.block_bytes
        concurrency = number / self.blocks_for(context)
        block = min(group.block for group in self.groups)
        return CacheFit(number, int(concurrency * context), concurrency, len(self.groups), block)

    def largest_context(self, bytes_of_one_gpu: float, at_most: int = LONGEST) -> int:
        """The longest context, up to `at_most`, with which the engine starts; 0 for none."""
        low, high = 0, at_most
        while low < high:
            middle = (low + high + 1) // 2
            if self.least_for(middle) <= bytes_of_one_gpu:
                low = middle
            else:
                high = middle - 1
        return low


def cache_of(shape: Shape, inputs: VllmInputs) -> CacheLayout | Unknown:
    """The layout of the cache on one GPU, as vLLM would group the model's layers.

    Source: `get_kv_cache_groups`, vllm/v1/core/kv_cache_utils.py, 0.32.0, for the layouts in which
    a layer's blocks lie side by side (all but those of sparse attention's indexers).
    """
    placed = layers_of(shape, inputs)
    if isinstance(placed, Unknown):
        return placed
    in_flight = in_flight_of(inputs)
    if not placed:
        return CacheLayout((), 0, in_flight, 0)
    if keeps_windows(shape, inputs):
        groups = uniform(placed) or grouped(placed, inputs.version)
    else:
        groups = uniform(promoted(placed)) or Unknown(
            "its layers are of several kinds, and without the hybrid KV cache manager they share "
            "no blocks"
        )
    if isinstance(groups, Unknown):
        return groups
    block_bytes = max(
        sum(layer.page for layer, on in group if on == stage)
        for group in groups
        for stage in range(inputs.pipeline)
    )
    if not block_bytes:
        return Unknown("its config does not say how large a layer's cache is")
    held_back = block_bytes if behaves("null_block", inputs.version) else 0
    return CacheLayout(tuple(group[0][0] for group in groups), block_bytes, in_flight, held_back)


def states_of(inputs: VllmInputs) -> int:
    """Sequences whose states must have a block each, or the engine refuses to start.

    Models that write no text have no graphs of whole steps. Source:
    `resolve_cudagraph_mode_and_sizes`, vllm/config/compilation.py, 0.32.0.
    """
    captured = inputs.whole_graphs and not inputs.eager and inputs.task == "generate"
    each = captured and behaves("state_for_each", inputs.version)
    return (inputs.sequences or 0) if each else 0


def in_flight_of(inputs: VllmInputs) -> int:
    """Tokens that may be scheduled and not done: a batch for each that runs side by side.

    Source: `max_concurrent_batches` and `max_in_flight_tokens`, vllm/config/vllm.py, 0.32.0.
    """
    batch = inputs.batched_tokens or USUAL_BATCH
    if not behaves("batches_in_flight", inputs.version):
        return batch
    ahead = inputs.async_scheduling
    if ahead is None:
        drafted = inputs.draft is None or inputs.draft.method in ASYNCHRONOUS_DRAFTS
        ahead = inputs.task == "generate" and drafted
    return batch * (inputs.pipeline + (1 if ahead else 0))


def keeps_windows(shape: Shape, inputs: VllmInputs) -> bool:
    """Whether local layers let go of old blocks; chunked ones cannot beside an EAGLE draft."""
    if "sliding" in shape.layers and not behaves("windows", inputs.version):
        return False
    if "chunked" in shape.layers:
        drafted = inputs.draft is not None and inputs.draft.method in ("eagle", "eagle3", "mtp")
        if drafted or not behaves("chunked_windows", inputs.version):
            return False
    return inputs.hybrid_cache


def promoted(placed: tuple[Placed, ...]) -> tuple[Placed, ...]:
    """Local layers that keep everything, as full ones do, where there are full ones."""
    if not any(layer.kind in ("full", "latent") for layer, _ in placed):
        return placed
    return tuple(
        (replace(layer, kind="full", reach=0), stage)
        if layer.kind in ("sliding", "chunked")
        else (layer, stage)
        for layer, stage in placed
    )


Group = tuple[Placed, ...]


def uniform(placed: tuple[Placed, ...]) -> tuple[Group, ...]:
    """One group, if all layers need equally many blocks; else none."""

    def needs(layer: Layer) -> tuple[object, ...]:
        full = layer.kind in ("full", "latent")
        page = layer.page if layer.kind == "state" else None
        return ("full" if full else layer.kind, layer.block, layer.reach, layer.states, page)

    layers = {layer for layer, _ in placed}
    return (placed,) if len({needs(layer) for layer in layers}) == 1 else ()


def grouped(placed: tuple[Placed, ...], version: tuple[int, int]) -> tuple[Group, ...] | Unknown:
    """Groups of equal size, each of layers of one kind, over pages of one size.

    The size is that of the rarest kind, or of the most frequent one if that is little more.
    """
    pages = one_page(placed)
    if isinstance(pages, Unknown):
        return pages
    kinds: dict[Layer, list[Placed]] = {}
    for layer, stage in pages:
        kinds.setdefault(layer, []).append((layer, stage))
    fewest, most = min(map(len, kinds.values())), max(map(len, kinds.values()))
    little_more = 1.5 if behaves("loose_groups", version) else 1.25
    size = most if most < fewest * little_more else fewest
    return tuple(
        tuple(alike[start::count])
        for alike in kinds.values()
        for count in [ceil_div(len(alike), size)]
        for start in range(count)
    )


def one_page(placed: Iterable[Placed]) -> tuple[Placed, ...] | Unknown:
    """All pages as large as the largest: by more tokens where it divides, by padding else."""
    placed = tuple(placed)
    largest = max(layer.page for layer, _ in placed)
    unified = []
    for layer, stage in placed:
        times, rest = divmod(largest, layer.page)
        if layer.kind == "latent" and rest:
            return Unknown("its pages and those of its draft cannot be made of one size")
        if layer.kind == "state" or rest:
            unified.append((replace(layer, page=largest), stage))
        else:
            unified.append((replace(layer, page=largest, block=layer.block * times), stage))
    return tuple(unified)
