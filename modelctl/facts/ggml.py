"""How much room does a tensor of ggml's take? Its types, each with its block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from modelctl.facts.tables import table


class GgmlType(Struct, frozen=True):
    """`block` elements of it take `size` bytes. `number` is what a GGUF file calls it."""

    name: str
    number: int
    block: int
    size: int

    def bytes_of(self, elements: int) -> int:
        return -(-elements // self.block) * self.size


@cache
def ggml_types() -> Mapping[str, GgmlType]:
    """By name: `Q4_K`."""
    return {
        name: GgmlType(name, row["id"], row["block"], row["bytes"])
        for name, row in table("ggml_types").items()
    }


@cache
def numbered() -> Mapping[int, GgmlType]:
    """By the number in a file."""
    return {kind.number: kind for kind in ggml_types().values()}
