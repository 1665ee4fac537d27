"""Does a comment read well, is text in it text, and does it fit? Word for word."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from modelctl.diagnostics import Place
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.resolved import Limits
from modelctl.views import marked
from modelctl.views.markdown import written
from modelctl.views.results import Planned, Result, Stopped, Validated
from tests.examples import examples
from tests.views import alike, results

GFM = MarkdownIt("commonmark").enable("table").enable("strikethrough")

PLAN = r"""<!-- modelctl: plan prod -->
### Plan for prod: 1 create, 1 in place, 1 redeploy, 1 drift, 1 blocked, 1 held, 1 to delete with --prune

Modal environment prod · 41 apps, 34 unchanged

|  | app | action | what | warm, a month |
| --- | --- | --- | --- | ---: |
| ± | **chat-70b** | redeploy | `backend.version` 0.32.0 → 0.33.0, `context` 16384 → 32768 | \$6,417 |
| ~ | **chat-8b** | in place | `keep_warm` 1 → 2 | \$3,533 → \$7,066 |
| + | **embed-e5** | create | L4, scale to zero, 1.1 GB to fetch | \$0 |
| - | **legacy-7b** | delete | not in specs (needs --prune) | \$584 |
| × | **rerank** | blocked | v8 answered wrong; change the spec or --retry |  |
| ‖ | **search-8b** | held | rolled back to v6 by ana | \$4,380 |
| ! | **summarize** | drift | live max 12, spec 4: apply sets 4 | \$0 |

|  | where | problem |
| --- | --- | --- |
| **error** | `specs/chat-70b.yaml:9` | `secret/missing` secrets\[0\]: prod has no Secret hub<br>help: modal secret create hub HF\_TOKEN=… --env prod |

**Warm cost** \$18,447 a month, \$19,330 on the dearest GPUs; budget \$40,000 a month<br>
**At most** \$77.08 an hour with every app at its max; no scaling.max, so no most: search-8b, summarize, quiet-0 and 33 more; without what stays of legacy-7b<br>
<sub>on the first GPU of each list, computed from Modal's list prices of 2026-05-25</sub>
"""  # noqa: E501


VALIDATION = r"""<!-- modelctl: validate -->
### Validate: 2 errors, 1 warning, 1 not checked · 3 of 4 specs · staging, prod

|  | where | problem |
| --- | --- | --- |
| **error** | `specs/chat-70b.yaml:6` | `fit/too-large` gpu\[1\]: 70B in fp8 does not fit 2 × L40S at 32k context (prod)<br>weights 33.9 + one request 5.0 + other 2.9 = 41.8, usable 40.8 GiB per GPU<br>help: context: 16384 fits on this entry; or L40S:4 |
| **error** | `specs/embed.yaml:4` | `spec/unknown-field` contxt: no such field; did you mean context? |
| warning | `specs/chat-8b.yaml:2` | `model/unlocked` not in modelctl.lock; run modelctl lock |

<details><summary>1 not checked</summary>

|  | where | problem |
| --- | --- | --- |
| not checked | `specs/odd.yaml:1` | `fit/not-checked` gpu: the architecture has no facts here |

</details>"""  # noqa: E501


def seen(text: str) -> str:
    """What is seen before anything is unfolded."""
    return re.sub(r"<details>.*?</details>\n*", "", text, flags=re.DOTALL)


def test_a_plan_is_one_screen_with_one_table() -> None:
    text = written(results.PLANNED)
    assert seen(text).strip() == PLAN.strip()
    assert len(seen(text).splitlines()) <= 40


def test_each_app_has_its_fields_and_what_they_mean_folded() -> None:
    text = written(results.PLANNED)
    sections = re.findall(r"<details><summary>(.*?)</summary>", text)
    assert sections == ["summarize", "chat-70b", "chat-8b", "search-8b", "1 warning"]
    assert (
        r"""<details><summary>chat-70b</summary>

| field | before | after |
| --- | --- | --- |
| `backend.version` | `0.32.0` | `0.33.0` |
| `context` | `16384` | `32768` |

new image; rolling, 2 more H100 while it rolls; same URL

at most \$35.16 an hour

spec: `specs/chat-70b.yaml`

</details>"""
        in text
    )
    assert "held by ana@laptop, latency until 2026-11-23T09:00:00Z" in text


def test_a_plan_with_nothing_to_do_is_five_lines() -> None:
    plan = Plan("prod", "Modal environment prod", (Change("a", Action.UNCHANGED),))
    assert written(Planned(plan, "prod")) == (
        "<!-- modelctl: plan prod -->\n### Plan for prod: nothing to do\n\n"
        "Modal environment prod · 1 app, 1 unchanged"
    )


def test_what_costs_more_than_may_be_spent_is_denied_at_the_top() -> None:
    limits = Limits(usd_per_month=1000)
    change = Change("a", Action.CREATE, cost=Cost(None, 9.0))
    text = written(Planned(Plan("prod", "prod", (change,), limits=limits), "prod"))
    assert text.splitlines()[5] == (
        r"> **Denied**: keep\_warm of all apps would cost \$6,570.00 a month, \$0.00 of it of "
        r"apps that are not in this plan; the policy allows \$1,000.00"
    )


def test_problems_are_a_table_and_what_was_not_checked_is_folded() -> None:
    assert written(results.VALIDATED) == VALIDATION


def test_an_apply_says_what_failed_with_the_lines_that_matter() -> None:
    text = written(results.APPLIED)
    assert text.startswith(
        r"""<!-- modelctl: apply prod -->
### Apply to prod: 1 applied, 1 failed, 1 held, 1 not started, 34 unchanged · 6 min 12 s

Modal environment prod · 34 unchanged

|  | app | action | result | took |
| --- | --- | --- | --- | ---: |
| ✘ | **chat-70b** | redeploy | v9 answered wrong; v8 serves, as it did all along | 281.4 s |
| ✔ | **chat-8b** | in place | v12, keep\_warm 2 | 0.4 s |
| · | **embed-e5** | create | wave 2 was not begun: chat-70b failed | 0.0 s |
| · | **search-8b** | held | held by ana@laptop | 0.0 s |
"""
    )
    assert (
        """last lines of v9:

```text
14:31:02 engine  WARNING chat template not found
::set-output name=x::y
```

next: fix the spec and apply, or modelctl apply chat-70b --env prod --retry"""
        in text
    )


def test_a_status_has_what_needs_a_look_first() -> None:
    assert (
        seen(written(results.STANDING)).strip()
        == r"""<!-- modelctl: status prod -->
### Status of prod: 3 apps, 2 to look at

Modal environment prod

> `specs/odd.yaml` has 2 errors, so that what it asks for is not compared

| app | sync | health | live | version | $/h now |
| --- | --- | --- | --- | --- | ---: |
| **chat-70b** | blocked<br>v9 answered wrong | healthy | 1 of 1..4 H100:2 | v10 (is v8) | 8.79 |
| **summarize** | in sync | HTTP 503 | 0 of 1..12 H200 | v4 | 0.00 |
| **chat-8b** | in sync | healthy | 2 of 2..8 H100 | v12 8f3ab1e | 9.68 |

\$18.47 an hour now"""
    )


def test_a_command_that_could_not_go_on_says_why_in_the_same_comment() -> None:
    assert written(results.UNREACHABLE) == (
        "<!-- modelctl: plan prod -->\n### Plan for prod: it could not go on\n\n"
        "> Modal did not answer while looking: timed out\n\n> help: try again"
    )
    assert written(results.REJECTED) == (
        "<!-- modelctl: apply prod -->\n### Apply to prod: rejected, 1 error\n\n"
        "|  | where | problem |\n| --- | --- | --- |\n"
        "| **error** | `specs/embed.yaml:4` | `spec/unknown-field` contxt: no such field; did you "
        "mean context? |"
    )


# -- text stays text


def told(source: str) -> str:
    """The text that a reader of the page sees, without markup."""
    return html.unescape(re.sub(r"<[^>]*>", "", GFM.render(source))).strip()


def plain(said: str) -> str:
    return " ".join(marked._CONTROL.sub(" ", said).replace("\u200b", "").split())


@example("a 0")
@given(results.texts)
def test_any_sentence_reads_as_it_is_and_is_nothing_but_text(said: str) -> None:
    source = marked.text(said, 10_000)
    for head, shown in (("", source), ("a", f"| a |\n| - |\n| {source} |")):
        rendered = GFM.render(shown)
        tags = set(re.findall(r"</?([a-z0-9]+)", rendered))
        assert tags <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
        assert plain(told(shown)).removeprefix(head).strip() == plain(said)


@given(results.texts)
def test_any_value_reads_as_it_is_as_code(said: str) -> None:
    shown = f"| a |\n| - |\n| {marked.code(said, 10_000)} |"
    rendered = GFM.render(shown)
    assert set(re.findall(r"</?([a-z0-9]+)", rendered)) <= {
        "table", "thead", "tbody", "tr", "th", "td", "code",
    }  # fmt: skip
    assert rendered.count("<td>") == 1
    assert plain(told(shown)).removeprefix("a").strip() == plain(said)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("@ana and ana@laptop", "@\u200bana and ana@laptop"),
        ("ana@example.com", "ana@\u200bexample.com"),
        ("see #12 and org/repo#12", r"see \#" "\u200b" r"12 and org/repo\#" "\u200b12"),
        ("https://evil.example and www.x.y", "https:\u200b//evil.example and www.\u200bx.y"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("a | b", "a &#124; b"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\u202e", r"\[31mred"),
    ],
)
def test_nobody_is_mentioned_and_nothing_is_linked(said: str, source: str) -> None:
    assert marked.text(said) == source


# -- the length of a comment


@settings(max_examples=examples(60))
@given(results.anything, st.integers(1200, 9000))
def test_no_comment_is_longer_than_a_platform_takes_or_cut_in_its_middle(
    result: Result, limit: int
) -> None:
    text = written(result, limit)
    assert len(text) <= limit
    assert text.startswith("<!-- modelctl: ")
    lines = text.splitlines()
    opened = sum(line.startswith("<details><summary>") for line in lines)
    assert opened == lines.count("</details>")


def test_what_does_not_fit_is_counted() -> None:
    found = [replace(results.ERROR, message=f"{n} " + "x" * 500) for n in range(500)]
    text = written(Validated(found, ("a.yaml",)))
    assert len(text) <= marked.COMMENT_LIMIT
    assert text.splitlines()[-1] == (
        "17 more sections are left out, for the length of a comment: run `modelctl validate` to "
        "see it all"
    )


def test_many_changes_keep_the_first_screen_short() -> None:
    many = tuple(
        Change(f"app-{n:02}", Action.REDEPLOY, fields=(FieldChange("context", n, 4096),))
        for n in range(60)
    )
    text = written(Planned(Plan("prod", "prod", many), "prod"))
    assert len(seen(text).splitlines()) <= 40
    assert "<details><summary>25 more changes</summary>" in text
    assert "<details><summary>15 more changes</summary>" in text
    assert all(f"app-{n:02}" in text for n in range(60))


def test_where_one_more_row_fits_it_stands_there() -> None:
    """ "1 more" would take the room of what it hides."""
    four = Plan("prod", "prod", alike.SAME[:4])
    text = written(Planned(four, "prod"))
    assert "0.9 → 0.92<br>chat-0, chat-1, chat-2, chat-3 |" in text
    assert "<summary>4 apps: chat-0, chat-1, chat-2, chat-3</summary>" in text
    fields = tuple(FieldChange(f"f{n}", 0, 1) for n in range(4))
    text = written(Planned(Plan("prod", "prod", (replace(alike.SAME[0], fields=fields),)), "prod"))
    assert "`f0` 0 → 1, `f1` 0 → 1, `f2` 0 → 1, `f3` 0 → 1 |" in text
    for count, folded in ((21, []), (22, ["2"]), (46, ["26"]), (47, ["25", "2"])):
        errors = [replace(results.ERROR, path=f"gpu[{n}]") for n in range(count)]
        changed = tuple(
            replace(alike.SAME[0], name=f"app-{n:02}", fields=(FieldChange("context", n, 4096),))
            for n in range(count)
        )
        outcomes = [replace(results.FAILED, name=f"app-{n:02}") for n in range(count)]
        rows = [replace(results.ROWS[0], name=f"app-{n:02}") for n in range(count)]
        for result, words in (
            (Validated(errors), "more problems"),
            (Stopped("plan", "prod", 1, diagnostics=errors), "more problems"),
            (Planned(Plan("prod", "prod", changed), "prod"), "more changes"),
            (replace(results.APPLIED, outcomes=outcomes), "more apps"),
            (replace(results.STANDING, rows=rows), "more apps"),
        ):
            text = written(result, 500_000)
            assert re.findall(rf"<summary>(\d+) {words}</summary>", text) == folded


ALIKE = r"""|  | app | action | what | warm, a month |
| --- | --- | --- | --- | ---: |
| + | **alone** | create | L4, scale to zero | \$0 |
| ± | **5 apps** | redeploy | `memory_utilization` 0.9 → 0.92<br>chat-0, chat-1, chat-2 and 2 more | \$3,650 |

<details><summary>5 apps: chat-0, chat-1, chat-2 and 2 more</summary>

| field | before | after |
| --- | --- | --- |
| `memory_utilization` | `0.9` | `0.92` |

rolling; same URL

| app | spec | warm, a month |
| --- | --- | ---: |
| chat-0 | `specs/chat-0.yaml` | \$730 |
| chat-1 |  | \$730 |
| chat-2 |  | \$730 |
| chat-3 |  | \$730 |
| chat-4 |  | \$730 |

at most \$20.00 an hour

</details>"""  # noqa: E501


def test_apps_that_change_in_the_same_way_are_one_row_with_all_names_folded() -> None:
    plan = Plan("prod", "prod", (alike.ALONE, *alike.SAME))
    text = written(Planned(plan, "prod", places={"chat-0": Place("specs/chat-0.yaml")}))
    table, section = ALIKE.split("\n\n", 1)
    assert table in text
    assert section in text
    assert "### Plan for prod: 1 create, 5 redeploy" in text


def test_of_what_is_deleted_every_name_is_a_row() -> None:
    gone = tuple(Change(f"old-{n}", Action.DELETE, ("not in specs",)) for n in range(6))
    text = seen(written(Planned(Plan("prod", "prod", gone), "prod")))
    assert all(f"| **old-{n}** | delete |" in text for n in range(6))


def test_of_a_very_large_fleet_as_much_is_listed_as_fits() -> None:
    rows = [replace(results.ROWS[0], name=f"app-{n:04}") for n in range(2000)]
    text = written(replace(results.STANDING, rows=rows))
    assert marked.COMMENT_LIMIT * 0.9 < len(text) <= marked.COMMENT_LIMIT
    assert re.search(r"\d+ more sections are left out, .* run `modelctl status --env prod`", text)


@pytest.mark.parametrize("name", ["x --><script>", "prod\n", "a+local"])
def test_the_name_of_an_environment_cannot_end_the_mark(name: str) -> None:
    first = written(Stopped("plan", name, 6, "no")).splitlines()[0]
    assert re.fullmatch(r"<!-- modelctl: plan [\w.+-]+ -->", first)
