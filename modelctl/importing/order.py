"""In which order do people write the fields of a spec? As the contract has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelctl.spec.kinds import Kind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import Spec

_ORDER = (
    "name", "renamed_from", "only", "labels", "model", "backend", "quantization", "context",
    "dtype", "kv_cache", "max_sequences", "max_batched_tokens", "memory_utilization",
    "prefix_caching", "speculative", "tools", "reasoning", "chat_template", "multimodal",
    "compile", "gpu", "cpu", "memory", "disk", "parallel", "nodes", "keep_warm", "scaling",
    "concurrency", "endpoint", "snapshot", "image", "secrets", "env", "volumes", "buckets",
    "checks", "metrics", "rollout", "protect", "budget", "allow",
)  # fmt: skip


def in_order(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec, in long forms or short ones."""
    known = ShapeKind(Spec).fields
    return {name: _nested(fields[name], known[name]) for name in _ORDER if name in fields}


def _nested(value: Any, kind: Kind) -> Any:
    if isinstance(value, list) and isinstance(kind, ListKind):
        return [_nested(item, kind.item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if isinstance(kind, NamedKind):
        return {name: _nested(inner, kind.value) for name, inner in value.items()}
    if isinstance(kind, ShapeKind):
        known = kind.fields
        return {name: _nested(value[name], known[name]) for name in known if name in value}
    return dict(value)
