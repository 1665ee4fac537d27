"""What is one row of status? An app's sync and health, apart, and where it is."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from modelctl.record import Hold


class StatusRow(Struct, frozen=True):
    """`live` reads `1 of 1..4 H100`: containers now, of least and most, and what they ask for.

    `again` is the version whose text the live one is, where it came back. `commit` is of the specs
    that it was deployed from, "" where nobody knows. `usd_per_hour` is what runs now, by the first
    GPU of the list; None where no price is known. `waiting_for` is what is not free, since when.
    `reasons` say why it is not in sync.
    """

    name: str
    sync: str
    health: str
    live: str
    version: int | None
    url: str | None
    gpus: tuple[str, ...] = ()
    container_ids: tuple[str, ...] = ()
    again: int | None = None
    commit: str = ""
    usd_per_hour: float | None = None
    waiting_for: str = ""
    waiting_since: datetime | None = None
    reasons: tuple[str, ...] = ()
    hold: Hold | None = None
