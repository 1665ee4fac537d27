"""Is what a plan notes, and what its specs are warned of, in every format?"""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET

import pytest
from msgspec.structs import replace

from modelctl.views import github, junit, machine, markdown, page
from modelctl.views.human import changes
from modelctl.views.paint import Paint
from modelctl.views.results import Applied, Planned
from tests.outputs import holds
from tests.views import results

NOTE = "on main the project had the environments prod: everything outside of them is new"
NOTED = replace(results.PLANNED, plan=replace(results.PLAN, notes=(NOTE,), lost=True))
ENDED = Applied(NOTED)


@pytest.mark.parametrize(
    "text",
    [
        changes.plan(NOTED.plan, paint=Paint(), width=80),
        markdown.written(NOTED),
        markdown.written(ENDED),
        html.unescape(page.of(NOTED)),
        github.written(NOTED),
        junit.written(NOTED),
        junit.written(ENDED),
        machine.text(NOTED),
        machine.text(ENDED),
    ],
)
def test_every_format_has_the_notes_of_a_plan(text: str) -> None:
    said = " ".join(text.split())
    assert NOTE in said
    assert "Nothing is recorded of this environment's apps any more" in said


def test_the_notes_of_a_plan_are_the_output_of_its_suite() -> None:
    (suite,) = ET.fromstring(junit.written(NOTED).encode())
    assert [part.tag for part in suite][-1] == "system-out"
    assert suite[-1].text == f"{changes.LOST}\n\n{NOTE}"
    assert ET.fromstring(junit.written(results.PLANNED).encode())[0].find("system-out") is None


def test_a_program_reads_notes_and_warnings_as_validate_says_them() -> None:
    for command, result in (("plan", NOTED), ("apply", ENDED)):
        text = machine.text(result)
        holds(command, text)
        data = json.loads(text)
        assert data["notes"] == [changes.LOST, NOTE]
        assert [d["code"] for d in data["diagnostics"]] == ["model/unlocked", "secret/missing"]
    told = json.loads(machine.text(Planned(results.PLAN, warnings=results.VALIDATED.diagnostics)))
    validated = json.loads(machine.text(results.VALIDATED))
    assert told["diagnostics"] == validated["diagnostics"]
