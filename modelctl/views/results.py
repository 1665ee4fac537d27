"""What does a command hand to whoever writes it down? One value a result, the same for each format.

A place's file is as the diagnostics say it: relative to the working folder where it is below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from modelctl.apply import Outcome
from modelctl.assess import Assessed
from modelctl.assess.bill import Bill
from modelctl.diagnostics import Diagnostic, Place
from modelctl.plan import Plan
from modelctl.views.rows import StatusRow


class Validated(Struct, frozen=True):
    """`files` are the specs that were read, `environments` those that they were checked in."""

    diagnostics: Sequence[Diagnostic]
    files: Sequence[str] = ()
    environments: Sequence[str] = ()
    seconds: float = 0.0
    bills: Sequence[Bill] = ()


class Planned(Struct, frozen=True):
    """`warnings` are of the specs; `lacking` is what they name and the environment does not have.

    `environment` is its name in the project: `prod`, "" where there is one without a name.
    `assessed` holds, by the app's name, what its spec means, what fills each GPU, and what it
    costs; `places` where its spec begins.
    """

    plan: Plan
    environment: str = ""
    warnings: Sequence[Diagnostic] = ()
    lacking: Sequence[Diagnostic] = ()
    assessed: Mapping[str, Assessed] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def found(self) -> Sequence[Diagnostic]:
        return (*self.warnings, *self.lacking)


class Applied(Struct, frozen=True):
    """`outcomes` is empty where nothing was to be done, or the plan must not be carried out.

    `options` say where it applies, to be typed again: `--env prod`.
    """

    planned: Planned
    outcomes: Sequence[Outcome] = ()
    seconds: float = 0.0
    options: str = ""


class Standing(Struct, frozen=True):
    """Where every app is. `modal_environment` is what Modal calls it, `where` says it in words, and
    `environment` is its name in the project. `broken` are the files of specs with
    errors, which nothing is compared with, and how many errors each has. `paid`: what runs is on
    Modal's bill."""

    rows: Sequence[StatusRow]
    modal_environment: str
    where: str
    environment: str = ""
    broken: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    paid: bool = True


class Stopped(Struct, frozen=True):
    """A command could not go on: there is no plan, no outcome, no status.

    Either `diagnostics` say why, or `message` does, and `hint` the way out. `code` is what the
    command exits with.
    """

    command: str
    environment: str
    code: int
    message: str = ""
    hint: str = ""
    diagnostics: Sequence[Diagnostic] = ()


Result = Validated | Planned | Applied | Standing | Stopped
