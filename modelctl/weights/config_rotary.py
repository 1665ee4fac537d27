"""How large are the tables of rotary positions that an engine keeps, says a config.json?

One row for each position that it may be asked for: gigabytes where a model claims millions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

_STRETCHED = {"linear", "dynamic", "yarn", "deepseek_yarn", "deepseek_llama_scaling"}


def rotary_elements(text: Config, head_dim: int, full_head_dim: int | None = None) -> int:
    """Numbers in all tables, each kept once however many layers use it. `full_head_dim` is that of
    full layers where it is another one than that of sliding ones.

    Source: vllm/model_executor/layers/rotary_embedding, 0.32.0: `linear` and `dynamic` multiply
    the longest context, the yarn kinds the original one.
    """
    longest = _whole(text, "max_position_embeddings")
    share = text.get("partial_rotary_factor")
    width = int(head_dim * share) if isinstance(share, int | float) else head_dim
    sections = _sections(text)
    if not longest or not width or (not sections and "rope_theta" not in text):
        return 0
    tables = {_rows(section, longest) for section in sections} or {longest}
    if "rope_local_base_freq" in text or len(sections) > 1:
        # Sliding layers have a table of their own, which is not stretched.
        return width * longest + (full_head_dim or width) * max(tables)
    return width * sum(tables)


def _sections(text: Config) -> list[Config]:
    for name in ("rope_scaling", "rope_parameters"):
        said = text.get(name)
        if isinstance(said, Mapping) and said:
            inside = [part for part in said.values() if isinstance(part, Mapping)]
            return inside or [said]
    return []


def _rows(section: Config, longest: int) -> int:
    kind, factor = section.get("rope_type") or section.get("type"), section.get("factor")
    if kind not in _STRETCHED or not isinstance(factor, int | float):
        return longest
    original = _whole(section, "original_max_position_embeddings")
    if kind in ("linear", "dynamic"):
        return int(longest * factor)
    rows = int((original or longest) * factor)
    # DeepSeek's tables are of 32 bit.
    return 2 * rows if kind.startswith("deepseek") or "mscale_all_dim" in section else rows


def _whole(config: Config, name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
