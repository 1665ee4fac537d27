"""What was done past modelctl, half done, or kept by a person: what does a plan say of it?"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.plan import Action, Change, Desired, FieldChange, Seen, plan
from modelctl.platform.types import Deployment
from modelctl.record import Condemned, Entry, Hold
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT
from tests.making import EVERYTHING, desired, details, entry, live_app, record, scaling, seen

D1, D2 = "1" * 32, "2" * 32
"""Digests as modelctl makes them: Modal's history has them as the deployments' tags."""


def only(wanted: Desired, found: Seen, **asked: Any) -> Change:
    (change,) = planned([wanted], found, **asked)
    return change


def planned(wanted: list[Desired], found: Seen, **asked: Any) -> tuple[Change, ...]:
    result = plan(
        wanted,
        found,
        project="team",
        where="Modal environment main",
        whole_project=True,
        capabilities=EVERYTHING,
        **asked,
    )
    return result.changes


def deployment(version: int, **more: Any) -> Deployment:
    values: dict[str, Any] = {"at": None, "by": "ana", "tag": "", "rollback_of": None, **more}
    return Deployment(version=version, **values)


def past(*deployments: Deployment, version: int, recorded: int = 1, digest: str = D1) -> Seen:
    """The app lives at `version`; modelctl recorded an earlier one, which was good."""
    known = replace(entry(version=recorded, digest=digest), good=(recorded, digest))
    return seen(
        live_app(version=version),
        index={"chat": known},
        details={"chat": details(digest=digest)},
        histories={"chat": deployments},
    )


# -- drift


def test_a_roll_back_past_modelctl_is_drift_with_who_did_it() -> None:
    found = past(
        deployment(3, rollback_of=1),
        deployment(2, tag=D2),
        deployment(1, tag=D1),
        version=3,
        recorded=2,
        digest=D2,
    )
    change = only(desired(digest=D2), found)
    assert (change.action, change.does) == (Action.DRIFT, Action.REDEPLOY)
    assert change.reasons == (
        "rolled back by ana to v1 past modelctl (v3 lives, v2 was recorded); apply deploys it as "
        "the spec says",
    )


def test_a_roll_back_past_modelctl_to_what_the_spec_says_needs_no_new_version() -> None:
    found = past(
        deployment(4, rollback_of=1), deployment(1, tag=D1), version=4, recorded=3, digest=D1
    )
    change = only(desired(digest=D1), found)
    assert (change.action, change.does, change.verify) == (Action.DRIFT, Action.IN_PLACE, True)
    assert change.reasons == (
        "rolled back by ana to v1 past modelctl (v4 lives, v3 was recorded); its gate is passed "
        "through again",
    )


def test_a_failed_version_that_still_lives_is_tried_again_with_fresh_containers() -> None:
    known = replace(entry(digest=D1), condemned=Condemned(D1, 1, "could not boot: no memory"))
    change = only(desired(digest=D1), seen(live_app(), index={"chat": known}), retry=True)
    assert change.action is Action.RECREATE


def test_a_version_of_somebody_without_modelctl_is_drift_with_its_commit() -> None:
    found = past(deployment(2, commit="77c0d92"), deployment(1, tag=D1), version=2)
    change = only(desired(digest=D1), found)
    assert (change.action, change.does) == (Action.DRIFT, Action.REDEPLOY)
    assert change.reasons == (
        "v2 was deployed by ana at 77c0d92 without modelctl, v1 was recorded; apply deploys it as "
        "the spec says",
    )


def test_a_digest_tag_that_a_roll_back_left_behind_is_not_believed() -> None:
    """Modal keeps the tags of the version before: the history says what lives."""
    found = past(deployment(2, rollback_of=1), deployment(1, tag=D1), version=2)
    tagged = replace(found, details={"chat": details(digest=D2)})
    change = only(desired(digest=D2), tagged)
    assert change.action is Action.DRIFT


def test_what_was_scaled_by_hand_is_drift_with_what_was_is_and_will_be() -> None:
    live = details(digest=D1, keep_warm=0)
    assert live.scaling is not None
    live = replace(live, scaling=replace(live.scaling, max_containers=12))
    found = seen(live_app(), index={"chat": entry(digest=D1)}, details={"chat": tagged(live, D1)})
    change = only(desired(digest=D1), found)
    assert (change.action, change.does) == (Action.DRIFT, Action.IN_PLACE)
    assert change.reasons == ("live scaling.max 12, spec none: apply takes it away",)
    assert change.fields == (FieldChange("scaling.max", 12, None),)


def tagged(found: Any, digest: str) -> Any:
    """With the tags that `desired` renders."""
    return replace(found, tags={TAG_PROJECT: "team", TAG_DIGEST: digest})


def test_what_was_tagged_by_hand_is_drift() -> None:
    live = replace(details(digest=D1), tags={TAG_PROJECT: "team", TAG_DIGEST: D1, "cost": "x"})
    found = seen(live_app(), index={"chat": entry(digest=D1)}, details={"chat": live})
    change = only(desired(digest=D1), found)
    assert (change.action, change.does, change.retags) == (Action.DRIFT, Action.IN_PLACE, True)
    assert change.reasons == ("its tags were changed by hand: apply sets them again",)


def test_an_app_of_ours_whose_mark_was_taken_off_is_still_ours() -> None:
    live = replace(details(digest=D1), tags={})
    found = seen(live_app(), index={"chat": entry(digest=D1)}, details={"chat": live})
    assert only(desired(digest=D1), found).action is Action.DRIFT


def test_a_mark_of_another_project_is_believed() -> None:
    live = details(project="other", digest=D1)
    found = seen(live_app(), index={"chat": entry(digest=D1)}, details={"chat": live})
    assert only(desired(digest=D1), found).action is Action.FOREIGN


def test_an_app_that_somebody_stopped_is_drift_and_created_again() -> None:
    change = only(desired(digest=D1), seen(index={"chat": entry(version=4, digest=D1)}))
    assert (change.action, change.does) == (Action.DRIFT, Action.CREATE)
    assert change.reasons == ("v4 was stopped past modelctl; apply creates it again",)


# -- what an apply left half done


def test_a_version_that_nobody_recorded_is_looked_at_again_and_not_made_twice() -> None:
    found = past(deployment(2, tag=D2), deployment(1, tag=D1), version=2)
    change = only(desired(digest=D2), found)
    assert (change.action, change.verify) == (Action.IN_PLACE, True)
    assert change.reasons == (
        "v2 lives, v1 was recorded: an apply did not finish; its gate is passed through again",
    )


def test_a_first_version_that_nobody_recorded_is_looked_at_by_its_history() -> None:
    found = seen(
        live_app(),
        index={},
        details={"chat": details(digest=D1)},
        histories={"chat": (deployment(1, tag=D1),)},
    )
    assert only(desired(digest=D1), found).action is Action.UNCHANGED


def test_what_an_unfinished_apply_left_is_deployed_over_once_the_spec_is_another_one() -> None:
    found = past(deployment(2, tag=D2), deployment(1, tag=D1), version=2)
    change = only(desired(digest=D1), found)
    assert change.action is Action.REDEPLOY
    assert change.reasons == ("v2 lives, v1 was recorded: an apply did not finish",)


def test_what_was_never_seen_to_work_is_tried_again() -> None:
    known = replace(entry(digest=D1), unproven="could not place: no 2 × H100 was free")
    change = only(desired(digest=D1), seen(live_app(), index={"chat": known}))
    assert (change.action, change.verify) == (Action.IN_PLACE, True)
    assert change.reasons == ("could not place: no 2 × H100 was free; tried again",)


# -- blocked


def rolled_back() -> Entry:
    failed = Condemned(D2, 9, "answered wrong: check “capital”")
    return replace(entry(version=10, digest=D1), again=8, condemned=failed)


def test_a_condemned_digest_is_blocked_and_what_serves_is_said() -> None:
    found = seen(live_app(version=10), index={"chat": rolled_back()})
    change = only(desired(digest=D2), found)
    assert change.action is Action.BLOCKED
    assert change.reasons == (
        "v9 failed: answered wrong: check “capital”, v10 serves (v8 again); change the spec, or "
        "--retry",
    )
    assert only(desired(digest=D2), found, retry=True).action is Action.REDEPLOY
    assert only(desired(digest=D1), found).action is Action.UNCHANGED
    assert only(desired(digest="3" * 32), found).action is Action.REDEPLOY


def test_a_condemned_digest_stays_blocked_where_its_app_was_stopped() -> None:
    found = seen(index={"chat": rolled_back()})
    assert only(desired(digest=D2), found).action is Action.BLOCKED


# -- held


def held(keeps: str, *, until: str | None = None, **more: Any) -> Entry:
    hold = Hold(keeps, "ana@laptop", "latency", "2026-11-20T02:10:00Z", until, "rolled back to v6")  # type: ignore[arg-type]
    return replace(entry(digest=D1, **more), hold=hold)


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        (desired(digest=D1), ()),
        (desired(digest=D2), ("the spec has changed since",)),
        (desired(digest=D1, keep_warm=3), ("the spec has changed since",)),
    ],
)
def test_a_held_version_is_said_in_every_plan_and_nothing_is_done(
    wanted: Desired, more: tuple[str, ...]
) -> None:
    found = seen(
        live_app(),
        index={"chat": held("version")},
        records={"chat": record({"name": "chat", "context": 1}, digest=D1)},
    )
    change = only(wanted, found)
    assert (change.action, change.does) == (Action.HELD, Action.HELD)
    assert change.reasons == (
        'rolled back to v6 by ana@laptop, "latency", until released',
        *more,
    )


def test_a_hold_ends_with_its_time_or_when_it_is_overridden() -> None:
    over = seen(live_app(), index={"chat": held("version", until="2026-11-21T11:59:59Z")})
    assert only(desired(digest=D1), over).action is Action.UNCHANGED
    lasts = seen(live_app(), index={"chat": held("version", until="2026-11-24T09:00:00Z")})
    change = only(desired(digest=D1), lasts)
    assert change.reasons == (
        'rolled back to v6 by ana@laptop, "latency", until 2026-11-24 09:00 UTC',
    )
    assert only(desired(digest=D2), lasts, override_hold=True).action is Action.REDEPLOY


def test_held_scaling_is_kept_while_new_versions_are_deployed() -> None:
    found = seen(live_app(), index={"chat": held("scaling", keep_warm=5)})
    same = only(desired(digest=D1, keep_warm=1), found)
    assert (same.action, same.scaling) == (Action.HELD, scaling(5))
    moved = only(desired(digest=D2, keep_warm=1), found)
    assert (moved.action, moved.scaling) == (Action.REDEPLOY, scaling(5))
    assert moved.reasons[-1] == (
        'scaling kept: rolled back to v6 by ana@laptop, "latency", until released'
    )


def test_what_moved_from_a_scaling_that_is_held_is_measured_by_what_is_held() -> None:
    live = replace(details(digest=D1), scaling=scaling(7))
    found = seen(
        live_app(),
        index={"chat": held("scaling", keep_warm=5)},
        details={"chat": tagged(live, D1)},
    )
    change = only(desired(digest=D1, keep_warm=1), found)
    assert (change.action, change.scaling) == (Action.DRIFT, scaling(5))
    assert change.reasons[0] == "live keep_warm 7, held 5: apply sets 5"


def test_what_is_held_is_not_deleted() -> None:
    old = replace(held("version"), app_id="ap-1")
    (change,) = planned([], seen(live_app("old"), index={"old": old}), prune=True)
    assert change.action is Action.HELD


# -- renamed


def renamed() -> Desired:
    return replace(desired("new", digest=D2), renamed_from="old")


def test_a_renamed_app_is_created_and_the_old_one_goes_without_prune() -> None:
    found = seen(live_app("old"), index={"old": entry()}, details={"old": details()})
    created, gone = planned([renamed()], found)
    assert (created.name, created.action) == ("new", Action.CREATE)
    assert (gone.name, gone.action, gone.asked_for, gone.after) == (
        "old",
        Action.DELETE,
        True,
        "new",
    )
    assert gone.reasons == (
        "renamed to new: deleted once that one serves",
        "its URL goes away",
    )


def test_an_app_of_somebody_else_is_never_renamed_away() -> None:
    found = seen(live_app("old"), details={"old": details(project="other")})
    (created,) = planned([renamed()], found)
    assert created.name == "new"


def test_once_the_old_one_is_gone_nothing_is_left_to_do() -> None:
    found = seen(live_app("new"), index={"new": entry(digest=D2)})
    assert only(renamed(), found).action is Action.UNCHANGED


# -- what it means to those who use the app


def test_a_new_version_says_what_it_means() -> None:
    wanted = desired(digest=D2, keep_warm=2, fields={"name": "chat", "context": 4096})
    resolved = wanted.rendered.resolved
    placed = replace(resolved, placement=replace(resolved.placement, gpus=("H100:2", "L40S")))
    wanted = replace(wanted, rendered=replace(wanted.rendered, resolved=placed))
    found = seen(live_app(), index={"chat": entry(digest=D1)}, records={"chat": record(digest=D1)})
    assert only(wanted, found).impact == ("rolling, 4 more H100 while it rolls", "same URL")


def test_another_region_is_another_url_and_another_engine_another_image() -> None:
    before = {"name": "chat", "endpoint.region": "us-east", "backend.version": "0.32.0"}
    after = {"name": "chat", "endpoint.region": "eu-west", "backend.version": "0.33.0"}
    found = seen(
        live_app(),
        index={"chat": entry(digest=D1)},
        records={"chat": record(dict(before), digest=D1)},
    )
    change = only(desired(digest=D2, strategy="recreate", fields=dict(after)), found)
    assert change.impact == (
        "new image",
        "down until it has started again",
        "its URL changes: us-east → eu-west",
    )
