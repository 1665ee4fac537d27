"""What shape does a model have? The numbers that its memory and speed follow from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Mixer = Literal["full", "sliding", "chunked", "state", "both", "none"]
"""How a layer looks back: at all, a window, a chunk, a state of fixed size, or not.

`both` is full attention and a state side by side in one layer (Falcon-H1). `none` keeps nothing of
its own: it has no attention, reads another layer's cache, or is an encoder's.
"""


class Latent(Struct, frozen=True):
    """Multi-head latent attention (DeepSeek): widths in elements of one head, ranks of all."""

    rank: int
    rope: int
    nope: int
    value: int
    query_rank: int | None = None


class State(Struct, frozen=True):
    """A state-space or linear-attention layer keeps this for a request, however long it is.

    A convolution over `channels` that looks `kernel` back, and `heads` matrices of `rows` by
    `columns`. All in elements. `kind` is the recurrence: Mamba 1, Mamba 2, a gated delta rule
    (Qwen3-Next, Kimi Linear), a short convolution alone (LFM2, `heads` is 0) or lightning
    attention (MiniMax, `channels` is 0). `width` is what one number of a matrix takes in bytes
    where the model asks for a type of its own, None where it is the model's.
    """

    channels: int
    kernel: int
    heads: int
    rows: int
    columns: int
    kind: Literal["mamba", "mamba2", "delta", "convolution", "lightning"] = "mamba2"
    width: int | None = None


class Experts(Struct, frozen=True):
    """A mixture: `count` experts in each sparse layer, `active` of them for a token.

    `width` and `shared` (what all tokens go through) are intermediate sizes in elements; `layers`
    is how many layers are sparse. `hidden` is what routed experts read where it is narrower than
    the model (Nemotron 3), None where it is not.
    """

    count: int
    active: int
    width: int
    shared: int
    layers: int
    hidden: int | None = None


class Tower(Struct, frozen=True):
    """What reads images: its `model_type`, widths in elements, and the side of a patch in pixels.

    `each` is how many elements a patch is before the first layer, `merge` how many patches, on each
    side, become one token.
    """

    kind: str
    width: int
    inner: int
    patch: int
    each: int
    merge: int = 1


class Shape(Struct, frozen=True):
    """A language model's shape, as its config.json or GGUF header gives it.

    Widths are elements, lengths tokens. `layers` has one word a layer. `window` is that of sliding
    layers, `chunk` that of chunked ones. `kv_heads`, `head_dim` and `value_dim` are those of a
    layer that caches keys and values; `latent` replaces them where it is set. `full_kv_heads` and
    `full_head_dim` are those of full layers where sliding ones have others (Gemma 4). `gated` says
    whether the MLP has three matrices (SwiGLU and its kin) or two. `vision` is the number of
    parameters of what reads images and sound, 0 where there is none, `tower` the shape of what
    reads images; `other` is the number of those that no other field has (embeddings of their own
    for every layer), `whole` the same where each GPU has all of it (learned positions). `rotary` is
    the size of the tables of rotary positions, in elements. `output_gate` is whether attention's
    output is gated by a matrix as large as the query's.

    `dense` is how many layers have an MLP of their own, `attentions` how many have attention's
    weights: None where the words in `layers` and the experts say it.
    """

    hidden: int
    vocabulary: int
    layers: tuple[Mixer, ...]
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    intermediate: int
    tied: bool
    gated: bool = True
    window: int | None = None
    chunk: int | None = None
    latent: Latent | None = None
    state: State | None = None
    experts: Experts | None = None
    query_key_norm: bool = False
    norms: int = 2
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    vision: int = 0
    tower: Tower | None = None
    full_kv_heads: int | None = None
    full_head_dim: int | None = None
    other: int = 0
    whole: int = 0
    output_gate: bool = False
    rotary: int = 0
    dense: int | None = None
    attentions: int | None = None


class Scheme(Struct, frozen=True):
    """How weights are quantized: bytes that one parameter of each kind takes, scales included.

    `linear` is for projections and dense MLPs; `attention` and `experts` for those where they
    differ, None where they do not. Embeddings, norms, routers and what reads images keep the
    model's type, and so does the head where `head` is None.
    """

    method: str
    linear: float
    attention: float | None = None
    experts: float | None = None
    head: float | None = None


class TensorRow(Struct, frozen=True):
    """Tensors of one name but for their numbers: `model.layers.*.mlp.experts.*.up_proj.weight`.

    `dtype` is as the file writes it (`BF16`, `F8_E4M3`, `Q4_K`), `shape` in elements as the file
    has it, `count` how many there are.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int


Header = Mapping[str, bool | int | float | str | tuple[int, ...]]
"""What memory follows from in the key/values of a GGUF header, by their own names."""
