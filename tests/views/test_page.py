"""What does the page of a plan say? Its figures are those of the JSON outputs, its values text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.assess.rows import Report, Row
from modelctl.diagnostics import Diagnostic, Place, Severity
from modelctl.fit.types import Interval, Memory
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.resolved import Limits, Unknown
from modelctl.views import machine, page
from modelctl.views.page.words import text
from modelctl.views.results import Stopped
from tests.examples import examples
from tests.views import alike, sample

VOID = {"meta", "rect", "line", "circle"}


class Tree(HTMLParser):
    """The elements of a page in their order, its text, and what `<data>` says in each table row."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.rows: list[tuple[str, list[float]]] = []
        self.depth: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.depth.append(tag)
        if tag == "tr":
            self.rows.append(("", []))
        if tag == "data" and "tr" in self.depth:
            self.rows[-1][1].append(float(dict(attrs)["value"] or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.said.append(data)
        if self.rows and "tr" in self.depth:
            name, figures = self.rows[-1]
            self.rows[-1] = (name or data.strip(), figures)

    @property
    def text(self) -> str:
        return "".join(self.said)

    def figures(self, name: str, count: int) -> list[float]:
        """Of the row that begins with this name and has so many."""
        (found,) = (row for first, row in self.rows if first == name and len(row) == count)
        return found


def read(result: Plan, *found: Diagnostic, reports: tuple[Report, ...] = (), **more: str) -> Tree:
    return Tree(page.plan(result, found, reports, **more))


@pytest.fixture(scope="module")
def whole() -> Tree:
    return Tree(sample.page_of_everything())


def test_the_memory_of_each_gpu_is_that_of_fit(whole: Tree) -> None:
    reports, _, _ = sample.checked()
    for report in reports.values():
        rows = json.loads(machine.fit(report))["rows"]
        for card in rows:
            found = [figures for name, figures in whole.rows if name == card["key"]]
            other = sum(part["value"] for part in card["other_gib"].values())
            expected = [
                card["usd_per_hour"],
                card["usable_gib"],
                card["weights_gib"]["value"],
                other,
                card["kv_gib"]["value"],
                card["usable_gib"] - card["weights_gib"]["value"] - other - card["kv_gib"]["value"],
                card["max_sequences"]["value"],
                card["max_sequences_typical"]["value"],
            ]
            assert any(figures == pytest.approx(expected, abs=0.003) for figures in found), card


def test_what_each_app_and_all_of_them_cost_is_that_of_plan(whole: Tree) -> None:
    data = json.loads(machine.plan(sample.plan_of_everything()))
    chat = next(c for c in data["changes"] if c["name"] == "chat-8b")["cost"]
    hours = [chat["usd_per_hour_before"], chat["usd_per_hour_after"]]
    months = [730 * hour for hour in hours]
    most = chat["usd_per_hour_at_max"]
    assert whole.figures("chat-8b", 5) == pytest.approx([*hours, *months, most])
    cost = data["cost"]
    hours = [cost["usd_per_hour_before"], cost["usd_per_hour_after"]]
    months = [730 * hours[0], cost["usd_per_month_after"]]
    most = cost["usd_per_hour_at_max"]
    assert whole.figures("All apps", 5) == pytest.approx([*hours, *months, most])
    assert "81 % of the budget" in whole.text


def test_every_change_is_there_with_its_word_its_reasons_and_its_fields(whole: Tree) -> None:
    said = " ".join(whole.text.split())
    for change in sample.plan_of_everything().changes:
        if change.action is Action.UNCHANGED:
            continue
        for words in (change.name, *change.reasons, change.action.value.replace("-", " ")):
            assert words in said
    assert "backend.version Before 0.31.0" not in said  # the labels of a phone are no text
    assert "0.31.0 → 0.32.0" in said
    assert "34 unchanged" in said
    assert "commit 8f3ab1e 21 November 2026, 12:00 UTC" in said
    assert "specs/chat-70b.yaml:5:29" in said


def test_nothing_is_asked_of_anybody_else_and_nothing_runs() -> None:
    source = sample.page_of_everything()
    tree = Tree(source)
    assert {"script", "link", "img", "iframe", "object", "form"}.isdisjoint(
        tag for tag, _ in tree.elements
    )
    links = [value for name, value in tree.attributes if name in ("href", "src", "xlink:href")]
    assert links and all(value.startswith("#") for value in links)
    assert not re.search(r"url\((?!#)|@import", source)
    assert not any(name == "style" or name.startswith("on") for name, _ in tree.attributes)
    style = source[source.index("<style>") + 7 : source.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(v for n, v in tree.attributes if n == "content" and "default-src" in v)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_anchors_are_there_and_are_one_of_their_kind(whole: Tree) -> None:
    ids = [value for name, value in whole.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in whole.attributes if name == "href"}
    assert links <= set(ids)


def made(value: str, other: str) -> Tree:
    """A page whose every word from outside is one of these two."""
    change = Change(
        value,
        Action.REDEPLOY,
        (other,),
        (FieldChange(other, value, other), FieldChange(value, None, value)),
        cost=Cost(1.0, 2.0, 3.0, 4.0),
        impact=(value,),
        url=other,
        version=3,
    )
    report, *_ = sample.checked()[0].values()
    report = replace(report, name=value, model=other, dtype=value, version=other, ways=(value,))
    report = replace(report, rows=tuple(replace(row, key=value) for row in report.rows))
    found = Diagnostic(
        Severity.WARNING,
        other,
        value,
        hint=other,
        detail=value,
        place=Place(other, 3, 3, 2, value),
        environments=(other,),
    )
    same = Change(value, Action.UNCHANGED, cost=Cost(1.0, 1.0))
    result = Plan(value, other, (change, same), prices=value, gone=(other,))
    return Tree(page.plan(result, (found,), (report,), commit=value, at=other))


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></svg><b>",
    "&lt;b&gt; &amp;",
    "‮evil",
    "أهلا وسهلا",
    "one\ntwo\r\nthree\x00\x1b[31m",
    "{{ 7 * 7 }}{% raw %}",
    "-->]]>",
    "\ud800",
    "n" * 500,
]


@settings(max_examples=examples(60))
@given(
    value=st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=90)),
    other=st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=90)),
)
def test_a_value_is_text_and_nothing_else(value: str, other: str) -> None:
    tree = made(value, other)
    plain = made("n" * len(value), "m" * len(other))
    assert tree.elements == plain.elements
    for word in (value, other):
        # A browser and this parser read a line end as one character.
        assert text(word) in tree.text
    assert "\x1b" not in tree.text
    assert "‮" not in tree.text


def test_a_plan_without_changes_says_so() -> None:
    tree = read(Plan("prod", "Modal environment prod", (Change("a", Action.UNCHANGED),)))
    said = " ".join(tree.text.split())
    assert "Nothing to do. Everything is as the specs say." in said
    assert "0 of 1 change" in said
    assert "Warm cost" not in said
    assert "passed" in said


def test_its_title_counts_what_apply_would_change() -> None:
    stays = Change("old", Action.DELETE, ("not in specs (needs --prune)",))
    held = Change("b", Action.HELD, ("rolled back by ana",))
    scaled = Change("c", Action.IN_PLACE, fields=(FieldChange("keep_warm", 1, 2),))
    same = Change("a", Action.UNCHANGED)
    for changes, words in (
        ((same,), "0 of 1 app change"),
        ((same, held, scaled, stays), "1 of 4 apps changes"),
        ((replace(scaled, name="d"), scaled, stays), "2 of 3 apps change"),
    ):
        page_ = page.plan(Plan("prod", "Modal environment prod", changes))
        assert f"<title>Plan of prod: {words}</title>" in page_


@pytest.mark.parametrize(("count", "end"), [(7, "f, g"), (8, "f and 2 more")])
def test_of_many_names_never_one_alone_is_left_out(count: int, end: str) -> None:
    cost = Cost(1.0, 1.0, 1.0, None)
    dear = tuple(Change(name, Action.UNCHANGED, cost=cost) for name in "abcdefgh"[:count])
    said = " ".join(read(Plan("prod", "Modal environment prod", dear)).text.split())
    assert f"No scaling.max, so no most: a, b, c, d, e, {end}." in said
    fields = tuple(FieldChange(f"f{n}", 0, 1) for n in range(count - 4))
    tree = read(Plan("prod", "prod", (Change("a", Action.REDEPLOY, fields=fields),)))
    assert ("2 more fields" in " ".join(tree.text.split())) is (count == 8)
    assert "1 more field" not in " ".join(tree.text.split())


def test_what_is_kept_warm_past_the_budget_is_said_in_words() -> None:
    dear = Change("a", Action.CREATE, cost=Cost(None, 2.0, 2.0, 4.0))
    said = " ".join(read(Plan("p", "p", (dear,), limits=Limits(usd_per_hour=1.0))).text.split())
    assert "$2.00 of $1.00: over the budget" in said
    assert "200 % of the budget" in said


def test_a_cost_that_was_not_recorded_is_not_said_to_be_nothing() -> None:
    change = Change("a", Action.REDEPLOY, cost=Cost(None, 2.0), version=1)
    said = " ".join(read(Plan("p", "p", (change,))).text.split())
    assert "before: not known" in said
    assert "+$" not in said


def test_a_lost_memory_is_said() -> None:
    said = read(Plan("p", "p", (), lost=True)).text
    assert "Nothing is recorded of this environment's apps any more: earlier specs" in said


def a_report(memory: Memory | Unknown) -> Report:
    report, *_ = sample.checked()[0].values()
    row = report.rows[0]
    return replace(report, name="a", rows=(Row("L4", "L4", 1, memory, row.speed, 0.8),))


def bar_of(memory: Memory) -> dict[str, tuple[float, float]]:
    """Where each rectangle of the bar begins, and how wide it is, in per cent."""
    change = Change("a", Action.CREATE)
    source = page.plan(Plan("p", "p", (change,)), (), (a_report(memory),))
    found = re.findall(r'<rect class="part (\w+)" x="([\d.]+)%" y="10" width="([\d.]+)%"', source)
    card = re.search(r'<rect class="card" x="0" y="10" width="([\d.]+)%"', source)
    assert card is not None
    parts = {name: (float(at), float(width)) for name, at, width in found}
    return {**parts, "card": (0.0, float(card[1]))}


def a_memory(weights: float, cache: float, other: float, **more: Any) -> Memory:
    return Memory(
        **{
            "usable": 20.0,
            "budget": 18.0,
            "weights": Interval.exactly(weights),
            "cache": Interval(cache, cache - 1, cache + 1),
            "other": {"graphs": Interval(other, other - 1, other + 1)},
            "need": 1.0,
            "verdict": "fits",
            **more,
        }
    )


def test_a_bar_has_each_part_as_wide_as_its_share_of_the_card() -> None:
    drawn = bar_of(a_memory(10.0, 6.0, 2.0))
    assert drawn == {
        "weights": (0.0, 50.0),
        "other": (50.0, 10.0),
        "cache": (60.0, 30.0),
        "card": (0.0, 100.0),
    }


def test_what_does_not_fit_stands_out_of_the_card() -> None:
    drawn = bar_of(a_memory(24.0, -8.0, 2.0, need=5.0, verdict="does not fit"))
    card = drawn["card"][1]
    assert card == pytest.approx(100 * 20 / 31, abs=0.01)
    assert drawn["weights"] == (0.0, card)
    assert drawn["missing"] == pytest.approx((card, 100 - card), abs=0.01)


def test_a_gpu_of_which_nothing_is_known_says_why() -> None:
    report = a_report(Unknown("not in modelctl.lock"))
    said = read(Plan("p", "p", (Change("a", Action.CREATE),)), reports=(report,)).text
    assert "not checked: not in modelctl.lock" in said


def test_forty_changes_are_folded_below_one_table() -> None:
    changes = tuple(
        Change(f"a{n}", Action.REDEPLOY, fields=(FieldChange("x", 1, 2),), impact=("rolling",))
        for n in range(40)
    )
    source = page.plan(Plan("p", "p", changes))
    assert source.count('<details class="app"') == 40
    assert '<details class="app" id="app-1" open' not in source
    assert len(source) < 200_000


def test_apps_that_change_in_the_same_way_are_one_row_that_leads_to_each() -> None:
    source = page.plan(Plan("p", "p", (alike.ALONE, *alike.SAME)))
    overview = source[source.index('<table class="overview') : source.index("</table>")]
    assert overview.count('<th role="rowheader" scope="row" class="name">') == 2
    said = " ".join(Tree(overview).text.split())
    assert "± redeploy 5 apps memory_utilization 0.9 → 0.92 chat-0, chat-1, chat-2 and 2" in said
    for change in alike.SAME:
        (anchor,) = re.findall(rf'<a href="#([\w-]+)"><bdi>{change.name}</bdi></a>', overview)
        assert f'<details class="app" id="{anchor}"' in source
    assert "$3,650" in said


LONG = "You answer politely, in the language of the question, in at most three sentences"


def test_a_long_value_is_shortened_to_where_it_changes_and_whole_below() -> None:
    field = FieldChange("checks.tone.prompt", f"{LONG}.", f"{LONG}, and with sources.")
    source = page.plan(Plan("p", "p", (Change("a", Action.REDEPLOY, fields=(field,)),)))
    overview, below = source.split("</table>", 1)
    assert (
        "checks.tone.prompt …ee sentences. → …ee sentences, and with sources."
        in Tree(overview).text
    )
    assert '<a href="#app-1"><bdi>a</bdi></a>' in overview
    assert f"{LONG}, and with sources." in below
    assert "1 field" not in source


def test_where_there_is_no_plan_the_page_says_why() -> None:
    found = Diagnostic(Severity.ERROR, "spec/unknown-field", "no such field; did you mean context?")
    stopped = Stopped("plan", "prod", 1, diagnostics=(found,))
    said = " ".join(Tree(page.of(stopped)).text.split())
    assert "There is no plan. 1 error in the specs; nothing was looked at, and" in said
    assert "no such field; did you mean context?" in said
    stopped = Stopped("plan", "prod", 6, "Modal cannot be reached", "try again")
    said = " ".join(Tree(page.of(stopped)).text.split())
    assert "There is no plan. Modal cannot be reached" in said
    assert "Way out try again" in said
