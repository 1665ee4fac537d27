"""What does a saved plan hold, and when is it still the plan?"""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from modelctl.plan import Action, Change, Desired, Plan, Seen, plan
from modelctl.platform.types import Stale
from modelctl.saved import Chosen, NotAPlan, Saved, decode, encode, save, still_true, still_wanted
from tests.making import EVERYTHING, NOW, desired, entry, live_app, seen

LIVE = seen(
    live_app("moves"),
    live_app("stays", app_id="ap-2"),
    index={"moves": entry(digest="d0"), "stays": entry(app_id="ap-2")},
)
WANTED = [desired("moves"), desired("new"), desired("stays")]


def planned(wanted: list[Desired], found: Seen) -> Plan:
    return plan(
        wanted,
        found,
        project="team",
        where="Modal environment prod",
        whole_project=True,
        capabilities=EVERYTHING,
    )


def made(chosen: Chosen | None = None) -> Saved:
    chosen = chosen or Chosen(what=("specs/a.yaml",), env="prod", prune=True)
    result = planned(WANTED, LIVE)
    return save(result, LIVE, WANTED, chosen, project="team", now=NOW, who="ana@laptop")


def test_a_saved_plan_comes_back_as_it_was() -> None:
    assert decode(encode(made()).encode()) == made()


def test_it_holds_names_digests_and_versions_and_no_code() -> None:
    text = encode(made())
    assert "# app" not in text
    assert json.loads(text)["steps"][0] == {
        "name": "moves",
        "action": "redeploy",
        "does": "redeploy",
        "digest": "d1",
        "app_id": "ap-1",
        "version": 1,
        "scaling": {
            "min_containers": 0,
            "max_containers": None,
            "buffer_containers": 0,
            "scaledown_window": 300,
            "scaleup_window": None,
            "target_concurrency": None,
        },
    }


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nonsense", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[]", "it is not a plan, or one of another modelctl"),
        (b'{"format": 2, "steps": []}', "it is not a plan, or one of another modelctl"),
        (b'{"format": 1, "steps": [7]}', "Expected `object`, got `int` - at `$.steps[0]`"),
    ],
)
def test_what_is_no_plan_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(NotAPlan) as problem:
        decode(content)
    assert str(problem.value) == why


def test_the_same_specs_are_still_what_was_planned() -> None:
    still_wanted(made(), WANTED)


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        ([desired("moves", digest="d9"), *WANTED[1:]], "moves"),
        (WANTED[:2], "stays"),
        ([*WANTED, desired("more")], "more"),
        ([WANTED[0], desired("new", keep_warm=3), WANTED[2]], "new"),
    ],
)
def test_specs_that_would_make_something_else_are_refused(now: list[Desired], moved: str) -> None:
    with pytest.raises(Stale) as stale:
        still_wanted(made(), now)
    assert stale.value.message == f"the specs are not those that the plan was made of: {moved}"


def test_only_what_the_plan_touches_is_carried_out() -> None:
    found = still_true(made(), planned(WANTED, LIVE), LIVE)
    assert [change.name for change in found.changes] == ["moves", "new"]


def test_what_it_does_not_touch_may_have_moved() -> None:
    moved = replace(LIVE, live=replace(LIVE.live, apps={
        **LIVE.live.apps, "stays": live_app("stays", app_id="ap-2", version=7),
    }))  # fmt: skip
    found = still_true(made(), planned(WANTED, moved), moved)
    assert [change.name for change in found.changes] == ["moves", "new"]


@pytest.mark.parametrize(
    "app",
    [
        live_app("moves", version=2),
        live_app("moves", app_id="ap-9"),
        live_app("new", app_id="ap-9"),
    ],
)
def test_what_it_touches_may_not_have_moved(app: object) -> None:
    name = app.name  # type: ignore[attr-defined]
    moved = replace(LIVE, live=replace(LIVE.live, apps={**LIVE.live.apps, name: app}))  # type: ignore[dict-item]
    with pytest.raises(Stale) as stale:
        still_true(made(), planned(WANTED, moved), moved)
    assert stale.value.message == f"what lives is not what the plan was made for: {name}"
    assert stale.value.hint == f"nothing was changed; the plan is of {NOW}: plan again"


def test_what_has_become_held_since_is_not_touched() -> None:
    held = Plan("main", "", (Change("moves", Action.HELD, version=1), Change("new", Action.CREATE)))
    with pytest.raises(Stale):
        still_true(made(), held, LIVE)
