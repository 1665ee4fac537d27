"""What does a person read who runs this? A project in a folder, and diagnostics as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from modelctl.diagnostics import Diagnostic
from modelctl.spec.load import Loaded, load
from modelctl.spec.project import find_project


def line(d: Diagnostic) -> str:
    """`x.yaml:2:1 error spec/unknown-field: no such field | the hint`"""
    where = f"{d.place.file}:{d.place.line}:{d.place.column} " if d.place else ""
    return f"{where}{d.severity} {d.code}: {d.message}" + (f" | {d.hint}" if d.hint else "")


def lines(found: Iterable[Diagnostic]) -> list[str]:
    return [line(d) for d in found]


class Folder:
    """A project in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def load(
        self,
        *what: str,
        overlays: Sequence[str] = (),
        selectors: Sequence[str] = (),
    ) -> Loaded:
        project = find_project(self.path, self.path)
        return load(what, project, overlays, selectors, cwd=self.path)

    def says(self, *what: str, overlays: Sequence[str] = ()) -> list[str]:
        return lines(self.load(*what, overlays=overlays).diagnostics)
