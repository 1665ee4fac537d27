"""What is a mapping of the spec made of? The class of all of them, and words that several use."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

SCALAR = bool | int | float | str
ARGUMENT = SCALAR | list[SCALAR] | dict[str, Any]
"""What a flag may be given; a mapping is written as JSON."""

NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class Shape(BaseModel):
    """A mapping of the spec. Unknown keys and wrong types are errors; nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, protected_namespaces=(), defer_build=True
    )

    __short__: ClassVar[str | None] = None
    """The field that a bare value stands for: `backend: vllm` means `backend: {name: vllm}`."""


def plain(shape: Shape) -> dict[str, Any]:
    """What was said, as plain data; what was not said is left out."""
    return shape.model_dump(by_alias=True, exclude_none=True)
