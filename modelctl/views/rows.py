"""What is one row of status? An app's sync and health, apart, and where it is."""

from __future__ import annotations

from msgspec import Struct


class StatusRow(Struct, frozen=True):
    """`live` reads `1 of 1..4`: containers now, of least and most."""

    name: str
    sync: str
    health: str
    live: str
    version: int | None
    url: str | None
    gpus: tuple[str, ...] = ()
    container_ids: tuple[str, ...] = ()
