"""How many bytes do a checkpoint's tensors take on one GPU? Row by row, as vLLM 0.32 loads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import prod

from msgspec import Struct

from modelctl.fit.types import Interval, VllmInputs
from modelctl.fit.weights import (
    PLAIN_BYTES,
    copies_of,
    local_kv_heads,
    mxfp4_sizes,
    padded,
    stage_of,
)
from modelctl.resolved import Unknown
from modelctl.weights.shape import Scheme, Shape, TensorRow

WIDTHS = {
    "F64": 8.0, "F32": 4.0, "F16": 2.0, "BF16": 2.0, "I64": 8.0, "I32": 4.0, "I16": 2.0, "I8": 1.0,
    "U64": 8.0, "U32": 4.0, "U16": 2.0, "U8": 1.0, "BOOL": 1.0, "F8_E4M3": 1.0, "F8_E5M2": 1.0,
    "F8_E8M0": 1.0, "F6_E2M3": 0.75, "F6_E3M2": 0.75, "F4": 0.5, "F4_E2M1": 0.5, "C64": 8.0,
}  # fmt: skip
"""Bytes of one element, by the names of safetensors."""

_FLOATS = {"F64", "F32", "F16", "BF16"}
_SURE, _BLIND = 0.01, 0.05
"""How far off, either way: with the model's shape at hand, and without."""

_NOT_LOADED = re.compile(
    r"inv_freq$|\.masked_bias$|\.attn\.bias$|\.g_idx$|num_batches_tracked$|position_ids$"
)
_AHEAD = re.compile(r"^mtp\.|(?:^|\.)nextn\.")
"""Layers that guess ahead, where they have a name of their own."""
_VISION = re.compile(
    r"(?:^|\.)(?:vision\w*|visual|audio\w*|vit\w*|image_\w+|multi_modal_projector|mm_projector|"
    r"embed_vision|embed_audio|mlp1|aligner|connector|sound\w*|speech\w*)\."
)
_TABLE = re.compile(r"(?:embed_tokens|word_embeddings|wte|tok_embeddings|embedding|embeddings)"
                    r"\.weight$|embed_tokens_per_layer\.weight$|shared\.weight$")  # fmt: skip
_HEAD = re.compile(r"(?:lm_head|embed_out|output_layer)\.|(?:^|\.)output\.weight$")
_WHOLE = re.compile(
    r"norm|(?:^|\.)ln_|\.ln\d|router|(?:mlp|ffn|moe|feed_forward|block_sparse_moe)\.gate\.|"
    r"e_score_correction|expert_bias|q_a_proj|kv_a_proj|shared_expert_gate|indexer|position|wpe\.|"
    r"token_type|altup|laurel|per_layer_(?:input_gate|projection|model_projection)|layer_scalar|"
    r"(?:o_proj|down_proj|dense|fc2|c_proj|out_proj|dense_4h_to_h|w2)\.bias$|input_scale|"
    r"weight_scale_2|global_scale|_zero_point|pooler|classifier|score\."
)
_KEYS = re.compile(r"\.(?:k_proj|v_proj|key|value|wk|wv|k|v)\.(?!_)")
_FUSED = re.compile(r"\.(?:qkv_proj|query_key_value|wqkv|Wqkv|c_attn|qkv)\.")
_EXPERT = re.compile(r"\.experts?\.|\.experts$")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.\*\.")
_EXTRA = re.compile(r"layers\.\*\.(?:eh_proj|enorm|hnorm|shared_head)")
_SCALE = re.compile(r"scale|absmax|quant_map|nested|quant_state|zero|A_log|dt_bias")
_PROJECTION = re.compile(r"(?:proj|gate|up|down|w[123]|fc[12]|dense|gate_up|query|key|value|"
                         r"qkv\w*|experts)(?:\.weight)?$")  # fmt: skip


class _Kind(Struct, frozen=True):
    """What a row's name says of it. Checkpoints are many, and their names few."""

    not_loaded: bool
    ahead: bool
    vision: bool
    table: bool
    head: bool
    whole: bool
    keys: bool
    fused: bool
    expert: bool
    layer: bool
    extra: bool
    scale: bool
    projection: bool


@lru_cache(maxsize=8192)
def _kind(name: str) -> _Kind:
    def like(pattern: re.Pattern[str]) -> bool:
        return pattern.search(name) is not None

    special = like(_TABLE) or like(_HEAD) or like(_WHOLE) or like(_VISION)
    return _Kind(
        not_loaded=like(_NOT_LOADED),
        ahead=like(_AHEAD),
        vision=like(_VISION),
        table=like(_TABLE),
        head=like(_HEAD),
        whole=like(_WHOLE),
        keys=like(_KEYS),
        fused=like(_FUSED),
        expert=like(_EXPERT),
        layer=like(_LAYER),
        extra=like(_EXTRA),
        scale=like(_SCALE),
        projection=like(_PROJECTION) and not special,
    )


def by_tensors(
    rows: Sequence[TensorRow], shape: Shape | Unknown, online: Scheme | None, inputs: VllmInputs
) -> Interval | Unknown:
    """Unknown where a tensor's type is in no table. `online` is how the engine quantizes them."""
    known = shape if isinstance(shape, Shape) else None
    plain = PLAIN_BYTES.get(inputs.dtype, 2)
    total = vision = 0.0
    guesses = inputs.draft is not None and inputs.draft.of_the_checkpoint
    tied = known.tied if known else not any(_kind(row.name).head for row in rows)
    spare = max((row.count for row in rows if _kind(row.name).extra), default=0)
    for row in rows:
        if row.dtype not in WIDTHS:
            return Unknown(f"no facts about tensors of type {row.dtype}")
        kind = _kind(row.name)
        if kind.not_loaded or (kind.ahead and not guesses) or (tied and kind.head):
            continue
        loaded = loaded_share(row, known, spare, guesses=guesses)
        size = bytes_of(row, known, online, plain) * loaded
        if kind.head and inputs.task != "generate":
            continue
        if kind.vision:
            vision += size
            continue
        share = share_of(row, known, inputs)
        if known and kind.expert and row.dtype == "U8":
            share *= _mxfp4_growth(known, inputs)
        total += size * share
    if known:
        stage = stage_of(known, inputs.pipeline)
        total += copies_of(known, inputs.tensor) * stage + known.rotary * plain
    off = _SURE if known else _BLIND
    reads = vision / inputs.tensor if inputs.multimodal else 0.0
    return Interval(
        total + reads, total * (1 - off) + reads * 0.9, total * (1 + off) + vision * 1.05
    )


def bytes_of(row: TensorRow, shape: Shape | None, online: Scheme | None, plain: int) -> float:
    """Of all tensors of the row, whole, as they lie in memory once they are loaded."""
    kind, elements = _kind(row.name), prod(row.shape) * row.count
    width = WIDTHS[row.dtype]
    if row.name.endswith(".absmax") and row.dtype == "U8":
        width = 4.0  # bitsandbytes: scales that are themselves scaled are read back to 32 bit
    if row.dtype in _FLOATS and not kind.scale:
        width = float(plain)
        if online and len(row.shape) > 1 and kind.projection:
            width = online.experts if kind.expert and online.experts is not None else online.linear
    if shape and (kind.table or kind.head) and len(row.shape) == 2:
        elements += (padded(row.shape[0], 64) - row.shape[0]) * row.shape[1] * row.count
    return elements * width


def loaded_share(
    row: TensorRow, shape: Shape | None, spare: int, *, guesses: bool = False
) -> float:
    """1 but for layers behind the last one, which are loaded only where the engine guesses ahead
    with them, and then without an embedding and a head of their own."""
    if not spare or shape is None or not _kind(row.name).layer:
        return 1.0
    if re.search(r"layers\.\*\.(?:embed_tokens|shared_head\.head)", row.name):
        return 0.0
    if guesses:
        return 1.0
    if _kind(row.name).extra:
        return 0.0
    of_experts = shape.experts and re.search(r"expert|\.gate\.", row.name)
    here = shape.experts.layers if shape.experts and of_experts else len(shape.layers)
    return here / (here + spare) if row.count % (here + spare) == 0 else 1.0


def share_of(row: TensorRow, shape: Shape | None, inputs: VllmInputs) -> float:
    """The part of a row's bytes that lies on the fullest GPU."""
    kind, tensor = _kind(row.name), inputs.tensor
    if not kind.layer:
        if kind.whole:
            return 1.0
        # The first stage has the embedding, the last the head: one GPU has one of them.
        split = inputs.pipeline > 1 and kind.head and shape and not shape.tied
        return 0.0 if split else 1 / tensor
    stage = stage_of(shape, inputs.pipeline) if shape else 1 / inputs.pipeline
    if kind.whole:
        return stage
    if kind.expert:
        return stage / (tensor * inputs.data)
    if shape and shape.latent is None and shape.kv_heads:
        if kind.keys:
            return stage * local_kv_heads(shape.kv_heads, tensor) / shape.kv_heads
        if kind.fused:
            keys = 2 * local_kv_heads(shape.kv_heads, tensor)
            heads = shape.heads / tensor + keys
            return stage * heads / (shape.heads + 2 * shape.kv_heads)
    return stage / tensor


def _mxfp4_growth(shape: Shape, inputs: VllmInputs) -> float:
    """How much larger experts get because kernels want sizes of whole tiles."""
    experts = shape.experts
    if experts is None:
        return 1.0
    ranks = 1 if inputs.expert else inputs.tensor * inputs.data
    width = -(-experts.width // ranks)
    hidden, wide = mxfp4_sizes(shape.hidden, width, inputs)
    return hidden * wide / (shape.hidden * (experts.width / ranks))
