"""Is there a code of every name that the project rules on, or that a spec allows?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from modelctl.checks.case import Case, Rule, doubtful
from modelctl.diagnostics import Diagnostic, warning
from modelctl.engines.base import Finding
from modelctl.spec.quoting import quote, quote_path
from modelctl.spec.tree import Mapping
from modelctl.spec.wanted import ProjectFile

_NO_EFFECT = "so that line does nothing"


def allowed(case: Case) -> Iterator[Finding]:
    for code, hint in _unknown(case.spec.allow or ()):
        yield doubtful(
            ("allow", code),
            "allow/unknown-code",
            f"there is no code {quote(code)}, {_NO_EFFECT}",
            hint,
            key=True,
        )


def check_project(project: ProjectFile) -> list[Diagnostic]:
    """What is wrong with the project file itself, in whichever environment."""
    rules = project.tree.entries.get("rules") if project.tree is not None else None
    entries = rules.node.entries if rules and isinstance(rules.node, Mapping) else {}
    return [
        warning(
            "rules/unknown-code",
            f"there is no code {quote(code)}, {_NO_EFFECT}",
            hint=hint,
            place=entries[code].key_place if code in entries else None,
            path=quote_path(("rules", code)),
        )
        for code, hint in _unknown(project.project.rules or ())
    ]


def _unknown(codes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The codes that no diagnostic has, each with the way out."""
    codes = tuple(codes)
    if not codes:
        return
    from modelctl.checks.catalogue import CATALOGUE

    for code in codes:
        if code not in CATALOGUE:
            near = difflib.get_close_matches(code, CATALOGUE, n=1, cutoff=0.6)
            yield code, f"did you mean {near[0]}?" if near else "modelctl explain lists them all"


RULES: tuple[Rule, ...] = (allowed,)
