"""How is a table of facts read? Once, when first asked for, from the JSON beside this file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

UNVERIFIED = "unverified"

_FOLDER = Path(__file__).parent / "data"


class Source(Struct, frozen=True):
    """Where a row is from. `date` (ISO) is None where `source` is "unverified"."""

    source: str
    date: str | None

    @property
    def verified(self) -> bool:
        return self.source != UNVERIFIED


@cache
def table(name: str) -> Any:
    """The parsed JSON of `data/<name>.json`; callers turn rows into their own types."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def source_of(row: dict[str, Any]) -> Source:
    return Source(row["source"], row["date"])


def names() -> tuple[str, ...]:
    """All tables, as `table` takes them."""
    files = sorted(_FOLDER.rglob("*.json"))
    return tuple(file.relative_to(_FOLDER).with_suffix("").as_posix() for file in files)


@cache
def version() -> str:
    """Twelve digits that change with any row of any table, whatever the layout of its file."""
    import hashlib

    content = json.dumps({name: table(name) for name in names()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
