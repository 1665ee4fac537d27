"""What did a boot of this model report? A row of modelctl.lock, and whether it is of this model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

Scalar = str | int | float | bool | None


class Measured(Struct, frozen=True):
    """What one boot reported, in bytes of the fullest GPU, or of main memory where `gpu` is `cpu`.

    `inputs` is the digest of what memory follows from, `alike` of the same without the context, and
    `run` a readable part of it. `model` is the digest of what is known of the model, `commit` where
    it was locked, "" where nothing locks it. `at` is the day of the boot, `app` and `app_version`
    whose it was. Sizes that the engine did not say are None.
    """

    engine: str
    version: str
    gpu: str
    inputs: str
    model: str
    at: str
    app: str
    app_version: int
    alike: str = ""
    commit: str = ""
    weights: int | None = None
    cache: int | None = None
    tokens: int | None = None
    graphs: int | None = None
    compute: int | None = None
    run: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """What a later boot of the same takes the place of; rows stand in this order."""
        return (self.engine, self.version, self.gpu, self.model, self.inputs)


_TEXTS = ("engine", "version", "gpu", "inputs", "alike", "model", "at", "app", "commit")
_SIZES = ("weights", "cache", "tokens", "graphs", "compute")


def as_row(one: Measured) -> dict[str, Any]:
    """What the engine did not say is left out."""
    return {name: value for name, value in asdict(one).items() if value not in (None, "")}


def from_row(row: Any) -> Measured:
    """Raises ValueError, TypeError or KeyError for what `as_row` would not have made."""
    known = set(Measured.__struct_fields__)
    found = {name: value for name, value in row.items() if name in known}
    for name in _TEXTS:
        if not isinstance(found.get(name, ""), str):
            raise ValueError(f"{name} is no text")
    for name in (*_SIZES, "app_version"):
        size = found.get(name, 0)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{name} is no size")
    if not isinstance(found.get("run", {}), dict):
        raise ValueError("run is no mapping")
    return Measured(**found)


def digest(what: Any) -> str:
    """16 hexadecimal digits of plain data."""
    text = json.dumps(what, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
