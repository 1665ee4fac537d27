"""What does a rule get to look at, and what is a rule?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from msgspec import Struct

from modelctl.assess import Assessed
from modelctl.diagnostics import Severity
from modelctl.engines.base import Engine, Finding, Setting
from modelctl.resolve import engine_of, gpu_entries, setting_of
from modelctl.resolved import Resolved
from modelctl.spec.models import Gpu, Spec
from modelctl.spec.wanted import Path_, Wanted
from modelctl.weights.facts import ModelFacts


class Case(Struct, frozen=True, dict=True):
    """One spec in one environment, as merged, resolved and assessed."""

    wanted: Wanted
    assessed: Assessed
    facts: ModelFacts
    engine: Engine
    setting: Setting

    @property
    def spec(self) -> Spec:
        return self.wanted.spec

    @property
    def resolved(self) -> Resolved:
        return self.assessed.resolved

    @property
    def product(self) -> str:
        """What the facts call the engine: its versions and flags are listed under it."""
        return self.engine.product(self.setting.server)

    @cached_property
    def entries(self) -> tuple[tuple[int, Gpu, str, int], ...]:
        """The GPU list as (index, entry, type, count)."""
        return gpu_entries(self.spec)


Rule = Callable[[Case], Iterator[Finding]]


def case_of(wanted: Wanted, assessed: Assessed, facts: ModelFacts) -> Case:
    engine = engine_of(wanted.spec)
    return Case(wanted, assessed, facts, engine, setting_of(wanted, facts))


def wrong(path: Path_, code: str, message: str, hint: str = "", **more: Any) -> Finding:
    return Finding(path, Severity.ERROR, code, message, hint, **more)


def doubtful(path: Path_, code: str, message: str, hint: str = "", **more: Any) -> Finding:
    return Finding(path, Severity.WARNING, code, message, hint, **more)


def unchecked(path: Path_, code: str, message: str, hint: str = "", **more: Any) -> Finding:
    return Finding(path, Severity.NOT_CHECKED, code, message, hint, **more)
