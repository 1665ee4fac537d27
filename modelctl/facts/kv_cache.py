"""How does vLLM keep keys and values: in what types, in what blocks, since which version?"""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct

from modelctl.facts.tables import table


class CacheType(Struct, frozen=True):
    """What a number of the cache takes: `bits`, and the scales that come with them.

    `scale_bytes` come once for the key and once for the value of a head; `scale_group` is how many
    numbers share a scale of one byte, 0 where none does.
    """

    bits: int
    scale_bytes: int = 0
    scale_group: int = 0

    def bytes_of(self, elements: int) -> int:
        """Bytes of one head's key, or value, of `elements` numbers."""
        scales = elements // self.scale_group if self.scale_group else self.scale_bytes
        return elements * self.bits // 8 + scales


class Blocks(Struct, frozen=True):
    """Tokens of a block: of heads, of latents, of latents beside states."""

    tokens: int
    latent: int
    latent_hybrid: int


@cache
def cache_type(name: str) -> CacheType | None:
    """The type that vLLM knows by this name; None where it is in no table."""
    row = table("kv_cache")["types"].get(name)
    return row and CacheType(row["bits"], row.get("scale_bytes", 0), row.get("scale_group", 0))


@cache
def blocks() -> Blocks:
    row = table("kv_cache")["blocks"]
    return Blocks(row["tokens"], row["latent"], row["latent_hybrid"])


Behaviour = Literal[
    "capacity_by_concurrency",
    "null_block",
    "loose_groups",
    "batches_in_flight",
    "windows",
    "chunked_windows",
    "state_prefixes",
    "every_state",
    "checkpoint_block",
    "state_for_each",
]


@cache
def behaves(name: Behaviour, version: tuple[int, int]) -> bool:
    """Does this version of vLLM do what the row `name` says?"""
    row = table("kv_cache")["behaviours"][name]
    ended = "until" in row and version >= tuple(row["until"])
    return version >= tuple(row["since"]) and not ended
