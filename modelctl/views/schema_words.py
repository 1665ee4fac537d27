"""How is a JSON Schema written that has words for each field?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def text(says: str) -> Schema:
    return {"type": "string", "description": says}


def maybe(what: Schema) -> Schema:
    """The same, or null."""
    if "type" in what:
        return {**what, "type": [what["type"], "null"]}
    said = {key: what[key] for key in ("description",) if key in what}
    return {**said, "anyOf": [what, {"type": "null"}]}


def number(says: str) -> Schema:
    return {"type": "number", "description": says}


def whole(says: str) -> Schema:
    return {"type": "integer", "description": says}


def yes(says: str) -> Schema:
    return {"type": "boolean", "description": says}


def one_of(words: tuple[str, ...], says: str) -> Schema:
    return {"enum": list(words), "description": says}


def list_of(items: Schema, says: str) -> Schema:
    return {"type": "array", "items": items, "description": says}


def texts(says: str) -> Schema:
    return list_of({"type": "string"}, says)


def object_of(
    fields: Mapping[str, Schema], says: str = "", optional: tuple[str, ...] = ()
) -> Schema:
    """Every field is there, but for the `optional` ones."""
    return {
        "type": "object",
        **({"description": says} if says else {}),
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
    }


def ref(name: str, says: str = "") -> Schema:
    return {"$ref": f"#/$defs/{name}", **({"description": says} if says else {})}
