"""Who speaks about a spec in an environment, and in which order? Later wins."""

from __future__ import annotations

from collections.abc import Sequence as Many

from modelctl.diagnostics import Place
from modelctl.spec.merge import Layer
from modelctl.spec.models import plain
from modelctl.spec.tree import Entry, Mapping, Node, Scalar, at, from_data, is_null
from modelctl.spec.wanted import ProjectFile

_NOT_OF_A_LAYER = ("environments",)


def project_tree(project: ProjectFile) -> Mapping | None:
    """What the project says, with places; made up for a project that came from no file."""
    if project.tree is not None:
        return project.tree
    said = plain(project.project)
    tree = from_data(said, Place(str(project.file or "modelctl.yaml"))) if said else None
    return tree if isinstance(tree, Mapping) else None


def layers_of(spec: Mapping, project: Mapping | None, overlays: Many[str]) -> list[Layer]:
    """Project defaults, its backend's, its environments', the spec, the spec's environments."""
    below: list[Layer] = []
    between: list[Layer] = []
    if project is not None:
        _add(below, "project defaults", project.get("defaults"))
        for name in overlays:
            where = f"project defaults, environment {name}"
            _add(between, where, at(project, ("environments", name, "defaults")))
    above = [Layer("spec", _without(spec, _NOT_OF_A_LAYER))]
    for name in overlays:
        _add(above, f"spec, environment {name}", at(spec, ("environments", name)))
    backend = effective_backend([*below, *between, *above])
    if project is not None and backend:
        mapping = at(project, ("backends", backend))
        if isinstance(mapping, Mapping):
            below.append(Layer(f"project defaults, backend {backend}", _version_moved(mapping)))
    return [*below, *between, *above]


def effective_backend(layers: Many[Layer]) -> str:
    """The engine that the last layer to name one names; "" where none does."""
    for layer in reversed(layers):
        if is_null(layer.tree.get("backend")):
            return ""
        name = at(layer.tree, ("backend", "name"))
        if isinstance(name, Scalar):
            return name.value if isinstance(name.value, str) else ""
    return ""


def _add(layers: list[Layer], name: str, tree: Node | None) -> None:
    if isinstance(tree, Mapping):
        layers.append(Layer(name, tree))


def _without(tree: Mapping, keys: Many[str]) -> Mapping:
    if not any(key in tree.entries for key in keys):
        return tree
    return Mapping({k: e for k, e in tree.entries.items() if k not in keys}, tree.place)


def _version_moved(defaults: Mapping) -> Mapping:
    """`backends: {vllm: {version: …}}` is the spec's `backend: {version: …}`."""
    version = defaults.entries.get("version")
    if version is None:
        return defaults
    entries = {key: entry for key, entry in defaults.entries.items() if key != "version"}
    backend = entries.get("backend")
    inner = dict(backend.node.entries) if backend and isinstance(backend.node, Mapping) else {}
    inner.setdefault("version", version)
    node = Mapping(inner, backend.node.place if backend else version.node.place)
    entries["backend"] = Entry(backend.key_place if backend else version.key_place, node)
    return Mapping(entries, defaults.place)
