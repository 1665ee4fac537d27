"""Does the schema say what the parser says?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from modelctl.spec.schema import schema_json
from tests.spec.test_layers import PROJECT, SHORT_AND_LONG, SPEC

SPECS = Draft202012Validator(schema_json("spec"))
PROJECTS = Draft202012Validator(schema_json("project"))


def core(text: str) -> Any:
    """YAML as editors read it: no booleans or dates beyond JSON's."""
    return yaml.load(text.replace("0.32.0", "'0.32.0'"), yaml.SafeLoader)


def test_the_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(schema_json("spec"))
    Draft202012Validator.check_schema(schema_json("project"))
    assert schema_json("spec")["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", [text for pair in SHORT_AND_LONG for text in pair])
def test_short_and_long_forms_are_both_good(text: str) -> None:
    assert [e.message for e in SPECS.iter_errors({"name": "a", **core(text)})] == []


def test_whole_files_are_good() -> None:
    assert [e.message for e in SPECS.iter_errors(core(SPEC))] == []
    assert [e.message for e in PROJECTS.iter_errors(core(PROJECT))] == []


@pytest.mark.parametrize(
    "text",
    [
        "contxt: 5",
        "context: 0",
        "context: text",
        "backend: vlm",
        "backend: {nme: vllm}",
        "gpu: 5",
        "scaling: {idle_timeout: 5 minutes}",
        "memory: 16",
        "environments: {prod: {name: b}}",
        "volumes: {/data: 5}",
        "name: Bad Name",
    ],
)
def test_what_the_parser_refuses_the_schema_refuses(text: str) -> None:
    assert not SPECS.is_valid({"name": "a", **core(text)})


def test_a_spec_has_a_name() -> None:
    assert not SPECS.is_valid({"model": "hf://o/r"})


def _described(schema: dict[str, Any], path: str = "") -> list[str]:
    return [
        f"{path}.{name}"
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ]


@pytest.mark.parametrize("what", ["spec", "project"])
def test_every_field_says_what_it_is_for(what: Any) -> None:
    schema = schema_json(what)
    shapes = [schema, *schema["$defs"].values()]
    forms = [form for shape in shapes for form in (shape, *shape.get("anyOf", []))]
    assert [name for form in forms for name in _described(form, form.get("title", ""))] == []


def _all_fields(what: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """(mapping, field) → its schema, with what its references lead to."""
    schema = schema_json(what)
    shapes = {what.capitalize(): schema, **schema["$defs"]}
    return {
        (shape, name): field
        for shape, said in shapes.items()
        for form in (said, *said.get("anyOf", []))
        for name, field in form.get("properties", {}).items()
    }


def _tells(field: dict[str, Any]) -> bool:
    """Whether a person sees what may stand there: an example, a choice, or a mapping's fields."""
    if field.get("examples") or "enum" in field or "const" in field or "$ref" in field:
        return True
    return field.get("type") == "boolean" or any(
        _tells(form) for form in field.get("anyOf", []) if form.get("type") != "null"
    )


@pytest.mark.parametrize("what", ["spec", "project"])
def test_every_field_has_a_title_and_shows_what_may_stand_there(what: Any) -> None:
    fields = _all_fields(what)
    assert [key for key, field in fields.items() if field.get("title") != key[1]] == []
    assert [key for key, field in fields.items() if not _tells(field)] == []


@pytest.mark.parametrize("what", ["spec", "project"])
def test_examples_and_defaults_are_taken(what: Any) -> None:
    schema = schema_json(what)
    for key, field in _all_fields(what).items():
        judge = Draft202012Validator({**field, "$defs": schema["$defs"]})
        shown = [*field.get("examples", []), *([field["default"]] if "default" in field else [])]
        assert [one for one in shown if not judge.is_valid(one)] == [], key


def test_a_default_that_is_shown_is_the_one_that_holds() -> None:
    from modelctl.resolve import DEFAULTS
    from modelctl.spec.values import seconds

    told = {
        key: field["default"] for key, field in _all_fields("spec").items() if "default" in field
    }
    ours = {
        ("Spec", "keep_warm"): DEFAULTS.keep_warm,
        ("Spec", "snapshot"): DEFAULTS.snapshot,
        ("Model", "task"): DEFAULTS.task,
        ("Scaling", "buffer"): DEFAULTS.buffer,
        ("Endpoint", "auth"): DEFAULTS.auth,
        ("Endpoint", "region"): DEFAULTS.region,
    }
    assert {key: told[key] for key in ours} == ours
    assert seconds(told["Scaling", "idle_timeout"]) == DEFAULTS.idle_timeout
    assert seconds(told["Endpoint", "drain"]) == DEFAULTS.drain
    others = set(told) - set(ours) - {("Scaling", "idle_timeout"), ("Endpoint", "drain")}
    assert {name for shape, name in others if shape != "Fields"} == {
        *("protect", "nodes", "trust_remote_code", "nonpreemptible")
    }  # what is off, or one, unless somebody says otherwise
