"""Does Modal have these GPUs, in this number, and does the model spread over them?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding
from modelctl.facts import gpus
from modelctl.resolve import parallel_of
from modelctl.spec.models import Gpu

_PARTS = "prefill-context-parallel-size"


def unknown_gpu(case: Case) -> Iterator[Finding]:
    for index, _, name, _ in case.entries:
        if gpus.choice(name) is None:
            names = sorted(gpus.choices())
            near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            yield wrong(
                ("gpu", index, "type"),
                "gpu/unknown",
                f"Modal has no GPU {name}",
                f"{meant}There are {', '.join(names)}",
            )


def count_out_of_range(case: Case) -> Iterator[Finding]:
    for index, _, name, count in case.entries:
        choice = gpus.choice(name)
        if choice is None:
            continue
        card, most = choice.card, choice.card.max_count
        if count < 1:
            yield wrong(
                ("gpu", index),
                "gpu/count",
                f"{count} × {card.name} is no GPU at all",
                f"{card.name}, or gpu: none for a CPU",
            )
        elif count > most:
            yield wrong(
                ("gpu", index),
                "gpu/count",
                f"a container has at most {most} × {card.name}, not {count}",
                f"{gpus.key(choice.modal, most)}, or a larger GPU",
            )


def size_left_open(case: Case) -> Iterator[Finding]:
    for index, _, name, count in case.entries:
        choice = gpus.choice(name)
        if choice is not None and choice.ambiguous:
            small = gpus.key("A100-40GB", count)
            yield doubtful(
                ("gpu", index, "type"),
                "gpu/ambiguous",
                f"{name} comes with 40 or 80 GB; without a size it is the one with 40",
                f"{small} or {gpus.key('A100-80GB', count)}",
            )


def listed_twice(case: Case) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, _, name, count in case.entries:
        choice = gpus.choice(name)
        key = gpus.key(choice.card.name if choice else name, count)
        if key in seen:
            yield doubtful(
                ("gpu", index),
                "gpu/duplicate",
                f"{key} is in the list already, as gpu[{seen[key]}]; what this entry says is lost",
                "leave this entry out",
            )
        seen.setdefault(key, index)


def none_among_others(case: Case) -> Iterator[Finding]:
    entries = case.spec.gpu or []
    for index, entry in enumerate(entries):
        if len(entries) > 1 and (entry.type or gpus.NONE).lower() == gpus.NONE:
            yield wrong(
                ("gpu", index),
                "gpu/none-in-list",
                "a container that asked for a GPU never falls back to a CPU",
                "leave none out, or write gpu: none alone",
            )


def _most(name: str) -> int:
    """How many of a card one container may have."""
    choice = gpus.choice(name)
    return choice.card.max_count if choice else 0


def _prefill_parts(case: Case, entry: Gpu) -> int:
    """Among how many more GPUs vLLM shares prompts out, beside what `parallel` says."""
    found = 1
    for args in ((case.spec.backend and case.spec.backend.args) or {}, entry.args or {}):
        for name, value in args.items():
            if name.lstrip("-").replace("_", "-") == _PARTS and isinstance(value, int):
                found = max(1, value)
    return found if case.engine.name == "vllm" else 1


def parallel_beside_count(case: Case) -> Iterator[Finding]:
    nodes = case.setting.nodes
    for index, entry, name, count in case.entries:
        if (entry.parallel is None and case.spec.parallel is None) or count < 1:
            continue
        asked = parallel_of(case.spec, entry, count)
        beside = _prefill_parts(case, entry)
        rest = (asked.pipeline or 1) * (asked.data or 1) * beside
        spread, there = (asked.tensor or 1) * rest, count * nodes
        if spread != there:
            tensor = f"tensor: {there // rest}" if there % rest == 0 else "another pipeline or data"
            key = gpus.key(name, count)
            on = key if nodes == 1 else f"{nodes} hosts of {key}"
            yield wrong(
                ("parallel",) if entry.parallel is None else ("gpu", index, "parallel"),
                "parallel/does-not-match-count",
                f"parallel asks for {spread} GPUs, and {on} {'has' if nodes == 1 else 'have'} "
                f"{there}",
                f"{gpus.key(name, spread)} in the list, or {tensor}"
                if nodes == 1 and spread <= _most(name)
                else tensor,
                detail=f"tensor × pipeline × data = {asked.tensor} × {rest // beside}"
                + (f", × {_PARTS} = {beside}" if beside > 1 else ""),
            )


RULES: tuple[Rule, ...] = (
    unknown_gpu,
    count_out_of_range,
    size_left_open,
    listed_twice,
    none_among_others,
    parallel_beside_count,
)
