"""Which of the stored weights does nothing need? Pure: from what lives, and what is remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from modelctl.platform.types import Live, StoredWeights
from modelctl.record import Index


class Shelf(Struct, frozen=True):
    """One folder of weights, the live apps that may read it, and whether a spec or lock names it.

    An app may read what any version of it read that a roll-back could bring back.
    """

    weights: StoredWeights
    apps: tuple[str, ...]
    named: bool

    def is_surplus(self, now: datetime, older_than: timedelta) -> bool:
        return not self.apps and not self.named and now - self.weights.newest >= older_than


def shelves(
    stored: Iterable[StoredWeights], live: Live, indexes: Sequence[Index], named: Collection[str]
) -> tuple[Shelf, ...]:
    """`named` are the ends of the folders, commits and digests, that specs and locks name."""
    users = _users(live, indexes)
    return tuple(
        Shelf(
            weights,
            tuple(sorted(users.get(weights.prefix, ()))),
            weights.prefix.strip("/").rpartition("/")[2] in named,
        )
        for weights in sorted(stored, key=lambda weights: weights.prefix)
    )


def unaccounted(live: Live, indexes: Sequence[Index]) -> list[str]:
    """The live apps of which no record says what the version that lives reads."""
    told = {
        name
        for index in indexes
        for name, entry in index.apps.items()
        if _is_live(live, name, entry.app_id)
        and live.apps[name].version in dict(entry.weights or ())
    }
    return sorted(set(live.apps) - told)


def _users(live: Live, indexes: Sequence[Index]) -> Mapping[str, set[str]]:
    users: dict[str, set[str]] = {}
    for index in indexes:
        for name, entry in index.apps.items():
            if _is_live(live, name, entry.app_id):
                for _, folders in entry.weights or ():
                    for folder in folders:
                        users.setdefault(folder, set()).add(name)
    return users


def _is_live(live: Live, name: str, app_id: str) -> bool:
    """An app that was stopped is another one when it comes back: nothing is rolled back to."""
    return name in live.apps and live.apps[name].app_id == app_id
