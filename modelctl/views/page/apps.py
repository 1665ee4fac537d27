"""What does a page say of each app that is not as its spec? Action, reasons, fields, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from modelctl.assess.rows import Report
from modelctl.plan import HOURS_A_MONTH, LEFT_ALONE, Action, Change, FieldChange, Plan
from modelctl.views.alike import alike, together
from modelctl.views.human.changes import values
from modelctl.views.human.money import named
from modelctl.views.human.words import first
from modelctl.views.page.memory import Memories, of_report
from modelctl.views.page.words import Figure, hourly, monthly, signed, spoken

_NAMED = 2


class Kind(Struct, frozen=True):
    """How an action is shown: a sign, its word, the class of its colour, and what it means."""

    sign: str
    word: str
    tone: str
    means: str


KINDS = {
    Action.CREATE: Kind("+", "create", "good", "a new app is deployed"),
    Action.IN_PLACE: Kind("~", "in place", "some", "scaled as it runs: no new version"),
    Action.REDEPLOY: Kind("±", "redeploy", "some", "a new version beside the one that serves"),
    Action.RECREATE: Kind("±", "recreate", "some", "stopped first, then started as a new version"),
    Action.DELETE: Kind("−", "delete", "bad", "no spec has it any more"),
    Action.DRIFT: Kind("!", "drift", "odd", "somebody changed it past modelctl"),
    Action.HELD: Kind("‖", "held", "calm", "a person holds it; apply leaves it as it is"),
    Action.BLOCKED: Kind("×", "blocked", "bad", "apply refuses it, for the reason beside it"),
    Action.FOREIGN: Kind("×", "foreign", "bad", "an app of this name belongs to somebody else"),
}


class Field(Struct, frozen=True):
    path: str
    before: str
    after: str
    was_set: bool
    is_set: bool


class App(Struct, frozen=True):
    """`brief` are the fields of the overview, their values shortened; `more` counts those that it
    has no room for. `delta` is USD a month."""

    anchor: str
    name: str
    kind: Kind
    left_alone: bool
    version: int | None
    url: str
    reasons: tuple[str, ...]
    impact: tuple[str, ...]
    fields: tuple[Field, ...]
    brief: tuple[Field, ...]
    more: int
    delta: str
    before: Figure | None
    after: Figure | None
    month: Figure | None
    dearest: Figure | None
    at_max: Figure | None
    memory: Memories | None

    @property
    def more_to_say(self) -> bool:
        """Whether the overview has no room for all that is to be said of it."""
        shortened = any(one not in self.fields for one in self.brief)
        return bool(self.memory or self.impact or self.more or shortened)


class Row(Struct, frozen=True):
    """An app of the overview; or several that change in the same way: `app` is what they are
    together, `names` the first of them."""

    app: App
    several: tuple[App, ...] = ()
    names: str = ""


class Group(Struct, frozen=True):
    title: str
    rows: tuple[Row, ...]


class Count(Struct, frozen=True):
    number: int
    kind: Kind


def changed(result: Plan, reports: Mapping[str, Report]) -> tuple[App, ...]:
    """In the order of the plan, the anchors numbered: a name is no part of an address."""
    return tuple(
        _app(f"app-{number}", change, reports.get(change.name))
        for number, change in enumerate(_shown(result), 1)
    )


def _shown(result: Plan) -> list[Change]:
    return [c for c in result.changes if c.action is not Action.UNCHANGED]


def groups(result: Plan, found: Sequence[App]) -> tuple[Group, ...]:
    """What apply would do, and what it would leave as it is; `found` are the apps that change."""
    titles = {False: "Apply changes these", True: "Apply leaves these as they are"}
    pairs = zip(_shown(result), found, strict=True)
    rows = [_row(several) for several in alike(pairs, lambda pair: pair[0])]
    both = (
        Group(title, tuple(row for row in rows if row.app.left_alone is alone))
        for alone, title in titles.items()
    )
    return tuple(group for group in both if group.rows)


def _row(several: Sequence[tuple[Change, App]]) -> Row:
    apps = tuple(app for _, app in several)
    if len(apps) == 1:
        return Row(apps[0])
    names = [app.name for app in apps]
    whole = _app("", together([change for change, _ in several]), None)
    return Row(whole, apps, named("", names))


def counts(result: Plan) -> tuple[Count, ...]:
    found = Counter(c.left or c.action for c in result.changes)
    kinds: dict[str, Kind] = {action: kind for action, kind in KINDS.items() if found[action]}
    for left in sorted(what for what in found if not isinstance(what, Action)):
        kinds[left] = Kind(KINDS[Action.DELETE].sign, left, "calm", "apply leaves it as it is")
    return tuple(Count(found[what], kind) for what, kind in kinds.items())


def unchanged(result: Plan) -> tuple[Change, ...]:
    return tuple(c for c in result.changes if c.action is Action.UNCHANGED)


def _field(change: FieldChange, before: str, after: str) -> Field:
    return Field(change.path, before, after, change.before is not None, change.after is not None)


def _app(anchor: str, change: Change, report: Report | None) -> App:
    fields = tuple(_field(f, spoken(f.before), spoken(f.after)) for f in change.fields)
    # The reasons of a drift say its fields already, with what lives.
    said = () if change.action is Action.DRIFT and change.reasons else change.fields
    brief = tuple(_field(f, *values(f)) for f in first(said, _NAMED)[0])
    cost = change.cost
    difference = ((cost.after or 0) - (cost.before or 0)) * HOURS_A_MONTH
    known = cost.before is not None or change.action is Action.CREATE
    waits = bool(change.left)
    return App(
        anchor=anchor,
        name=change.name,
        kind=KINDS[change.action],
        left_alone=change.does in LEFT_ALONE or waits,
        version=change.version,
        url=change.url or "",
        reasons=change.reasons,
        impact=change.impact,
        fields=fields,
        brief=brief,
        more=len(said) - len(brief),
        delta=signed(difference) if known and round(difference) and not waits else "",
        before=None if cost.before is None else hourly(cost.before),
        after=None if cost.after is None else hourly(cost.after),
        month=None if cost.after is None else monthly(cost.after, HOURS_A_MONTH),
        dearest=hourly(dearest) if (dearest := cost.dearest or 0) > (cost.after or 0) else None,
        at_max=None if cost.at_max is None else hourly(cost.at_max),
        memory=None if report is None else of_report(report),
    )
