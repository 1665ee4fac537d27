"""How does status read? Sync and health are two things; URLs stand where they can be copied."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.views.paint import Paint
from modelctl.views.rows import StatusRow


def status(rows: Sequence[StatusRow], where: str, *, paint: Paint) -> str:
    """One row an app: sync and health are two things. URLs below, where they can be copied."""
    if not rows:
        return f"{where}: no apps"
    heads = ("", "sync", "health", "live", "version")
    cells = [
        (r.name, r.sync, r.health, r.live, f"v{r.version}" if r.version else "-") for r in rows
    ]
    columns = [max(len(line[i]) for line in [heads, *cells]) + 2 for i in range(len(heads))]
    colours = {"in sync": "green", "healthy": "green", "asleep": "dim", "not deployed": "yellow"}
    lines = [
        paint(where, "bold"),
        "  " + "".join(f"{h:<{w}}" for h, w in zip(heads, columns, strict=True)).rstrip(),
    ]
    for line in cells:
        padded = [f"{c:<{w}}" for c, w in zip(line, columns, strict=True)]
        padded[1:3] = [
            paint(p, colours.get(c, "yellow")) for p, c in zip(padded[1:3], line[1:3], strict=True)
        ]
        lines.append("  " + "".join(padded).rstrip())
    urls = [r for r in rows if r.url]
    if urls:
        lines += ["", *(f"  {r.name:<{columns[0]}}{r.url}/v1" for r in urls)]
    return "\n".join(lines)
