"""What do these files want in this environment? Files, overlays and selectors into Wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from modelctl.cores import of_each
from modelctl.diagnostics import Diagnostic, Place, error, has_errors, in_order
from modelctl.spec.find import find
from modelctl.spec.kinds import ShapeKind
from modelctl.spec.layers import layers_of, project_tree
from modelctl.spec.merge import Layer, TreeOrigins, merge
from modelctl.spec.models import Spec
from modelctl.spec.names import slug
from modelctl.spec.parse import build, problems, tidy
from modelctl.spec.project import shown
from modelctl.spec.quoting import quote
from modelctl.spec.sentences import close_to
from modelctl.spec.shorthand import expand
from modelctl.spec.sound import sound_part
from modelctl.spec.source import read
from modelctl.spec.tree import Entry, Mapping, Scalar, at, is_null
from modelctl.spec.tree import Sequence as Items
from modelctl.spec.wanted import ProjectFile, Wanted

LOCAL = "local"
"""The overlay of `--local`. It is no environment: it is always there and is merged after one."""


class Loaded(Struct, frozen=True):
    """What is wanted, what is wrong, and the files that were read for it.

    `partial` holds the specs that have errors, without the values that are wrong: never to be
    deployed, but what is left of them can be checked, so that one run shows every mistake. A
    check that judges several values together may err there: what it misses was taken out.
    `left_out` are the names of those whose `only` leaves this environment out, `overlays` what
    was merged in.
    """

    wanted: tuple[Wanted, ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...]
    partial: tuple[Wanted, ...] = ()
    left_out: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()


class _SpecFile(Struct, frozen=True):
    """A file in long form, and what is wrong with it in every environment."""

    path: Path
    shown: str
    tree: Mapping | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def name(self) -> str:
        name = self.tree.get("name") if self.tree else None
        if isinstance(name, Scalar) and isinstance(name.value, str):
            return name.value
        return "" if self.tree else self.path.stem


def load(
    what: Sequence[str],
    project: ProjectFile,
    overlays: Sequence[str] = (),
    selectors: Sequence[str] = (),
    cwd: Path | None = None,
) -> Loaded:
    """The specs of `what` with `overlays` (`("prod", "local")`) merged in, in order of their files.

    Never raises for bad input: a spec with errors is left out, and its diagnostics are here.
    """
    return load_all(what, project, [overlays], selectors, cwd)[0]


def load_all(
    what: Sequence[str],
    project: ProjectFile,
    environments: Sequence[Sequence[str]],
    selectors: Sequence[str] = (),
    cwd: Path | None = None,
    *,
    and_local: bool = False,
) -> tuple[Loaded, ...]:
    """`load` once for each environment; every file is read and checked once.

    `and_local` adds what `--local` would have, where one of the specs says something for it.
    """
    session = _Session(project, cwd or Path.cwd())
    found = find(what, project.root, session.cwd, lambda path: session.file(path).name)
    session.read(found.files)
    wanted_labels, bad_selectors = _selectors(selectors)
    specs = [session.file(path) for path in found.files]
    common = [*found.diagnostics, *bad_selectors, *project.diagnostics]
    # Whoever names one file still must not take the name of another spec of the project.
    folder = project.root / "specs"
    others = find([], project.root, session.cwd, lambda path: session.file(path).name).files
    beside = [session.file(path) for path in others if path not in found.files] if what else []
    beside = beside if folder.is_dir() else []
    loaded = [
        session.load(specs, overlays, wanted_labels, common, beside) for overlays in environments
    ]
    read = {path for result in loaded for path in result.files}
    if and_local and any(_says_local(session.file(path)) for path in read):
        loaded.append(session.load(specs, (LOCAL,), wanted_labels, common, beside))
    return tuple(loaded)


class _Session:
    """Files read so far, so that no file is read twice."""

    def __init__(self, project: ProjectFile, cwd: Path) -> None:
        self.project = project
        self.cwd = cwd
        self.files: dict[Path, _SpecFile] = {}
        self.project_tree = project_tree(self.project)
        self.declared = tuple(self.project.project.environments or ())

    def file(self, path: Path) -> _SpecFile:
        if path not in self.files:
            self.files[path] = self._read(path)
        return self.files[path]

    def read(self, paths: Sequence[Path]) -> None:
        """Have all of them read, where they are many on every core."""
        new = [path for path in paths if path not in self.files]
        self.files.update(zip(new, of_each(self._read, new), strict=True))

    def _read(self, path: Path) -> _SpecFile:
        return _read(path, shown(path, self.cwd), self.declared, self.project)

    def load(
        self,
        specs: Sequence[_SpecFile],
        overlays: Sequence[str],
        labels: dict[str, str],
        common: Sequence[Diagnostic],
        beside: Sequence[_SpecFile] = (),
    ) -> Loaded:
        diagnostics = [*common, *self._undeclared(specs, overlays)]
        wanted: list[Wanted] = []
        partial: list[Wanted] = []
        first = {s.name: s for s in beside if s.name and s.tree and _is_in(s, overlays)}
        read: list[Path] = []
        left_out = tuple(s.name or slug(s.path.stem) for s in specs if not _is_in(s, overlays))
        for spec in specs:
            if not _is_in(spec, overlays):
                continue
            layers: list[Layer] = []
            if spec.tree is not None:
                layers = layers_of(spec.tree, self.project_tree, overlays)
                merged = merge(layers)
                if not _has_labels(merged, labels):
                    continue
            read.append(spec.path)
            found = list(spec.diagnostics)
            if spec.name and spec.tree is not None:
                if spec.name in first:
                    found.append(_duplicate(spec, first[spec.name]))
                else:
                    first[spec.name] = spec
            if spec.tree is not None:
                found += _missing_model(spec, merged, layers)
            diagnostics += found
            if spec.tree is None:
                continue
            if not has_errors(found):
                wanted.append(self._wanted(spec, overlays, layers, merged, build(merged, Spec)))
                continue
            sound = sound_part(merged, found)
            if sound is not None:
                partial.append(self._wanted(spec, overlays, layers, *sound))
        return Loaded(
            tuple(wanted),
            tuple(in_order(diagnostics)),
            tuple(read),
            tuple(partial),
            left_out,
            tuple(overlays),
        )

    def _wanted(
        self,
        spec: _SpecFile,
        overlays: Sequence[str],
        layers: Sequence[Layer],
        merged: Mapping,
        built: Spec,
    ) -> Wanted:
        return Wanted(
            name=built.name or slug(spec.path.stem),
            environment="+".join(overlays),
            file=Path(spec.shown),
            project=self.project,
            spec=built,
            origins=TreeOrigins(tuple(layers), merged, (spec.tree or merged).place),
        )

    def _undeclared(self, specs: Sequence[_SpecFile], overlays: Sequence[str]) -> list[Diagnostic]:
        """Environments that the caller asks for and nobody declares."""
        known = list(self.declared)
        if self.project.file is None and not known:
            known = sorted({name for spec in specs for name in _environments(spec) if name})
        found = []
        for name in overlays:
            if name != LOCAL and name not in known:
                found.append(undeclared(name, known))
        return found


def undeclared(name: str, known: Sequence[str]) -> Diagnostic:
    """An environment that is asked for and is none of those that are known."""
    close = close_to(name, known)
    hint = f"did you mean {close}?" if close else ""
    if not close:
        hint = (
            f"there are {', '.join(map(quote, known))}"
            if known
            else "declare it in modelctl.yaml, under environments"
        )
    message = f"there is no environment {quote(name)}"
    return error("spec/undeclared-environment", message, hint=hint)


def _read(path: Path, shown_as: str, declared: Sequence[str], project: ProjectFile) -> _SpecFile:
    source = read(path, shown_as, project.root)
    if source.tree is None:
        return _SpecFile(path, shown_as, None, source.diagnostics)
    tree = expand(source.tree, ShapeKind(Spec))
    assert isinstance(tree, Mapping)
    found = [*source.diagnostics, *problems(tree, Spec)]
    if not _misspelled("name", found):
        found += _missing_name(path, tree)
    found += _nameless(tree)
    if project.file is not None:
        found += _undeclared_in(tree, declared)
    return _SpecFile(path, shown_as, tree, tuple(tidy(found)))


def _misspelled(field: str, found: Sequence[Diagnostic]) -> bool:
    """Whether the field is there under a wrong name, which is said already."""
    return any(
        d.code == "spec/unknown-field"
        and d.message.rpartition("did you mean ")[2].startswith(field)
        for d in found
    )


def _missing_name(path: Path, tree: Mapping) -> list[Diagnostic]:
    entry = tree.entries.get("name")
    if entry is not None and not (isinstance(entry.node, Scalar) and entry.node.value is None):
        return []
    return [
        error(
            "spec/missing",
            "name is missing" if entry is None else "name has no value",
            hint=f"write name: {_as_yaml(slug(path.stem) or 'my-model')}",
            place=entry.key_place if entry else tree.place,
            path="name",
        )
    ]


def _as_yaml(name: str) -> str:
    """A name as it has to be written: some words are values of their own to YAML."""
    return f'"{name}"' if name in _YAML_WORDS or name.isdecimal() else name


_YAML_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _missing_model(spec: _SpecFile, merged: Mapping, layers: Sequence[Layer]) -> list[Diagnostic]:
    assert spec.tree is not None
    if at(merged, ("model", "source")) is not None:
        return []
    if _misspelled("model", spec.diagnostics):
        return []
    if at(merged, ("model",)) is not None and not isinstance(merged.get("model"), Mapping):
        return []
    entry = spec.tree.entries.get("model")
    what = "model.source" if isinstance(merged.get("model"), Mapping) else "model"
    hint = f"write {what.rpartition('.')[2]}: hf://org/repo, or ./path"
    taken = _taken_back(layers)
    if taken is not None and taken[0] != "spec":
        layer, null = taken
        message = f"null takes {what} back, which has no default ({layer})"
        hint = f"leave the line out, or {hint}"
        return [error("spec/missing", message, hint=hint, place=null.key_place, path=what)]
    return [
        error(
            "spec/missing",
            f"{what} is missing",
            hint=hint,
            place=entry.key_place if entry else spec.tree.place,
            path=what,
        )
    ]


def _taken_back(layers: Sequence[Layer]) -> tuple[str, Entry] | None:
    """The last layer that writes null for the model or its source, and where."""
    for layer in reversed(layers):
        entry = layer.tree.entries.get("model")
        if entry is not None and isinstance(entry.node, Mapping):
            entry = entry.node.entries.get("source")
        if entry is not None:
            return (layer.name, entry) if is_null(entry.node) else None
    return None


def _undeclared_in(tree: Mapping, declared: Sequence[str]) -> list[Diagnostic]:
    """Environments of a spec that the project file does not declare."""
    places: list[tuple[str, str, Place]] = []
    environments, only = tree.get("environments"), tree.get("only")
    if isinstance(environments, Mapping):
        places += [
            (key, f"environments.{key}", e.key_place) for key, e in environments.entries.items()
        ]
    if isinstance(only, Items):
        for index, item in enumerate(only.items):
            if isinstance(item, Scalar) and isinstance(item.value, str):
                places.append((item.value, f"only[{index}]", item.place))
    found = []
    for name, path, place in places:
        if name == LOCAL or name in declared:
            continue
        close = close_to(name, declared)
        hint = (
            f"did you mean {close}?" if close else "declare it in modelctl.yaml, under environments"
        )
        message = f"the project declares no environment {quote(name)}"
        found.append(
            error("spec/undeclared-environment", message, hint=hint, place=place, path=path)
        )
    return found


def _environments(spec: _SpecFile) -> list[str]:
    """The environments that a spec speaks of."""
    if spec.tree is None:
        return []
    environments = spec.tree.get("environments")
    return [*(environments.entries if isinstance(environments, Mapping) else ()), *_only(spec)]


def _says_local(spec: _SpecFile) -> bool:
    environments = spec.tree.get("environments") if spec.tree else None
    return isinstance(environments, Mapping) and LOCAL in environments.entries


def _only(spec: _SpecFile) -> list[str]:
    """The names in `only`. One that is no name leaves nothing out, or it would be left unsaid."""
    only = spec.tree.get("only") if spec.tree else None
    if not isinstance(only, Items):
        return []
    wrong = {d.place for d in spec.diagnostics if d.is_error}
    return [
        item.value
        for item in only.items
        if isinstance(item, Scalar)
        and isinstance(item.value, str)
        and item.value
        and item.place not in wrong
    ]


def _nameless(tree: Mapping) -> list[Diagnostic]:
    """Where `only` names nothing: it would leave the spec out everywhere, or nowhere, unsaid."""
    only = tree.get("only")
    if not isinstance(only, Items):
        return []
    empty = [
        (f"only[{index}]", item.place)
        for index, item in enumerate(only.items)
        if isinstance(item, Scalar) and item.value == ""
    ]
    if not only.items:
        empty = [("only", only.place)]
    return [
        error(
            "spec/value",
            "only names no environment here",
            hint="leave only out where every environment has the spec",
            place=place,
            path=path,
        )
        for path, place in empty
    ]


def _is_in(spec: _SpecFile, overlays: Sequence[str]) -> bool:
    """Whether an environment has the spec. `local` counts only where `only` names it."""
    only = _only(spec)
    asked = [name for name in overlays if name != LOCAL]
    return not only or not asked or any(name in only for name in overlays)


def _duplicate(spec: _SpecFile, first: _SpecFile) -> Diagnostic:
    assert spec.tree is not None and first.tree is not None
    node = first.tree.get("name")
    line = node.place.line if node else 1
    here = spec.tree.get("name")
    return error(
        "spec/duplicate-name",
        f"{quote(spec.name)} is the name of {quote(first.shown, 200)}:{line} too",
        hint="give one of them another name",
        place=here.place if here else spec.tree.place,
        path="name",
    )


def _selectors(selectors: Sequence[str]) -> tuple[dict[str, str], list[Diagnostic]]:
    labels: dict[str, str] = {}
    found = []
    for selector in selectors:
        for part in selector.split(","):
            key, equals, value = part.partition("=")
            if equals and key.strip():
                labels[key.strip()] = value.strip().lstrip("=")
            else:
                found.append(
                    error(
                        "spec/selector", f"{quote(part)} is no selector", hint="write -l key=value"
                    )
                )
    return labels, found


def _has_labels(merged: Mapping, labels: dict[str, str]) -> bool:
    for key, value in labels.items():
        node = at(merged, ("labels", key))
        if not isinstance(node, Scalar) or str(node.raw) != value:
            return False
    return True
