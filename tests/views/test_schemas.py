"""Is every JSON that a command prints what its schema says, and does the schema say all of it?"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.assess.bill import Bill
from modelctl.byhand.told import Told
from modelctl.cli.schema import OUTPUTS
from modelctl.plan import FieldChange
from modelctl.views import findings, machine, spent
from modelctl.views.findings import Finding
from modelctl.views.results import Applied, Planned, Result, Standing, Stopped, Validated
from modelctl.views.schemas import COMMANDS, schema_of
from modelctl.views.spent import Spending, Spent
from tests.examples import examples
from tests.outputs import holds, validator
from tests.views import results
from tests.views.sample import checked

DOCS = Path(__file__).parents[2] / "docs" / "outputs.md"


NAMES: dict[type, str] = {
    Validated: "validate",
    Planned: "plan",
    Applied: "apply",
    Standing: "status",
}


def command_of(result: Result) -> str:
    return result.command if isinstance(result, Stopped) else NAMES[type(result)]


@pytest.mark.parametrize("name", results.ALL)
def test_each_result_is_what_its_schema_says(name: str) -> None:
    result = results.ALL[name]
    holds(command_of(result), machine.text(result))


@settings(max_examples=examples(60))
@given(results.anything)
def test_whatever_is_in_it_it_is_what_its_schema_says(result: Result) -> None:
    holds(command_of(result), machine.text(result))


def test_the_cost_of_environments_is_what_the_schema_says() -> None:
    bill = Bill("prod", "list prices", (1.0, 2.0), (3.0, 4.0), 1.5, 3.5, (("a", 1.5),), ("b",))
    holds("validate", machine.validation((), [bill]))


def test_real_rows_of_fit_are_what_the_schema_says() -> None:
    reports, _, _ = checked()
    for report in reports.values():
        holds("fit", machine.fit(report))


def test_what_did_cost_is_what_its_schema_says() -> None:
    found = [
        Spending("prod", "Modal environment prod", (Spent("a", 1.0, 2.0, 0.5, 4.0), Spent("b", 1))),
        Spending("staging", "Modal environment staging", not_asked="nobody answers"),
    ]
    at = datetime(2026, 11, 21, tzinfo=UTC)
    holds("cost", machine.dump(spent.data(found, at, at)))


def test_what_doctor_found_is_what_its_schema_says() -> None:
    found = [Finding("project", "ok", "1 spec"), Finding("Modal", "missing", "no token", "get it")]
    holds("doctor", machine.dump(findings.data(found)))


events = st.builds(
    Told,
    results.texts,
    results.texts,
    results.texts,
    results.texts,
    st.none() | results.numbers,
    results.texts,
    results.texts,
    st.lists(st.tuples(results.texts, results.values, results.values), max_size=2).map(tuple),
    st.none() | results.numbers,
    st.booleans(),
)


@settings(max_examples=examples(30))
@given(st.lists(events, max_size=4), st.none() | results.holds)
def test_a_history_is_what_its_schema_says(rows: list[Told], hold: Any) -> None:
    holds("history", machine.history(rows, "chat", "prod", hold))
    holds("history", machine.difference("chat", 1, 2, [FieldChange("context", 1, None)]))


def test_schema_prints_that_of_every_command() -> None:
    assert set(OUTPUTS) == set(COMMANDS)


def test_another_format_is_refused() -> None:
    data = json.loads(machine.text(results.PLANNED))
    with pytest.raises(jsonschema.ValidationError):
        validator("plan").validate({**data, "format": 2})


# -- the page


def rows_of(schema: dict[str, Any], whole: dict[str, Any], before: str = "") -> list[str]:
    """A line a field: `changes[].cost.usd_per_hour_before`, its type, its words."""
    lines = []
    for name, field in schema.get("properties", {}).items():
        path = f"{before}{name}"
        said = field.get("description", "")
        inner = field
        while True:
            if "$ref" in inner:
                inner = whole["$defs"][inner["$ref"].rpartition("/")[2]]
            elif "anyOf" in inner:
                inner = inner["anyOf"][0]
            elif inner.get("type") == "array":
                path, inner = f"{path}[]", inner["items"]
            else:
                break
        said = said or inner.get("description", "")
        lines.append(f"| `{path}` | {kind(field, whole)} | {said} |")
        lines += rows_of(inner, whole, f"{path}.")
    return lines


def kind(field: dict[str, Any], whole: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "$ref" in field:
        return "object"
    if "anyOf" in field:
        return f"{kind(field['anyOf'][0], whole)} or null"
    said = field.get("type", "any")
    if isinstance(said, list):
        return " or ".join(said)
    if said == "array":
        return f"list of {kind(field['items'], whole)}s"
    return str(said)


def page_of(command: str) -> str:
    schema = schema_of(command)
    shapes = schema.get("anyOf", [schema])
    tables = []
    for shape in shapes:
        if "Instead" in shape.get("description", "") or "instead" in shape.get("description", ""):
            continue
        said = f"{shape['description']}\n\n" if "description" in shape else ""
        rows = rows_of(shape, schema)
        tables.append(f"{said}| field | type | |\n| --- | --- | --- |\n" + "\n".join(rows))
    return "\n\n".join(tables)


def stopped_page() -> str:
    schema = schema_of("plan")
    rows = rows_of(schema["anyOf"][1], schema)
    return "| field | type | |\n| --- | --- | --- |\n" + "\n".join(rows)


def test_the_documentation_has_the_fields_of_every_output() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, table in [*((c, page_of(c)) for c in COMMANDS), ("stopped", stopped_page())]:
        begins, ends = f"<!-- fields: {name} -->\n\n", f"\n\n<!-- end: {name} -->"
        if os.environ.get("UPDATE_GOLDEN"):
            text = re.sub(
                f"{re.escape(begins)}.*?{re.escape(ends)}",
                lambda _, b=begins, t=table, e=ends: f"{b}{t}{e}",
                text,
                flags=re.DOTALL,
            )
            DOCS.write_text(text, encoding="utf-8")
        assert f"{begins}{table}{ends}" in text, f"UPDATE_GOLDEN=1 writes the table of {name}"
