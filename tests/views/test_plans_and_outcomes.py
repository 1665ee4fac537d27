"""What does a person read of every action and of every failure? Word for word, at 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.apply import Failure, Outcome, Result
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.record import Hold
from modelctl.views.human import changes, ended
from modelctl.views.paint import Paint

PLAIN = Paint(on=False)
HOLD = Hold("version", "ana@laptop", "latency", "2026-11-20T02:10:00Z", "2026-11-23T09:00:00Z", "")

ROWS: list[tuple[str, Change, str]] = [
    (
        "create",
        Change(
            "embed-e5",
            Action.CREATE,
            ("L4, scale to zero",),
            impact=("1.1 GB to fetch",),
        ),
        """\
  + embed-e5  create     L4, scale to zero, 1.1 GB to fetch
""",
    ),
    (
        "in place",
        Change(
            "chat-8b",
            Action.IN_PLACE,
            fields=(FieldChange("keep_warm", 1, 2),),
            impact=("no new version, containers stay",),
        ),
        """\
  ~ chat-8b  in place   keep_warm 1 → 2
""",
    ),
    (
        "redeploy",
        Change(
            "chat-70b",
            Action.REDEPLOY,
            fields=(
                FieldChange("backend.version", "0.32.0", "0.33.0"),
                FieldChange("context", 16384, 32768),
            ),
            impact=(
                "new image",
                "rolling, 2 more H100 while it rolls",
                "0 MB to fetch",
                "same URL",
            ),
        ),
        """\
  ± chat-70b  redeploy   backend.version 0.32.0 → 0.33.0, context 16384 → 32768

chat-70b
  backend.version  0.32.0 → 0.33.0
  context          16384 → 32768
  new image; rolling, 2 more H100 while it rolls; 0 MB to fetch; same URL
""",
    ),
    (
        "recreate",
        Change(
            "chat-70b",
            Action.RECREATE,
            ("earlier spec unknown",),
            impact=("down until it has started again", "same URL"),
        ),
        """\
  ± chat-70b  recreate   earlier spec unknown

chat-70b
  down until it has started again; same URL
""",
    ),
    (
        "drift",
        Change(
            "summarize",
            Action.DRIFT,
            ("live scaling.max 12, spec 4: apply sets 4",),
            (FieldChange("scaling.max", 12, 4),),
            drifted_to=Action.IN_PLACE,
        ),
        """\
  ! summarize  drift      live scaling.max 12, spec 4: apply sets 4
""",
    ),
    (
        "drift",
        Change(
            "rerank",
            Action.DRIFT,
            (
                "rolled back by ana to v4 past modelctl (v6 lives, v5 was recorded); apply deploys "
                "it as the spec says",
            ),
            impact=("rolling", "same URL"),
            drifted_to=Action.REDEPLOY,
        ),
        """\
  ! rerank  drift      rolled back by ana to v4 past modelctl (v6 lives, v5 was
                       recorded); apply deploys it as the spec says

rerank
  rolling; same URL
""",
    ),
    (
        "held",
        Change(
            "search-8b",
            Action.HELD,
            ('rolled back to v6 by ana@laptop, "latency", until 2026-11-23 09:00 UTC',),
            hold=HOLD,
        ),
        """\
  ‖ search-8b  held       rolled back to v6 by ana@laptop, "latency", until
                          2026-11-23 09:00 UTC
""",
    ),
    (
        "to delete with --prune",
        Change("legacy-7b", Action.DELETE, ("not in specs (needs --prune)",)),
        """\
  - legacy-7b  delete     not in specs (needs --prune)
""",
    ),
    (
        "delete",
        Change(
            "old",
            Action.DELETE,
            ("renamed to new: deleted once that one serves", "its URL goes away"),
            asked_for=True,
            after="new",
        ),
        """\
  - old  delete     renamed to new: deleted once that one serves, its URL goes
                    away
""",
    ),
    (
        "blocked",
        Change(
            "rerank",
            Action.BLOCKED,
            (
                'v9 failed: answered wrong: check "capital" expected "Paris" in the answer; got '
                '"Lyon", v10 serves (v8 again); change the spec, or --retry',
            ),
        ),
        """\
  × rerank  blocked    v9 failed: answered wrong: check "capital" expected
                       "Paris" in the answer; got "Lyon", v10 serves (v8 again);
                       change the spec, or --retry
""",
    ),
    (
        "foreign",
        Change(
            "chat", Action.FOREIGN, ("an app of this name was deployed by ben without modelctl",)
        ),
        """\
  × chat  foreign    an app of this name was deployed by ben without modelctl
""",
    ),
]


@pytest.mark.parametrize(("counted", "change", "text"), ROWS, ids=[row[2][4:20] for row in ROWS])
def test_a_plan_says_it(counted: str, change: Change, text: str) -> None:
    shown = changes.plan(Plan("prod", "Modal environment prod", (change,)), paint=PLAIN, width=80)
    assert shown == (f"Modal environment prod · 1 app\n\n{text}\nPlan: 1 {counted}.")
    assert max(map(len, shown.splitlines())) <= 80


def outcome(name: str, action: Action, result: Result, **more: Any) -> Outcome:
    return Outcome(name, action, result, **{"seconds": 1.0, **more})


FAILED: list[tuple[Outcome, str]] = [
    (
        outcome(
            "chat-70b",
            Action.REDEPLOY,
            Result.FAILED,
            version=10,
            tried=9,
            failure=Failure.ANSWER,
            detail='answered wrong: check "german" expected /München|Munich/; got "I\'m not sure '
            'which city"; v8 serves, as it did all along',
            lines=("14:31:02 engine   WARNING chat template not found, using default",),
        ),
        """\
✘ chat-70b  v9
  answered wrong: check "german" expected /München|Munich/; got "I'm not sure
  which city"; v8 serves, as it did all along
  last lines of v9:
    14:31:02 engine   WARNING chat template not found, using default
  next: fix the spec and apply, or modelctl apply chat-70b --env prod --retry
""",
    ),
    (
        outcome(
            "embed",
            Action.CREATE,
            Result.FAILED,
            version=1,
            tried=1,
            failure=Failure.BOOT,
            needs_person=True,
            detail="could not boot: the engine ended with exit code 1 before it was ready; left at "
            "zero containers",
        ),
        """\
✘ embed  v1
  could not boot: the engine ended with exit code 1 before it was ready; left at
  zero containers
  next: fix the spec and apply, or modelctl apply embed --env prod --retry
""",
    ),
    (
        outcome(
            "summarize",
            Action.REDEPLOY,
            Result.FAILED,
            version=6,
            tried=5,
            failure=Failure.PLACE,
            detail="could not place: no 2 × H100 was free within 600 s; v4 serves, as it did all "
            "along",
        ),
        """\
✘ summarize  v5
  could not place: no 2 × H100 was free within 600 s; v4 serves, as it did all
  along
  next: modelctl apply summarize --env prod, which tries it again as it is
""",
    ),
    (
        outcome(
            "rerank",
            Action.CREATE,
            Result.FAILED,
            failure=Failure.FETCH,
            needs_person=True,
            detail="could not fetch hf://org/m: the Hub does not answer; apply again",
        ),
        """\
✘ rerank
  could not fetch hf://org/m: the Hub does not answer; apply again
  next: modelctl apply rerank --env prod, which tries it again as it is
""",
    ),
    (
        outcome(
            "chat",
            Action.REDEPLOY,
            Result.FAILED,
            version=3,
            tried=3,
            failure=Failure.UNSEEN,
            detail="could not be seen: the endpoint refuses the proxy token of "
            "MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET; v2 serves, as it did all "
            "along",
        ),
        """\
✘ chat  v3
  could not be seen: the endpoint refuses the proxy token of
  MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET; v2 serves, as it did
  all along
  next: modelctl apply chat --env prod, which tries it again as it is
""",
    ),
    (
        outcome(
            "chat",
            Action.CREATE,
            Result.FAILED,
            again=True,
            detail="another apply (github run 1842) took over; what was under way may have taken "
            "effect",
        ),
        """\
✘ chat
  another apply (github run 1842) took over; what was under way may have taken
  effect
  next: modelctl apply chat --env prod, which tries it again as it is
""",
    ),
    (
        outcome(
            "rerank",
            Action.BLOCKED,
            Result.FAILED,
            version=8,
            detail="v7 failed: could not boot: no memory, v8 serves (v6 again); change the spec, "
            "or --retry",
        ),
        """\
✘ rerank  blocked
  v7 failed: could not boot: no memory, v8 serves (v6 again); change the spec,
  or --retry
""",
    ),
]


@pytest.mark.parametrize(("failed", "text"), FAILED, ids=[str(o.failure) for o, _ in FAILED])
def test_a_failure_is_told_whole(failed: Outcome, text: str) -> None:
    shown = ended.outcomes([failed], 372.4, paint=PLAIN, width=80, options="--env prod")
    assert shown == f"{text}\n1 failed · 6 min 12 s"
    assert max(map(len, shown.splitlines())) <= 80


def test_every_failure_has_its_words_here() -> None:
    assert {o.failure for o, _ in FAILED} == {*Failure, None}


def test_every_action_has_its_words_here() -> None:
    assert {change.action for _, change, _ in ROWS} == {*Action} - {Action.UNCHANGED}


def test_an_apply_ends_with_where_each_app_is_and_one_line_that_counts() -> None:
    shown = ended.outcomes(
        [
            outcome("chat", Action.REDEPLOY, Result.DONE, version=2, url="https://c.example"),
            outcome("embed", Action.CREATE, Result.SKIPPED, detail="wave 2 was not begun"),
            outcome("held", Action.HELD, Result.HELD, version=3),
            outcome("same", Action.UNCHANGED, Result.UNCHANGED, version=3),
            outcome("old", Action.DELETE, Result.SKIPPED, detail="needs --prune"),
        ],
        64.2,
        paint=PLAIN,
        width=80,
    )
    assert (
        shown
        == """\
  chat  https://c.example/v1

  · embed  wave 2 was not begun

1 applied, 1 held, 1 not started, 1 not deleted, 1 unchanged · 1 min 4 s"""
    )


def test_a_whole_plan_reads_as_one_screen() -> None:
    costs = (Cost(None, 0.0), Cost(1.0, 2.0), Cost(1.0, 1.0))
    rows = tuple(replace(row[1], cost=cost) for row, cost in zip(ROWS, costs, strict=False))
    same = tuple(Change(f"app-{n}", Action.UNCHANGED, cost=Cost(0.0, 0.0)) for n in range(34))
    shown = changes.plan(Plan("prod", "Modal environment prod", rows + same), paint=PLAIN, width=80)
    assert (
        shown
        == """\
Modal environment prod · 37 apps

  + embed-e5  create     L4, scale to zero, 1.1 GB to fetch
  ~ chat-8b   in place   keep_warm 1 → 2
  ± chat-70b  redeploy   backend.version 0.32.0 → 0.33.0, context 16384 → 32768

  34 unchanged

chat-70b
  backend.version  0.32.0 → 0.33.0
  context          16384 → 32768
  new image; rolling, 2 more H100 while it rolls; 0 MB to fetch; same URL

Warm cost   $1,460 → $2,190 a month (+$730 chat-8b)
            on the first GPU of each list, computed from list prices

Plan: 1 create, 1 in place, 1 redeploy."""
    )
