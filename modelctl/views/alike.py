"""Which apps change in the same way? From a handful on they are shown as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from modelctl.plan import Action, Change, Cost
from modelctl.views.human.money import named

_T = TypeVar("_T")

HANDFUL = 4


class Shown(Struct, frozen=True):
    """An app, or several that change in the same way.

    Of several, `change` is that of one app that is called `40 apps` and costs what they cost
    together; `apps` are the changes themselves.
    """

    change: Change
    apps: tuple[Change, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of several; () for one alone, which is called by its name."""
        return tuple(change.name for change in self.apps) if len(self.apps) > 1 else ()

    @property
    def title(self) -> str:
        """`chat-8b`, `40 apps: chat-00, chat-01, chat-02 and 37 more`."""
        return named(f"{self.change.name}: ", self.names) or self.change.name


def shown(changes: Iterable[Change]) -> list[Shown]:
    return [Shown(together(apps), apps) for apps in alike(changes, lambda change: change)]


def alike(items: Iterable[_T], change_of: Callable[[_T], Change]) -> list[tuple[_T, ...]]:
    """The items whose changes read the same together, where the first of them stands; fewer than a
    handful stay apart, and so does what is to be deleted: nobody should miss a name there."""
    read = [(_reads(change_of(item)), item) for item in items]
    groups: dict[str, list[_T]] = {}
    for words, item in read:
        groups.setdefault(words, []).append(item)
    rows: list[tuple[_T, ...]] = []
    for words, item in read:
        group = groups[words]
        if len(group) < HANDFUL or change_of(item).action is Action.DELETE:
            rows.append((item,))
        elif item is group[0]:
            rows.append(tuple(group))
    return rows


def together(apps: Sequence[Change]) -> Change:
    """The change of all as if they were one app."""
    if len(apps) == 1:
        return apps[0]
    costs = [change.cost for change in apps]
    cost = Cost(
        _sum([c.before for c in costs]),
        _sum([c.after for c in costs]),
        _sum([c.dearest for c in costs]),
        _sum([c.at_max for c in costs]),
    )
    return replace(apps[0], name=f"{len(apps)} apps", cost=cost, version=None, url=None)


def _reads(change: Change) -> str:
    """Everything that is said of a change but its app's name, version, URL and cost."""
    said = (change.action, change.does, change.left, change.reasons)
    return repr((*said, change.fields, change.impact, change.hold))


def _sum(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
