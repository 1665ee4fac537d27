"""What does a second cost? Modal's list prices, and a workspace's own where they were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from modelctl.facts import gpus

OF_THE_WORKSPACE = "the workspace's own prices"
_CORE, _GIB = ("CPU",), ("MEMORY", "RAM")
_NAMED = 3
_FAR_OFF = 100
"""A price that is so many times another is in another unit: it is not taken."""


class Prices(Struct, frozen=True):
    """USD a second: of a card by its name, of a core, of a GiB of memory.

    `words` say whose prices these are; `own` are the names that the workspace itself answered for.
    """

    cards: Mapping[str, float]
    core: float
    gib: float
    words: str
    own: frozenset[str] = frozenset()


@cache
def list_prices() -> Prices:
    """Those of the tables, dated by the oldest of them."""
    machine, cards = gpus.machine(), gpus.gpus()
    sources = [machine.source, *(card.sources["usd_per_second"] for card in cards.values())]
    date = min(source.date for source in sources if source.date)
    return Prices(
        cards={name: card.usd_per_second for name, card in cards.items()},
        core=machine.usd_per_core_second,
        gib=machine.usd_per_gib_second,
        words=f"Modal's list prices of {date}",
    )


def own_prices(rates: Mapping[str, float]) -> Prices:
    """Those that a workspace answered, USD a second by Modal's names; the table fills the gaps."""
    listed = list_prices()
    known = {"CPU": listed.core, "memory": listed.gib, **listed.cards}
    own: dict[str, float] = {}
    # A card's own name comes after its other spellings, so it is what counts.
    for said in sorted(rates, key=lambda name: name in known):
        name, price = _meant(said), rates[said]
        if name in known and known[name] / _FAR_OFF < price < known[name] * _FAR_OFF:
            own[name] = price
    found = {**known, **own}
    return Prices(
        cards={name: found[name] for name in listed.cards},
        core=found["CPU"],
        gib=found["memory"],
        words=_words(own, known, listed.words),
        own=frozenset(own),
    )


def _meant(name: str) -> str:
    plain = name.strip().upper()
    if plain in _CORE:
        return "CPU"
    if plain in _GIB:
        return "memory"
    if plain in gpus.gpus():
        return plain
    choice = gpus.choice(name)
    return choice.card.name if choice else ""


def _words(own: Mapping[str, float], known: Mapping[str, float], listed: str) -> str:
    lacking = [name for name in known if name not in own]
    if not lacking:
        return OF_THE_WORKSPACE
    if not own:
        return f"{listed}: the workspace names no prices of its own"
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return f"{OF_THE_WORKSPACE}; {', '.join(lacking[:_NAMED])}{more} by {listed}"
