"""How do stored weights read? One row a folder: what it is, how large, and who needs it."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.surplus import Shelf
from modelctl.views.human.tables import table
from modelctl.views.paint import Paint


def listing(shelves: Sequence[Shelf], where: str, *, paint: Paint, width: int) -> str:
    if not shelves:
        return f"{where}: no weights"
    heads = ("source", "commit", "size", "", "needed by")
    rows = [
        (
            shelf.weights.source,
            shelf.weights.commit[:12],
            f"{shelf.weights.size / 1e9:,.1f} GB"
            if shelf.weights.size >= 1e8
            else f"{shelf.weights.size / 1e6:,.1f} MB",
            "complete" if shelf.weights.complete else "partial",
            ", ".join(shelf.apps) or ("specs" if shelf.named else "nothing"),
        )
        for shelf in shelves
    ]
    total = sum(shelf.weights.size for shelf in shelves)
    shown = table(heads, rows, paint=paint, width=width, right=("size",))
    return f"{paint(where, 'bold')}\n{shown}\n{total / 1e9:,.1f} GB"
