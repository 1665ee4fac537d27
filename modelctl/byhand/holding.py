"""How does a hold begin where another one holds already? The stricter one keeps both."""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.record import Hold


def joined(before: Hold | None, new: Hold) -> Hold:
    """What was done before still stands, so it is said too; until the later of both."""
    if before is None:
        return new
    keeps = "version" if "version" in (before.keeps, new.keeps) else "scaling"
    did = [one for one in before.did.split(", then ") if not _again(one, new.did)]
    until = None
    if before.until is not None and new.until is not None:
        until = max(before.until, new.until)
    return replace(
        new,
        keeps=keeps,
        did=", then ".join([*did, new.did]),
        until=until,
    )


def _again(before: str, new: str) -> bool:
    """Only where it was rolled back to last counts, and it is held once; scaling adds up."""
    return not before.startswith("scaled") and before.partition(" ")[0] == new.partition(" ")[0]
