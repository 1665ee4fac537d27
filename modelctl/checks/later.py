"""Which fields are understood but not acted on yet? A spec must not say what is not so."""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding
from modelctl.spec.wanted import Path_


def rollout(case: Case) -> Iterator[Finding]:
    said = case.spec.rollout
    if said is None:
        return
    timeouts = said.timeouts
    unused: list[tuple[Path_, object]] = [
        (("rollout", "on_failure"), said.on_failure),
        (("rollout", "wave"), said.wave),
        (("rollout", "timeouts", "place"), timeouts and timeouts.place),
    ]
    for path, value in unused:
        if value is not None:
            yield doubtful(
                path,
                "later/rollout",
                f"{'.'.join(str(p) for p in path)} is not acted on by this version of modelctl",
                "a version that fails its gate is reported and not tried again as it is",
            )


def renamed(case: Case) -> Iterator[Finding]:
    if case.spec.renamed_from is not None:
        yield doubtful(
            ("renamed_from",),
            "later/renamed",
            "this version of modelctl does not rename: it creates the new app and leaves the old",
            f"modelctl destroy {case.spec.renamed_from}, or apply --prune, once the new one serves",
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


def environment(case: Case) -> Iterator[Finding]:
    """What the project says of its environments, at the first spec that goes there."""
    declared = case.wanted.project.project.environments or {}
    for name in case.wanted.environment.split("+"):
        said = declared.get(name)
        for field in ("workspace", "waves", "confirm"):
            if said is not None and getattr(said, field):
                yield doubtful(
                    ("name",),
                    "later/project",
                    f"{field} of environment {name} is not acted on by this version of modelctl",
                    f"leave it out of modelctl.yaml, or mind: nothing checks {field}",
                )


RULES: tuple[Rule, ...] = (rollout, renamed, checks_of_what_does_not_chat, environment)
