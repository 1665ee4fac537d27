"""Which layers of an architecture keep what of a request, as llama.cpp reads its GGUF files?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table

Kind = Literal["full", "none", "state", "by-heads", "by-interval", "both", "sliding", "chunked"]


class Architecture(Struct, frozen=True):
    """How the layers of one architecture are told apart.

    All have full attention, or none keeps anything, or all have a state, or both; those without
    key heads have a state (`by-heads`), or all but each `period`-th one (`by-interval`). Of sliding
    and chunked layers each `period`-th one is full, or the first of each period (`full_first`);
    `period` is None where the file always has a list. `window` is what llama.cpp takes whatever
    the file says, `default_window` where it says nothing; None: such a file has no such layers.
    `only_with` is the one number of layers that has windows at all. `own_cache` layers come first
    and have a cache, the others read theirs. `rolls_back` is whether a state is kept for each
    guessed token, `embeds` whether such a model gives vectors and never text.
    """

    layers: Kind
    period: int | None
    full_first: bool
    window: int | None
    default_window: int | None
    only_with: int | None
    own_cache: int | None
    rolls_back: bool
    embeds: bool
    source: Source


@cache
def architectures() -> Mapping[str, Architecture]:
    """By `general.architecture`."""
    return {
        name: Architecture(
            layers=row["layers"],
            period=row.get("period"),
            full_first=row.get("full_first", False),
            window=row.get("window"),
            default_window=row.get("default_window"),
            only_with=row.get("only_with"),
            own_cache=row.get("own_cache"),
            rolls_back=row.get("rolls_back", False),
            embeds=row.get("embeds", False),
            source=source_of(row),
        )
        for name, row in table("llama_architectures").items()
    }
