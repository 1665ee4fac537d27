"""Which project does this folder belong to, and what does its modelctl.yaml say?"""

from __future__ import annotations

from pathlib import Path

from modelctl.diagnostics import Diagnostic, Rejected, has_errors, in_order
from modelctl.spec.kinds import ShapeKind
from modelctl.spec.merge import without_nulls
from modelctl.spec.parse import build, problems, tidy
from modelctl.spec.project_models import Policy, Project
from modelctl.spec.shorthand import expand
from modelctl.spec.source import read
from modelctl.spec.tree import Entry, Mapping, Scalar, is_null
from modelctl.spec.wanted import OutsidePolicy, ProjectFile

FILE = "modelctl.yaml"


def shown(path: Path, cwd: Path) -> str:
    """A path as people see it: relative to where they are, if it is below."""
    try:
        return path.relative_to(cwd).as_posix()
    except ValueError:
        return str(path)


def find_project(start: Path, cwd: Path | None = None) -> ProjectFile:
    """The nearest modelctl.yaml at or above `start`; without one, an empty project there.

    Raises Rejected with everything that is wrong with the file.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        file = folder / FILE
        if file.is_file():
            return read_project(file, cwd)
    return ProjectFile(start, None, Project())


def read_project(file: Path, cwd: Path | None = None) -> ProjectFile:
    """What this modelctl.yaml says; its folder is the root. Raises Rejected."""
    source = read(file, shown(file, cwd or Path.cwd()), file.parent, kind=FILE)
    found = list(source.diagnostics)
    tree: Mapping | None = None
    if source.tree is not None:
        expanded = expand(source.tree, ShapeKind(Project))
        if isinstance(expanded, Mapping):
            tree = _declared(expanded)
            found = [*_without_off(found, tree), *problems(tree, Project)]
    elif all(d.code == "yaml/empty" for d in found):
        return ProjectFile(file.parent, file, Project())
    found = tidy(found)
    if tree is None or has_errors(found):
        raise Rejected(in_order(found))
    return ProjectFile(file.parent, file, build(without_nulls(tree), Project), tree, tuple(found))


def read_policy(file: Path, cwd: Path | None = None) -> OutsidePolicy:
    """A file with the words of `policy` in modelctl.yaml. Raises Rejected."""
    name = shown(file.absolute(), cwd or Path.cwd())
    source = read(file, name, kind="a policy")
    found = list(source.diagnostics)
    tree = expand(source.tree, ShapeKind(Policy)) if source.tree is not None else None
    if isinstance(tree, Mapping):
        found += problems(tree, Policy)
    found = tidy(found)
    if not isinstance(tree, Mapping) or has_errors(found):
        raise Rejected(in_order(found))
    return OutsidePolicy(name, build(without_nulls(tree), Policy), tree)


def _without_off(found: list[Diagnostic], tree: Mapping) -> list[Diagnostic]:
    """In `rules` off is the word itself, and no other reader of YAML reads this file."""
    rules = tree.get("rules")
    entries = rules.entries.values() if isinstance(rules, Mapping) else ()
    off = {entry.node.place for entry in entries if isinstance(entry.node, Scalar)}
    return [d for d in found if d.code != "yaml/ambiguous" or d.place not in off]


def _declared(tree: Mapping) -> Mapping:
    """`staging:` with nothing after it declares an environment too; its null takes nothing back."""
    environments = tree.entries.get("environments")
    if environments is None or not isinstance(environments.node, Mapping):
        return tree
    declared = {
        name: Entry(entry.key_place, Mapping({}, entry.key_place)) if is_null(entry.node) else entry
        for name, entry in environments.node.entries.items()
    }
    node = Mapping(declared, environments.node.place)
    return Mapping(
        {**tree.entries, "environments": Entry(environments.key_place, node)}, tree.place
    )
