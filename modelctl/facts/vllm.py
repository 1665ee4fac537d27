"""Which parsers, methods and types does a version of vLLM know by name?"""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table

BFLOAT16 = (8, 0)
"""The compute capability from which on a GPU computes in bfloat16."""


class Names(Struct, frozen=True):
    """What one version's registries hold. `online` are methods that quantize while loading,
    `deprecated` those that need a flag of their own, `lora_ranks` what --max-lora-rank may be,
    `gpu_only` flags that mean nothing on a CPU or stop a start there. `no_float16` are the model
    types that are refused in float16, `mtp` the model types and architectures whose own layers can
    guess ahead, `variables` those of VLLM_…, `pooling` the architectures that it serves for vectors
    or scores alone, `unchunked` those of them whose prompts it takes whole, `attention` the
    backends of attention, `mla` the model types with multi-head latent attention, `replayssm` the
    architectures that --use-replayssm is for. Of the methods of
    guessing ahead `not_async` refuse --async-scheduling, `not_async_before` do with the first model
    runner; `first_runner` are those that it alone knows, `second_runner` those that the second one
    alone knows. All of these are empty where nobody looked.
    """

    source: Source
    tools: tuple[str, ...]
    reasoning: tuple[str, ...]
    quantization: tuple[str, ...]
    online: tuple[str, ...]
    deprecated: tuple[str, ...]
    kv_cache: tuple[str, ...]
    speculative: tuple[str, ...]
    lora_ranks: tuple[int, ...]
    gpu_only: frozenset[str]
    no_float16: frozenset[str]
    mtp: frozenset[str]
    variables: tuple[str, ...]
    pooling: frozenset[str]
    unchunked: frozenset[str]
    attention: tuple[str, ...]
    mla: frozenset[str]
    replayssm: frozenset[str]
    not_async: tuple[str, ...]
    not_async_before: tuple[str, ...]
    first_runner: tuple[str, ...]
    second_runner: tuple[str, ...]


@cache
def names(version: str) -> Names | None:
    """None for a version that is not in the table: nothing is known of its names."""
    row = table("vllm_names").get(version)
    if row is None:
        return None
    return Names(
        source=source_of(row),
        tools=tuple(row["tools"]),
        reasoning=tuple(row["reasoning"]),
        quantization=tuple(row["quantization"]),
        online=tuple(row["online"]),
        deprecated=tuple(row["deprecated"]),
        kv_cache=tuple(row["kv_cache"]),
        speculative=tuple(row["speculative"]),
        lora_ranks=tuple(row["lora_ranks"]),
        gpu_only=frozenset(row["gpu_only"]),
        no_float16=frozenset(row.get("no_float16", ())),
        mtp=frozenset(row.get("mtp", ())),
        variables=tuple(row.get("variables", ())),
        pooling=frozenset(row.get("pooling", ())),
        unchunked=frozenset(row.get("unchunked", ())),
        attention=tuple(row.get("attention", ())),
        mla=frozenset(row.get("mla", ())),
        replayssm=frozenset(row.get("replayssm", ())),
        not_async=tuple(row.get("not_async", ())),
        not_async_before=tuple(row.get("not_async_before", ())),
        first_runner=tuple(row.get("first_runner", ())),
        second_runner=tuple(row.get("second_runner", ())),
    )


@cache
def nearest(version: str, default: str) -> Names:
    """The names of that version, or of the default one where they are not known."""
    found = names(version) or names(default)
    assert found is not None, f"the table has no vLLM {default}"
    return found


def instead_of_bfloat16(kind: str, version: str, capability: tuple[int, int]) -> str | None:
    """What a bfloat16 model becomes on such a GPU where no dtype is said; None: it stays so.

    `kind` is its model_type. Of a release, `0.32`, the first version counts.
    Source: `_resolve_auto_dtype`, vllm/config/model.py, 0.32.0.
    """
    if capability >= BFLOAT16:
        return None
    known = names(version) or names(".".join([*version.split(".")[:2], "0"]))
    return "float32" if known is not None and kind in known.no_float16 else "float16"
