"""Does a new version come to serve as its spec and the project say: in a wave, asked in words?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding


def wave(case: Case) -> Iterator[Finding]:
    """A wave that its environment does not have is none: the app comes last, with the rest."""
    said = case.spec.rollout.wave if case.spec.rollout else None
    if said is None:
        return
    declared = case.wanted.project.project.environments or {}
    named = [declared[name] for name in case.wanted.environment.split("+") if name in declared]
    waves = [one for environment in named for one in environment.waves or ()]
    if named and said not in waves:
        there = f"its waves are {', '.join(waves)}" if waves else "it has no waves"
        yield doubtful(
            ("rollout", "wave"),
            "rollout/wave",
            f"{case.wanted.environment} has no wave {said}; {there}",
            f"waves: [{', '.join([*waves, said])}] of the environment in modelctl.yaml, or leave "
            "it out",
        )


def checks_of_what_does_not_chat(case: Case) -> Iterator[Finding]:
    if case.spec.checks and case.resolved.task != "generate":
        yield wrong(
            ("checks",),
            "checks/task",
            f"checks ask a question in words; a model that does {case.resolved.task} has no answer",
            "leave checks out; the first request that warms it up must succeed all the same",
            key=True,
        )


def renamed(case: Case) -> Iterator[Finding]:
    if case.spec.renamed_from is not None and case.spec.renamed_from == case.wanted.name:
        yield wrong(
            ("renamed_from",),
            "rollout/renamed",
            "renamed_from is the name that it has",
            "leave renamed_from out, or say the name that the app had before",
        )


RULES: tuple[Rule, ...] = (wave, checks_of_what_does_not_chat, renamed)
