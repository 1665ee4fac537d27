"""Does a tree say what a spec may say? The model it stands for, or every problem in our words."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ValidationError

from modelctl.diagnostics import Diagnostic, Place, error
from modelctl.spec import sentences
from modelctl.spec.kinds import Kind, ShapeKind
from modelctl.spec.models import Shape
from modelctl.spec.names import name_problem, project_problem
from modelctl.spec.quoting import quote, quote_path
from modelctl.spec.tree import Mapping, Node, Scalar, at, child, data, is_null, scalars
from modelctl.spec.wanted import Path_

S = TypeVar("S", bound=Shape)

MOST_GUESSED = 100
"""Unknown fields of one file for which the field that was meant is looked for."""

_TEMPLATE = re.compile(r"\{\{|\{%|<%")
_PLUGINS = "pydantic.plugin._loader"
_MAKING = Lock()
_FREE_TEXT = frozenset({"checks", "env", "args", "run"})
"""Fields under which braces are somebody's own text: prompts, values, flags, shell commands."""

_NAMED_BY_RULE: dict[tuple[str, ...], Callable[[str], tuple[str, str] | None]] = {
    ("name",): name_problem,
    ("renamed_from",): name_problem,
    ("project",): project_problem,
}


def build(tree: Mapping, shape: type[S]) -> S:
    """The model of a tree in which `problems` found nothing and nulls are gone."""
    _make(shape)
    return shape.model_validate(data(tree))


@cache
def _make(shape: type[Shape]) -> None:
    """Make the model ready to validate. No plugin of pydantic that happens to be installed beside
    us is imported and has a say: a spec reads the same everywhere, and looking for them takes
    longer than ten specs. Where pydantic asks elsewhere, it is only slower.
    """
    nobody = ModuleType(_PLUGINS)
    vars(nobody)["get_plugins"] = tuple
    with _MAKING:
        before = sys.modules.get(_PLUGINS)
        sys.modules[_PLUGINS] = nobody
        try:
            shape.model_rebuild()
        finally:
            if before is None:
                del sys.modules[_PLUGINS]
            else:
                sys.modules[_PLUGINS] = before


def problems(tree: Mapping, shape: type[Shape]) -> list[Diagnostic]:
    """Everything that is wrong with a file's tree in long form. Nulls are fine: they take back."""
    found = [*_templates(tree), *_names(tree, shape), *_counts(tree)]
    spoken_for = {(d.place.line, d.place.column) for d in found if d.place}
    _make(shape)
    try:
        shape.model_validate(data(tree))
    except ValidationError as failed:
        for d in _translated(failed, tree, ShapeKind(shape)):
            if d.place is None or (d.place.line, d.place.column) not in spoken_for:
                found.append(d)
    return found


def tidy(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """One mistake, one diagnostic: where the text itself is wrong, its value's type is not judged,
    and a warning gives way to an error at the same place."""
    by_saying: dict[object, Diagnostic] = {}
    for diagnostic in found:
        saying = (diagnostic.code, diagnostic.message, _spot(diagnostic))
        if saying not in by_saying or diagnostic.path:
            by_saying[saying] = diagnostic
    once = list(by_saying.values())
    of_text = {_spot(d) for d in once if d.is_error and d.code.startswith("yaml/")}
    of_errors = {_spot(d) for d in once if d.is_error}
    return [
        d
        for d in once
        if d.place is None
        or (
            not (d.code in ("spec/type", "spec/value") and _spot(d) in of_text)
            and (d.is_error or _spot(d) not in of_errors)
        )
    ]


def _spot(diagnostic: Diagnostic) -> tuple[str, int, int] | None:
    place = diagnostic.place
    return (place.file, place.line, place.column) if place else None


def _translated(failed: ValidationError, tree: Mapping, root: Kind) -> list[Diagnostic]:
    by_path: dict[Path_, list[dict[str, Any]]] = {}
    for raised in failed.errors(include_url=False, include_context=True, include_input=False):
        path = _known_part(tree, raised["loc"])
        by_path.setdefault(path, []).append(dict(raised))
    found: list[Diagnostic] = []
    unknown_fields = 0
    for path, raised_here in by_path.items():
        node = at(tree, path)
        first = raised_here[0]
        unknown = first["type"] == "extra_forbidden"
        of_key = unknown or first["loc"][-1] == "[key]"
        if node is None or (is_null(node) and path and isinstance(path[-1], str) and not of_key):
            continue
        place = _place(tree, path, key=of_key)
        if unknown:
            unknown_fields += 1
            guessed = unknown_fields <= MOST_GUESSED
            message, hint = (
                sentences.unknown_field(root, path) if guessed else ("no such field", "")
            )
            code = "spec/unknown-field"
        else:
            judged = Mapping({}, node.place) if of_key and is_null(node) else node
            code, message, hint = sentences.wrong_value(root, path, judged, raised_here)
        found.append(error(code, message, hint=hint, place=place, path=quote_path(path)))
    return found


def _known_part(tree: Node, location: tuple[str | int, ...]) -> Path_:
    """The location without what pydantic adds to it: names of union members and `[key]`."""
    path: list[str | int] = []
    node: Node | None = tree
    for part in location:
        node = child(node, part) if node is not None else None
        if node is None:
            break
        path.append(part)
    return tuple(path)


def _place(tree: Mapping, path: Path_, *, key: bool = False) -> Place:
    parent: Node | None = None
    node: Node = tree
    for part in path:
        found = child(node, part)
        if found is None:
            break
        parent, node = node, found
    if key and isinstance(parent, Mapping) and isinstance(path[-1], str):
        return parent.entries[path[-1]].key_place
    return node.place


def _templates(tree: Mapping) -> list[Diagnostic]:
    found = []
    for path, scalar in scalars(tree):
        if not isinstance(scalar.value, str) or not _TEMPLATE.search(scalar.value):
            continue
        if not _FREE_TEXT.isdisjoint(path):
            continue
        found.append(
            error(
                "spec/template-syntax",
                "modelctl does not expand templates",
                hint="write the value itself; what differs by environment goes under environments",
                place=scalar.place,
                path=quote_path(path),
            )
        )
    return found


def _names(tree: Mapping, shape: type[Shape]) -> list[Diagnostic]:
    """Names of specs, projects and environments: what becomes part of a Modal name or an option."""
    found = []
    for path, problem in _NAMED_BY_RULE.items():
        node = at(tree, path)
        if path[0] not in shape.model_fields or not isinstance(node, Scalar):
            continue
        if not isinstance(node.value, str) or _TEMPLATE.search(node.value):
            continue
        wrong = problem(node.value)
        if wrong:
            found.append(
                error("spec/name", wrong[0], hint=wrong[1], place=node.place, path=quote_path(path))
            )
    environments = tree.get("environments")
    if isinstance(environments, Mapping):
        for key, entry in environments.entries.items():
            wrong = name_problem(key, "environment name", 63)
            if wrong:
                found.append(
                    error(
                        "spec/name", wrong[0], hint=wrong[1], place=entry.key_place,
                        path=quote_path(("environments", key)),
                    )
                )  # fmt: skip
    return found


def _counts(tree: Mapping) -> list[Diagnostic]:
    """GPU types whose colon part could not be split off: `H100:x`, `H100:2` beside a count."""
    found = []
    for path, scalar in scalars(tree):
        if len(path) < 3 or path[-3] != "gpu" or path[-1] != "type":
            continue
        if not isinstance(scalar.value, str) or ":" not in scalar.value:
            continue
        kind, _, count = scalar.value.partition(":")
        if at(tree, (*path[:-1], "count")) is not None:
            message, hint = (
                "the count is said twice: after the colon and as count",
                f"write type: {quote(kind)}",
            )
        else:
            message = (
                f"{quote(count)} is not a count of GPUs"
                if count
                else "a count is missing after the colon"
            )
            hint = (
                f"write {quote(kind)}:2 for two of them"
                if kind
                else "write TYPE:COUNT, as in L40S:2"
            )
        found.append(
            error("spec/value", message, hint=hint, place=scalar.place, path=quote_path(path))
        )
    return found
