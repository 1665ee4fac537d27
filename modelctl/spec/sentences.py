"""How is a wrong field said to people? What pydantic found, in the words of a spec."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any

from modelctl.spec.kinds import Kind, ListKind, NamedKind, ShapeKind, choices, kind_at
from modelctl.spec.models import Backend, Fields, Spec
from modelctl.spec.project_models import Environment, Project
from modelctl.spec.quoting import quote, quote_path
from modelctl.spec.scalars import LARGEST, surprise
from modelctl.spec.synonyms import FIELDS, WORDS
from modelctl.spec.tree import Mapping, Node, Scalar, Sequence
from modelctl.spec.values import ADDRESS, DAY
from modelctl.spec.wanted import Path_

_ENGINES = choices(ShapeKind(Backend).fields["name"])
_EXAMPLES = {
    "adapters": "{name: hf://org/repo}",
    "allow": "{fit/too-large: why}",
    "args": "{seed: 7}",
    "buckets": "{/data: bucket}",
    "checks": "{name: {prompt: a question}}",
    "environments": "{prod: {keep_warm: 1}}",
    "secrets": "[name], or {name: [KEY]}",
    "volumes": "{/data: name}",
}

Said = tuple[str, str]
"""A sentence and its hint."""

_UNIT = {
    "context": "tokens",
    "max_tokens": "tokens",
    "tokens": "tokens",
    "count": "GPUs",
    "keep_warm": "containers",
    "buffer": "containers",
    "max": "",
    "target": "requests",
    "max_sequences": "requests",
    "nodes": "hosts",
}


# --- unknown fields ---------------------------------------------------------------------------


def unknown_field(root: Kind, path: Path_) -> Said:
    """`no such field; did you mean context?`"""
    parent = kind_at(root, path[:-1])
    fields = list(parent.fields) if isinstance(parent, ShapeKind) else []
    key = str(path[-1])
    meant = _meant(root, path, key, fields)
    if meant:
        return f"no such field; did you mean {meant}?", ""
    where = quote_path(path[:-1])
    if len(fields) <= 14:
        return f"no such field in {where}" if where else "no such field", "there are " + ", ".join(
            fields
        )
    return "no such field", "modelctl schema lists all of them"


def _meant(root: Kind, path: Path_, key: str, fields: list[str]) -> str:
    normal = _normal(key)
    here = _by_normal(tuple(fields))
    if normal in here:
        return here[normal]
    prefix = _above(root, path[:-1])
    elsewhere = _paths()
    for candidate in (FIELDS.get(normal), *elsewhere.get(normal, ())):
        if candidate is None:
            continue
        said = _from_here(root, path[:-1], candidate, prefix)
        if said:
            return said
    close = difflib.get_close_matches(normal, here, n=1, cutoff=0.7)
    if close:
        return here[close[0]]
    top = _by_normal((*Fields.model_fields, *Spec.model_fields))
    close = difflib.get_close_matches(normal, top, n=1, cutoff=0.84)
    return (_from_here(root, path[:-1], top[close[0]], prefix) or "") if close else ""


@cache
def _by_normal(fields: tuple[str, ...]) -> dict[str, str]:
    return {_normal(field): field for field in fields}


def _normal(key: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key[:100])
    return spaced.lower().replace("-", "_").replace(" ", "_").strip("_")


def _above(root: Kind, path: Path_) -> Path_ | None:
    """Where the nearest mapping stands that holds the fields of a spec; None where none does."""
    for length in range(len(path), -1, -1):
        kind = kind_at(root, path[:length])
        if isinstance(kind, ShapeKind) and issubclass(kind.shape, Fields):
            return path[:length]
    return None


def _from_here(root: Kind, path: Path_, candidate: str, top: Path_ | None) -> str:
    """How a field of a spec is called from `path`; "" where it cannot be meant."""
    parts = tuple(candidate.split("."))
    here = kind_at(root, path)
    if isinstance(here, ShapeKind) and here.shape in (Project, Environment):
        return f"defaults.{candidate}"
    if top is None:
        return ""
    if kind_at(root, (*top, *parts)) is None:
        if kind_at(ShapeKind(Spec), parts) is not None and root == ShapeKind(Spec):
            return f"{candidate} at the top of the spec"
        return ""
    if path == top:
        return candidate
    inside = path[len(top) :]
    if parts[: len(inside)] == inside and len(parts) > len(inside):
        return ".".join(parts[len(inside) :])
    return candidate if len(parts) > 1 else f"{candidate}, beside {inside[0]}"


@cache
def _paths() -> dict[str, list[str]]:
    """Where fields stand that are not at the top: `idle_timeout` → `scaling.idle_timeout`."""
    found: dict[str, list[str]] = {}
    for name in Spec.model_fields:
        found.setdefault(_normal(name), []).append(name)
    for top, kind in ShapeKind(Fields).fields.items():
        if isinstance(kind, ShapeKind):
            for name in kind.fields:
                found.setdefault(_normal(name), []).append(f"{top}.{name}")
    return found


# --- wrong values -----------------------------------------------------------------------------


def wrong_value(
    root: Kind, path: Path_, node: Node, raised: list[dict[str, Any]]
) -> tuple[str, str, str]:
    """(code, sentence, hint) for what pydantic said about one value."""
    first = raised[0]
    field = quote_path(path)
    kind = kind_at(root, path)
    context = first.get("ctx", {})
    if isinstance(node, Scalar) and node.value is None:
        return "spec/type", f"{field} has no value", "write one, or leave the entry out"
    match first["type"]:
        case "literal_error":
            return "spec/value", *_choice(field, path, kind, node)
        case "duration":
            return "spec/value", *_duration(field, node)
        case "size":
            return "spec/value", *_size(field, node)
        case "greater_than_equal":
            return "spec/value", *_bound(field, path, node, f"{context['ge']:g} or more")
        case "greater_than":
            return "spec/value", *_bound(field, path, node, f"more than {context['gt']:g}")
        case "less_than_equal":
            return "spec/value", *_bound(field, path, node, f"at most {_told(context['le'])}")
        case "string_too_long":
            return "spec/value", f"{field} has at most {context['max_length']} characters", ""
        case "string_pattern_mismatch" if context["pattern"] == DAY:
            return "spec/value", f"{field} wants a day", "write it as 2027-01-31"
        case "string_pattern_mismatch" if context["pattern"] == ADDRESS:
            return "spec/value", f"{field} wants an address", "write it as https://HOST"
        case "string_pattern_mismatch":
            return (
                "spec/value",
                f"{field} is not written like this",
                f"it matches {context['pattern']}",
            )
    wants, hint = _wanted(path, kind, node, first["type"], len(raised) > 1)
    return "spec/type", f"{field} wants {wants}; {what_it_is(node)}", hint


def what_it_is(node: Node) -> str:
    """`this is text`, `3.10 is the number 3.1`, …"""
    if isinstance(node, Mapping):
        return "this is a mapping"
    if isinstance(node, Sequence):
        return "this is a list"
    value = node.value
    if value is None:
        return "nothing is here"
    if isinstance(value, bool):
        return f"this is {str(value).lower()}"
    if isinstance(value, int | float):
        shown = f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
        shown = node.raw if abs(value) >= LARGEST else shown
        if node.raw != shown and node.plain:
            return f"{quote(node.raw)} is the number {shown}"
        return f"this is the number {shown}"
    if node.plain and surprise(node.raw):
        return f"{quote(node.raw)} is text"
    return "this is text"


def _wanted(path: Path_, kind: Kind | None, node: Node, error_type: str, union: bool) -> Said:
    """What belongs here, and how to write it."""
    raw = node.raw if isinstance(node, Scalar) else ""
    if isinstance(kind, ShapeKind):
        names = list(kind.fields)
        few = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        return "a mapping of fields", f"its fields are {few}"
    if isinstance(kind, NamedKind):
        example = _EXAMPLES.get(str(path[-1]), "{name: value}")
        return "a mapping of names to values", f"write {path[-1]}: {example}"
    if isinstance(kind, ListKind):
        hint = f"write [{quote(raw)}]" if raw else "write [a, b]"
        return "a list", hint
    if union:
        return "a number, a text, true, false, a list of these, or a mapping", ""
    if error_type == "bool_type":
        return "true or false", _bool_hint(node)
    if error_type.startswith(("int", "float")):
        whole = error_type.startswith("int")
        unit = _UNIT.get(str(path[-1]), "") if path else ""
        wants = ("a whole number" if whole else "a number") + (f" of {unit}" if unit else "")
        return wants, _number_hint(node, whole)
    if error_type.startswith("string"):
        if isinstance(node, Scalar) and isinstance(node.value, bool | int | float):
            return "text", f'write "{quote(raw)}"'
        if isinstance(node, Sequence):
            return "one text", "write one value, without brackets or dashes"
        return "text", ""
    return "another kind of value", ""


def _bool_hint(node: Node) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        word = node.value.lower()
        if word in ("y", "yes", "on", "true", "1", "enabled"):
            return "write true"
        if word in ("n", "no", "off", "false", "0", "disabled"):
            return "write false"
    return ""


_COUNTED = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[kKmM])i?")


def _written(number: float, as_text: str = "") -> str:
    return f"write {as_text or number}" if abs(number) < LARGEST else "write a smaller number"


def _number_hint(node: Node, whole: bool) -> str:
    if not isinstance(node, Scalar):
        return ""
    if isinstance(node.value, float):
        return _written(int(node.value)) if whole and node.value.is_integer() else ""
    text = node.raw.strip()
    if len(text) > 20:
        return ""
    bare = text.replace("_", "").replace(",", "")
    if re.fullmatch(r"[-+]?\d+" if whole else r"[-+]?\d+(\.\d+)?", bare):
        quoted = bare == text and not node.plain and abs(float(bare)) < LARGEST
        return "take the quotes away" if quoted else _written(float(bare), bare)
    counted = _COUNTED.fullmatch(text)
    if counted and whole:
        power = 1024 if counted["unit"] in "kK" else 1024 * 1024
        return _written(int(float(counted["count"]) * power))
    percent = re.fullmatch(r"(\d{1,3})\s*%", text)
    return f"write {int(percent[1]) / 100:g}" if percent and not whole else ""


def _choice(field: str, path: Path_, kind: Kind | None, node: Node) -> Said:
    allowed = choices(kind) if kind is not None else ()
    if not allowed:  # it is the key that is wrong, and only keys that are engines are judged
        meant = close_to(str(path[-1]), _ENGINES, WORDS["name"])
        hint = f"did you mean {meant}?" if meant else ""
        return f"{quote(str(path[-1]))} is no engine; there are {', '.join(_ENGINES)}", hint
    words = ", ".join(allowed)
    sentence = f"{field} is {words}" if len(allowed) == 1 else f"{field} is one of {words}"
    if not isinstance(node, Scalar):
        return f"{sentence}; {what_it_is(node)}", ""
    meant = close_to(str(node.value), allowed, WORDS.get(str(path[-1]), {}))
    if meant:
        return f"{sentence}; did you mean {meant}?", ""
    if isinstance(node.value, str):
        return f"{sentence}; this is {quote(node.raw)}", ""
    return f"{sentence}; {what_it_is(node)}", ""


def close_to(word: str, allowed: Any, known: dict[str, str] | None = None) -> str:
    """The one of `allowed` that was probably meant; "" where none is near."""
    lower = {str(option).lower(): str(option) for option in allowed}
    word = word[:100].lower().strip()
    if known and word in known:
        return known[word]
    close = difflib.get_close_matches(word, lower, n=1, cutoff=0.6)
    return quote(lower[close[0]], 80) if close else ""


def _told(value: float) -> str:
    """A number as people write it: 10,000 and 0.5."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _bound(field: str, path: Path_, node: Node, bound: str) -> Said:
    hint = ""
    if isinstance(node, Scalar) and isinstance(node.value, int | float):
        if path[-1] == "memory_utilization" and 1 < node.value <= 100:
            hint = f"write {node.value / 100:g} for {node.value:g} %"
        return f"{field} is {bound}; this is {_told(node.value)}", hint
    return f"{field} is {bound}", hint


_TIME_WORDS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "s": "s",
    "min": "m", "mins": "m", "minute": "m", "minutes": "m", "m": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "h": "h",
    "day": "d", "days": "d", "d": "d", "ms": "ms",
}  # fmt: skip
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_COMPOUND = re.compile(r"(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?")


def _duration(field: str, node: Node) -> Said:
    sentence = f"{field} wants a duration with its unit; {what_it_is(node)}"
    if not isinstance(node, Scalar):
        return sentence, "write 90s, 5m or 2h"
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return sentence, f"write {node.value:g}s for seconds, or {node.value:g}m for minutes"
    text = node.raw.strip().lower()[:40]
    sentence = f"{field} wants a duration with its unit; {quote(node.raw)} is none"
    if field.endswith("metrics.interval") and text in ("off", "false", "no", "none"):
        return sentence, "metrics: {enabled: false} for no lines, or write 90s, 5m or 2h"
    match = _TIME.fullmatch(text)
    if match and match[2] in _TIME_WORDS:
        return sentence, f"write {match[1]}{_TIME_WORDS[match[2]]}"
    parts = _COMPOUND.fullmatch(text)
    if parts and any(parts.groups()):
        total = sum(
            int(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)
        )
        return sentence, f"write {total // 60}m" if total % 60 == 0 else f"write {total}s"
    return sentence, "write 90s, 5m or 2h"


_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(i?)b?", re.IGNORECASE)


def _size(field: str, node: Node) -> Said:
    sentence = f"{field} wants a size with its unit; {what_it_is(node)}"
    if not isinstance(node, Scalar):
        return sentence, "write 16GiB"
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        if node.value >= 1024:
            return sentence, f"write {node.value:g}MiB for megabytes"
        return sentence, f"write {node.value:g}GiB for gigabytes"
    match = _BYTES.fullmatch(node.raw.strip()[:40])
    sentence = f"{field} wants a size with its unit; {quote(node.raw)} is none"
    return sentence, f"write {match[1]}{match[2].upper()}iB" if match else "write 16GiB"
