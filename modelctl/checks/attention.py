"""Has a quantized cache of values the attention that alone can read it?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.fit.types import LlamaInputs
from modelctl.spec.wanted import Path_

_WHOLE = ("f32", "f16", "bf16")
_FLASH = "flash-attn"
_VALUES = ("cache-type-v", "type-v")
_F16 = {"type-v": "1"}  # what ggml.h calls it


def flash(case: Case) -> Iterator[Finding]:
    """llama.cpp ends with `quantized V cache requires flash_attn to be enabled`.

    Source: `llama_init_from_model`, src/llama-context.cpp, b11312; both servers call it.
    """
    for variant in case.resolved.variants:
        inputs = variant.memory
        if not isinstance(inputs, LlamaInputs) or variant.origin == "upgrade":
            continue
        if inputs.flash_attention or inputs.v_type in _WHOLE:
            continue
        off = _said(case, variant.entry, (_FLASH,))
        values = _said(case, variant.entry, _VALUES)
        if off is None:
            continue
        own = f"{values[-1]}: {_F16.get(_plain(values[-1]), 'f16')}" if values else "kv_cache: f16"
        yield wrong(
            off,
            "engine/wrong-option",
            f"a {'V' if values else 'KV'} cache of type {inputs.v_type} needs flash attention",
            f"leave {off[-1]} out, or {own}",
            key=True,
        )
        return


def _said(case: Case, entry: int | None, flags: tuple[str, ...]) -> Path_ | None:
    """Where one of these flags is written, of the entry first, as it is spelled there."""
    places: list[tuple[Path_, dict[str, object]]] = []
    for index, one, _, _ in case.entries:
        if index == entry:
            places.append((("gpu", index, "args"), dict(one.args or {})))
    places.append((("backend", "args"), dict((case.spec.backend and case.spec.backend.args) or {})))
    for path, args in places:
        for name in args:
            if _plain(name) in flags:
                return (*path, name)
    return None


def _plain(name: str | int) -> str:
    return str(name).lstrip("-").replace("_", "-")


RULES: tuple[Rule, ...] = (flash,)
