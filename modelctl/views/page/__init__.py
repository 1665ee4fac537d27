"""How does a plan read in a browser? One page that needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from modelctl import __version__
from modelctl.assess.report import report_of
from modelctl.plan import Action
from modelctl.views.human.changes import notes
from modelctl.views.page import apps, costs, problems
from modelctl.views.page.words import moment, text
from modelctl.views.results import Planned, Stopped

if TYPE_CHECKING:
    from jinja2 import Environment

    from modelctl.assess.rows import Report
    from modelctl.diagnostics import Diagnostic
    from modelctl.plan import Plan

Page = Planned | Stopped
"""What there is a page of."""

_HERE = Path(__file__).parent
_OPEN_AT_MOST = 12
"""More apps than these are folded at first: the table above them is the overview."""


def of(result: Page, *, commit: str = "", at: str = "") -> str:
    """The page of what `modelctl plan` found, or of why it could not."""
    if isinstance(result, Stopped):
        return stopped(result, commit=commit, at=at)
    changed = {c.name for c in result.plan.changes if c.action is not Action.UNCHANGED}
    reports = [report_of(a) for name, a in result.assessed.items() if name in changed]
    return plan(
        result.plan,
        result.found,
        reports,
        environment=result.environment,
        commit=commit,
        at=at,
    )


def plan(
    result: Plan,
    found: Sequence[Diagnostic] = (),
    reports: Sequence[Report] = (),
    *,
    environment: str = "",
    commit: str = "",
    at: str = "",
) -> str:
    """The whole page as text.

    `found` is what validate and plan warn of. `reports` say what the models of apps take of their
    GPUs, by the names of the apps; of an app without one no memory is shown. `environment` is its
    name in the project, where that is not what Modal calls it. `commit` is what was planned, `at`
    when, in ISO 8601.
    """
    changed = apps.changed(result, {report.name: report for report in reports})
    return _page(
        "plan",
        environment=environment or result.environment,
        where=result.where,
        commit=commit,
        at=at,
        when=moment(at),
        paid=result.paid,
        notes=notes(result),
        gone=result.gone,
        groups=apps.groups(result, changed),
        changed=changed,
        changes=sum(not app.left_alone for app in changed),
        details=tuple(app for app in changed if app.more_to_say),
        counts=apps.counts(result),
        total=len(result.changes),
        unchanged=apps.unchanged(result),
        folded=len(changed) > _OPEN_AT_MOST,
        cost=costs.of(result),
        problems=problems.of(found),
        problem_counts=problems.counts(found),
        kinds=apps.KINDS,
    )


def stopped(result: Stopped, *, commit: str = "", at: str = "") -> str:
    """Why there is no plan."""
    return _page(
        "stopped",
        environment=result.environment,
        commit=commit,
        at=at,
        when=moment(at),
        message=result.message,
        hint=result.hint,
        counts=problems.counts(result.diagnostics),
        problems=problems.of(result.diagnostics),
    )


def _page(name: str, **said: object) -> str:
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    page = _environment().get_template(f"{name}.html.j2")
    return page.render(css=css, css_hash=digest, version=__version__, **said)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=lambda value: text(value) if type(value) is str else value,
    )
