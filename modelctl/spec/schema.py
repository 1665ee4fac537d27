"""What does an editor need to know? The JSON Schema of a spec and of the project file."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from modelctl.spec.editor import about
from modelctl.spec.kinds import Kind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import NAME, Gpu, Shape, Spec
from modelctl.spec.names import OWN_VOLUMES
from modelctl.spec.project_models import Project
from modelctl.spec.shorthand import ONE_FOR_MANY

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NULL: dict[str, Any] = {"type": "null"}


def schema_json(what: Literal["spec", "project"]) -> dict[str, Any]:
    """The schema of one file, as plain data."""
    root: type[Shape] = Spec if what == "spec" else Project
    schema = root.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.pop("$defs", {})
    shapes = _shapes(ShapeKind(root))
    for name, shape in shapes.items():
        if name in definitions:
            definitions[name] = _with_short_form(_fields(definitions[name], shape), shape)
    top = _fields(schema, root)
    if what == "spec":
        top["required"] = ["name"]
        name = top["properties"]["name"]
        name["anyOf"] = [form for form in name["anyOf"] if form != _NULL]
    return {
        "$schema": DRAFT,
        **top,
        "title": {"spec": "modelctl spec", "project": "modelctl project (modelctl.yaml)"}[what],
        "$defs": definitions,
    }


def _shapes(kind: Kind) -> dict[str, type[Shape]]:
    """All shapes that stand below a kind, by the name that pydantic gives them."""
    found: dict[str, type[Shape]] = {}
    open_: list[Kind] = [kind]
    while open_:
        here = open_.pop()
        if isinstance(here, ShapeKind) and here.shape.__name__ not in found:
            found[here.shape.__name__] = here.shape
            open_ += here.fields.values()
        elif isinstance(here, NamedKind):
            open_.append(here.value)
        elif isinstance(here, ListKind):
            open_.append(here.item)
    return found


def _fields(schema: dict[str, Any], shape: type[Shape]) -> dict[str, Any]:
    """A shape's mapping with the forms that single fields may have."""
    result = deepcopy(schema)
    kinds = ShapeKind(shape).fields
    for name, field in result.get("properties", {}).items():
        field.pop("default", None)
        field.pop("title", None)
        kind = kinds[name]
        forms: list[dict[str, Any]] = field.get("anyOf", [])
        if isinstance(kind, NamedKind):
            _nulls_remove(forms)
        if name in ONE_FOR_MANY and isinstance(kind, ListKind):
            forms.insert(0, deepcopy(next(f for f in forms if f.get("type") == "array")["items"]))
        if name == "secrets":
            forms[:] = _secret_forms() + [form for form in forms if form == _NULL]
        if name == "environments":
            next(f for f in forms if f != _NULL)["propertyNames"] = _NAMED
        if name == "only":
            forms[:] = [_not_empty(form) for form in forms]
        if name == "project":
            _text(forms)["not"] = {"enum": sorted(OWN_VOLUMES)}
        field.update(about(shape.__name__, name))
    if shape is Gpu:
        type_ = result["properties"]["type"]
        _text(type_["anyOf"])["pattern"] = _TYPE
        # A count that is said beside the type is not said after a colon too.
        result["dependentSchemas"] = {"count": {"properties": {"type": {"not": _WITH_COLON}}}}
    return result


_NAMED = {"type": "string", "pattern": NAME, "maxLength": 63}
_TYPE = "^[^:]*$|^[^:]+:(?!0+$)[0-9]{1,4}$"
"""A type, or a type and a count of at most four digits that is not 0."""
_WITH_COLON = {"type": "string", "pattern": ":"}


def _text(forms: list[dict[str, Any]]) -> dict[str, Any]:
    return next(form for form in forms if form.get("type") == "string")


def _not_empty(form: dict[str, Any]) -> dict[str, Any]:
    """Texts, or lists of texts, of which none is empty; nor is the list."""
    if form.get("type") == "array":
        return {**form, "items": _not_empty(form["items"]), "minItems": 1}
    return {**form, "minLength": 1} if form.get("type") == "string" else form


def _nulls_remove(forms: list[dict[str, Any]]) -> None:
    """Under a name of a mapping, null takes the named thing away."""
    for form in forms:
        for key in ("additionalProperties", "patternProperties"):
            inner = form.get(key)
            if isinstance(inner, dict) and _NULL not in inner.get("anyOf", []):
                form[key] = {"anyOf": [*inner.get("anyOf", [inner]), _NULL]}


def _secret_forms() -> list[dict[str, Any]]:
    names = {"type": "array", "items": {"type": "string"}}
    keys = {"anyOf": [names, {"type": "string"}, _NULL]}
    return [{"type": "string"}, names, {"type": "object", "additionalProperties": keys}]


def _with_short_form(schema: dict[str, Any], shape: type[Shape]) -> dict[str, Any]:
    """A mapping, or the value of the field that its short form stands for."""
    short = shape.__short__
    if short is None:
        return schema
    value = deepcopy(schema["properties"][short])
    forms = [form for form in value.pop("anyOf", [value]) if form != _NULL]
    about: dict[str, Any] = {
        key: schema.pop(key) for key in ("title", "description") if key in schema
    }
    return {**about, "anyOf": [*({**value, **form} for form in forms), schema]}
