"""What does llama.cpp's memory follow from on one variant? Read off the flags of its server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from modelctl.engines import llama_cpp_python
from modelctl.engines.base import Ask
from modelctl.engines.said import Said, said
from modelctl.engines.sizes import adapters_size, projector_size, size_of
from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import flag_table
from modelctl.fit.types import EVERY_LAYER, Draft, LlamaInputs
from modelctl.resolved import Flag, Unknown
from modelctl.weights.gguf_shape import gguf_shape

AUTO_SLOTS = 4
"""What `--parallel -1` is: four slots in one cache."""
_DRAFTED = 3
_GUESSED = {"ngram-mod": 64, "ngram-cache": 8}
_GUESSED_BY_NGRAM = 48
"""How many tokens are guessed where nobody says it: common/common.h of llama.cpp, b11312."""
PYTHON_CONTEXT, PYTHON_BATCH = 2048, 512

_PLACED = ("device", "override-tensor", "rpc", "mmproj-device")
_PLACED_OF_A_DRAFT = (
    "spec-draft-device",
    "spec-draft-override-tensor",
    "spec-draft-cpu-moe",
    "spec-draft-n-cpu-moe",
)

_KINDS = {number: name for name, number in llama_cpp_python.GGML_TYPES.items()}
_SPLITS: tuple[Literal["none", "layer", "row", "tensor"], ...] = ("none", "layer", "row", "tensor")

_UNSAID = LlamaInputs(context=0)
"""What llama.cpp takes where nobody says anything."""

NO_LENGTH = "the context is the model's own, which is not known"


def of_server(ask: Ask, flags: Iterable[Flag]) -> LlamaInputs | Unknown:
    """llama-server's."""
    heard = _heard(ask, flags, "llama.cpp")
    slots, unified = heard.whole("parallel"), heard.yes("kv-unified") or False
    if slots is None or slots < 1:
        slots, unified = AUTO_SLOTS, True
    context = heard.whole("ctx-size")
    if not context:
        context = slots * max(0, heard.whole("kv-unified-per-slot") or 0) or _own_length(ask)
    if context is None:
        return Unknown(NO_LENGTH)
    batch = heard.whole("batch-size") or _UNSAID.batch
    ubatch = min(batch, heard.whole("ubatch-size") or _UNSAID.ubatch)
    pooled = ask.setting.task != "generate" or heard.text("pooling") not in (None, "none")
    if pooled:
        batch = min(batch, ubatch)
    draft = _draft(ask, heard)
    per_slot = 1 + (draft.tokens if draft else 0)
    return LlamaInputs(
        context=context,
        slots=slots,
        unified=unified,
        ubatch=ubatch,
        batch=batch,
        k_type=heard.text("cache-type-k") or _UNSAID.k_type,
        v_type=heard.text("cache-type-v") or _UNSAID.v_type,
        flash_attention=heard.yes("flash-attn") is not False,
        gpu_layers=_layers(_either(heard, "gpu-layers", "n-gpu-layers")) if ask.count else 0,
        cpu_expert_layers=EVERY_LAYER if heard.yes("cpu-moe") else heard.whole("n-cpu-moe") or 0,
        windowed=not heard.yes("swa-full"),
        gpus=ask.count,
        draft=draft,
        outputs=None if pooled else min(batch, slots * per_slot),
        pooled=pooled,
        split=_split(heard.text("split-mode")),
        shares=_shares(heard.text("tensor-split")),
        kv_on_gpu=heard.yes("kv-offload") is not False,
        adapters=adapters_size(ask.setting),
        projector=projector_size(ask.setting),
        by_hand=_by_hand(heard, drafting=draft is not None) if ask.count else "",
    )


def of_python(ask: Ask, flags: Iterable[Flag]) -> LlamaInputs | Unknown:
    """llama-cpp-python's server: one request at a time, and sliding layers keep everything."""
    heard = _heard(ask, flags, llama_cpp_python.SERVER)
    said_context = heard.whole("n_ctx")
    context = PYTHON_CONTEXT if said_context is None else said_context or _own_length(ask)
    if context is None:
        return Unknown(NO_LENGTH)
    batch = min(context, heard.whole("n_batch") or PYTHON_BATCH)
    pooled = heard.yes("embedding") or False
    return LlamaInputs(
        context=context,
        unified=pooled,
        ubatch=min(batch, heard.whole("n_ubatch") or PYTHON_BATCH),
        batch=batch,
        k_type=_kind(heard, "type_k"),
        v_type=_kind(heard, "type_v"),
        flash_attention=heard.yes("flash_attn") or False,
        gpu_layers=_python_layers(heard) if ask.count else 0,
        windowed=False,
        gpus=ask.count,
        pooled=pooled,
        split=_SPLITS[min(3, max(0, heard.whole("split_mode") or 1))],
        shares=_shares(heard.text("tensor_split")),
        kv_on_gpu=heard.yes("offload_kqv") is not False,
        adapters=adapters_size(ask.setting),
        projector=projector_size(ask.setting),
    )


def _heard(ask: Ask, flags: Iterable[Flag], product: str) -> Said:
    server = ask.setting.server
    if not ask.args:
        return said(flags, None)
    known = flag_table(server, ask.setting.version)
    return said(flags, known or flag_table(server, engine_facts(product).default))


def _by_hand(heard: Said, *, drafting: bool) -> str:
    """Flags that place tensors, as they were said; those of a draft only where there is one."""
    names = (*_PLACED, *(_PLACED_OF_A_DRAFT if drafting else ()))
    said = {name: heard.values.get(name, False) for name in names}
    words = [
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in said.items()
        if value
    ]
    return " ".join(words)


def _either(heard: Said, main: str, ours: str) -> str | None:
    """Our own flag goes by its longer name where no table was asked what it is called."""
    return heard.text(main) or heard.text(ours)


def _own_length(ask: Ask) -> int | None:
    length = ask.setting.model.context_length
    return None if isinstance(length, Unknown) else length


def _layers(text: str | None) -> int | None:
    """`all` and what is below -1 are all of them, `auto` and -1 as many as fit."""
    if text in (None, "auto", "-1"):
        return None
    if text == "all":
        return EVERY_LAYER
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if number >= 0 else EVERY_LAYER


def _kind(heard: Said, name: str) -> str:
    number = heard.whole(name)
    return _UNSAID.k_type if number is None else _KINDS.get(number, _UNSAID.k_type)


def _python_layers(heard: Said) -> int:
    """Here -1 is all of them."""
    number = heard.whole("n_gpu_layers") or 0
    return number if number >= 0 else EVERY_LAYER


def _split(text: str | None) -> Literal["none", "layer", "row", "tensor"]:
    return next((name for name in _SPLITS if name == text), "layer")


def _shares(text: str | None) -> tuple[float, ...]:
    """`3,1` and `3 1` are three quarters and one."""
    try:
        return tuple(float(part) for part in (text or "").replace(",", " ").split())
    except ValueError:
        return ()


def _draft(ask: Ask, heard: Said) -> Draft | None:
    method = heard.text("spec-type") or ""
    if not method or method == "none":
        return None
    if method.startswith("ngram-"):
        last = "n-max" if method == "ngram-mod" else "size-m"
        default = _GUESSED.get(method, _GUESSED_BY_NGRAM)
        return Draft(method, heard.whole(f"spec-{method}-{last}") or default, weights=0)
    tokens = heard.whole("spec-draft-n-max") or _DRAFTED
    if heard.text("spec-draft-model") is None:
        return Draft(method, tokens, weights=0, layers=1)
    source = ask.spec.speculative.model if ask.spec.speculative else None
    facts = ask.setting.model.beside.get(source or "")
    layers = facts.layers if facts is not None else None
    shape = None
    if facts is not None and not isinstance(facts.header, Unknown):
        rows = () if isinstance(facts.tensors, Unknown) else facts.tensors
        found = gguf_shape(facts.header, rows)
        shape = None if isinstance(found, Unknown) else found
    return Draft(
        method,
        tokens,
        weights=size_of(ask.setting, source),
        layers=layers if isinstance(layers, int) else 0,
        shape=shape,
    )
