"""Which GPUs shall there be? ``H100=2,L40S=4`` read and written. Standard library only."""

import re
from collections.abc import Mapping

INVENTORY = "inventory"
"""Under which key the store remembers it."""

_ENTRY = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=(\d{1,6}))?", re.ASCII)


def parse_inventory(text: str) -> dict[str, int]:
    """``H100=2,L40S=4`` as a mapping; raises ValueError with a sentence for anything else."""
    inventory: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        found = _ENTRY.fullmatch(entry)
        if found is None or found[2] is None:
            raise ValueError(
                f"{entry!r} is no entry of an inventory; write TYPE=COUNT: H100=2,L40S=4"
            )
        kind = found[1].upper()
        if kind in inventory:
            raise ValueError(f"{kind} stands twice in the inventory")
        inventory[kind] = int(found[2])
    if not inventory:
        raise ValueError("an inventory names at least one type of GPU; write TYPE=COUNT: H100=2")
    return inventory


def written(inventory: Mapping[str, int]) -> str:
    """What :func:`parse_inventory` reads."""
    return ",".join(f"{kind}={count}" for kind, count in inventory.items())
