"""How do stored weights read? One row a folder: what it is, how large, and who needs it."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.surplus import Shelf
from modelctl.views.human.tables import table
from modelctl.views.human.words import wrapped
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
    longest = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    if sum(longest) + 2 * (len(heads) - 1) <= width:
        shown = table(heads, rows, paint=paint, width=width, right=("size",))
    else:  # one below the other where they do not fit side by side
        shown = "\n".join(
            line
            for source, *more, users in rows
            for line in (source, *wrapped(f"{' · '.join(more)} · needed by {users}", width))
        )
    return f"{paint(where, 'bold')}\n{shown}\n{total / 1e9:,.1f} GB"
