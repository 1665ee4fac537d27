"""Is what a person did by hand still to be kept, and how is that said?"""

from __future__ import annotations

from modelctl.record import Entry, Hold


def active(entry: Entry | None, now: str) -> Hold | None:
    """The app's hold while it lasts. Times compare as text: all are ISO 8601 in UTC."""
    hold = entry.hold if entry else None
    if hold is None or (hold.until is not None and hold.until <= now):
        return None
    return hold


def words(hold: Hold) -> str:
    """`rolled back to v6 by ana, "latency", until 2026-11-24 09:00 UTC`."""
    why = f', "{hold.why}"' if hold.why else ""
    return f"{hold.did} by {hold.who}{why}, {until(hold)}"


def until(hold: Hold) -> str:
    if hold.until is None:
        return "until released"
    return f"until {hold.until[:10]} {hold.until[11:16]} UTC"
