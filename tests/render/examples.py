"""The specs of `specs/`, read and resolved as the command line does, without a lock."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from modelctl.diagnostics import Diagnostic
from modelctl.resolve import resolve
from modelctl.resolve.sources import sources_beside
from modelctl.resolved import Resolved
from modelctl.spec.load import load_all
from modelctl.spec.project import find_project
from modelctl.spec.wanted import Wanted
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.render.apps import local_gguf

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "specs").glob("*.yaml"))


@cache
def wanted() -> dict[str, Wanted]:
    """Every example by its name."""
    project = find_project(ROOT)
    (loaded,) = load_all((), project, [()], selectors=(), cwd=ROOT)
    assert loaded.diagnostics == ()
    return {want.name: want for want in loaded.wanted}


def facts(want: Wanted) -> ModelFacts:
    """What a fresh checkout knows; the small model is taken for there, and hashed."""
    model = want.spec.model
    found = model_facts(
        model.source if model else None,
        want.file.parent,
        want.project.root,
        hashed=False,
        revision=model.revision if model else None,
        beside=sources_beside(want.spec),
    )
    return local_gguf() if found.kind == "local" else found


def example(name: str) -> Resolved:
    want = wanted()[name]
    return resolve(want, facts(want))


def diagnosed(name: str) -> list[Diagnostic]:
    import datetime

    from modelctl.assess import assess
    from modelctl.checks import check

    want = wanted()[name]
    known = facts(want)
    today = datetime.date(2026, 11, 21)
    return check(want, assess(resolve(want, known), known), known, today=today)
