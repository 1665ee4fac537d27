"""Where do a result's files stand in the repository, which is what CI platforms go by?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from modelctl.diagnostics import Diagnostic, Place
    from modelctl.views.results import Planned, Result


def located(result: Result) -> Result:
    """The same with the files as the repository names them, which is what a platform goes by."""
    top = _repository(Path.cwd())

    def file(name: str) -> str:
        path = Path(os.path.normpath(Path.cwd() / name))
        return path.relative_to(top).as_posix() if path.is_relative_to(top) else name

    def place(found: Place) -> Place:
        return replace(found, file=file(found.file))

    def all_of(found: Iterable[Diagnostic]) -> list[Diagnostic]:
        return [replace(d, place=place(d.place)) if d.place else d for d in found]

    def all_places(found: Mapping[str, Place]) -> dict[str, Place]:
        return {name: place(one) for name, one in found.items()}

    def of_plan(found: Planned) -> Planned:
        return replace(
            found,
            warnings=all_of(found.warnings),
            lacking=all_of(found.lacking),
            places=all_places(found.places),
        )

    from modelctl.views.results import Applied, Planned, Standing, Validated

    match result:
        case Validated():
            files = tuple(file(name) for name in result.files)
            return replace(result, diagnostics=all_of(result.diagnostics), files=files)
        case Planned():
            return of_plan(result)
        case Applied():
            return replace(result, planned=of_plan(result.planned))
        case Standing():
            broken = {file(name): errors for name, errors in result.broken.items()}
            return replace(result, broken=broken, places=all_places(result.places))
        case _:
            return replace(result, diagnostics=all_of(result.diagnostics))


def _repository(here: Path) -> Path:
    """Where the repository begins: where CI checked it out, else the folder that has `.git`."""
    said = os.environ.get("GITHUB_WORKSPACE")
    if said and here.is_relative_to(top := Path(said).resolve()):
        return top
    return next((p for p in (here, *here.parents) if (p / ".git").exists()), here)
