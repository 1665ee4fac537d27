"""What does a spec say, one value a line, as plans compare it and records keep it?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelctl.spec.models import plain
from modelctl.spec.wanted import Wanted

if TYPE_CHECKING:
    from modelctl.assess import Assessed
    from modelctl.resolved import Resolved


def said_fields(
    wanted: Wanted, assessed: Assessed, locked: frozenset[str] | None = None
) -> dict[str, object]:
    """What a spec says in one environment, flat, with the content of a local model beside it, and
    what modelctl.lock answers; `locked` are the engines that it speaks of, None where it is not
    alone in that."""
    fields, resolved = flat(plain(wanted.spec)), assessed.resolved
    if locked is not None:
        fields |= _from_lock(wanted, resolved, frozenset(fields.values()), locked)
    for weights in resolved.sources:
        if weights.upload is not None:
            what = "model" if weights is resolved.weights else weights.source
            fields[f"{what}.content"] = weights.upload.prefix.strip("/")
    return fields


def _from_lock(
    wanted: Wanted, resolved: Resolved, said: frozenset[object], locked: frozenset[str]
) -> dict[str, object]:
    """The commits and the engine's version that the spec leaves to modelctl.lock."""
    from modelctl.engines import engine
    from modelctl.record import OF_LOCK

    found: dict[str, object] = {}
    for weights in resolved.sources:
        commit = weights.revision or ""
        if weights.kind == "hub" and _COMMIT.fullmatch(commit) and commit not in said:
            what = "model" if weights is resolved.weights else weights.source
            found[f"{what}.commit{OF_LOCK}"] = commit[:7]
    backend = wanted.spec.backend
    product = engine(resolved.engine).product(resolved.server)
    if product in locked and (backend is None or backend.version is None):
        found[f"backend.version{OF_LOCK}"] = resolved.engine_version
    return found


_COMMIT = re.compile(r"[0-9a-f]{40}")


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """`{"gpu": [{"type": "H100"}]}` → `{"gpu[0].type": "H100"}`."""
    found: dict[str, object] = {}
    for key, value in data.items():
        found.update(_flat_value(f"{prefix}.{key}" if prefix else key, value))
    return found


def _flat_value(path: str, value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return flat(value, path)
    if isinstance(value, Sequence) and not isinstance(value, str):
        found: dict[str, object] = {}
        for number, item in enumerate(value):
            found.update(_flat_value(f"{path}[{number}]", item))
        return found
    return {path: value}
