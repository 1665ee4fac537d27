"""Where may containers run? The clouds that Modal names."""

from __future__ import annotations

from modelctl.facts.tables import table


def clouds() -> tuple[str, ...]:
    return tuple(table("places")["clouds"]["names"])
