"""What does one spec say in one environment, and where does each of its values stand?"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from modelctl.diagnostics import Diagnostic, Place
from modelctl.spec.models import Spec
from modelctl.spec.project_models import Policy, Project
from modelctl.spec.tree import Mapping, Path_, show_path

__all__ = ["Origins", "Path_", "ProjectFile", "Wanted", "show_path"]


class Origins(Protocol):
    """Where values come from. A path that nobody wrote is answered by its nearest ancestor."""

    def place(self, path: Path_, *, key: bool = False) -> Place:
        """The value's place, or its key's where `key` is true."""
        ...

    def written(self, path: Path_) -> Path_:
        """The path as the file has it, where wrong items of a list were taken out before."""
        ...

    def said(self, path: Path_) -> bool:
        """Whether anybody wrote a value at exactly this path."""
        ...

    def layer(self, path: Path_) -> str:
        """Who wrote it: `spec`, `spec, environment prod`, `project defaults`, …; "" for nobody."""
        ...


class OutsidePolicy(Struct, frozen=True):
    """A policy that does not stand in the project. `file` is its path as shown to people."""

    file: str
    policy: Policy
    tree: Mapping | None = None


class ProjectFile(Struct, frozen=True):
    """The project: its root folder and what modelctl.yaml says (None where there is no file).

    `tree` is the same with the place of every value; `diagnostics` are its warnings. `outside` is
    a policy that somebody else keeps.
    """

    root: Path
    file: Path | None
    project: Project
    tree: Mapping | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    outside: OutsidePolicy | None = None

    @property
    def name(self) -> str | None:
        return self.project.project

    @property
    def policies(self) -> tuple[tuple[str, Policy], ...]:
        """Every policy that holds, with what people call it."""
        found = (
            [] if self.project.policy is None else [("the project's policy", self.project.policy)]
        )
        if self.outside is not None:
            found.append((f"the policy of {self.outside.file}", self.outside.policy))
        return tuple(found)


class Wanted(Struct, frozen=True):
    """A spec with every overlay of one environment merged in; defaults are not filled in yet.

    `environment` is how people call it (`prod`, `prod+local`), "" where none is used.
    `file` is the spec's path as shown to people; relative paths of the spec start at its folder.
    """

    name: str
    environment: str
    file: Path
    project: ProjectFile
    spec: Spec
    origins: Origins
