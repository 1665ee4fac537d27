"""Is a number of `args` within what vLLM's own configuration takes?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from modelctl.checks.case import Case, Rule, wrong
from modelctl.checks.flag_fields import Said, adapters, variants
from modelctl.checks.reserved import reserved
from modelctl.engines.base import Finding
from modelctl.engines.said import Said as Heard
from modelctl.facts.flags import FlagFact, flag_table
from modelctl.resolved import Unknown
from modelctl.weights.config_shape import shape_of

_INSTEAD = {"gpu-memory-utilization": "memory_utilization: 0.9 says it"}


def in_range(case: Case) -> Iterator[Finding]:
    """vLLM ends with a validation error where a number is out of its field's bounds."""
    found: dict[tuple[Any, ...], Finding] = {}
    table = None
    for _, said in variants(case):
        table = table or flag_table(case.setting.server, case.setting.version)
        for name, (path, value) in said.items():
            match = table.find(name) if table else None
            if match is None or reserved("vllm", match.fact.spellings):
                continue
            fact, number = match.fact, _number(match.fact, value)
            if number is None or _within(fact, number) or not _holds(case, fact, said):
                continue
            message = f"--{name} takes {_takes(fact)}, not {value}"
            hint = _INSTEAD.get(name) or _nearest(fact, number)
            found.setdefault(path, wrong(path, "engine/flag-value", message, hint))
    yield from found.values()


def _number(fact: FlagFact, value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    heard = Heard({fact.name: str(value)})
    return heard.whole(fact.name) if fact.type == "size" else heard.number(fact.name)


def _within(fact: FlagFact, number: float) -> bool:
    return not (
        (fact.least is not None and number < fact.least)
        or (fact.above is not None and number <= fact.above)
        or (fact.most is not None and number > fact.most)
        or (fact.below is not None and number >= fact.below)
    )


def _holds(case: Case, fact: FlagFact, said: Said) -> bool:
    """Whether the start has the part of the configuration that refuses it."""
    if fact.when == "adapters":
        return bool(adapters(case)) or said.get("enable-lora", ((), False))[1] is True
    if fact.when == "media":
        config = case.facts.config
        shape = config if isinstance(config, Unknown) else shape_of(config)
        return not isinstance(shape, Unknown) and bool(shape.vision)
    return True


def _takes(fact: FlagFact) -> str:
    if fact.type not in ("int", "size"):
        words = [
            "" if fact.above is None else f"above {fact.above:g}",
            "" if fact.least is None else f"from {fact.least:g} on",
            "" if fact.most is None else f"up to {fact.most:g}",
            "" if fact.below is None else f"below {fact.below:g}",
        ]
        return f"a number {' and '.join(word for word in words if word)}"
    least, most = _least(fact), fact.most
    if least is None or most is None:
        return "a whole number " + (f"up to {most:g}" if least is None else f"from {least} on")
    return f"a whole number from {least} to {most:g}"


def _least(fact: FlagFact) -> int | None:
    if fact.above is not None:
        return math.floor(fact.above) + 1
    return None if fact.least is None else math.ceil(fact.least)


def _nearest(fact: FlagFact, number: float) -> str:
    """The last number on the side where it went out; to leave it out where that one is open."""
    whole = fact.type in ("int", "size")
    if fact.most is not None and number > fact.most:
        return f"{fact.name}: {fact.most:g}"
    least = _least(fact) if whole else fact.least
    if least is not None and number < least:
        return f"{fact.name}: {least:g}"
    return "leave it out"


RULES: tuple[Rule, ...] = (in_range,)
