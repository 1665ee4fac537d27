"""What exactly does a person read? Word for word, at 80 columns and at 160."""

from __future__ import annotations

from modelctl.apply import Failure, Outcome, Result
from modelctl.assess.bill import Bill
from modelctl.cli.options import Selection
from modelctl.diagnostics import Diagnostic, Place, Severity
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.resolved import Limits
from modelctl.views import markdown, page
from modelctl.views.human import changes, ended, problems, shown, standing
from modelctl.views.paint import Paint
from modelctl.views.results import Planned
from modelctl.views.rows import StatusRow

PLAIN = Paint(on=False)

TOO_LARGE = Diagnostic(
    Severity.ERROR,
    "fit/too-large",
    "70B in fp8 does not fit 2 × L40S at 32k context",
    hint="context: 16384 fits on this entry; or L40S:4; or leave the entry out",
    detail="weights 33.9 + one request 5.0 + other 2.9 = 41.8, usable 40.8 GiB per GPU",
    place=Place("specs/chat-70b.yaml", 6, 15, 6, "gpu: [H100:2, L40S:2]"),
    path="gpu[1]",
    environments=("prod",),
)
UNKNOWN = Diagnostic(
    Severity.ERROR,
    "spec/unknown-field",
    "no such field; did you mean context?",
    place=Place("specs/embed.yaml", 4, 1, 6, "contxt: 8192"),
)


def test_a_diagnostic_shows_place_line_caret_sentence_and_way_out() -> None:
    assert problems.diagnostic(TOO_LARGE, paint=PLAIN, width=80) == (
        "specs/chat-70b.yaml:6:15 error fit/too-large (prod)\n"
        "  |\n"
        "6 | gpu: [H100:2, L40S:2]\n"
        "  |               ^^^^^^ 70B in fp8 does not fit 2 × L40S at 32k context\n"
        "  |\n"
        "  weights 33.9 + one request 5.0 + other 2.9 = 41.8, usable 40.8 GiB per GPU\n"
        "  help: context: 16384 fits on this entry; or L40S:4; or leave the entry out"
    )


def test_a_diagnostic_without_a_hint_ends_at_its_caret() -> None:
    assert problems.diagnostic(UNKNOWN, paint=PLAIN, width=80) == (
        "specs/embed.yaml:4:1 error spec/unknown-field\n"
        "  |\n"
        "4 | contxt: 8192\n"
        "  | ^^^^^^ no such field; did you mean context?"
    )


def test_a_sentence_that_does_not_fit_beside_its_caret_stands_below_it() -> None:
    shown = problems.diagnostic(TOO_LARGE, paint=PLAIN, width=60)
    assert "  |               ^^^^^^\n  70B in fp8 does not fit 2 × L40S at 32k context\n" in shown
    assert max(len(line) for line in shown.splitlines()) <= 60


def test_a_long_line_is_cut_around_its_caret() -> None:
    text = "env: {" + "a" * 300 + ": here, " + "b" * 300 + ": there}"
    column = text.index("here") + 1
    found = Diagnostic(Severity.WARNING, "x/y", "look", place=Place("s.yaml", 1, column, 4, text))
    lines = problems.diagnostic(found, paint=PLAIN, width=80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[2][lines[3].index("^") :].startswith("here")


def test_control_characters_of_a_source_line_do_not_reach_the_terminal() -> None:
    found = Diagnostic(
        Severity.ERROR, "x/y", "no", place=Place("s.yaml", 1, 7, 3, "name: \x1b[31mred")
    )
    assert "\x1b" not in problems.diagnostic(found, paint=PLAIN, width=80)


def test_a_diagnostic_without_a_place_is_its_sentence() -> None:
    found = Diagnostic(Severity.ERROR, "spec/not-found", "there is no folder specs")
    assert problems.diagnostic(found, paint=PLAIN, width=80) == (
        "error spec/not-found\n  there is no folder specs"
    )


def test_validation_ends_with_one_line_that_counts() -> None:
    text = problems.validation(
        [TOO_LARGE, UNKNOWN],
        specs=41,
        environments=("staging", "prod"),
        seconds=0.214,
        paint=PLAIN,
        width=80,
    )
    assert text.endswith("\n\n2 errors · 2 of 41 specs · staging, prod · 0.21 s")


def test_a_valid_project_is_one_line() -> None:
    assert (
        problems.validation([], specs=1, environments=("",), seconds=0.1, paint=PLAIN, width=80)
        == "1 spec is valid · 0.10 s"
    )


def test_colour_is_only_escape_sequences_around_the_same_words() -> None:
    import re

    plain = problems.diagnostic(TOO_LARGE, paint=PLAIN, width=80)
    coloured = problems.diagnostic(TOO_LARGE, paint=Paint(on=True), width=80)
    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


PLAN = Plan(
    "main",
    "local control plane",
    (
        Change("embed-e5", Action.CREATE, ("L4, scale to zero",)),
        Change("chat-8b", Action.IN_PLACE, fields=(FieldChange("keep_warm", 1, 2),)),
        Change(
            "chat-70b",
            Action.REDEPLOY,
            fields=(
                FieldChange("backend.version", "0.32.0", "0.33.0"),
                FieldChange("context", 16384, 32768),
            ),
            cost=Cost(None, 2.5),
        ),
        Change("legacy-7b", Action.DELETE, ("not in specs (needs --prune)",)),
        Change("quiet", Action.UNCHANGED),
        Change("rerank", Action.FOREIGN, ("the project others has an app of this name",)),
    ),
)


def test_a_plan_reads_in_a_minute() -> None:
    assert changes.plan(PLAN, paint=PLAIN, width=80) == (
        "local control plane · 6 apps\n"
        "\n"
        "  + embed-e5   create     L4, scale to zero\n"
        "  ~ chat-8b    in place   keep_warm 1 → 2\n"
        "  ± chat-70b   redeploy   backend.version 0.32.0 → 0.33.0, context 16384 → 32768\n"
        "  - legacy-7b  delete     not in specs (needs --prune)\n"
        "  × rerank     foreign    the project others has an app of this name\n"
        "\n"
        "  1 unchanged\n"
        "\n"
        "chat-70b\n"
        "  backend.version  0.32.0 → 0.33.0\n"
        "  context          16384 → 32768\n"
        "\n"
        "Warm cost   $1,825 a month\n"
        "            on the first GPU of each list, computed from list prices\n"
        "\n"
        "Plan: 1 create, 1 in place, 1 redeploy, 1 foreign, 1 to delete with --prune."
    )


def test_a_plan_says_what_it_costs_a_month_before_and_after_and_at_most() -> None:
    costs = Plan(
        "prod",
        "Modal environment prod",
        (
            Change("chat-8b", Action.IN_PLACE, cost=Cost(3.0, 6.0, dearest=8.0, at_max=12.0)),
            Change("embed", Action.CREATE, ("L4",), cost=Cost(None, 0.0, dearest=0.0)),
            Change("old", Action.DELETE, ("not in specs",), cost=Cost(1.0, 0.0), asked_for=True),
            Change("quiet", Action.UNCHANGED, cost=Cost(2.0, 2.0, dearest=2.0, at_max=4.0)),
        ),
        limits=Limits(usd_per_month=12_000, usd_per_hour_at_max=30),
        prices="Modal's list prices of 2026-05-25",
    )
    text = changes.plan(costs, paint=PLAIN, width=80)
    assert (
        "\n\n"
        "Warm cost   $4,380 → $5,840 a month (+$2,190 chat-8b, -$730 old), $7,300 on the\n"
        "            dearest GPUs; budget $12,000 a month\n"
        "At most     $16.00 an hour with every app at its max; no scaling.max, so no\n"
        "            most: embed; budget $30.00 an hour\n"
        "            on the first GPU of each list, computed from Modal's list prices of\n"
        "            2026-05-25\n"
        "\n"
        "Plan: "
    ) in text
    wide = changes.plan(costs, paint=PLAIN, width=160)
    assert (
        "Warm cost   $4,380 → $5,840 a month (+$2,190 chat-8b, -$730 old), $7,300 on the dearest "
        "GPUs; budget $12,000 a month\n"
    ) in wide
    assert max(len(line) for line in wide.splitlines()) <= 160


def test_a_plan_of_some_apps_counts_the_others_too() -> None:
    some = Plan("prod", "here", (Change("a", Action.CREATE, cost=Cost(None, 2.0)),), others=1.0)
    text = changes.plan(some, paint=PLAIN, width=100)
    assert (
        "Warm cost   $730 → $2,190 a month (+$1,460 a), $730 of it of apps not in this plan\n"
        in text
    )


BILLS = (
    Bill("staging", "Modal's list prices of 2026-05-25", parts=(("a", 0.0),), unlimited=("a",)),
    Bill(
        "prod",
        "Modal's list prices of 2026-05-25",
        warm=(3.955, 7.8125),
        at_most=(15.82, 31.25),
        first=3.955,
        parts=(("a", 3.955), ("b", 0.0), ("c", 0.0), ("d", 0.0), ("e", 0.0)),
        unlimited=("b", "c", "d", "e"),
        limits=Limits(usd_per_month=6000),
    ),
)


def test_validation_says_what_keep_warm_costs_in_each_environment() -> None:
    text = problems.validation(
        [], specs=5, environments=("staging", "prod"), seconds=0.1, paint=PLAIN, width=80,
        bills=BILLS,
    )  # fmt: skip
    assert text == (
        "Warm cost   staging  $0, scale to zero\n"
        "            prod     $3.96 to $7.81 an hour, $2,887 to $5,703 a month; budget\n"
        "                     $6,000 a month\n"
        "At most     staging  no limit: there is no scaling.max\n"
        "            prod     $15.82 to $31.25 an hour; no scaling.max, so no most: b, c,\n"
        "                     d, e\n"
        "            computed from Modal's list prices of 2026-05-25, from the cheapest\n"
        "            to the dearest GPU of each list\n"
        "\n"
        "5 specs are valid · staging, prod · 0.10 s"
    )


def test_validation_says_how_many_specs_the_cost_leaves_out() -> None:
    text = problems.validation(
        [UNKNOWN], specs=6, environments=("staging", "prod"), seconds=0.1, paint=PLAIN, width=80,
        bills=BILLS, unread=2,
    )  # fmt: skip
    assert "            without 2 specs with errors, computed from Modal's list prices of\n" in text


def test_a_plan_with_nothing_to_do_says_so() -> None:
    text = changes.plan(Plan("main", "local control plane", (Change("a", Action.UNCHANGED),)),
                      paint=PLAIN, width=80)  # fmt: skip
    assert text == "local control plane · 1 app\n\n  1 unchanged\n\nNothing to do."


def test_of_two_long_values_where_they_differ_is_shown() -> None:
    same = "answer in the language of the question and with at most three "
    one = FieldChange("chat_template", f"{same}words", f"{same}sentences")
    assert changes.arrow(one) == "chat_template … most three words → … most three sentences"
    other = FieldChange("a", "x" * 80, True)
    assert changes.arrow(other) == f"a {'x' * 59}… → true"


def test_a_number_is_shown_as_a_spec_says_it() -> None:
    field = FieldChange("budget.usd_per_month", 1000.0, 1500.5)
    assert changes.arrow(field) == "budget.usd_per_month 1000 → 1500.5"
    change = Change(
        "chat", Action.REDEPLOY, fields=(field, FieldChange("budget.usd_per_hour", 2.0, None))
    )
    result = Planned(Plan("main", "here", (change,)))
    for text in (markdown.written(result), page.of(result)):
        assert "1000" in text and "1500.5" in text
        assert "1000.0" not in text and "2.0" not in text.split("</style>")[-1]


def test_no_line_of_a_plan_is_wider_than_the_terminal() -> None:
    fields = tuple(FieldChange(f"env.VARIABLE_{n}", "x" * 50, "y" * 50) for n in range(9))
    wide = Plan("main", "here", (Change("chat", Action.REDEPLOY, fields=fields),))
    for width in (80, 160):
        text = changes.plan(wide, paint=PLAIN, width=width)
        assert max(len(line) for line in text.splitlines()) <= width


def test_the_next_command_is_for_where_this_one_was() -> None:
    failed = Outcome("b", Action.CREATE, Result.FAILED, 1, detail="no", failure=Failure.BOOT)
    options = Selection(env="prod", local=True).options
    text = ended.outcomes([failed], 1, paint=PLAIN, width=100, options=options)
    assert "next: fix the spec and apply, or modelctl apply b --env prod --local --retry" in text


def test_outcomes_show_what_failed_with_its_last_lines_and_where_the_rest_is() -> None:
    text = ended.outcomes(
        [
            Outcome("a", Action.CREATE, Result.DONE, 1, "http://127.0.0.1:20000"),
            Outcome(
                "b",
                Action.CREATE,
                Result.FAILED,
                1,
                detail="could not boot: the engine ended with exit code 1 before it was ready; "
                "left at zero containers",
                lines=("14:31:02 engine   ERROR   error: no such file",),
                needs_person=True,
                failure=Failure.BOOT,
            ),
            Outcome("c", Action.UNCHANGED, Result.UNCHANGED),
        ],
        372.4,
        paint=PLAIN,
        width=80,
    )
    assert text == (
        "✘ b  v1\n"
        "  could not boot: the engine ended with exit code 1 before it was ready; left at\n"
        "  zero containers\n"
        "  last lines of v1:\n"
        "    14:31:02 engine   ERROR   error: no such file\n"
        "  next: fix the spec and apply, or modelctl apply b --retry\n"
        "\n"
        "  a  http://127.0.0.1:20000/v1\n"
        "\n"
        "1 applied, 1 failed, 1 unchanged · 6 min 12 s"
    )


def test_status_keeps_sync_and_health_apart() -> None:
    held = 'rolled back to v6 by ana, "latency", until 2026-11-23 09:00 UTC'
    blocked = "v9 failed: answered wrong: Rome, v10 serves (v8 again); change the spec, or --retry"
    rows = [
        StatusRow(
            *("chat-8b", "in sync", "healthy", "2 of 2..8 H100", 12, "https://a.example"),
            commit="8f3ab1e",
            usd_per_hour=9.68,
        ),
        StatusRow(
            *("chat-70b", "blocked", "healthy", "1 of 1..4 H100:2", 10, None),
            again=8,
            commit="77c0d92",
            usd_per_hour=8.79,
            reasons=(blocked,),
        ),
        StatusRow("embed-e5", "out of date", "asleep", "0 of 0..∞", 1, None, usd_per_hour=0.0),
        StatusRow("search", "held", "starting", "0 of 1..8 L40S", 7, None, reasons=(held,)),
        StatusRow(
            *("summarize", "drifted", "waiting 6 min", "0 of 1..12 H200", 4, None),
            commit="77c0d92",
            usd_per_hour=0.0,
            waiting_for="H200:2 or H100",
            reasons=("live scaling.max 12, spec 4: apply sets 4",),
        ),
    ]
    text = standing.status(rows, "Modal environment prod", paint=PLAIN, width=80)
    assert text == (
        "Modal environment prod\n"
        "             sync         health         live              version      $/h now\n"
        "  chat-8b    in sync      healthy        2 of 2..8 H100    v12 8f3ab1e     9.68\n"
        "  chat-70b   blocked      healthy        1 of 1..4 H100:2  v10 (is v8)     8.79\n"
        "             v9 failed: answered wrong: Rome, v10 serves (v8 again); change the\n"
        "             spec, or --retry\n"
        "  embed-e5   out of date  asleep         0 of 0..∞         v1              0.00\n"
        "  search     held         starting       0 of 1..8 L40S    v7                 -\n"
        '             rolled back to v6 by ana, "latency", until 2026-11-23 09:00 UTC\n'
        "  summarize  drifted      waiting 6 min  0 of 1..12 H200   v4 77c0d92      0.00\n"
        "             waiting for 2 × H200 or H100\n"
        "             live scaling.max 12, spec 4: apply sets 4\n"
        "\n"
        "  $18.47 an hour now\n"
        "\n"
        "  chat-8b    https://a.example/v1"
    )


def test_a_shown_spec_is_yaml_that_means_the_same() -> None:
    import yaml

    fields = {
        "name": "chat",
        "model": {"source": "hf://Qwen/Qwen3-8B"},
        "gpu": [{"type": "H100"}, {"type": "L40S", "count": 2}],
        "image": {"python": "3.10", "run": ["echo 'a: b # c'"]},
        "labels": {"on": "yes", "team": "search"},
        "keep_warm": 0,
        "protect": False,
        "scaling": {"idle_timeout": "5m"},
        "env": {"GREETING": "hello: world", "EMPTY": ""},
        "budget": {"usd_per_hour": 2.5, "usd_per_month": 1000.0},
        "backend": {"name": "vllm", "args": {"swap-space": 4.0}},
    }
    text = shown.spec(fields, lambda path: "default", paint=PLAIN)
    assert yaml.safe_load(text) == fields
    assert "keep_warm: 0" in text
    assert "usd_per_month: 1000  " in text
    assert "swap-space: 4.0  " in text
    assert "# default" in text
