"""Which GPUs are there, how are they written, and what are they like?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table

NONE = "none"
"""How a spec says that there is no GPU."""

_WRITTEN = re.compile(r"(?P<type>[^:]*)(?::(?P<count>[0-9]{1,4}))?")


class Gpu(Struct, frozen=True):
    """One card. Memory in GiB as CUDA reports it, bandwidth in GB/s, compute in dense TFLOP/s."""

    name: str
    compute_capability: tuple[int, int]
    usable_gib: float
    bandwidth_gbs: float
    bf16_tflops: float | None
    fp8_tflops: float | None
    fp16_tflops: float | None
    usd_per_second: float
    max_count: int
    smi_names: tuple[str, ...]
    sources: Mapping[str, Source]

    @property
    def usd_per_hour(self) -> float:
        return self.usd_per_second * 3600


class Choice(Struct, frozen=True):
    """What Modal lets one ask for: its own string, and the cards that may come of it.

    `ambiguous` is set where people write something that Modal reads in one of two ways.
    """

    modal: str
    cards: tuple[Gpu, ...]
    ambiguous: bool = False

    @property
    def card(self) -> Gpu:
        return self.cards[0]

    @property
    def usd_per_second(self) -> float:
        """Modal bills what was asked for, also where a better card comes of it."""
        return self.card.usd_per_second

    def modal_string(self, count: int) -> str:
        return self.modal if count == 1 else f"{self.modal}:{count}"


@cache
def gpus() -> Mapping[str, Gpu]:
    return {
        name: Gpu(
            name=name,
            compute_capability=capability(row["compute_capability"]),
            usable_gib=row["usable_gib"],
            bandwidth_gbs=row["bandwidth_gbs"],
            bf16_tflops=row["bf16_tflops"],
            fp8_tflops=row["fp8_tflops"],
            fp16_tflops=row.get("fp16_tflops", row["bf16_tflops"]),
            usd_per_second=row["usd_per_second"],
            max_count=row["max_count"],
            smi_names=tuple(row["smi_names"]),
            sources={key: source_of(value) for key, value in row["sources"].items()},
        )
        for name, row in table("gpus")["gpus"].items()
    }


@cache
def choices() -> Mapping[str, Choice]:
    """Everything that may be asked for, by Modal's own string."""
    return {
        name: Choice(row["modal"], tuple(gpus()[card] for card in row["may_be"]))
        for name, row in table("gpus")["choices"].items()
    }


@lru_cache(maxsize=1024)
def written(text: str, count: int | None = None) -> tuple[str, int]:
    """`"L40S:2"` → `("L40S", 2)`. A count of its own wins over the one after the colon."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        return text, count or 1
    # 0 stays 0, so that a rule can say that it is none.
    inside = int(match["count"]) if match["count"] else 1
    return match["type"], inside if count is None else count


@lru_cache(maxsize=1024)
def choice(name: str) -> Choice | None:
    """What `name` means, with people's other spellings; None where nothing is known by it."""
    facts = table("gpus")
    wanted = name.strip().upper().replace("_", "-").replace(" ", "-").removeprefix("NVIDIA-")
    wanted = facts["spellings"].get(wanted, {}).get("means", wanted)
    if wanted in facts["ambiguous"]:
        meant = choices()[facts["ambiguous"][wanted]["means"]]
        return Choice(meant.modal, meant.cards, ambiguous=True)
    return choices().get(wanted)


def has_rdma(name: str) -> bool:
    """Whether hosts with this card have Modal's fast network between them."""
    return name in table("gpus")["clusters"]["rdma"]


def key(name: str, count: int) -> str:
    """How variants, plans and rendered apps call a card: `H100`, `L40S:2`."""
    return name if count == 1 else f"{name}:{count}"


class Machine(Struct, frozen=True):
    """What CPU cores and memory cost beside the GPU."""

    usd_per_core_second: float
    usd_per_gib_second: float
    source: Source


@cache
def machine() -> Machine:
    row = table("gpus")["machine"]
    return Machine(row["usd_per_core_second"], row["usd_per_gib_second"], source_of(row))


def capability(text: str) -> tuple[int, int]:
    """`"8.9"` → `(8, 9)`."""
    major, minor = text.split(".")
    return int(major), int(minor)
