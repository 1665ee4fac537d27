"""How does a hold begin where another one holds already? The stricter one keeps both."""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.record import Hold


def joined(before: Hold | None, new: Hold) -> Hold:
    """What was done before still stands, so it is said too; until the later of both."""
    if before is None:
        return new
    keeps = "version" if "version" in (before.keeps, new.keeps) else "scaling"
    past, last = before.did.split(", then "), new.did
    if last.startswith(_SCALED):
        said = [one for one in past if one.startswith(_SCALED)]
        past, last = [one for one in past if one not in said], _scaled(*said, last)
    did = [one for one in past if not _again(one, last)]
    until = None
    if before.until is not None and new.until is not None:
        until = max(before.until, new.until)
    return replace(
        new,
        keeps=keeps,
        did=", then ".join([*did, last]),
        until=until,
    )


_SCALED = "scaled to "


def _scaled(*did: str) -> str:
    """Of each thing what it was scaled to last."""
    found: dict[str, str] = {}
    for part in ", ".join(one.removeprefix(_SCALED) for one in did).split(", "):
        what, _, count = part.rpartition(" ")
        found[what] = count
    return _SCALED + ", ".join(f"{what} {count}" for what, count in found.items())


def _again(before: str, new: str) -> bool:
    """Only where it was rolled back to last counts, and it is held once; scaling stays as it is."""
    return not before.startswith(_SCALED) and before.partition(" ")[0] == new.partition(" ")[0]
