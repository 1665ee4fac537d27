"""Can the model be shared out among this many GPUs: its heads, vocabulary, layers and experts?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.facts import gpus
from modelctl.resolve import parallel_of
from modelctl.resolved import Unknown
from modelctl.spec.models import Gpu, Parallel
from modelctl.spec.wanted import Path_
from modelctl.weights.config import LAYERS, number
from modelctl.weights.sharing import Against, against_cutting, against_cutting_blocks

_MOST_PARTS = 1024
"""No model has more heads to share out; `nodes` may say any number."""
_EXPERTS = ("expert", "moe", "block_configs")
_NO_EXPERTS = "the model has no experts to spread, and vLLM refuses {} then"


def tensor(case: Case) -> Iterator[Finding]:
    """Every GPU gets as many heads, as many rows of the vocabulary, and whole blocks of FP8."""
    config = _config(case)
    if config is None:
        return
    sharing = against_cutting(config)
    own = any("moe-backend" in args for args in _args(case))
    for index, entry, name, count in case.entries:
        parallel = parallel_of(case.spec, entry, count)
        size, whole = parallel.tensor or 1, bool(parallel.expert)
        blocks = against_cutting_blocks(config, whole_experts=whole or own)

        def against(parts: int, blocks: Against = blocks) -> str:
            return sharing(parts) or blocks(parts)

        message = against(size)
        if message:
            instead = _other_sizes(case, against, parallel, name, size)
            if not sharing(size) and message.startswith("experts"):
                instead = f"parallel: {{expert: true}}, or {instead}"
            yield wrong(_where(case, index, entry, "tensor"), "parallel/heads", message, instead)


def pipeline(case: Case) -> Iterator[Finding]:
    config = _config(case)
    layers = None if config is None else number(config, *LAYERS)
    if not isinstance(layers, int):
        return
    for index, entry, _, count in case.entries:
        stages = parallel_of(case.spec, entry, count).pipeline or 1
        if stages > layers:
            yield wrong(
                _where(case, index, entry, "pipeline"),
                "parallel/layers",
                f"{layers} layers cannot be shared out among {stages} groups",
                f"pipeline: {layers} or less",
            )


def expert(case: Case) -> Iterator[Finding]:
    config = _config(case)
    if config is None or isinstance(number(config, *LAYERS), Unknown) or _has_experts(config):
        return
    for path, args in _args_at(case):
        for name, value in args.items():
            if _plain(name) == "enable-expert-parallel" and value is True:
                yield wrong(
                    (*path, name),
                    "parallel/no-experts",
                    _NO_EXPERTS.format(name),
                    f"leave {name} out",
                )
    said: list[tuple[Path_, Parallel | None]] = [(("parallel",), case.spec.parallel)]
    said += [(("gpu", index, "parallel"), entry.parallel) for index, entry, _, _ in case.entries]
    for path, parallel in said:
        if parallel is not None and parallel.expert:
            yield wrong(
                (*path, "expert"),
                "parallel/no-experts",
                _NO_EXPERTS.format("expert: true"),
                "leave expert out",
                key=True,
            )


def _other_sizes(case: Case, against: Against, parallel: Parallel, name: str, size: int) -> str:
    """The next numbers of GPUs below and above that the model can be shared out among."""
    choice = gpus.choice(name)
    most = min((choice.card.max_count if choice else 8) * case.setting.nodes, _MOST_PARTS)
    fitting = [parts for parts in range(1, most + 1) if not against(parts)]
    near = [max((n for n in fitting if n < size), default=0)]
    near += [min((n for n in fitting if n > size), default=0)]
    sizes = [n for n in near if n]
    if not sizes:
        return "another model"
    if (parallel.pipeline or 1) * (parallel.data or 1) == 1 and case.setting.nodes == 1:
        listed = " or ".join(gpus.key(choice.modal if choice else name, n) for n in sizes)
        return listed if case.spec.parallel is None else f"tensor: {_or(sizes)}, on {listed}"
    return f"tensor: {_or(sizes)}"


def _or(sizes: Sequence[int]) -> str:
    return " or ".join(map(str, sizes))


def _has_experts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            any(word in str(name).lower() for word in _EXPERTS) or _has_experts(inside)
            for name, inside in value.items()
        )
    return isinstance(value, str) and "moe" in value.lower()


def _where(case: Case, index: int, entry: Gpu, field: str) -> Path_:
    if entry.parallel is not None and getattr(entry.parallel, field) is not None:
        return ("gpu", index, "parallel", field)
    if case.spec.parallel is not None and getattr(case.spec.parallel, field) is not None:
        return ("parallel", field)
    return ("gpu", index)


def _args(case: Case) -> Iterator[set[str]]:
    """The names of the engine's own flags that the spec has, for all and for each entry."""
    for _, args in _args_at(case):
        yield {_plain(name) for name in args}


def _args_at(case: Case) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    ours = case.spec.backend.args if case.spec.backend else None
    yield ("backend", "args"), ours or {}
    for index, entry, _, _ in case.entries:
        yield ("gpu", index, "args"), entry.args or {}


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def _config(case: Case) -> Mapping[str, Any] | None:
    """What vLLM reads of the model; None where it is another engine or nothing is known."""
    config = case.facts.config
    return None if case.engine.name != "vllm" or isinstance(config, Unknown) else config


RULES: tuple[Rule, ...] = (tensor, pipeline, expert)
