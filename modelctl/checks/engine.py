"""Does the engine have what the spec asks of it, and is its version one that is known?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, unchecked
from modelctl.engines.base import Finding
from modelctl.facts.engines import engine_facts


def of_the_engine(case: Case) -> Iterator[Finding]:
    yield from case.engine.rules(case.setting)


def unknown_version(case: Case) -> Iterator[Finding]:
    facts, version = engine_facts(case.product), case.setting.version
    if version not in facts.versions:
        yield unchecked(
            ("backend", "version"),
            "engine/unknown-version",
            f"{case.product} {version} is not in the tables: its flags were not checked",
            _another_engines(case, version) or f"known: {', '.join(facts.versions)}",
        )


def _another_engines(case: Case, version: str) -> str:
    """The way out where the version came along from a layer that names another engine."""
    for product in ("vllm", "llama.cpp"):
        if product != case.product and version in engine_facts(product).versions:
            name = case.engine.name
            return f"it is one of {product}; backend: {{name: {name}, version: null}} leaves it out"
    return ""


RULES: tuple[Rule, ...] = (of_the_engine, unknown_version)
