"""How does a spec become something that can be planned? The way of architecture, step by step."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from modelctl.cli.options import Selection
from modelctl.cores import of_each
from modelctl.diagnostics import (
    Diagnostic,
    Rejected,
    Severity,
    error,
    has_errors,
    said_once,
)
from modelctl.spec.load import Loaded, load_all, undeclared
from modelctl.spec.project import find_project, read_policy, shown
from modelctl.spec.wanted import ProjectFile, Wanted

if TYPE_CHECKING:
    from modelctl.assess import Assessed
    from modelctl.assess.bill import Bill
    from modelctl.facts.prices import Prices
    from modelctl.plan import Desired
    from modelctl.weights.lock import Lock


class Broken(Struct, frozen=True):
    """A spec with errors. `name` is its app's, "" where not even that could be read."""

    file: str
    name: str
    errors: int


class Checked(Struct, frozen=True):
    """Specs of one environment that were read, resolved, assessed and checked.

    `broken` are those with errors; what is wrong beside them (a name that no spec has, the lock)
    is in the diagnostics alone. `bills` has one for each environment. `locked` are the engines of
    modelctl.lock, None where the Hub was asked beside it.
    """

    project: ProjectFile
    specs: tuple[tuple[Wanted, Assessed], ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    environments: tuple[str, ...]
    broken: tuple[Broken, ...] = ()
    bills: tuple[Bill, ...] = ()
    locked: frozenset[str] | None = None
    left_out: frozenset[str] = frozenset()

    @property
    def unread(self) -> int:
        """How many specs are in no bill: their form is wrong in every environment."""
        read = {_file_of(wanted) for wanted, _ in self.specs}
        return sum(broken.file not in read for broken in self.broken)


def project_here(policy: str | None = None) -> ProjectFile:
    """The project of this folder. `policy` is a file with what it may not go past either."""
    project = find_project(Path.cwd())
    if policy is None:
        return project
    return replace(project, outside=read_policy(Path(policy)))


def check_all(
    chosen: Selection,
    project: ProjectFile,
    *,
    hashed: bool,
    found_online: Lock | None = None,
    prices: Prices | None = None,
) -> Checked:
    """Read and check the chosen specs; in every environment where none is chosen.

    `hashed` asks for the content of local models too, which rendering needs and validation does
    not. `found_online` speaks of what modelctl.lock lacks; `prices` are Modal's list where none are
    given. Nothing here touches the network.
    """
    from modelctl.assess import assess
    from modelctl.assess.bill import bill_of
    from modelctl.checks import check, check_project, check_together, limits_of
    from modelctl.resolve import resolve
    from modelctl.resolve.sources import sources_beside
    from modelctl.weights.read import model_facts
    from modelctl.weights.remembered import Remembered

    today = datetime.datetime.now(datetime.UTC).date()
    loaded = _load(chosen, project)
    environments = tuple("+".join(result.overlays) for result in loaded)
    found: list[tuple[str, Diagnostic]] = []
    lock, unreadable = _lock(project, found_online)
    of_project = (*unreadable, *check_project(project))
    found += [(environment, d) for environment in environments for d in of_project]
    specs: list[tuple[Wanted, Assessed]] = []
    wrong: dict[str, str] = {}
    bills: list[Bill] = []

    remembered = Remembered()

    def judge(wanted: Wanted) -> tuple[Assessed, list[Diagnostic]]:
        said = wanted.spec.model
        facts = model_facts(
            said.source if said else None,
            wanted.file.parent,
            project.root,
            hashed=hashed,
            revision=said.revision if said else None,
            file=said.file if said else None,
            lock=lock,
            beside=sources_beside(wanted.spec),
            chat_template=wanted.spec.chat_template,
            dockerfile=wanted.spec.image.dockerfile if wanted.spec.image else None,
            remembered=remembered,
        )
        assessed = assess(resolve(wanted, facts), facts, prices)
        problems = check(wanted, assessed, facts, today=today)
        if unreadable:  # what it lacks is not known
            problems = [d for d in problems if d.code != "model/unlocked"]
        return assessed, problems

    read = [wanted for result in loaded for wanted in (*result.wanted, *result.partial)]
    judged = iter(of_each(judge, read))
    for environment, result in zip(environments, loaded, strict=True):
        found += [(environment, d) for d in result.diagnostics]
        here = len(specs)
        for wanted in result.wanted:
            assessed, problems = next(judged)
            found += [(environment, d) for d in problems]
            if has_errors(problems):
                wrong[_file_of(wanted)] = wanted.name
            specs.append((wanted, assessed))
        bill = bill_of(environment, [a for _, a in specs[here:]], limits_of(project))
        bills.append(bill)
        found += [(environment, d) for d in check_together(bill, project)]
        for wanted in result.partial:
            _, problems = next(judged)
            found += [(environment, d) for d in _certain(problems, wanted, result.diagnostics)]
    cwd = Path.cwd()
    everywhere = said_once(found, environments)
    return Checked(
        project=project,
        specs=tuple(specs),
        diagnostics=tuple(everywhere),
        files=tuple(sorted({shown(file, cwd) for result in loaded for file in result.files})),
        environments=environments,
        broken=_broken(loaded, wrong, everywhere),
        bills=tuple(bills),
        left_out=frozenset(loaded[0].left_out),
        locked=None if found_online else frozenset(lock.engines),
    )


def _broken(
    loaded: Sequence[Loaded], wrong: Mapping[str, str], found: Sequence[Diagnostic]
) -> tuple[Broken, ...]:
    """`wrong` are the files of specs that a rule refuses, with their names."""
    names, cwd = dict(wrong), Path.cwd()
    for result in loaded:
        names.update((_file_of(wanted), wanted.name) for wanted in result.partial)
        shown_files = {shown(file, cwd) for file in result.files}
        for d in result.diagnostics:
            if d.is_error and d.place and d.place.file in shown_files:
                names.setdefault(d.place.file, "")
    errors = Counter(d.place.file for d in found if d.is_error and d.place)
    return tuple(Broken(file, names[file], max(1, errors[file])) for file in sorted(names))


def _file_of(wanted: Wanted) -> str:
    return wanted.origins.place(()).file


def load_chosen(chosen: Selection, project: ProjectFile) -> tuple[list[Wanted], list[Diagnostic]]:
    """The chosen specs as each environment has them, also those that are only partly right."""
    loaded = _load(chosen, project)
    specs = [wanted for result in loaded for wanted in (*result.wanted, *result.partial)]
    return specs, list(dict.fromkeys(d for result in loaded for d in result.diagnostics))


def _load(chosen: Selection, project: ProjectFile) -> tuple[Loaded, ...]:
    """What the chosen specs say under each stack of overlays."""
    return load_all(
        chosen.what,
        project,
        _stacks(chosen, project),
        selectors=chosen.labels,
        cwd=Path.cwd(),
        and_local=not chosen.overlays,
    )


def _lock(project: ProjectFile, found_online: Lock | None) -> tuple[Lock, tuple[Diagnostic, ...]]:
    """modelctl.lock, with what was found online for what it lacks; and what is wrong with it."""
    from modelctl.weights.lock import FILE, Lock, read

    online = dict(found_online.sources) if found_online else {}
    try:
        lock = read(project.root, shown(project.root / FILE, Path.cwd()))
    except Rejected as wrong:
        return Lock(online), wrong.diagnostics
    lock = lock or Lock()
    return replace(lock, sources={**online, **lock.sources}), ()


def _certain(
    problems: Sequence[Diagnostic], wanted: Wanted, earlier: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """What is surely wrong with a spec, although some of its values had to be taken out.

    A rule that speaks of a value which somebody wrote is right, unless it depends on the engine or
    the model and these are what could not be read.
    """
    name = _file_of(wanted)
    broken = {_ROOT.split(d.path)[0] for d in earlier if d.place and d.place.file == name}
    unsure = ("engine/", "model/") if broken & {"backend", "model"} else ()
    return [
        d
        for d in problems
        if d.severity is not Severity.NOT_CHECKED
        and _ROOT.split(d.path)[0] not in broken - {"gpu"}
        and d.path
        and not d.code.startswith(unsure)
        and not (d.code == "gpu/missing" and "gpu" in broken)
    ]


_ROOT = re.compile(r"[.\[]")


def _stacks(chosen: Selection, project: ProjectFile) -> list[tuple[str, ...]]:
    """The overlays to check: what was asked for, else every environment of the project."""
    if chosen.overlays:
        return [chosen.overlays]
    declared = tuple(project.project.environments or ())
    return [(name,) for name in declared] or [()]


def one_environment(chosen: Selection, project: ProjectFile) -> Selection:
    """A command that looks at or changes one environment has no default among several."""
    import click

    declared = tuple(project.project.environments or ())
    if chosen.env is None and declared and not chosen.local:
        if len(declared) > 1:
            raise click.UsageError(f"say which environment: --env {' or --env '.join(declared)}")
        return Selection(chosen.what, declared[0], chosen.local, chosen.labels)
    return chosen


def declared_environment(chosen: Selection, project: ProjectFile) -> Selection:
    """The same for a command that reads no specs, which would have said what is not declared."""
    chosen = one_environment(chosen, project)
    must_be_declared(chosen.env, project)
    return chosen


def must_be_declared(env: str | None, project: ProjectFile) -> None:
    """Raise Rejected for an environment that the project file does not have."""
    known = tuple(project.project.environments or ())
    if env is not None and project.file is not None and env not in known:
        raise Rejected([undeclared(env, known)])


class Prepared(Struct, frozen=True):
    """What a command starts from that looks at one environment: everything rendered."""

    project: ProjectFile
    chosen: Selection
    diagnostics: tuple[Diagnostic, ...]
    desired: tuple[Desired, ...]
    bill: Bill
    specs: tuple[tuple[Wanted, Assessed], ...] = ()
    left_out: frozenset[str] = frozenset()


def prepare(
    chosen: Selection,
    templates: str | None = None,
    *,
    allow_unlocked: bool = False,
    policy: str | None = None,
    prices: Callable[[Selection, ProjectFile], Prices | None] = lambda *_: None,
) -> Prepared:
    """Check and render the chosen specs for the one environment that is meant.

    `policy` is a file; `prices` asks for those to count with, None for Modal's list.

    With `allow_unlocked` the Hub is asked for what nothing pins, so that what is planned belongs to
    a commit too; nothing is written. Raises Rejected with every problem where one is an error.
    """
    project = project_here(policy)
    chosen = one_environment(chosen, project)
    online = _found_online(chosen, project) if allow_unlocked else None
    checked = check_all(
        chosen, project, hashed=True, found_online=online, prices=prices(chosen, project)
    )
    desired = desired_apps(checked, Path(templates) if templates else None)
    bill, left_out = checked.bills[0], checked.left_out
    return Prepared(
        project, chosen, checked.diagnostics, tuple(desired), bill, checked.specs, left_out
    )


def prepare_sound(chosen: Selection) -> tuple[Prepared, tuple[Broken, ...]]:
    """Like `prepare`, but of a project with broken specs the others are rendered.

    Raises Rejected where it is not a spec that is wrong: the lock, a name that no spec has.
    """
    project = project_here()
    chosen = one_environment(chosen, project)
    checked = check_all(chosen, project, hashed=True)
    files = {broken.file for broken in checked.broken}
    others = [
        d
        for d in checked.diagnostics
        if d.is_error and d.code.startswith(("spec/", "yaml/", "lock/", "project/"))
        if d.place is None or d.place.file not in files
    ]
    if others:
        raise Rejected(others)
    whole = sound(checked)
    desired, bill = tuple(desired_apps(whole)), checked.bills[0]
    ready = Prepared(project, chosen, checked.diagnostics, desired, bill, whole.specs)
    return ready, checked.broken


def sound(checked: Checked) -> Checked:
    """The same with the specs alone that have no error."""
    files = {broken.file for broken in checked.broken}
    specs = tuple((w, a) for w, a in checked.specs if _file_of(w) not in files)
    return replace(checked, specs=specs, diagnostics=())


def _found_online(chosen: Selection, project: ProjectFile) -> Lock:
    from modelctl.cli.locking import ask_all, named_sources, unlocked
    from modelctl.weights.lock import Lock

    specs, _ = load_chosen(chosen, project)
    known, _ = _lock(project, None)
    named = {n: s for n, s in named_sources(specs).items() if s.needs_listing}
    found = ask_all(unlocked(named, known))
    return Lock({name: answer.locked for name, answer in found.items()})


def some_chosen(checked: Checked) -> None:
    """Raise Rejected where something that was chosen could not be read, or nothing was chosen.

    What else is wrong with a spec does not matter to who takes its app away.
    """
    unread = [
        d for d in checked.diagnostics if d.is_error and d.code.startswith(("spec/", "yaml/"))
    ]
    if unread:
        raise Rejected(unread)
    if checked.specs:
        return
    raise Rejected([error("spec/none-chosen", "no spec has these labels in this environment")])


def desired_apps(checked: Checked, templates: Path | None = None) -> list[Desired]:
    """Render everything; raises Rejected with all diagnostics where one of them is an error."""
    if has_errors(checked.diagnostics):
        raise Rejected(checked.diagnostics)
    from modelctl.cli.fields import said_fields
    from modelctl.plan import Desired
    from modelctl.render import render

    return [
        Desired(
            rendered=render(assessed.resolved, templates=templates),
            fields=said_fields(wanted, assessed, checked.locked),
            usd_per_hour=assessed.warm_usd_per_hour,
            dearest_usd_per_hour=assessed.dearest_usd_per_hour,
            usd_per_hour_at_max=assessed.usd_per_hour_at_max,
            renamed_from=wanted.spec.renamed_from,
        )
        for wanted, assessed in checked.specs
    ]
