"""Do annotations stand at the line of the spec, and can no value be a command of the runner?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from modelctl.plan import Action, Change, Plan
from modelctl.views.github import written
from modelctl.views.inert import inert
from modelctl.views.results import Planned, Result, Validated
from tests.examples import examples
from tests.views import results

OBEYED = re.compile(r"^\s*::(?P<name>[a-z-]+)(?: (?P<properties>[^\n]*?))?::(?P<message>[^\n]*)$")
"""What the runner takes for a command, after `ActionCommand.TryParseV2`."""


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands that a runner would obey, unescaped as it does."""
    found = []
    for line in re.split(r"\r\n|\r|\n", text):
        if (match := OBEYED.match(line)) is None:
            assert not line.lstrip().startswith("::") and "##[" not in line
            continue
        said = dict(p.split("=", 1) for p in (match["properties"] or "").split(",") if p)
        found.append((match["name"], {k: back(v) for k, v in said.items()}, back(match["message"])))
    return found


def back(text: str) -> str:
    for escaped, character in (("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, character)
    return text


def test_a_problem_stands_at_its_line_and_column() -> None:
    notes = [line for line in written(results.VALIDATED).splitlines() if line.startswith("::")]
    assert notes == [
        "::error file=specs/chat-70b.yaml,line=6,col=15,endColumn=20,title=fit/too-large::gpu[1]: "
        "70B in fp8 does not fit 2 × L40S at 32k context (prod)%0Aweights 33.9 + one request 5.0 + "
        "other 2.9 = 41.8, usable 40.8 GiB per GPU%0Ahelp: context: 16384 fits on this entry; or "
        "L40S:4",
        "::error file=specs/embed.yaml,line=4,col=1,endColumn=6,title=spec/unknown-field::contxt: "
        "no such field; did you mean context?",
        "::warning file=specs/chat-8b.yaml,line=2,col=8,endColumn=25,title=model/unlocked::not in "
        "modelctl.lock; run modelctl lock",
        "::notice file=specs/odd.yaml,line=1,col=1,endColumn=4,title=fit/not-checked::gpu: the "
        "architecture has no facts here",
    ]


def test_what_is_read_in_the_log_comes_first() -> None:
    assert written(results.PLANNED).splitlines()[0] == "Modal environment prod · 41 apps"
    assert "Plan: 1 create, 1 in place, 1 redeploy" in written(results.PLANNED)


def test_a_plan_annotates_what_is_refused_has_drifted_or_is_held() -> None:
    found = [(kind, p.get("file"), p["title"]) for kind, p, _ in commands(written(results.PLANNED))]
    assert found == [
        ("error", "specs/rerank.yaml", "rerank is blocked"),
        ("error", "specs/chat-70b.yaml", "secret/missing"),
        ("warning", "specs/summarize.yaml", "summarize has drifted"),
        ("warning", "specs/chat-8b.yaml", "model/unlocked"),
        ("notice", "specs/search-8b.yaml", "search-8b is held"),
    ]


def test_an_app_that_failed_is_an_error_at_its_spec_and_its_log_is_a_group() -> None:
    text = written(results.APPLIED)
    assert text.splitlines()[:4] == [
        "::group::chat-70b: last lines of v9",
        "14:31:02 engine  WARNING chat template not found",
        ": :set-output name=x::y",
        "::endgroup::",
    ]
    assert (
        "::error file=specs/chat-70b.yaml,line=1,col=1,endColumn=1,title=chat-70b failed::v9 "
        "answered wrong; v8 serves, as it did all along%0Anext: fix the spec and apply, or "
        "modelctl apply chat-70b --env prod --retry" in text.splitlines()
    )


def test_status_warns_of_what_needs_a_look() -> None:
    found = [(kind, p["title"], said) for kind, p, said in commands(written(results.STANDING))]
    assert found == [
        (
            "error",
            "not compared",
            "the spec has 2 errors, so that what it asks for is not compared: run modelctl "
            "validate",
        ),
        ("warning", "chat-70b", "blocked, healthy\nv9 answered wrong"),
        ("warning", "summarize", "in sync, HTTP 503"),
    ]


def test_a_command_that_could_not_go_on_is_one_error() -> None:
    assert written(results.UNREACHABLE) == (
        "::error title=modelctl plan::Modal did not answer while looking: timed out%0Ahelp: try "
        "again"
    )


def test_of_more_than_ten_of_a_kind_the_tenth_counts_the_rest() -> None:
    found = [replace(results.FIELD, message=f"{n}") for n in range(25)]
    notes = [line for line in written(Validated(found)).splitlines() if line.startswith("::error")]
    assert len(notes) == 10
    assert notes[-1] == (
        "::error title=modelctl::16 more errors: the step's summary and its log have them all"
    )


def test_a_long_plan_is_folded() -> None:
    many = tuple(Change(f"app-{n}", Action.CREATE, (f"L4:{n}",)) for n in range(50))
    lines = written(Planned(Plan("prod", "prod", many))).splitlines()
    assert lines[0] == "::group::Plan: 50 create."
    assert lines[-1] == "::endgroup::"


def test_colons_commas_percents_and_lines_are_escaped_where_they_have_a_meaning() -> None:
    place = replace(results.FIELD.place, file="a,b:c%.yaml")  # type: ignore[type-var]
    odd = replace(results.FIELD, message="100%\nsure", path="", code="x:y,z", place=place)
    assert written(Validated([odd])).splitlines()[-1] == (
        "::error file=a%2Cb%3Ac%25.yaml,line=4,col=1,endColumn=6,title=x%3Ay%2Cz::100%25%0Asure"
    )


OURS = {"error", "warning", "notice", "group", "endgroup"}


@settings(max_examples=examples(60))
@given(results.anything)
def test_no_value_is_a_command_of_the_runner(result: Result) -> None:
    text = written(result)
    for name, properties, _ in commands(text):
        assert name in OURS
        assert set(properties) <= {"file", "line", "col", "endColumn", "title"}
        if "line" in properties:
            assert properties["line"].isdecimal() and properties["col"].isdecimal()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::set-env name=x::y", ": :set-env name=x::y"),
        ("  ::stop-commands::t", "  : :stop-commands::t"),
        ("ok\n::add-mask::x", "ok\n: :add-mask::x"),
        ("ok ##[add-path]/tmp", "ok ## [add-path]/tmp"),
        ("std::vector and a::b", "std::vector and a::b"),
    ],
)
def test_text_of_others_is_the_same_to_read_but_for_a_gap(said: str, shown: str) -> None:
    assert inert(said) == shown
