"""What does vLLM start with on each GPU of the list, and where did a person say it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from modelctl.checks.case import Case, wrong
from modelctl.checks.flag_fields import Said, variants
from modelctl.engines.base import Finding
from modelctl.engines.said import Said as Heard
from modelctl.engines.said import said as heard_of
from modelctl.facts import vllm
from modelctl.facts.flags import flag_table
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Unknown, Variant
from modelctl.weights.config_shape import shape_of
from modelctl.weights.shape import Shape


class Start(Struct, frozen=True):
    """One variant that has flags of a person's: `heard` are all of its flags, `said` those."""

    case: Case
    variant: Variant
    heard: Heard
    said: Said

    @property
    def names(self) -> vllm.Names | None:
        return vllm.names(self.case.setting.version)

    @property
    def inputs(self) -> VllmInputs | None:
        return self.variant.memory if isinstance(self.variant.memory, VllmInputs) else None

    @property
    def shape(self) -> Shape | None:
        """The model's, where its config.json is known and flags leave it as it is."""
        config = self.case.facts.config
        if isinstance(config, Unknown) or "hf-overrides" in self.said:
            return None
        shape = shape_of(config)
        return None if isinstance(shape, Unknown) else shape

    @property
    def adapters(self) -> bool:
        return self.heard.yes("enable-lora") is True

    @property
    def method(self) -> str:
        """How it guesses ahead, "" where it does not or where vLLM finds that out."""
        method = self.heard.mapping("speculative-config").get("method")
        return self.heard.text("spec-method") or (method if isinstance(method, str) else "")

    def whole(self, name: str, default: int) -> int:
        value = self.heard.whole(name)
        return default if value is None else value

    def refused(self, name: str, message: str, hint: str) -> Finding:
        """At the flag, wherever it stands."""
        path, _ = self.said[name]
        return wrong(path, "engine/wrong-option", f"{message}, and vLLM refuses to start", hint)


def starts(case: Case) -> Iterator[Start]:
    """For each GPU of the list, or the CPU: none without flags of a person's."""
    table = None
    for index, said in variants(case):
        table = table or flag_table(case.setting.server, case.setting.version)
        for variant in case.resolved.variants:
            if variant.entry == index and variant.origin != "upgrade":
                yield Start(case, variant, heard_of(variant.flags, table), said)


def once(*rules: Callable[[Start], Iterator[Finding]]) -> Callable[[Case], Iterator[Finding]]:
    """A rule of specs from those of starts, which are read once for all of them; what several
    entries have in common is said once."""

    def of_the_spec(case: Case) -> Iterator[Finding]:
        found: dict[tuple[Any, ...], Finding] = {}
        for start in starts(case):
            for rule in rules:
                for finding in rule(start):
                    found.setdefault((rule, finding.path, finding.code), finding)
        yield from found.values()

    return of_the_spec
