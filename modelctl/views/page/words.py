"""How are values, figures and times written on a page?"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from modelctl.views.human.words import plain

_LONGEST = 600


class Figure(Struct, frozen=True):
    """What is read, and the number behind it, as the JSON output has it; None for none."""

    text: str
    exact: float | None = None


def text(value: str) -> str:
    """Without characters that change how what stands around them is read."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in value)


def spoken(value: object) -> str:
    """A field's value, as a spec would say it, not longer than can be read."""
    said = plain(value)
    if len(said) <= _LONGEST:
        return said
    return f"{said[:_LONGEST]}… and {len(said) - _LONGEST:,} more characters"


def moment(at: str) -> str:
    """`2026-11-21T12:00:00Z` → `21 November 2026, 12:00 UTC`."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return at
    return f"{found.day} {found:%B %Y, %H:%M} UTC"


def monthly(usd_per_hour: float, hours: int) -> Figure:
    month = usd_per_hour * hours
    return Figure(f"${month:,.0f}", month)


def hourly(usd_per_hour: float) -> Figure:
    return Figure(f"${usd_per_hour:,.2f}", usd_per_hour)


def signed(usd: float) -> str:
    return f"{'+' if usd > 0 else '−'}${abs(usd):,.0f}"
