"""What does a resolved spec say in a spec's own words, defaults included?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelctl.resolved import Resolved, Unknown
from modelctl.spec.models import plain
from modelctl.spec.values import duration_text
from modelctl.spec.wanted import Wanted


def spoken(wanted: Wanted, resolved: Resolved) -> dict[str, Any]:
    """The spec as it could have been written in full: what was said, and every default.

    What Modal or the engine decides by itself (an autoscaler without a maximum, say) stays out.
    """
    return _filled(plain(wanted.spec), _answers(resolved))


def _answers(resolved: Resolved) -> dict[str, Any]:
    """Every answer that `resolve` gave, under the name of the field that asks for it."""
    scaling, endpoint, rollout = resolved.scaling, resolved.endpoint, resolved.rollout
    placement = resolved.placement
    contexts = [v.context for v in resolved.variants if not isinstance(v.context, Unknown)]
    return {
        "name": resolved.name,
        "model": {
            "source": resolved.weights.source,
            "served_as": list(resolved.served_as),
            "task": resolved.task,
        },
        "backend": {
            "name": resolved.engine,
            "version": resolved.engine_version,
            **({"server": resolved.server} if resolved.engine == "llama.cpp" else {}),
        },
        **({"context": contexts[0]} if contexts else {}),
        "gpu": [{"type": gpu} for gpu in placement.gpus] or [{"type": "none"}],
        **({"cpu": placement.cpu} if placement.cpu else {}),
        **({"memory": f"{placement.memory}MiB"} if placement.memory else {}),
        "keep_warm": scaling.min_containers,
        "scaling": {
            **({"max": scaling.max_containers} if scaling.max_containers else {}),
            "buffer": scaling.buffer_containers,
            "idle_timeout": duration_text(scaling.scaledown_window),
        },
        "endpoint": {
            "auth": endpoint.auth,
            "region": endpoint.region,
            "startup_timeout": duration_text(endpoint.startup_timeout),
            "drain": duration_text(endpoint.drain),
        },
        "snapshot": resolved.snapshot,
        "rollout": {
            "strategy": rollout.strategy,
            "gate": rollout.gate,
            "timeouts": {"boot": duration_text(rollout.boot_timeout)},
        },
        "protect": resolved.protect,
    }


def _filled(said: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """What was said wins; answers fill what was not. The order is the answers' own."""
    filled: dict[str, Any] = {}
    for key in (*answers, *(key for key in said if key not in answers)):
        ours, theirs = said.get(key), answers.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            filled[key] = _filled(ours, theirs)
        else:
            filled[key] = theirs if ours is None else ours
    return filled
