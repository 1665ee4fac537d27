"""Which kind of value stands at a path of a spec? Read off the pydantic models, once."""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct

from modelctl.spec.models import Shape


class ShapeKind(Struct, frozen=True):
    """A mapping with fixed fields."""

    shape: type[Shape]

    @property
    def fields(self) -> dict[str, Kind]:
        return fields_of(self.shape)

    @property
    def short(self) -> str | None:
        return self.shape.__short__


class NamedKind(Struct, frozen=True):
    """A mapping whose keys people choose."""

    value: Kind


class ListKind(Struct, frozen=True):
    item: Kind


class LeafKind(Struct, frozen=True):
    """A scalar, or anything that pydantic alone judges."""

    annotation: Any
    metadata: tuple[Any, ...] = ()


Kind = ShapeKind | NamedKind | ListKind | LeafKind


@cache
def fields_of(shape: type[Shape]) -> dict[str, Kind]:
    """The fields of a shape as people write them."""
    return {
        info.alias or name: _kind(info.annotation, tuple(info.metadata))
        for name, info in shape.model_fields.items()
    }


def _kind(annotation: Any, metadata: tuple[Any, ...] = ()) -> Kind:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, (*metadata, *more))
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _kind(members[0], metadata) if len(members) == 1 else LeafKind(annotation, metadata)
    if origin is dict:
        return NamedKind(_kind(get_args(annotation)[1]))
    if origin is list:
        return ListKind(_kind(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return ShapeKind(annotation)
    return LeafKind(annotation, metadata)


def choices(kind: Kind) -> tuple[str, ...]:
    """The words that a field may hold; empty where any may stand."""
    if isinstance(kind, LeafKind) and get_origin(kind.annotation) is Literal:
        return get_args(kind.annotation)
    return ()


def kind_at(root: Kind, path: tuple[str | int, ...]) -> Kind | None:
    """The kind at a path; None where no field is."""
    kind: Kind | None = root
    for part in path:
        if isinstance(kind, ShapeKind) and isinstance(part, str):
            kind = kind.fields.get(part)
        elif isinstance(kind, NamedKind) and isinstance(part, str):
            kind = kind.value
        elif isinstance(kind, ListKind) and isinstance(part, int):
            kind = kind.item
        else:
            return None
    return kind
