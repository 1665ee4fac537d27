"""What did apps cost, beside what plan said, and how does that read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from modelctl.views.human.money import NOT_PAID
from modelctl.views.human.words import counted, wrapped
from modelctl.views.paint import Paint

_BAR = 20

ON_PROCESSOR = "what ran on this machine's processor is counted without a GPU"


class Spent(Struct, frozen=True):
    """One app. `planned` is `warm` (USD an hour of keep_warm, as plan says it) times the `hours`
    that the app lived in the span; None where nobody knows, and `note` says why.
    """

    name: str
    usd: float
    planned: float | None = None
    warm: float | None = None
    hours: float | None = None
    note: str = ""


class Spending(Struct, frozen=True):
    """One environment. `others` is what apps cost there that are not this project's; `not_asked` is
    why there are no figures, "" where there are. `paid`: it is Modal's bill, and not what the local
    control plane says that it would be.
    """

    environment: str
    where: str
    apps: tuple[Spent, ...] = ()
    others: float = 0.0
    not_asked: str = ""
    paid: bool = True

    @property
    def usd(self) -> float:
        return sum(app.usd for app in self.apps)

    @property
    def planned(self) -> float:
        return sum(app.planned or 0.0 for app in self.apps)


def text(
    found: Sequence[Spending], since: datetime, until: datetime, *, paint: Paint, width: int
) -> str:
    """An environment after the other, an app a line; what the figures mean stands below."""
    span = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    blocks = [_environment(one, span, paint, width) for one in found]
    asked = [one for one in found if not one.not_asked]
    if len(asked) > 1:
        total = sum(one.usd for one in asked)
        blocks.append(f"{money(total)} in {counted(len(asked), 'environment')}")
    if any(one.apps and not one.paid for one in asked):
        blocks.append("\n".join(paint(line, "dim") for line in wrapped(ON_PROCESSOR, width)))
    if any(app.planned is not None for one in asked for app in one.apps):
        said = (
            "planned: what keep_warm costs, as plan says it, for as long as the app lived; "
            "▓ cost, ░ planned and not used, █ past what was planned"
        )
        blocks.append("\n".join(paint(line, "dim") for line in wrapped(said, width)))
    return "\n\n".join(blocks)


def _environment(one: Spending, span: str, paint: Paint, width: int) -> str:
    head = f"{one.where} · {span}"
    parts = [head] if len(head) <= width else [one.where, f"  {span}"]
    lines = [paint(part, "bold") for part in parts]
    if one.not_asked:
        return "\n".join([*lines, *wrapped(f"not asked: {one.not_asked}", width)])
    if not one.apps:
        lines.append("  nothing of this project cost anything")
    if not one.paid:
        lines.append(NOT_PAID)
    names = [app.name for app in one.apps]
    names += ["this project"] if len(one.apps) > 1 else []
    names += ["others"] if one.others else []
    column = max(map(len, names), default=0)
    most = max((max(app.usd, app.planned or 0.0) for app in one.apps), default=0.0)
    if one.apps:
        lines.append(paint(f"  {'':<{column}}  {'cost':>10}  {'planned':>10}", "dim"))
    for app in one.apps:
        planned = "-" if app.planned is None else money(app.planned)
        line = f"  {app.name:<{column}}  {money(app.usd):>10}  {planned:>10}  "
        beside = "  ".join(filter(None, (bar(app, most), _share(app), app.note)))
        if len(line + beside) <= width:
            lines.append((line + beside).rstrip())
            continue
        lines.append((line + "  ".join(filter(None, (bar(app, most), _share(app))))).rstrip())
        below = " " * (column + 2)
        lines += [f"{below}{part}" for part in wrapped(app.note, width - len(below))]
    if len(one.apps) > 1:
        planned = money(one.planned) if any(a.planned is not None for a in one.apps) else "-"
        lines.append(f"  {'this project':<{column}}  {money(one.usd):>10}  {planned:>10}")
    if one.others:
        lines.append(f"  {'others':<{column}}  {money(one.others):>10}")
    return "\n".join(lines)


def _share(app: Spent) -> str:
    return f"{app.usd / app.planned:.0%} of it" if app.planned else ""


def bar(app: Spent, most: float) -> str:
    """The cost and what was planned, on the scale of the dearest; "" where nothing cost."""
    if most <= 0:
        return ""
    cost = round(app.usd / most * _BAR)
    planned = cost if app.planned is None else round(app.planned / most * _BAR)
    within = min(cost, planned)
    return f"{'▓' * within}{'█' * (cost - within)}{'░' * (planned - within)}".ljust(_BAR)


def money(usd: float) -> str:
    """`$12.40`; under a cent to four digits: `$0.0031`."""
    return f"${usd:,.4f}" if 0 < usd < 0.01 else f"${usd:,.2f}"


def data(found: Sequence[Spending], since: datetime, until: datetime) -> Mapping[str, object]:
    """The same for programs."""
    return {
        "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        "environments": [
            {
                "environment": one.environment,
                "where": one.where,
                "paid": one.paid,
                "not_asked": one.not_asked or None,
                "usd": one.usd,
                "others_usd": one.others,
                "apps": [
                    {
                        "name": app.name,
                        "usd": app.usd,
                        "planned_usd": app.planned,
                        "warm_usd_per_hour": app.warm,
                        "hours": app.hours,
                        "note": app.note,
                    }
                    for app in one.apps
                ],
            }
            for one in found
        ],
    }
