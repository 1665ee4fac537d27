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
            f"known: {', '.join(facts.versions)}",
        )


RULES: tuple[Rule, ...] = (of_the_engine, unknown_version)
