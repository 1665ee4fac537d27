"""Is a JSON output what its published schema says, with no field that the schema does not name?"""

from __future__ import annotations

import copy
import itertools
import json
from functools import lru_cache
from typing import Any

import jsonschema

from modelctl.views.schemas import COMMANDS, schema_of


def closed(schema: Any) -> Any:
    """The same, but what it does not name is refused: nothing may be left undocumented."""
    if isinstance(schema, dict):
        found = {key: closed(value) for key, value in schema.items()}
        if "properties" in found and "required" in found:
            found.setdefault("additionalProperties", False)
        return found
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@lru_cache(maxsize=16)
def validator(command: str) -> jsonschema.Draft202012Validator:
    schema = closed(copy.deepcopy(schema_of(command)))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def holds(command: str, text: str) -> None:
    validator(command).validate(json.loads(text))


def holds_where_printed(arguments: tuple[str, ...], out: str) -> None:
    """The same of a command that was run, where it printed JSON with a schema."""
    said = dict(itertools.pairwise(arguments))
    if out and arguments[0] in COMMANDS and said.get("--output") == "json":
        holds(arguments[0], out)
