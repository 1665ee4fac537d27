"""Which problems did a change bring? Those that an earlier commit of the project did not have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from modelctl.cli.earlier import at_commit
from modelctl.cli.options import Selection
from modelctl.diagnostics import Diagnostic, Rejected
from modelctl.spec.wanted import ProjectFile


def brought_since(
    ref: str, chosen: Selection, found: Iterable[Diagnostic], project: ProjectFile
) -> tuple[Diagnostic, ...]:
    """Those of `found` that were not there at `ref`, wherever in its file a problem stands now.

    The old project is checked by this modelctl and by today's policy from outside, so that neither
    a new rule nor a stricter policy is a change of the project; its own policy is a part of it.
    Files that git does not have (weights beside the specs, say) are as if they had not been there.
    Raises a UsageError where git knows no such commit.
    """
    before = _keys_at(ref, chosen, project)
    new = []
    for diagnostic in found:
        key = _key(diagnostic, project.root)
        if before[key] > 0:
            before[key] -= 1
        else:
            new.append(diagnostic)
    return tuple(new)


def _key(found: Diagnostic, root: Path) -> tuple[object, ...]:
    """What makes two problems the same one: all but the line, and what depends on the folder."""
    file, message = (
        text.replace(f"{root}{os.sep}", "")
        for text in (found.place.file if found.place else "", found.message)
    )
    return found.severity, found.code, message, found.path, file, found.environments


def _keys_at(ref: str, chosen: Selection, project: ProjectFile) -> Counter[tuple[object, ...]]:
    from modelctl.cli.pipeline import check_all, project_here

    with at_commit(ref, project.root, "--new-since") as inside:
        try:
            then = replace(project_here(), outside=project.outside)
            found = check_all(inside.chosen(chosen), then, hashed=False).diagnostics
        except Rejected as wrong:  # its project file could not be read
            found = wrong.diagnostics
        return Counter(_key(d, inside.root) for d in found)
