"""Until when? `9:00`, `2h`, `mon`, `2026-11-24`: what a person types, as a time in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_LASTS = re.compile(r"(?P<count>\d+(?:\.\d+)?)(?P<unit>[mhd])")
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMS = "say 9:00, 2h, 3d, mon, 2026-11-24 or 2026-11-24T09:00"


def until(text: str, now: datetime) -> str:
    """`2026-11-24T08:00:00Z`. `now` is the time here, without a zone.

    A time of day is the next one, a day is its beginning; both are of the time zone here. Raises
    ValueError with the sentence.
    """
    found = _meant(text.strip().lower(), now)
    if found is None:
        raise ValueError(f"--until {text} is no time: {FORMS}")
    if found <= now.astimezone(UTC):
        raise ValueError(f"--until {text} is over: {FORMS}")
    return f"{found:%Y-%m-%dT%H:%M:%SZ}"


def _meant(text: str, now: datetime) -> datetime | None:
    try:
        if lasts := _LASTS.fullmatch(text):
            minutes = float(lasts["count"]) * _MINUTES[lasts["unit"]]
            return now.astimezone(UTC) + timedelta(minutes=minutes)
        if clock := _CLOCK.fullmatch(text):
            today = now.replace(
                hour=int(clock["hour"]), minute=int(clock["minute"]), second=0, microsecond=0
            )
            return (today if today > now else today + timedelta(days=1)).astimezone(UTC)
        if (day := _weekday(text)) is not None:
            ahead = (day - now.weekday() - 1) % 7 + 1
            begins = now.replace(hour=0, minute=0, second=0, microsecond=0)
            return (begins + timedelta(days=ahead)).astimezone(UTC)
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _weekday(text: str) -> int | None:
    """`mon` and `monday`: the next one, never today."""
    return next((n for n, day in enumerate(_DAYS) if text in (day, day[:3])), None)
