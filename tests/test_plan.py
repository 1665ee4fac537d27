"""What does a plan say for each thing that can be found?"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from modelctl.plan import (
    Action,
    Change,
    Desired,
    FieldChange,
    Seen,
    changed_digests,
    plan,
    unsettled,
)
from modelctl.platform.types import Capabilities, Details
from modelctl.resolved import Weights
from modelctl.views.human.changes import arrow, not_counted, plan_summary
from modelctl.views.page.apps import counts
from tests.making import EVERYTHING, desired, details, entry, live_app, record, seen


def changes(
    wanted: list[Desired],
    found: Seen,
    *,
    project: str | None = "team",
    whole: bool = True,
    capabilities: Capabilities = EVERYTHING,
) -> list[Change]:
    result = plan(
        wanted,
        found,
        project=project,
        where="local control plane",
        whole_project=whole,
        capabilities=capabilities,
    )
    return list(result.changes)


def only(wanted: Desired, found: Seen, **options: object) -> Change:
    (change,) = changes([wanted], found, **options)  # type: ignore[arg-type]
    return change


def test_an_app_that_does_not_live_is_created() -> None:
    change = only(desired(), seen())
    assert change.action is Action.CREATE
    assert change.reasons == ("CPU, scale to zero",)


def test_the_same_digest_and_scaling_is_unchanged() -> None:
    change = only(desired(), seen(live_app(), index={"chat": entry()}))
    assert change.action is Action.UNCHANGED
    assert change.version == 1


def test_another_digest_redeploys_and_says_which_fields_changed() -> None:
    change = only(
        desired(digest="d2", fields={"name": "chat", "context": 4096}),
        seen(live_app(), index={"chat": entry()}, records={"chat": record()}),
    )
    assert change.action is Action.REDEPLOY
    assert change.fields == (FieldChange("context", 2048, 4096),)
    assert change.reasons == ()


def test_a_default_that_is_written_down_now_is_no_change() -> None:
    said = {"name": "chat", "context": 4096, "keep_warm": 0, "scaling.idle_timeout": "5m"}
    found = seen(live_app(), index={"chat": entry()}, records={"chat": record()})
    change = only(desired(digest="d2", fields=said), found)
    assert change.fields == (FieldChange("context", 2048, 4096),)


def test_a_default_that_is_changed_is_said_with_what_it_was() -> None:
    wanted = desired(digest="d2", fields={"name": "chat", "context": 4096})
    slower = replace(
        wanted.rendered.resolved.scaling, scaledown_window=600, target_concurrency=32.0
    )
    resolved = replace(wanted.rendered.resolved, scaling=slower)
    wanted = replace(wanted, rendered=replace(wanted.rendered, resolved=resolved))
    change = only(wanted, seen(live_app(), index={"chat": entry()}, records={"chat": record()}))
    assert [arrow(field) for field in change.fields] == [
        "concurrency.target unset → 32",
        "context 2048 → 4096",
        "scaling.idle_timeout 5m → 10m",
    ]


def test_another_digest_with_the_same_fields_says_that_the_rendering_changed() -> None:
    change = only(
        desired(digest="d2"), seen(live_app(), index={"chat": entry()}, records={"chat": record()})
    )
    assert change.action is Action.REDEPLOY
    assert change.reasons == ("the app is rendered differently now",)


def test_what_older_records_did_not_write_down_of_the_lock_was_not_unset() -> None:
    said = {"name": "chat", "context": 2048, "model.commit (modelctl.lock)": "1123456"}
    found = seen(live_app(), index={"chat": entry()}, records={"chat": record()})
    assert only(desired(fields=said), found).action is Action.UNCHANGED
    assert only(desired(digest="d2", fields=said), found).fields == ()


def test_without_a_record_the_earlier_spec_is_unknown() -> None:
    change = only(desired(digest="d2"), seen(live_app(), index=None, details={"chat": details()}))
    assert change.action is Action.REDEPLOY
    assert change.reasons == ("earlier spec unknown",)


def test_a_lost_record_of_an_app_with_the_same_digest_tag_changes_nothing() -> None:
    change = only(desired(), seen(live_app(), index=None, details={"chat": details()}))
    assert change.action is Action.UNCHANGED


def test_scaling_alone_is_in_place_and_names_the_field() -> None:
    change = only(
        desired(keep_warm=2, fields={"name": "chat", "context": 2048, "keep_warm": 2}),
        seen(live_app(), index={"chat": entry()}, records={"chat": record()}),
    )
    assert change.action is Action.IN_PLACE
    assert change.fields == (FieldChange("keep_warm", 0, 2),)


def test_scaling_without_a_record_is_read_off_the_autoscaler() -> None:
    change = only(desired(keep_warm=2), seen(live_app(), details={"chat": details(keep_warm=1)}))
    assert change.action is Action.IN_PLACE
    assert change.fields == (FieldChange("keep_warm", 1, 2),)


def test_a_recreate_strategy_recreates() -> None:
    change = only(
        desired(digest="d2", strategy="recreate"), seen(live_app(), index={"chat": entry()})
    )
    assert change.action is Action.RECREATE


def test_a_version_that_modelctl_did_not_deploy_is_deployed_over() -> None:
    change = only(
        desired(), seen(live_app(version=3), index={"chat": entry()}, details={"chat": details()})
    )
    assert change.action is Action.REDEPLOY
    assert change.reasons == ("v3 lives, v1 was recorded: deployed by hand, or not to the end",)


def test_an_app_of_another_project_is_foreign() -> None:
    change = only(desired(), seen(live_app(), details={"chat": details(project="others")}))
    assert change.action is Action.FOREIGN
    assert change.reasons == ("the project others has an app of this name",)


def test_an_app_without_any_mark_is_foreign_and_says_who_deployed_it() -> None:
    unmarked = Details({}, None, None)
    change = only(desired(), seen(live_app(), details={"chat": unmarked}))
    assert change.action is Action.FOREIGN
    assert change.reasons == ("an app of this name was deployed by ana without modelctl",)


def test_an_index_that_speaks_of_another_app_id_is_not_believed() -> None:
    found = seen(
        live_app(app_id="ap-2"), index={"chat": entry()}, details={"chat": Details({}, None, None)}
    )
    assert only(desired(), found).action is Action.FOREIGN


def test_an_app_of_ours_without_a_spec_is_one_to_delete() -> None:
    found = seen(live_app("old"), index={"old": entry()})
    (change,) = changes([], found)
    assert (change.name, change.action) == ("old", Action.DELETE)
    assert change.reasons == ("not in specs (needs --prune)",)
    asked: dict[str, Any] = {"project": "team", "where": "", "whole_project": True}
    found_out = plan(
        [], found, capabilities=EVERYTHING, left_out=frozenset({"old"}), **asked
    ).changes[0]
    assert found_out.reasons == ("its spec leaves this environment out (only) (needs --prune)",)


def test_a_deletion_that_apply_would_not_do_is_nothing_to_do() -> None:
    asked: dict[str, Any] = {"project": "team", "where": "", "whole_project": True}
    found = seen(live_app("old"), index={"old": entry()})
    left = plan([], found, capabilities=EVERYTHING, **asked)
    assert (left.pending, plan_summary(left)) == (False, "Plan: 1 to delete with --prune.")
    assert not_counted(left) == ["old"]
    assert [(c.number, c.kind.word) for c in counts(left)] == [(1, "to delete with --prune")]
    pruned = plan([], found, capabilities=EVERYTHING, prune=True, **asked)
    assert (pruned.pending, plan_summary(pruned)) == (True, "Plan: 1 delete.")
    assert not_counted(pruned) == []
    kept = seen(live_app("old"), index={"old": replace(entry(), protect=True)})
    protected = plan([], kept, capabilities=EVERYTHING, prune=True, **asked)
    assert (protected.pending, plan_summary(protected)) == (
        False,
        "Plan: 1 protected, not deleted.",
    )


def test_without_an_index_the_mark_says_what_to_delete() -> None:
    found = seen(
        live_app("old"),
        live_app("theirs"),
        details={"old": details(), "theirs": details(project="x")},
    )
    assert [c.name for c in changes([], found)] == ["old"]


def test_nothing_is_deleted_without_a_project_file() -> None:
    assert changes([], seen(live_app("old"), index={"old": entry()}), project=None) == []


def test_nothing_is_deleted_when_only_some_specs_were_chosen() -> None:
    assert changes([], seen(live_app("old"), index={"old": entry()}), whole=False) == []


def test_an_app_of_somebody_else_is_never_deleted() -> None:
    assert changes([], seen(live_app("old"), index={"old": entry(app_id="ap-9")})) == []


def test_a_machine_without_the_engine_blocks_what_is_kept_warm() -> None:
    change = only(desired(keep_warm=1), seen(), capabilities=Capabilities({"llama-server": None}))
    assert change.action is Action.BLOCKED
    assert change.reasons == (
        "this machine cannot run it: there is no llama-server here; put llama-server on PATH "
        "or pip install 'modelctl[local]'",
    )


def test_a_machine_without_the_engine_still_deploys_what_sleeps_and_says_so() -> None:
    change = only(desired(), seen(), capabilities=Capabilities({"llama-server": None}))
    assert change.action is Action.CREATE
    assert "there is no llama-server here" in change.reasons[1]


def test_only_apps_that_the_index_cannot_speak_for_are_asked() -> None:
    live = seen(live_app("a"), live_app("b"), live_app("c", version=2)).live
    index = seen(index={"a": entry(), "c": entry()}).index
    wanted = [desired("a"), desired("b"), desired("c")]
    assert [app.name for app in unsettled(live, index, wanted, all_apps=True)] == ["b", "c"]


def test_without_an_index_every_app_is_asked_for_its_mark() -> None:
    live = seen(live_app("a"), live_app("x")).live
    assert [app.name for app in unsettled(live, None, [desired("a")], all_apps=True)] == ["a", "x"]
    assert [app.name for app in unsettled(live, None, [desired("a")], all_apps=False)] == ["a"]


def test_earlier_specs_are_read_only_where_something_changed() -> None:
    live = seen(live_app("a"), live_app("b")).live
    index = seen(index={"a": entry(), "b": entry()}).index
    wanted = [desired("a"), desired("b", digest="d2"), desired("new")]
    assert changed_digests(live, index, wanted) == ["b"]


def hub(revision: str | None) -> Desired:
    wanted = desired()
    weights = Weights("hub", "hf://Qwen/Qwen3-8B", "/models/Qwen/Qwen3-8B", revision)
    return replace(
        wanted,
        rendered=replace(
            wanted.rendered, resolved=replace(wanted.rendered.resolved, weights=weights)
        ),
    )


def test_a_model_that_nothing_pins_is_not_deployed() -> None:
    change = only(hub("main"), seen())
    assert change.action is Action.BLOCKED
    assert change.reasons == (
        "hf://Qwen/Qwen3-8B is not pinned: run modelctl lock, or say --allow-unlocked",
    )


def test_a_commit_pins_a_model() -> None:
    assert only(hub("b968826d9c46dd6066d109eabc6255188de91218"), seen()).action is Action.CREATE


def test_an_app_that_does_not_change_is_not_held_back_for_its_model() -> None:
    found = seen(live_app(), index={"chat": entry()})
    assert only(hub(None), found).action is Action.UNCHANGED


def test_what_is_written_down_of_an_app_that_nobody_has_any_more_is_known() -> None:
    """Whoever deleted it was killed before it could write that down."""
    found = seen(live_app(), index={n: entry() for n in ("chat", "left", "wanted")})

    def gone(*, whole: bool) -> tuple[str, ...]:
        wanted = [desired(name="chat"), desired(name="wanted")]
        return plan(
            wanted,
            found,
            project="team",
            where="stage",
            whole_project=whole,
            capabilities=EVERYTHING,
        ).gone

    assert gone(whole=True) == ("left",)
    assert gone(whole=False) == ()
