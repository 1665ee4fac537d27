"""What does a plan consist of? Plain data: it can be printed, saved, compared and carried out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from modelctl.platform.types import Deployment, Details, Live
from modelctl.record import AppRecord, Fields, Hold, Index
from modelctl.rendered import Rendered
from modelctl.resolved import NO_LIMITS, Limits, Scaling


class Action(StrEnum):
    CREATE = "create"
    IN_PLACE = "in-place"
    REDEPLOY = "redeploy"
    RECREATE = "recreate"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    DRIFT = "drift"
    BLOCKED = "blocked"
    HELD = "held"
    FOREIGN = "foreign"


HOURS_A_MONTH = 730
REFUSED = frozenset({Action.BLOCKED, Action.FOREIGN})
DEPLOYS = frozenset({Action.CREATE, Action.REDEPLOY, Action.RECREATE})
LEFT_ALONE = frozenset({Action.UNCHANGED, Action.HELD, *REFUSED})
NEEDS_PRUNE = "(needs --prune)"


class Desired(Struct, frozen=True):
    """An app as it should be: its text, and what its spec says in the spec's own words.

    `renamed_from` is the name of the app that this one takes the place of.
    """

    rendered: Rendered
    fields: Fields
    usd_per_hour: float | None = None
    dearest_usd_per_hour: float | None = None
    usd_per_hour_at_max: float | None = None
    renamed_from: str | None = None

    @property
    def name(self) -> str:
        return self.rendered.name


class FieldChange(Struct, frozen=True):
    """None: nothing was, or is, said."""

    path: str
    before: object
    after: object


class Cost(Struct, frozen=True):
    """What keep-warm costs an hour, USD, on the first GPU of the list; None where unknown.

    `dearest` is `after` on the dearest of the list, `at_max` with every container that may run.
    """

    before: float | None
    after: float | None
    dearest: float | None = None
    at_max: float | None = None


class Change(Struct, frozen=True):
    """What apply does to one app.

    `does` is what apply carries out: the action itself, or, of drift, what brings the app back.
    `version` is the one that lives now. `scaling` is what the app is to be scaled to. `impact` is
    what it means to those who use the app. `verify`: what lives was never seen to pass its gate,
    and is looked at again. `hold` is what a person did by hand and is kept. `retags`: its tags are
    not its own any more. A deletion is carried out only where it was `asked_for`, and not before
    the app `after` serves.
    """

    name: str
    action: Action
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    cost: Cost = Cost(None, None)
    version: int | None = None
    url: str | None = None
    scaling: Scaling | None = None
    protected: bool = False
    impact: tuple[str, ...] = ()
    verify: bool = False
    hold: Hold | None = None
    retags: bool = False
    drifted_to: Action | None = None
    asked_for: bool = False
    after: str | None = None

    @property
    def does(self) -> Action:
        return self.drifted_to or self.action

    @property
    def left(self) -> str:
        """How a deletion is counted that apply does not carry out; "" for everything else."""
        if self.action is not Action.DELETE or (self.asked_for and not self.protected):
            return ""
        if self.protected:
            return "protected, not deleted"
        asks = any(why.endswith(NEEDS_PRUNE) for why in self.reasons)
        return "to delete with --prune" if asks else "not deleted"


class Plan(Struct, frozen=True):
    """`others` is what keep-warm costs an hour of this project's apps that were not looked at.
    `limits` are those of all apps together; `prices` say whose prices these are. `gone` are apps
    that are written down, and neither live nor have a spec any more. `lost`: nothing is written
    down of apps that live. `notes` say what could not be compared. `paid`: it is on Modal's bill;
    what runs on the local control plane costs nothing, and the figures say what it would."""

    environment: str
    where: str
    changes: tuple[Change, ...]
    others: float = 0.0
    limits: Limits = NO_LIMITS
    prices: str = ""
    gone: tuple[str, ...] = ()
    lost: bool = False
    notes: tuple[str, ...] = ()
    paid: bool = True

    @property
    def pending(self) -> bool:
        """Whether apply would do anything, asked as this plan was."""
        does = {*DEPLOYS, Action.IN_PLACE, Action.DELETE}
        return any(c.does in does and not c.left for c in self.changes)

    def count(self, action: Action) -> int:
        return sum(c.action is action for c in self.changes)

    @property
    def warm_before(self) -> float | None:
        """What keep-warm costs an hour now; None where that was not recorded of every app."""
        lived = [c.cost.before for c in self.changes if c.action is not Action.CREATE]
        known = [cost for cost in lived if cost is not None]
        return self.others + sum(known) if len(known) == len(lived) else None

    @property
    def warm_after(self) -> float:
        return self.others + sum(c.cost.after or 0 for c in self.changes)

    @property
    def at_max(self) -> float | None:
        """USD an hour with every container that may run, of the apps that have a most; None: none
        of them has."""
        known = [c.cost.at_max for c in self.changes if c.cost.at_max is not None]
        return sum(known) if known else None

    @property
    def without_max(self) -> tuple[str, ...]:
        """The apps whose containers nothing limits."""
        gone = {Action.DELETE, *REFUSED}
        return tuple(c.name for c in self.changes if c.cost.at_max is None and c.action not in gone)


class Seen(Struct, frozen=True):
    """What was read for a plan. `details`, `histories` and `records` hold only the apps that
    needed them.

    `secrets` and `volumes` are the names that there are; None where nobody asked, or Modal would
    not say. `now` is the time in ISO 8601, UTC.
    """

    live: Live
    index: Index | None
    details: Mapping[str, Details]
    records: Mapping[str, AppRecord]
    histories: Mapping[str, tuple[Deployment, ...]]
    now: str = ""
    secrets: frozenset[str] | None = None
    volumes: frozenset[str] | None = None
