"""How is a table of facts read? Once, when first asked for, from the JSON beside this file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Source:
    """Where a row is from. `date` (ISO) is None where `source` is "unverified"."""

    source: str
    date: str | None

    @property
    def verified(self) -> bool:
        return self.source != UNVERIFIED


@cache
def table(name: str) -> Any:
    """The parsed JSON of `data/<name>.json`; callers turn rows into their own types."""
    return json.loads((Path(__file__).parent / "data" / f"{name}.json").read_text(encoding="utf-8"))


def source_of(row: dict[str, Any]) -> Source:
    return Source(row["source"], row["date"])
