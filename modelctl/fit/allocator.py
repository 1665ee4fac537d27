"""What do a model's tensors take beyond their own bytes, as PyTorch's allocator hands them out?

A tensor of 10 MiB or more lies in blocks of 2 MiB, a smaller one beside others in 20 MiB. What a
block has left is given to others only above 1 MiB, and from vLLM 0.21 on not at all where the
tensor has 20 MiB: so a large one leaves no holes. vLLM reports what was handed out, so "Model
loading took" counts what is left over too.

Source: c10/cuda/CUDACachingAllocator.cpp of PyTorch (round_size, get_allocation_size,
get_free_block, should_split); vllm/v1/worker/gpu_worker.py, load_model (0.32).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from functools import lru_cache

from modelctl.facts.memory import largest_split
from modelctl.fit.types import VllmInputs
from modelctl.fit.weights import PLAIN_BYTES, local_kv_heads, padded, stage_of
from modelctl.weights.shape import Scheme, Shape

_MIB = 2**20
_UNIT, _SMALL, _STEP = 512, _MIB, 2 * _MIB
_SHARED, _OWN = 20 * _MIB, 10 * _MIB
_NEVER = 2**62


def beyond(shape: Shape, scheme: Scheme, inputs: VllmInputs) -> int:
    """Bytes on one GPU, for the tensors that a layer has where everything else is known.

    States, encoders and what the loading itself leaves behind are not followed.
    """
    sizes = tuple(_tensors(shape, scheme, inputs))
    return handed_out(sizes, largest_split(inputs.version)) - sum(sizes)


@lru_cache(maxsize=256)
def handed_out(sizes: tuple[int, ...], split: int | None) -> int:
    """Bytes that are counted for tensors of so many bytes, made in this order and all kept.

    `split` is the size in bytes from which on blocks are never divided; None: all may be.
    """
    most = split or _NEVER
    free: list[int] = []
    total = 0
    for size in sizes:
        wanted = padded(size, _UNIT)
        if wanted <= _SMALL:
            total += wanted
            continue
        block = _taken(free, wanted, most)
        if block is None:
            block = _SHARED if wanted < _OWN else padded(wanted, _STEP)
        left = block - wanted
        if wanted < most and left > _SMALL:
            insort(free, left)
            block = wanted
        total += block
    return total


def _taken(free: list[int], wanted: int, most: int) -> int | None:
    """The smallest free block that will do; what is never divided serves nothing much smaller."""
    place = bisect_left(free, wanted)
    if place == len(free):
        return None
    block = free[place]
    if (wanted < most <= block) or (wanted >= most and block >= wanted + _SHARED):
        return None
    return free.pop(place)


def _tensors(shape: Shape, scheme: Scheme, inputs: VllmInputs) -> Iterator[int]:
    """Bytes of the large ones in the order in which vLLM makes them.

    Layers merge what goes together (query, key and value; gate and up), and the experts of a layer
    are one tensor.
    """
    tensor, hidden = inputs.tensor, shape.hidden
    plain = PLAIN_BYTES.get(inputs.dtype, 2)
    width = plain if scheme.method == "none" else _width(scheme.linear)
    attention = width if scheme.attention is None else _width(scheme.attention)
    table = padded(shape.vocabulary, 64) * hidden * plain // tensor
    yield table
    count = round(len(shape.layers) * stage_of(shape, inputs.pipeline))
    experts = shape.experts
    sparse = len(shape.layers) - experts.layers if experts else len(shape.layers)
    matrices = 2 if shape.gated else 1
    for number, kind in enumerate(shape.layers[:count]):
        if kind != "state" and shape.latent is None:
            wide = shape.full_head_dim if kind == "full" else None
            head = wide or shape.head_dim
            keys = (shape.full_kv_heads if kind == "full" else None) or shape.kv_heads
            query = shape.heads * head // tensor
            yield int(
                ((1 + shape.output_gate) * query + 2 * local_kv_heads(keys, tensor) * head)
                * hidden
                * attention
            )
            yield int(query * hidden * attention)
        if experts is None or number < sparse:
            size = shape.intermediate // tensor * hidden * width
            yield from (int(matrices * size), int(size))
        else:
            each = width if scheme.experts is None else _width(scheme.experts)
            ranks = tensor * inputs.data
            size = experts.count * experts.width // ranks * (experts.hidden or hidden) * each
            yield from (int(matrices * size), int(size))
    if not shape.tied and inputs.task == "generate":
        yield table


def _width(each: float) -> float:
    """Bytes of a weight without its scales, which are tensors of their own."""
    return next(width for width in (2.0, 1.0, 0.5, 0.0) if each >= width)
