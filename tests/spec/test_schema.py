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
