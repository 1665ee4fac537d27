"""modelctl import: what would a spec of this app be?"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection

if TYPE_CHECKING:
    from modelctl.diagnostics import Diagnostic
    from modelctl.importing import Imported
    from modelctl.platform.types import LiveApp, Platform
    from modelctl.spec.wanted import ProjectFile


@click.command("import")
@click.argument("what")
@click.option("--env", metavar="NAME", help="The environment of the project.")
@click.option("--local", is_flag=True, help="Use the local control plane.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(),
              help="Where the spec goes; a folder for several.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(what: str, env: str | None, local: bool, out: str | None, force: bool) -> int:
    """Turn a live app, or a Modal file written by hand, into a spec.

    WHAT is a Python file, FILE.py::CLASS for one server of several, or the name of a live app. A
    file is read and never run. What could not be read is said in comments.
    """
    from modelctl.cli.pipeline import declared_environment, project_here
    from modelctl.importing.written import text

    project = project_here()
    path, _, wanted = what.partition("::")
    if path.endswith(".py") or Path(path).is_file():
        chosen = Selection((), env, local)
        found: Sequence[Imported] = _of_file(Path(path), wanted)
    else:
        chosen = declared_environment(Selection((), env, local), project)
        found = asyncio.run(_of_app(what, chosen, project))
    if len(found) > 1 and (out is None or not _is_folder(out)):
        named = " or ".join(f"{path}::{one.server}" for one in found)
        raise click.UsageError(
            f"{what} has {len(found)} servers: say {named}, or -o FOLDER/ for all of them"
        )
    files = [_file(out, one) for one in found]
    if not force and (there := next((f for f in files if f is not None and f.exists()), None)):
        raise click.UsageError(f"{there} is there already; --force writes over it")
    rejected = False
    for one, file in zip(found, files, strict=True):
        rejected |= _deliver(one, text(one), file, chosen, project)
    return Exit.REJECTED if rejected else Exit.DONE


def _is_folder(out: str) -> bool:
    return out.endswith("/") or Path(out).is_dir()


def _file(out: str | None, one: Imported) -> Path | None:
    if out is None:
        return None
    return Path(out, f"{one.fields['name']}.yaml") if _is_folder(out) else Path(out)


def _deliver(
    one: Imported, text: str, file: Path | None, chosen: Selection, project: ProjectFile
) -> bool:
    """Write the spec and what is wrong with it; whether something is."""
    from modelctl.cli.putting import make_folder, put
    from modelctl.cli.said import aside
    from modelctl.diagnostics import has_errors
    from modelctl.views.human import problems
    from modelctl.views.paint import for_stream

    if file is None:
        click.echo(text, nl=False)
        for note in () if sys.stdout.isatty() else one.notes:  # there its comments say it
            aside(f"note: {note.sentence}")
        if sys.stdout.isatty():
            aside("")
    else:
        make_folder(file.parent)
        put(file, text.encode())
        aside(f"{file}")
    found = _problems(one, text, file, chosen, project)
    if found:
        paint, width = for_stream(err=True)
        aside(problems.diagnostics(found, paint=paint, width=width))
    return has_errors(found)


def _problems(
    one: Imported, text: str, file: Path | None, chosen: Selection, project: ProjectFile
) -> list[Diagnostic]:
    """What validate says of it. What only goes to a terminal may have the name of a spec."""
    from modelctl.cli.pipeline import check_all
    from modelctl.diagnostics import Severity

    def checked(path: Path) -> list[Diagnostic]:
        here = Selection((str(path),), chosen.env, chosen.local)
        found = check_all(here, project, hashed=False).diagnostics
        return [d for d in found if d.severity is Severity.ERROR]

    if file is not None:
        return checked(file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{one.fields['name']}.yaml")
        path.write_text(text, encoding="utf-8")
        found = checked(path)
    found = [d for d in found if d.code != "spec/duplicate-name" and not _of_a_path(d, one)]
    return [_elsewhere(d, path.name) for d in found]


def _of_a_path(found: Diagnostic, one: Imported) -> bool:
    """Whether it speaks of a file beside the spec: where the spec will lie is not known yet."""
    first, _, second = found.path.partition(".")
    value = one.fields.get(first)
    if isinstance(value, Mapping):
        value = value.get(second or "source")
    return isinstance(value, str) and value.startswith(("./", "../"))


def _elsewhere(found: Diagnostic, name: str) -> Diagnostic:
    from msgspec.structs import replace

    return replace(found, place=found.place and replace(found.place, file=name))


def _of_file(path: Path, wanted: str) -> tuple[Imported, ...]:
    from modelctl.importing import imported
    from modelctl.importing.source import LARGEST

    with path.open("rb") as file:
        return imported(file.read(LARGEST + 1), str(path), wanted)


async def _of_app(name: str, chosen: Selection, project: ProjectFile) -> Sequence[Imported]:
    from modelctl.cli.logs import find_app
    from modelctl.cli.world import platform_for
    from modelctl.importing.described import from_description
    from modelctl.platform.described import described
    from modelctl.platform.types import NotThere

    name, _, server = name.partition("::")
    platform = platform_for(chosen, project)
    await platform.open()
    app = await find_app(platform, name, chosen.options)
    recorded = await _recorded(platform, app, project)
    if recorded is not None:
        return [recorded]
    found = await described(app, platform.environment)
    if not found:
        raise NotThere(
            f"{name} has no server that Modal describes: its functions may have URLs of their own",
            "modelctl import FILE.py reads the file that it was deployed from",
        )
    chosen_ones = [one for one in found if server in ("", one.name)]
    if not chosen_ones:
        names = ", ".join(one.name for one in found)
        raise NotThere(f"{name} has no server {server}", f"there are {names}")
    return [from_description(name, one, alone=len(found) == 1) for one in chosen_ones]


async def _recorded(platform: Platform, app: LiveApp, project: ProjectFile) -> Imported | None:
    """The spec as this project applied it; None for an app of others."""
    from modelctl import record
    from modelctl.importing.draft import Note
    from modelctl.importing.recorded import from_fields
    from modelctl.rendered import TAG_PROJECT

    details = await platform.details(app)
    if project.name is None or details.tags.get(TAG_PROJECT) != project.name:
        return None
    known = await record.read_app(platform, project.name, app.name)
    lives = known.of(known.entry.digest) if known is not None else None
    if known is None or lives is None:
        return None
    if (lives := known.of(known.entry.digest)) is None:
        return None
    notes = []
    if known.entry.version != app.version:
        notes.append(
            Note(
                "guessed",
                "",
                f"version {app.version} is live, and this is what version {known.entry.version} "
                "was applied as",
            )
        )
    if details.scaling is not None and details.scaling != known.entry.scaling:
        now = details.scaling
        most = now.max_containers if now.max_containers is not None else "any number"
        said = f"{now.min_containers} kept warm and at most {most} now"
        notes.append(Note("not taken", "scaling", f"what was scaled by hand: {said}"))
    secrets = _secrets_of(lives.text)
    return from_fields(app.name, lives.fields, tuple(notes), secrets)


def _secrets_of(text: str) -> dict[str, list[str]]:
    """Secrets without keys: a record's flat fields leave empty lists out, the app has them."""
    from modelctl.importing import imported

    (found,) = imported(text.encode(), "app")
    said = found.fields.get("secrets", {})
    return {name: [] for name in said} if isinstance(said, list) else dict(said)
