"""Do the schema and the parser take and refuse the same? Documents of the schema's own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from modelctl.spec.kinds import ShapeKind
from modelctl.spec.load import _missing_name, _nameless
from modelctl.spec.models import Spec
from modelctl.spec.parse import problems
from modelctl.spec.project import _declared
from modelctl.spec.project_models import Project
from modelctl.spec.schema import schema_json
from modelctl.spec.shorthand import expand
from modelctl.spec.source import _CONTROL, read_text
from modelctl.spec.tree import Mapping

What = Literal["spec", "project"]
SCHEMAS: dict[What, Any] = {"spec": schema_json("spec"), "project": schema_json("project")}
VALIDATORS = {what: Draft202012Validator(schema) for what, schema in SCHEMAS.items()}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
FEW = settings(max_examples=40, suppress_health_check=SLOW)
MANY = settings(max_examples=600, suppress_health_check=SLOW)


def refusals(what: What, document: Any) -> list[str]:
    """What the parser has against it, before anything is merged or judged."""
    source = read_text(json.dumps(document, ensure_ascii=False), "x.yaml")
    found = list(source.diagnostics)
    shape: type[Spec] | type[Project] = Spec if what == "spec" else Project
    if source.tree is not None:
        tree = expand(source.tree, ShapeKind(shape))
        assert isinstance(tree, Mapping)
        if what == "project":
            tree = _declared(tree)
        found += problems(tree, shape)
        if what == "spec":
            found += [*_missing_name(Path("x.yaml"), tree), *_nameless(tree)]
    return [f"{d.code} {d.path}: {d.message}" for d in found if d.is_error]


# -- what no JSON Schema can say; docs/editor.md has the same list

Told = Callable[[Any], bool]


def anywhere(holds: Told) -> Told:
    def looked(document: Any) -> bool:
        return any(holds(value) for value in leaves(document))

    return looked


def leaves(value: Any) -> Iterator[Any]:
    """Every scalar, and every key."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def keys(value: Any) -> set[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = {key for one in inner for key in keys(one)}
    return found | set(value) if isinstance(value, dict) else found


CANNOT_BE_SAID: dict[str, Told] = {
    "a number with .0 is whole to JSON Schema, and a fraction to YAML": anywhere(
        lambda v: isinstance(v, float) and v.is_integer()
    ),
    "a number past 64 bits": anywhere(lambda v: isinstance(v, int) and abs(v) >= 2**63),
    "template syntax: {{, {% or <%": anywhere(
        lambda v: isinstance(v, str) and any(begin in v for begin in ("{{", "{%", "<%"))
    ),
    "an invisible control character": anywhere(
        lambda v: isinstance(v, str) and _CONTROL.search(v) is not None
    ),
    "a key without a name": lambda document: "" in keys(document),
}


# -- documents


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=6),
    st.sampled_from(
        ["5m", "90s", "1.5h", "5 minutes", "16GiB", "16 GiB", "16", "H100:2", "L40S:0", "A10:x",
         ":2", "H100:", "H100:00002", "vllm", "hf://o/r", "-x", "X", "weights", "a" * 64, "auto"]
    ),
)  # fmt: skip
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(-1, 2, allow_nan=False),
    TEXTS,
    st.builds(list),
    st.builds(dict),
    st.lists(TEXTS, max_size=2),
    st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=2),
    st.dictionaries(NAMES, st.one_of(TEXTS, st.none(), st.integers(0, 3)), max_size=2),
)


@st.composite
def values(draw: st.DrawFn, schema: Any, root: Any, depth: int = 0) -> Any:
    """A value that the schema takes, as far as its words say how one is made."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return draw(values(draw(st.sampled_from(schema["anyOf"])), root, depth))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum") or [schema["const"]]))
    kind = schema.get("type")
    if kind == "object":
        return draw(mappings(schema, root, depth))
    if kind == "array":
        return draw(st.lists(values(schema["items"], root, depth + 1), max_size=2))
    if kind == "string":
        shown = st.sampled_from(schema.get("examples") or ["a"])
        # To Python $ is also right before a last line break; to editors it is the end.
        made = st.from_regex(schema.get("pattern", "a")).filter(lambda text: text[-1:] != "\n")
        return draw(st.one_of(made, shown) if "pattern" in schema else TEXTS)
    if kind == "integer":
        return draw(st.integers(schema.get("minimum", -5), 9))
    if kind == "number":
        return draw(st.one_of(st.floats(0.01, 0.99), st.integers(0, 3)))
    return draw({"boolean": st.booleans(), "null": st.none()}.get(str(kind), ODD))


@st.composite
def mappings(draw: st.DrawFn, schema: Any, root: Any, depth: int) -> Any:
    fields = schema.get("properties", {})
    most = 4 if depth < 3 else 1
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=most, unique=True)) if (
        fields
    ) else []  # fmt: skip
    made = {name: draw(values(fields[name], root, depth + 1)) for name in names}
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        keys = schema.get("propertyNames", {}).get("enum")
        key = st.sampled_from(keys) if keys else NAMES
        for one in draw(st.lists(key, max_size=2, unique=True)):
            made[one] = draw(values(inner, root, depth + 1))
    return made


@st.composite
def documents(draw: st.DrawFn, what: What) -> Any:
    """A good file, or one in which something was replaced, added or misspelled."""
    made = deepcopy(draw(mappings(SCHEMAS[what], SCHEMAS[what], 0)))
    if what == "spec":
        made.setdefault("name", draw(NAMES))
    for _ in range(draw(st.integers(0, 2))):
        mutate(draw, made)
    return made


def mutate(draw: st.DrawFn, document: Any) -> None:
    """Replace a value somewhere, or add a key."""
    holders: list[Any] = [document]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders += [one for one in inner if isinstance(one, dict | list)]
    holder = draw(st.sampled_from(holders))
    if isinstance(holder, dict):
        words = [*holder, "contxt", "count", "type", "name", "x"]
        holder[draw(st.sampled_from(words))] = draw(ODD)
    elif holder:
        holder[draw(st.integers(0, len(holder) - 1))] = draw(ODD)
    else:
        holder.append(draw(ODD))


def sayable(document: Any) -> bool:
    return not any(told(document) for told in CANNOT_BE_SAID.values())


def agree(what: What, document: Any) -> bool:
    """Whether both take it, which neither does alone."""
    theirs = [f"{e.json_path}: {e.message[:300]}" for e in VALIDATORS[what].iter_errors(document)]
    ours = refusals(what, document)
    assert bool(theirs) == bool(ours), (document, theirs, ours)
    return not ours


@FEW
@given(documents("spec"))
def test_a_spec_is_taken_by_both_or_by_neither(document: Any) -> None:
    assume(sayable(document))
    event("taken" if agree("spec", document) else "refused")


@FEW
@given(documents("project"))
def test_a_project_file_is_taken_by_both_or_by_neither(document: Any) -> None:
    assume(sayable(document))
    event("taken" if agree("project", document) else "refused")


@pytest.mark.full
@pytest.mark.parametrize("what", ["spec", "project"])
def test_many_files_are_taken_by_both_or_by_neither(what: What) -> None:
    verdicts = {True: 0, False: 0}

    @MANY
    @given(documents(what))
    def each(document: Any) -> None:
        assume(sayable(document))
        verdicts[agree(what, document)] += 1

    each()
    assert min(verdicts.values()) > 100  # neither side was hardly looked at


CLOSE_CALLS: list[tuple[What, str]] = [
    ("spec", '{"name": null}'),
    ("spec", '{"name": "a", "renamed_from": "B"}'),
    ("spec", '{"name": "a", "only": ""}'),
    ("spec", '{"name": "a", "only": [""]}'),
    ("spec", '{"name": "a", "only": []}'),
    ("spec", '{"name": "a", "only": [null]}'),
    ("spec", '{"name": "a", "environments": {"Prod": {}}}'),
    ("spec", '{"name": "a", "environments": {"prod": null}}'),
    ("spec", '{"name": "a", "environments": {"prod": {"gpu": "H100:0"}}}'),
    ("spec", '{"name": "a", "gpu": {"type": "H100:2", "count": 2}}'),
    ("spec", '{"name": "a", "gpu": {"type": "H100:2", "count": null}}'),
    ("spec", '{"name": "a", "gpu": [null]}'),
    ("spec", '{"name": "a", "gpu": [[]]}'),
    ("spec", '{"name": "a", "secrets": {"s": null, "t": "KEY", "u": ["A"]}}'),
    ("spec", '{"name": "a", "secrets": [["a"]]}'),
    ("spec", '{"name": "a", "backend": {"name": "vllm", "args": {"x": {"y": [1, {}]}}}}'),
    ("spec", '{"name": "a", "backend": {"args": {"x": [1, {}]}}}'),
    ("spec", '{"name": "a", "backend": {"args": {"x": [null]}}}'),
    ("spec", '{"name": "a", "labels": {"a": 1}}'),
    ("spec", '{"name": "a", "labels": {"a": null}}'),
    ("spec", '{"name": "a", "cpu": true}'),
    ("spec", '{"name": "a", "memory": "16GiB", "disk": "1.5 TB"}'),
    ("project", '{"project": "weights"}'),
    ("project", '{"project": "A"}'),
    ("project", '{"project": null}'),
    ("project", '{"backends": {"vlm": {}}}'),
    ("project", '{"backends": {"vllm": null}}'),
    ("project", '{"backends": {"vlm": null}}'),
    ("project", '{"environments": {"prod": null, "-x": {}}}'),
    ("project", '{"rules": {"fit/too-large": "off", "x": null}}'),
    ("project", '{"policy": {"gpus": "H100"}}'),
]


@pytest.mark.parametrize(("what", "text"), CLOSE_CALLS)
def test_close_calls(what: What, text: str) -> None:
    agree(what, json.loads(text))


def test_what_cannot_be_said_is_listed_for_people_too() -> None:
    from tests.conftest import ROOT

    page = (ROOT / "docs" / "editor.md").read_text(encoding="utf-8")
    rows = [line.removeprefix("- ").rstrip(".") for line in page.splitlines() if line[:2] == "- "]
    assert set(CANNOT_BE_SAID) <= set(rows)


def test_null_takes_back_nothing_that_cannot_be_there() -> None:
    assert refusals("project", {"backends": {"vlm": None}}) == [
        "spec/value backends.vlm: vlm is no engine; there are vllm, llama.cpp"
    ]
