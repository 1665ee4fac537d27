"""What does one layer keep of a request? Its blocks: how many tokens each holds, how many bytes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts.kv_cache import CacheType, behaves, blocks, cache_type
from modelctl.fit.types import Draft, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.shape import Mixer, Shape, State

Kind = Literal["full", "latent", "sliding", "chunked", "state"]


EVERY = -1
"""States: that of each block of tokens is kept."""


class Layer(Struct, frozen=True):
    """A layer's blocks: `block` tokens and `page` bytes each.

    `reach` is the window of a sliding layer and the chunk of a chunked one, in tokens; `states` is
    how many blocks a state-space layer keeps of a request, however long that is, or EVERY: one for
    each block of tokens. `cells` are heads
    and the widths of key and value, in elements: layers that differ in it share no block table.
    """

    kind: Kind
    block: int
    page: int
    reach: int = 0
    states: int = 0
    cells: tuple[int, ...] = ()

    def blocks_for(self, context: int, in_flight: int) -> int:
        """Blocks that one request of `context` tokens holds at most.

        `in_flight` tokens may be scheduled and not done: a window cannot let go of what is behind
        them. Source: `max_admission_blocks_per_request`, vllm/v1/kv_cache_interface.py, 0.32.0.
        """
        match self.kind:
            case "full" | "latent":
                return ceil_div(context, self.block)
            case "sliding":
                held = min(self.reach - 1 + in_flight, context)
                return ceil_div(held, self.block) + 1
            case "chunked":
                return ceil_div(min(self.reach + in_flight, context), self.block)
            case "state":
                return ceil_div(context, self.block) if self.states == EVERY else self.states


Placed = tuple[Layer, int]
"""A layer, and the pipeline stage that it is on."""


def layers_of(shape: Shape, inputs: VllmInputs) -> tuple[Placed, ...] | Unknown:
    """All layers that keep something, in the model's order, the draft's at the end."""
    if inputs.pipeline > len(shape.layers):
        return Unknown(f"{len(shape.layers)} layers do not make {inputs.pipeline} stages")
    kept = kept_by(shape, inputs)
    if isinstance(kept, Unknown):
        return kept
    placed = [
        (layer, stage)
        for mixer, stage in zip(
            shape.layers, stages(len(shape.layers), inputs.pipeline), strict=True
        )
        for layer in kept.get(mixer, ())
    ]
    drafted = draft_layers(inputs.draft, kept, inputs)
    if isinstance(drafted, Unknown):
        return drafted
    return (*placed, *((layer, inputs.pipeline - 1) for layer in drafted))


def kept_by(shape: Shape, inputs: VllmInputs) -> dict[str, tuple[Layer, ...]] | Unknown:
    """What a layer of each kind keeps on one GPU, by the words of `Shape.layers`."""
    number = number_of(inputs)
    if isinstance(number, Unknown):
        return number
    kinds = set(shape.layers)
    if kinds & {"state", "both"}:
        inputs = replace(inputs, prefix_caching=caches_prefixes(kinds, inputs))
    full = attention(shape, number, inputs, full=True)
    near = attention(shape, number, inputs, full=False)
    if kinds & {"state", "both"}:
        state = state_layer(shape, inputs)
        if isinstance(state, Unknown):
            return state
        if kinds & {"full", "sliding", "chunked", "both"}:
            full, near, state = aligned(full, near, state, prefixes=bool(inputs.prefix_caching))
    else:
        state = None
    kept: dict[str, tuple[Layer, ...]] = {"full": (full,)}
    if "sliding" in kinds:
        if not shape.window:
            return Unknown("its layers slide, and the window is not known")
        kept["sliding"] = (replace(near, kind="sliding", reach=shape.window),)
    if "chunked" in kinds:
        if not shape.chunk:
            return Unknown("its layers look at chunks, and their length is not known")
        kept["chunked"] = (replace(near, kind="chunked", reach=shape.chunk),)
    if state:
        kept |= {"state": (state,), "both": (full, state)}
    return kept


def caches_prefixes(kinds: set[Mixer], inputs: VllmInputs) -> bool:
    """Whether a model with states caches prefixes: one without attention never does, and older
    versions only where they are told to."""
    told = inputs.prefix_caching
    wanted = behaves("state_prefixes", inputs.version) if told is None else told
    return wanted and bool(kinds & {"full", "sliding", "chunked", "both"})


def number_of(inputs: VllmInputs) -> CacheType | Unknown:
    """What a number of the cache takes."""
    name = inputs.kv_dtype
    if name == "auto":
        name = inputs.dtype if inputs.dtype in ("float32", "float") else "float16"
    known = cache_type(name)
    return known or Unknown(f"how {name} lies in the KV cache is not known")


def attention(shape: Shape, number: CacheType, inputs: VllmInputs, *, full: bool) -> Layer:
    """A layer that caches keys and values, or the latent that both are made from."""
    usual = blocks()
    if shape.latent:
        block = inputs.block_size or usual.latent
        # The scales of each token and head are of heads alone: one latent has none.
        width = replace(number, scale_bytes=0).bytes_of(shape.latent.rank + shape.latent.rope)
        return Layer("latent", block, block * width)
    block = inputs.block_size or usual.tokens
    heads, key, value = shape.kv_heads, shape.head_dim, shape.value_dim
    if full:
        heads = shape.full_kv_heads or heads
        key, value = shape.full_head_dim or key, shape.full_head_dim or value
    heads_here = max(1, heads // inputs.tensor)
    width = heads_here * (number.bytes_of(key) + number.bytes_of(value))
    return Layer("full", block, block * width, cells=(heads_here, key, value))


def state_layer(shape: Shape, inputs: VllmInputs) -> Layer | Unknown:
    """A layer that keeps a state: one block is one state, whatever it stands for in tokens."""
    state = shape.state
    if state is None:
        return Unknown("its layers keep a state, and how large it is is not known")
    usual = 4 if inputs.dtype in ("float32", "float") else 2
    wanted = cache_type(inputs.state_dtype) if inputs.state_dtype else None
    matrices = wanted.bits // 8 if wanted else state.width or usual
    if state.heads % inputs.tensor:
        return Unknown(f"{state.heads} state heads do not divide by {inputs.tensor} GPUs")
    channels = channels_on_a_rank(state, inputs.tensor)
    guessed = inputs.draft.tokens if inputs.draft else 0
    back = state.kernel - 1 + (guessed if state.kind != "mamba" else 0)
    convolution = channels * back * usual if state.channels else 0
    page = convolution + state.heads // inputs.tensor * state.rows * state.columns * matrices
    # With prefix caching the state at the last whole block stays beside the running one.
    states = (2 if inputs.prefix_caching else 1) + guessed
    if (
        inputs.prefix_caching
        and state.kind == "mamba2"
        and behaves("checkpoint_block", inputs.version)
    ):
        states += 1
    if (
        inputs.prefix_caching
        and state.kind in ("mamba", "mamba2")
        and behaves("every_state", inputs.version)
    ):
        states = EVERY
    block = inputs.block_size or blocks().tokens
    return Layer("state", block if inputs.prefix_caching else inputs.context, page, states=states)


def channels_on_a_rank(state: State, tensor: int) -> int:
    """Channels of the convolution on one GPU.

    Those of a group are copied where there are fewer groups than GPUs: `channels` is the inner
    width plus two states a group. Source: `extra_groups_for_head_shards`, mamba_utils.py, 0.32.0.
    """
    channels = state.channels
    if state.kind == "mamba2" and state.columns:
        groups = (channels - state.heads * state.rows) // (2 * state.columns)
        if groups % tensor:
            channels += (tensor - groups) * 2 * state.columns
    return channels // tensor


def aligned(
    full: Layer, near: Layer, state: Layer, *, prefixes: bool
) -> tuple[Layer, Layer, Layer]:
    """Attention's blocks grow until one holds a state, and the state's page is padded to theirs.

    A state stands for as many tokens as a block where prefixes are cached, else for all.

    Source: `_align_hybrid_block_size`, vllm/platforms/interface.py, 0.32.0.
    """
    a_token = full.page // full.block
    unit = max(full.block, blocks().latent_hybrid) if full.kind == "latent" else full.block
    block = max(full.block, unit * ceil_div(state.page, unit * a_token))
    full = replace(full, block=block, page=block * a_token)
    near = replace(near, block=block, page=block * (near.page // near.block))
    state = replace(state, page=full.page, block=block if prefixes else state.block)
    return full, near, state


def draft_layers(
    draft: Draft | None, kept: dict[str, tuple[Layer, ...]], inputs: VllmInputs
) -> tuple[Layer, ...] | Unknown:
    """What a draft's layers keep, beside the model's own."""
    if draft is None or not (draft.layers or draft.shape):
        return ()
    if draft.shape is None:
        return kept["full"] * draft.layers
    own = kept_by(draft.shape, replace(inputs, draft=None, block_size=kept["full"][0].block))
    if isinstance(own, Unknown):
        return own
    return tuple(layer for mixer in draft.shape.layers for layer in own.get(mixer, ()))


def stages(layers: int, pipeline: int) -> tuple[int, ...]:
    """The stage of each layer: what is left over goes to the middle and late ones but the last.

    Source: `get_pp_indices`, vllm/distributed/utils.py, 0.32.0.
    """
    sizes = [layers // pipeline] * pipeline
    for late in range(2, layers % pipeline + 2):
        sizes[-late] += 1
    return tuple(stage for stage, size in enumerate(sizes) for _ in range(size))


def ceil_div(value: int, by: int) -> int:
    return -(-value // by)
