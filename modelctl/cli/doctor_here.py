"""What can be known of this machine and this project without asking anybody else?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from modelctl.cli.options import Selection
from modelctl.spec.wanted import ProjectFile
from modelctl.views.findings import Finding
from modelctl.views.human.words import counted

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Checked

MACHINE, PROJECT, MODAL = "this machine", "project", "Modal"
_ROOM = 5e9
"""Bytes on the disk below which a model may have no place."""

_PROXY = ("MODELCTL_PROXY_TOKEN_ID", "MODELCTL_PROXY_TOKEN_SECRET")
_SCHEMAS = {"spec": "modelctl.schema.json", "project": "modelctl.project.schema.json"}


def project_of(chosen: Selection) -> tuple[ProjectFile | None, list[Finding]]:
    """The project of this folder, None where its file is wrong; and what is to be said of it."""
    from modelctl.cli.pipeline import project_here
    from modelctl.diagnostics import Rejected

    try:
        project = project_here()
    except Rejected as wrong:
        errors = sum(d.is_error for d in wrong.diagnostics)
        said = f"modelctl.yaml has {counted(errors, 'error')}"
        return None, [_missing(PROJECT, said, "modelctl validate shows them")]
    if project.file is None:
        hint = "modelctl init begins a project; without one, nothing is ever deleted"
        return project, [_look(PROJECT, "there is no modelctl.yaml here or above", hint)]
    if project.name is None:
        hint = "write project: NAME in it; without one, nothing is ever deleted"
        return project, [_look(PROJECT, "modelctl.yaml names no project", hint)]
    declared = project.project.environments or {}
    if chosen.env is not None and chosen.env not in declared:
        there = f"there are {', '.join(declared)}" if declared else "it declares none"
        said = f"modelctl.yaml declares no environment {chosen.env}"
        return project, [_missing(PROJECT, said, there)]
    return project, [_ok(PROJECT, f"project {project.name} in {project.root}")]


async def machine(chosen: Selection, project: ProjectFile | None) -> list[Finding]:
    """Interpreter, packages, tools, engines, disk and terminal: side by side."""
    checks: list[Callable[[], Sequence[Finding]]] = [python, packages, terminal]
    checks += [lambda: git(project), lambda: disk(project)]
    if project is not None:
        checks += [lambda: engines(project, needed=chosen.local), lambda: plane(project)]
    found = await asyncio.gather(*(asyncio.to_thread(check) for check in checks))
    return [finding for several in found for finding in several]


def python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - a wheel can be run without being installed
        return [_missing(MACHINE, f"Python {version}", "modelctl needs Python 3.11 or later")]
    return [_ok(MACHINE, f"Python {version}")]


def packages() -> list[Finding]:
    """modelctl with the modal beside it, and whether they go together."""
    import modelctl

    own = f"modelctl {modelctl.__version__}"
    try:
        there = metadata.version("modal")
    except metadata.PackageNotFoundError:
        return [_missing(MACHINE, f"{own} without modal", "pip install modal")]
    wanted = _asked_of_modal()
    if wanted and not _within(there, wanted):
        hint = f"pip install 'modal{wanted}'"
        return [_missing(MACHINE, f"{own} does not go with modal {there}", hint)]
    return [_ok(MACHINE, f"{own} with modal {there}")]


def _asked_of_modal() -> str:
    """`<1.7,>=1.6.4`, as this modelctl was installed; "" where it was not."""
    try:
        asked = metadata.requires("modelctl") or []
    except metadata.PackageNotFoundError:
        return ""
    found = (re.fullmatch(r"modal\s*([<>=!~,.0-9 ]+)", one) for one in asked)
    return next((match[1].strip() for match in found if match), "")


def _within(version: str, wanted: str) -> bool:
    """Whether a release is inside of `>=1.6.4,<1.7`; what else stands there is not judged."""

    def parts(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)[:3]]

    here = parts(version)
    for sign, bound in re.findall(r"(>=|<)\s*([0-9.]+)", wanted):
        if (here >= parts(bound)) is not (sign == ">="):
            return False
    return True


def terminal() -> list[Finding]:
    encoding = sys.stdout.encoding or "no encoding"
    if encoding.lower().replace("-", "") == "utf8":
        return [_ok(MACHINE, "text is UTF-8")]
    said = f"text is {encoding} here: what it lacks is shown as ?"
    return [_look(MACHINE, said, "export PYTHONUTF8=1, or a locale such as C.UTF-8")]


def git(project: ProjectFile | None) -> list[Finding]:
    from modelctl.cli.who import commit

    if shutil.which("git") is None:
        hint = "install git: plan --base and the history's commits need it"
        return [_look(MACHINE, "there is no git", hint)]
    if project is None or project.file is None:
        return [_ok(MACHINE, "git")]
    at = commit(project.root)
    if not at:
        hint = "git init, and commit: plan --base and the history's commits need it"
        return [_look(MACHINE, "git, but nothing is committed in this folder", hint)]
    changed = ", and not all of it is committed" if at.endswith("+") else ""
    return [_ok(MACHINE, f"git, at commit {at.rstrip('+')}{changed}")]


def disk(project: ProjectFile | None) -> list[Finding]:
    free = shutil.disk_usage(project.root if project else Path.cwd()).free
    said = f"{free / 1e9:,.0f} GB free on the disk"
    if free < _ROOM:
        hint = (
            "a model of 8 billion parameters has 16 GB; modelctl local down, then remove .modelctl"
        )
        return [_look(MACHINE, said, hint)]
    return [_ok(MACHINE, said)]


def engines(project: ProjectFile, *, needed: bool) -> list[Finding]:
    """Those that --local can run here."""
    from modelctl.cli.world import local_state
    from modelctl.local import engines as known

    found = known.listed(local_state(project))
    there = [f"{e.name} {e.version or ''}".rstrip() for e in found if e.where is not None]
    if there:
        return [_ok(MACHINE, f"for --local: {', '.join(there)}")]
    state = _missing if needed else _look
    return [state(MACHINE, "there is no engine for --local", found[0].install)]


def plane(project: ProjectFile) -> list[Finding]:
    """The local control plane: it takes any free port, so that none can be taken by others."""
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle

    state = local_state(project)
    running = lifecycle.status(state)
    if running is not None:
        return [_ok(MACHINE, f"the local control plane runs at {running.url}")]
    folder = next(f for f in (state, *state.parents) if f.is_dir())
    if not os.access(folder, os.W_OK):
        hint = "set MODELCTL_LOCAL_DIR to a folder that can be written"
        return [_look(MACHINE, f"the local control plane cannot use {state}", hint)]
    return [_ok(MACHINE, "the local control plane is down: modelctl local up starts it")]


class Specs(Struct, frozen=True):
    """`token` is about the proxy token that gates need; `unlocked` are models of the Hub that are
    to be asked about; `gated` are those that the lock says not everybody may read."""

    found: tuple[Finding, ...]
    token: tuple[Finding, ...] = ()
    unlocked: tuple[str, ...] = ()
    gated: tuple[str, ...] = ()


def specs(chosen: Selection, project: ProjectFile) -> Specs:
    """The specs, their lock, and the schemas that an editor reads."""
    from modelctl.cli.pipeline import check_all

    if not (project.root / "specs").is_dir():
        nothing = _look(PROJECT, "there are no specs", "modelctl init writes the first one")
        return Specs((nothing,))
    checked = check_all(Selection((), chosen.env, chosen.local), project, hashed=False)
    errors = sum(d.is_error for d in checked.diagnostics)
    warnings = sum(d.severity.value == "warning" for d in checked.diagnostics)
    many = counted(len(checked.files), "spec")
    if errors:
        said = f"{many} with {counted(errors, 'error')}"
        found = [_missing(PROJECT, said, "modelctl validate shows them")]
    elif warnings:
        said = f"{many} with {counted(warnings, 'warning')}"
        found = [_look(PROJECT, said, "modelctl validate shows them")]
    else:
        found = [_ok(PROJECT, f"{many} without an error or a warning")]
    unlocked = [d for d in checked.diagnostics if d.code == "model/unlocked"]
    if unlocked:
        said = f"{counted(len(unlocked), 'model')} not in modelctl.lock"
        found.append(_look(PROJECT, said, "modelctl lock writes down which commit is meant"))
    elif (project.root / "modelctl.lock").is_file():
        found.append(_ok(PROJECT, "modelctl.lock has every model"))
    sources, gated = _of_the_hub(checked, project)
    return Specs(
        (*found, *schemas(project)),
        tuple(proxy_token(checked)) if not chosen.local else (),
        sources,
        gated,
    )


def _of_the_hub(checked: Checked, project: ProjectFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Models of the Hub that the lock lacks, and those that it says are not open."""
    from modelctl.diagnostics import Rejected
    from modelctl.weights.lock import Lock, key, read

    try:
        lock = read(project.root) or Lock()
    except Rejected:
        lock = Lock()
    unlocked, gated = set(), set()
    for wanted, _ in checked.specs:
        model = wanted.spec.model
        if model is None or not (model.source or "").startswith("hf://"):
            continue
        source = model.source or ""
        locked = lock.sources.get(key(source, model.revision))
        if locked is None:
            unlocked.add(source)
        elif locked.access:
            gated.add(source)
    return tuple(sorted(unlocked)), tuple(sorted(gated))


def proxy_token(checked: Checked) -> list[Finding]:
    """What a look through the URL needs, where a spec has Modal's own auth."""
    if not any(assessed.resolved.endpoint.auth == "proxy" for _, assessed in checked.specs):
        return []
    lacking = [name for name in _PROXY if not os.environ.get(name)]
    if not lacking:
        return [_ok(MODAL, "a proxy token, to look at endpoints through their URLs")]
    said = f"no proxy token ({' and '.join(lacking)} not set): after an apply, nobody looks at "
    said += "health, auth and latency through the URL"
    hint = "make one in the settings of the Modal workspace, under Proxy Auth Tokens"
    return [_look(MODAL, said, hint)]


def schemas(project: ProjectFile) -> list[Finding]:
    """Whether the schemas that an editor reads are those of this version."""
    from modelctl.spec.schema import schema_json

    found = []
    kinds: Mapping[str, object] = {"spec": schema_json("spec"), "project": schema_json("project")}
    for kind, name in _SCHEMAS.items():
        file = project.root / name
        if not file.is_file():
            continue
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # no schema that an editor can read
            there = None
        if there != kinds[kind]:
            hint = f"modelctl schema {kind} > {name}"
            found.append(_look(PROJECT, f"{name} is of another version of modelctl", hint))
    if not found and (project.root / _SCHEMAS["spec"]).is_file():
        found.append(_ok(PROJECT, "the schemas for an editor are of this version"))
    return found


def _ok(area: str, said: str) -> Finding:
    return Finding(area, "ok", said)


def _look(area: str, said: str, hint: str) -> Finding:
    return Finding(area, "attention", said, hint)


def _missing(area: str, said: str, hint: str) -> Finding:
    return Finding(area, "missing", said, hint)
