"""What reads images and sound, says a config.json? Its shape, and an estimate of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelctl.weights.shape import Tower

Config = Mapping[str, Any]

_SECTIONS = ("vision_config", "audio_config", "visual", "vit_config")


def vision_parameters(config: Config, hidden: int) -> int:
    """0 where nothing but text is read. `hidden` is the width of the language model."""
    sections = [config]
    if isinstance(thinker := config.get("thinker_config"), Mapping):
        sections.append(thinker)
    return sum(
        _tower(section[name], hidden)
        for section in sections
        for name in _SECTIONS
        if isinstance(section.get(name), Mapping)
    )


def image_tower(config: Config) -> Tower | None:
    """None where nothing reads images, or its config does not say how wide it is."""
    thinker = config.get("thinker_config")
    for section in (config, thinker if isinstance(thinker, Mapping) else {}):
        tower = section.get("vision_config")
        if isinstance(tower, Mapping):
            width, inner = _first(tower, "hidden_size"), _first(tower, "intermediate_size")
            patch = _first(tower, "patch_size")
            each = 3 * patch * patch * (_first(tower, "temporal_patch_size") or 1)
            if width and inner and patch:
                merge = _first(tower, "spatial_merge_size") or 1
                return Tower(str(tower.get("model_type")), width, inner, patch, each, merge)
    return None


def _tower(tower: Config, hidden: int) -> int:
    width = _first(tower, "hidden_size", "embed_dim", "d_model", "width")
    layers = _first(tower, "num_hidden_layers", "depth", "encoder_layers", "layers")
    if not width or not layers:
        return 0
    if "hidden_size" in tower and "embed_dim" in tower:
        # Qwen2-VL: `hidden_size` is what comes out, `embed_dim` what it works with.
        width = _first(tower, "embed_dim")
    inner = _first(tower, "intermediate_size", "encoder_ffn_dim", "mlp_dim")
    inner = inner or int(width * (tower.get("mlp_ratio") or 4))
    kind = str(tower.get("model_type"))
    if kind == "gemma4_audio":
        # Each layer two MLPs of four widths, five projections and a convolution of three.
        return layers * 24 * width * width + (width + hidden) * hidden
    gated = tower.get("hidden_act") == "silu" or kind in ("pixtral", "gemma4_vision")
    matrices = 3 if gated else 2
    patch = _first(tower, "patch_size", "spatial_patch_size")
    merger = 0
    if kind == "glm4v_vision":
        # Its `intermediate_size` is the merger's; blocks have the width that comes out.
        inner, merger = hidden, 3 * hidden * inner + hidden * hidden
    merged = width * _first(tower, "spatial_merge_size") ** 2
    if merged:
        deep = tower.get("deepstack_visual_indexes")
        times = 1 + (len(deep) if isinstance(deep, list) else 0)
        projector = times * merged * (merged + hidden) if not merger else merged * hidden
    elif kind == "gemma4_vision":
        projector = width * hidden
    else:
        projector = (width + hidden) * hidden
    return (
        layers * (4 * width * width + matrices * width * inner)
        + 3 * patch * patch * width * (_first(tower, "temporal_patch_size") or 1)
        + projector
        + merger
        + 2 * _first(tower, "position_embedding_size") * width
    )


def _first(config: Config, *names: str) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return 0
