"""What does each layer of a GGUF model keep of a request? As llama.cpp reads its header.

Keys as ggml's docs/gguf.md has them; which layers are which as in llama.cpp's src/models.
"""

from __future__ import annotations

from msgspec import Struct

from modelctl.facts.llama_architectures import Architecture, architectures
from modelctl.resolved import Unknown
from modelctl.weights.shape import Header, Mixer

_FULL: Mixer = "full"
_STATE: Mixer = "state"
_NONE: Mixer = "none"


class Layer(Struct, frozen=True):
    """Elements: `keys` and `values` of one token, `state` of one request (always 32 bit)."""

    mixer: Mixer
    keys: int = 0
    values: int = 0
    state: int = 0


class Layers(Struct, frozen=True):
    """The model's own layers, and those that guess ahead (`drafting`). `window` is in tokens."""

    rows: tuple[Layer, ...]
    window: int
    drafting: tuple[Layer, ...] = ()
    rolls_back: bool = False


class Keys(Struct, frozen=True):
    """The numbers of a header under its architecture's own name."""

    header: Header

    @property
    def architecture(self) -> str:
        return str(self.header.get("general.architecture", ""))

    def of(self, name: str, default: int = 0) -> int:
        value = self.header.get(f"{self.architecture}.{name}")
        if isinstance(value, tuple):
            return max(value, default=default)
        return default if isinstance(value, str) or value is None else int(value)

    def has(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self.header

    def each(self, name: str, count: int, default: int = 0) -> tuple[int, ...]:
        """One number a layer, whether the file has one for all or a list."""
        value = self.header.get(f"{self.architecture}.{name}")
        if isinstance(value, tuple):
            return (*value, *[default] * count)[:count]
        return (self.of(name, default),) * count

    def list_of(self, name: str, count: int) -> tuple[int, ...] | None:
        value = self.header.get(f"{self.architecture}.{name}")
        return value[:count] if isinstance(value, tuple) and len(value) >= count else None


def layers_of(header: Header) -> Layers | Unknown:
    keys = Keys(header)
    known = architectures().get(keys.architecture)
    if known is None:
        name = keys.architecture or "a model without a name"
        return Unknown(f"what the layers of {name} keep in llama.cpp is not known")
    count = keys.of("block_count")
    guessing = keys.of("nextn_predict_layers")
    own = count - guessing
    if own < 1 or keys.of("embedding_length") < 1:
        return Unknown("the GGUF header does not say how many layers there are")
    mixers = _mixers(keys, known, own)
    if isinstance(mixers, Unknown):
        return mixers
    window = _window(keys, known)
    heads = keys.each("attention.head_count_kv", count, keys.of("attention.head_count"))
    kinds = list(zip([*mixers, *[_FULL] * guessing], heads, strict=True))
    made = {kind: _layer(keys, *kind) for kind in set(kinds)}
    rows = tuple(made[kind] for kind in kinds[:own])
    drafting = tuple(made[kind] for kind in kinds[own:])
    return Layers(rows, window, drafting, known.rolls_back)


def _mixers(keys: Keys, known: Architecture, count: int) -> tuple[Mixer, ...] | Unknown:
    match known.layers:
        case "full" | "none" | "state" | "both":
            alike: Mixer = known.layers
            return (alike,) * count
        case "by-heads":
            return _by_heads(keys, count)
        case "by-interval":
            said = keys.list_of("attention.recurrent_layers", count)
            if said is not None:
                return _either(_STATE, [bool(one) for one in said])
            period = keys.of("full_attention_interval", known.period or 4)
            return _either(_STATE, [(n + 1) % period != 0 for n in range(count)])
        case _:
            return _windowed(keys, known, count)


def _by_heads(keys: Keys, count: int) -> tuple[Mixer, ...]:
    """A layer without key heads has a state; Nemotron-H's layers with an MLP have neither."""
    heads = keys.each("attention.head_count_kv", count)
    nemotron = keys.architecture.startswith("nemotron_h")
    widths = keys.each("feed_forward_length", count) if nemotron else (0,) * count
    sliding = keys.of("attention.sliding_window") > 0 and keys.architecture.startswith("lfm2")
    attention: Mixer = "sliding" if sliding else "full"
    found: list[Mixer] = []
    for head, width in zip(heads, widths, strict=True):
        found.append("none" if width else attention if head else "state")
    return tuple(found)


def _windowed(keys: Keys, known: Architecture, count: int) -> tuple[Mixer, ...] | Unknown:
    mixer: Mixer = "chunked" if known.layers == "chunked" else "sliding"
    said = keys.has("attention.sliding_window")
    none = not _window(keys, known) or (said and not keys.of("attention.sliding_window"))
    if none or (known.only_with or count) != count:
        return (_FULL,) * count
    listed = keys.list_of("attention.sliding_window_pattern", count)
    if listed is not None:
        found = _either(mixer, [bool(one) for one in listed])
    else:
        period = keys.of("attention.sliding_window_pattern", known.period or 0)
        if not period:
            return Unknown("the GGUF header does not say which layers have a window")
        full = 0 if known.full_first else period - 1
        found = _either(mixer, [n % period != full for n in range(count)])
    own = known.own_cache
    if keys.has("attention.shared_kv_layers"):
        own = count - keys.of("attention.shared_kv_layers")
    if own is None:
        return found
    shared: tuple[Mixer, ...] = (_NONE,) * (count - own)
    return (*found[:own], *shared)[:count]


def _either(mixer: Mixer, has: list[bool]) -> tuple[Mixer, ...]:
    """`mixer` where `has` says so, full attention elsewhere."""
    found: list[Mixer] = [mixer if one else _FULL for one in has]
    return tuple(found)


def _window(keys: Keys, known: Architecture) -> int:
    said = keys.of("attention.sliding_window", known.default_window or 0)
    if known.window is not None and (said > 0 or known.layers == "chunked"):
        return known.window
    return said


def _layer(keys: Keys, mixer: Mixer, heads: int) -> Layer:
    if mixer == "none":
        return Layer("none")
    state = _state(keys) if mixer in ("state", "both") else 0
    if mixer == "state":
        return Layer("state", state=state)
    own = keys.of("embedding_length") // max(1, keys.of("attention.head_count", 1))
    wide, tall = keys.of("attention.key_length", own), keys.of("attention.value_length", own)
    if mixer in ("sliding", "chunked"):
        wide = keys.of("attention.key_length_swa", wide)
        tall = keys.of("attention.value_length_swa", tall)
    if keys.has("attention.key_length_mla") and keys.has("attention.value_length_mla"):
        tall = 0  # the value is a part of the key
    return Layer(mixer, heads * wide, heads * tall, state)


def _state(keys: Keys) -> int:
    """n_embd_r and n_embd_s of llama.cpp's src/llama-hparams.cpp, together."""
    hidden = keys.of("embedding_length")
    if keys.of("wkv.head_size"):
        shifts = keys.of("token_shift_count", 2)
        return shifts * hidden + hidden * keys.of("wkv.head_size")
    if keys.of("shortconv.l_cache"):
        return hidden * (keys.of("shortconv.l_cache") - 1)
    kernel = keys.of("ssm.conv_kernel")
    if keys.of("kda.head_dim"):
        wide, heads = keys.of("kda.head_dim"), keys.of("attention.head_count")
        return 3 * ((kernel or 4) - 1) * heads * wide + wide * wide * heads
    inner, size = keys.of("ssm.inner_size"), keys.of("ssm.state_size")
    channels = inner + 2 * keys.of("ssm.group_count") * size
    return max(0, kernel - 1) * channels + size * inner
