"""What does vLLM need of a GPU for a quantization of the weights or of the KV cache?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from modelctl.facts.gpus import capability
from modelctl.facts.tables import Source, source_of, table

Capability = tuple[int, int]


class Need(Struct, frozen=True):
    """`least` is the smallest compute capability that is accepted, None where nobody looked.

    Below `native_from` the GPU widens the numbers before it computes; None: it always does, or
    never has to. `family` says which checkpoints a method reads, "" for several.
    """

    name: str
    least: Capability | None
    native_from: Capability | None
    family: str
    source: Source


class Foreign(Struct, frozen=True):
    """A method of checkpoints that vLLM does not read by itself. `instead` may be ""."""

    name: str
    instead: str
    source: Source


@cache
def methods() -> Mapping[str, Need]:
    return {name: _need(name, row) for name, row in table("quantization")["methods"].items()}


@cache
def formats() -> Mapping[str, Need]:
    """The `format` that a compressed-tensors checkpoint names; each has needs of its own."""
    return {name: _need(row["what"], row) for name, row in table("quantization")["formats"].items()}


@cache
def foreign() -> Mapping[str, Foreign]:
    return {
        name: Foreign(name, row["instead"], source_of(row))
        for name, row in table("quantization")["foreign"].items()
    }


@cache
def families() -> tuple[frozenset[str], ...]:
    """Methods that read the same checkpoints. What is in none takes several, or any."""
    names: dict[str, set[str]] = {}
    for need in methods().values():
        if need.family:
            names.setdefault(need.family, set()).add(need.name)
    return tuple(frozenset(members) for members in names.values())


@cache
def kv_types() -> Mapping[str, Need]:
    return {name: _need(name, row) for name, row in table("kv_types")["types"].items()}


def need_of(method: str, config: Mapping[str, Any]) -> Need | None:
    """What a checkpoint of this method needs, by the words of its quantization_config."""
    if method in ("compressed-tensors", "compressed_tensors"):
        return formats().get(str(config.get("format"))) or methods()["compressed-tensors"]
    if method == "modelopt":
        algorithm = str(config.get("quant_algo")).upper()
        return methods()["modelopt_fp4" if "FP4" in algorithm else "modelopt"]
    return methods().get(method)


def _need(name: str, row: Mapping[str, Any]) -> Need:
    least, native = row["capability"], row["native_from"]
    return Need(
        name=name,
        least=capability(least) if least else None,
        native_from=capability(native) if native else None,
        family=row.get("family") or "",
        source=source_of(dict(row)),
    )
