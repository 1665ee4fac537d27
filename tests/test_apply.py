"""What becomes of each app, whatever goes wrong? Against a platform in the domain's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from modelctl.apply import Failure, Outcome, Result, Step, Stop, forgotten
from modelctl.lease import LeaseLost
from modelctl.plan import Action, Change, Desired, Plan, Seen, plan
from modelctl.platform.types import CouldNotFetch, LiveApp, PlatformError, Unreachable
from modelctl.record import (
    AppRecord,
    Condemned,
    Entry,
    Hold,
    Index,
    decode_app,
    read_app,
    read_index,
    remember,
)
from modelctl.rendered import ANSWERED_WRONG, BOOT_FAILED, TAG_DIGEST
from modelctl.resolved import Fetch, RemoteFile, Upload
from tests.making import EVERYTHING, desired, details, entry, live_app, record, scaling, seen
from tests.stage import Answers, Stage, applied, carried_out, remembered


def create(name: str = "chat") -> Change:
    return Change(name, Action.CREATE)


def redeploy(name: str = "chat", **more: object) -> Change:
    return Change(name, Action.REDEPLOY, version=1, **more)  # type: ignore[arg-type]


def lives(*names: str) -> dict[str, LiveApp]:
    return {name: live_app(name) for name in names or ("chat",)}


def good(**changes: object) -> Entry:
    """A version that passed its gate."""
    known = entry(**changes)  # type: ignore[arg-type]
    return replace(known, good=(known.version, known.digest))


def condemned(name: str = "chat", words: str = "exit code 1") -> dict[str, str]:
    """What the log of an app says whose engine does not come up."""
    return {name: f"loading\n{BOOT_FAILED}: {words}\n"}


# -- one app


def test_an_app_that_deploys_is_done_and_remembered() -> None:
    stage = Stage()
    outcome = carried_out([desired()], [create()], stage)["chat"]
    assert (outcome.result, outcome.version, outcome.url) == (Result.DONE, 1, "http://chat")
    kept = remembered(stage).apps["chat"]
    assert (kept.app_id, kept.version, kept.digest) == ("ap-chat", 1, "d1")
    assert (kept.condemned, kept.unproven, kept.good) == (None, "", (1, "d1"))
    assert kept.commit == "8f3ab1e"


def test_an_app_that_is_created_again_keeps_what_was_done_before() -> None:
    stage = Stage()
    carried_out([desired()], [create()], stage, index=Index({}))
    gone = replace(redeploy(), action=Action.DELETE, asked_for=True)
    carried_out([], [gone], stage, index=remembered(stage))
    carried_out([desired()], [create()], stage, index=remembered(stage))
    kept = asyncio.run(read_app(stage, "team", "chat"))
    assert kept is not None
    assert [event.did for event in kept.events] == ["deployed", "deleted", "deployed"]


def test_who_did_what_when_and_from_which_commit_is_remembered() -> None:
    stage = Stage()
    carried_out([desired()], [create()], stage)
    kept = decode_app(stage.files["modelctl-team/apps/chat.json"])
    assert kept is not None
    (event,) = kept.events
    assert (event.did, event.version, event.who, event.commit) == (
        "deployed",
        1,
        "ana@laptop",
        "8f3ab1e",
    )
    assert kept.fields == {"name": "chat", "context": 2048}


def test_a_platform_that_says_no_fails_its_app_alone_with_the_way_out() -> None:
    stage = Stage(fails={"a": Unreachable("Modal did not answer", "try again")})
    outcomes = carried_out([desired("a"), desired("b")], [create("a"), create("b")], stage)
    assert outcomes["a"].result is Result.FAILED
    assert outcomes["a"].detail == "Modal did not answer; try again"
    assert outcomes["a"].again
    assert outcomes["b"].result is Result.DONE
    assert set(remembered(stage).apps) == {"b"}


def test_a_surprise_fails_its_app_alone_and_wants_a_person() -> None:
    stage = Stage(fails={"a": ValueError("what?")})
    outcomes = carried_out([desired("a"), desired("b")], [create("a"), create("b")], stage)
    assert outcomes["a"].needs_person
    assert outcomes["a"].detail == "modelctl itself failed (ValueError: what?)"
    assert outcomes["b"].result is Result.DONE
    assert set(remembered(stage).apps) == {"b"}


# -- a version that fails


def test_a_first_version_that_cannot_boot_is_left_at_zero_and_condemned() -> None:
    stage = Stage(said=condemned())
    wanted = desired(keep_warm=2, gate="health")
    outcome = carried_out([wanted], [create()], stage, gate=Answers(None).gate())["chat"]
    assert outcome.result is Result.FAILED
    assert outcome.failure is Failure.BOOT
    assert outcome.needs_person
    assert outcome.detail == "could not boot: exit code 1; left at zero containers"
    assert [line[9:] for line in outcome.lines] == ["app              loading"]
    assert stage.scaled["chat"].min_containers == 0
    kept = remembered(stage).apps["chat"]
    assert kept.condemned == Condemned("d1", 1, "could not boot: exit code 1")
    assert kept.scaling.min_containers == 0


def test_a_later_version_that_fails_gives_way_to_the_one_before_with_its_live_scaling() -> None:
    stage = Stage(said=condemned(), live=lives(), rows=[frozenset({"old"})])
    before = good(keep_warm=3)  # by hand, once: its own text says something else
    wanted = desired(digest="d2", keep_warm=1, gate="health")
    outcome = carried_out(
        [wanted],
        [redeploy()],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": before}),
        records={"chat": record()},
    )["chat"]
    assert stage.done == ["deploy chat", "roll back chat to v1"]
    assert outcome.detail == "could not boot: exit code 1; v1 serves, as it did all along"
    assert (outcome.version, outcome.tried, outcome.needs_person) == (3, 2, False)
    assert stage.scaled["chat"] == before.scaling
    assert stage.tagged["chat"][TAG_DIGEST] == "d1"
    kept = remembered(stage).apps["chat"]
    assert (kept.version, kept.digest, kept.again, kept.good) == (3, "d1", 1, (3, "d1"))
    assert kept.condemned == Condemned("d2", 2, "could not boot: exit code 1")
    assert kept.scaling == before.scaling


def test_what_was_tried_and_how_it_ended_is_in_the_app_s_history() -> None:
    stage = Stage(said=condemned(), live=lives(), rows=[frozenset({"old"})])
    carried_out(
        [desired(digest="d2", gate="health")],
        [redeploy()],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": good()}),
        records={"chat": record()},
    )
    kept = decode_app(stage.files["modelctl-team/apps/chat.json"])
    assert kept is not None
    assert [(e.did, e.version, e.result, e.why) for e in kept.events] == [
        ("rolled back", 3, "done", "v1 serves, as it did all along"),
        ("tried", 2, "failed", "could not boot: exit code 1"),
        ("deployed", 2, "done", ""),
    ]
    assert kept.fields == {"name": "chat", "context": 2048}  # of what serves again


def test_the_version_to_return_to_is_the_last_good_one_not_the_last() -> None:
    """v1 was good, v2 never seen to work: v3 fails."""
    stage = Stage(said=condemned(), live={"chat": live_app(version=2)}, rows=[frozenset({"old"})])
    before = replace(entry(version=2, digest="d2"), unproven="no GPU was free", good=(1, "d1"))
    outcome = carried_out(
        [desired(digest="d3", gate="health")],
        [replace(redeploy(), version=2)],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": before}),
    )["chat"]
    assert stage.done[-1] == "roll back chat to v1"
    assert outcome.detail.endswith("v1 serves, as it did all along")


def test_where_no_version_was_ever_good_none_is_returned_to() -> None:
    stage = Stage(said=condemned(), live=lives(), rows=[frozenset({"old"})])
    before = replace(entry(), condemned=Condemned("d1", 1, "could not boot: no memory"))
    outcome = carried_out(
        [desired(digest="d2", keep_warm=1, gate="health")],
        [redeploy()],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": before}),
    )["chat"]
    assert outcome.detail == "could not boot: exit code 1; left at zero containers"
    assert outcome.needs_person
    assert stage.done == ["deploy chat"]


def test_a_version_that_is_to_be_kept_is_kept() -> None:
    stage = Stage(said=condemned(), live=lives(), rows=[frozenset({"old"})])
    wanted = desired(digest="d2", gate="health", on_failure="keep")
    outcome = carried_out(
        [wanted],
        [redeploy()],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": good()}),
    )["chat"]
    assert stage.done == ["deploy chat"]
    assert outcome.detail == ("could not boot: exit code 1; v2 is kept, as rollout.on_failure says")
    assert remembered(stage).apps["chat"].condemned == Condemned(
        "d2", 2, "could not boot: exit code 1"
    )


def test_a_roll_back_that_is_refused_wants_a_person() -> None:
    stage = Stage(
        said=condemned(),
        live=lives(),
        rows=[frozenset({"old"})],
        fails={"roll back chat": PlatformError("version 1 is gone")},
    )
    outcome = carried_out(
        [desired(digest="d2", gate="health")],
        [redeploy()],
        stage,
        gate=Answers(None).gate(),
        index=Index({"chat": good()}),
    )["chat"]
    assert outcome.needs_person
    assert outcome.detail == (
        "could not boot: exit code 1; v1 could not be brought back: version 1 is gone"
    )


def test_a_recreated_app_whose_version_fails_is_seen_to_serve_again() -> None:
    class Returns(Answers):
        """It answers once the version before is back."""

        async def ask(self, url: str, headers: Mapping[str, str]) -> int | None:
            if "roll back chat to v1" in stage.done:
                return 200
            return await super().ask(url, headers)

    stage = Stage(said=condemned(), live=lives(), rows=[frozenset()])
    change = Change("chat", Action.RECREATE, version=1)
    outcome = carried_out(
        [desired(digest="d2", gate="health", strategy="recreate")],
        [change],
        stage,
        gate=Returns(None).gate(),
        index=Index({"chat": good(keep_warm=1)}),
    )["chat"]
    assert outcome.detail == "could not boot: exit code 1; v1 serves again"
    assert not outcome.needs_person


def test_what_finds_no_gpu_is_not_condemned_and_the_version_before_serves() -> None:
    stage = Stage(live=lives(), rows=[frozenset({"old"})])
    wanted = desired(digest="d2", gate="health")
    outcome = carried_out(
        [wanted],
        [redeploy()],
        stage,
        gate=Answers(503).gate(),
        index=Index({"chat": good()}),
    )["chat"]
    assert outcome.failure is Failure.PLACE
    assert outcome.detail == (
        "could not place: no container began within 600 s; v1 serves, as it did all along"
    )
    kept = remembered(stage).apps["chat"]
    assert (kept.digest, kept.condemned) == ("d1", None)


def test_a_first_version_that_finds_no_gpu_costs_nothing_and_is_tried_again() -> None:
    stage = Stage()
    wanted = desired(keep_warm=1, gate="health")
    outcome = carried_out([wanted], [create()], stage, gate=Answers(503).gate())["chat"]
    assert outcome.needs_person
    assert outcome.detail.endswith("; left at zero containers")
    kept = remembered(stage).apps["chat"]
    assert kept.condemned is None
    assert kept.unproven.startswith("could not place: ")
    (change,) = plan(
        [wanted],
        seen(*stage.live.values(), index=dict(remembered(stage).apps)),
        project="team",
        where="stage",
        whole_project=True,
        capabilities=EVERYTHING,
    ).changes
    assert (change.action, change.verify) == (Action.IN_PLACE, True)
    assert change.reasons == (f"{kept.unproven}; tried again",)
    outcome = carried_out([wanted], [change], stage, index=remembered(stage))["chat"]
    assert outcome.result is Result.DONE
    assert stage.scaled["chat"].min_containers == 1
    assert remembered(stage).apps["chat"].unproven == ""


@pytest.mark.parametrize(("version", "person"), [(None, True), (1, False)])
def test_what_could_not_be_fetched_is_not_condemned(version: int | None, person: bool) -> None:
    file = RemoteFile("m.gguf", 7, sha256="a" * 64)
    fetch = Fetch("hf://a/b", "c" * 40, "modelctl-weights", "/a/b/", (file,))
    no = CouldNotFetch("the Hub did not answer", "try again")
    stage = Stage(fails={"hf://a/b": no}, live=lives() if version else {})
    change = Change("chat", Action.REDEPLOY if version else Action.CREATE, version=version)
    outcome = carried_out([desired(fetch=fetch)], [change], stage)["chat"]
    assert outcome.failure is Failure.FETCH
    assert outcome.detail == "could not fetch: the Hub did not answer; try again"
    assert outcome.needs_person is person
    assert "deploy chat" not in stage.done


def test_a_refused_token_is_nobody_s_fault_but_the_token_s() -> None:
    stage = Stage(live=lives(), rows=[frozenset()])
    outcome = carried_out(
        [desired(digest="d2", gate="health")],
        [redeploy()],
        stage,
        gate=Answers(401).gate({"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}),
        index=Index({"chat": good()}),
    )["chat"]
    assert outcome.failure is Failure.UNSEEN
    assert remembered(stage).apps["chat"].condemned is None


def test_a_condemned_version_is_blocked_until_it_changes_or_retry() -> None:
    failed = Condemned("d1", 1, "could not boot: exit code 1")
    found = seen(live_app(), index={"chat": replace(entry(), condemned=failed)})

    def change(wanted: Desired, *, retry: bool = False) -> Change:
        (change,) = plan(
            [wanted],
            found,
            project="team",
            where="stage",
            whole_project=True,
            capabilities=EVERYTHING,
            retry=retry,
        ).changes
        return change

    assert change(desired()).action is Action.BLOCKED
    assert change(desired()).reasons == (
        "v1 failed: could not boot: exit code 1; change the spec, or --retry",
    )
    assert change(desired(), retry=True).action is Action.RECREATE
    assert change(desired(digest="d2")).action is Action.REDEPLOY


# -- the gate


def test_while_a_version_rolls_the_old_container_s_health_is_not_taken_for_its_own() -> None:
    rows = [frozenset({"old"})] * 4 + [frozenset({"old", "new"})]
    stage, answers = Stage(rows=rows, live=lives()), Answers()
    carried_out([desired(gate="health")], [redeploy()], stage, gate=answers.gate())
    assert answers.now >= 0.25 * 3
    assert answers.asked == 1


def test_a_version_that_never_takes_requests_is_not_healthy_because_the_old_one_is() -> None:
    said = {"chat": "engine INFO loading"}
    stage = Stage(rows=[frozenset({"old"})], live=lives(), said=said)
    outcome = carried_out([desired(gate="health")], [redeploy()], stage)["chat"]
    assert outcome.failure is Failure.BOOT
    assert outcome.detail == (
        "could not boot: not healthy within 5 s (none of its containers takes requests); "
        "v1 serves, as it did all along"
    )


def test_a_version_whose_container_never_comes_had_no_place() -> None:
    stage = Stage(rows=[frozenset({"old"})], live=lives())
    outcome = carried_out([desired(gate="health")], [redeploy()], stage)["chat"]
    assert outcome.detail == (
        "could not place: no container began within 600 s; v1 serves, as it did all along"
    )


def test_where_no_container_is_left_asking_is_what_starts_one() -> None:
    stage, answers = Stage(rows=[frozenset({"old"}), frozenset()], live=lives()), Answers()
    change = Change("chat", Action.RECREATE, version=1)
    outcome = carried_out([desired(gate="health")], [change], stage, gate=answers.gate())["chat"]
    assert outcome.result is Result.DONE
    assert answers.now == 0


def test_an_answer_that_is_wrong_inside_condemns_with_what_came_and_the_lines_that_matter() -> None:
    text = (
        "engine WARNING chat template not found\n"
        + "".join(f"engine INFO loading {n}\n" for n in range(9))
        + 'modelctl METRICS {"gpu": []}\n'
        + f'{ANSWERED_WRONG}: check "capital" expected "Paris" in the answer; got "Lyon"\n'
    )
    stage = Stage(said={"chat": text})
    outcome = carried_out([desired(gate="checks")], [create()], stage, gate=Answers(None).gate())
    wrong = 'answered wrong: check "capital" expected "Paris" in the answer; got "Lyon"'
    assert outcome["chat"].failure is Failure.ANSWER
    assert outcome["chat"].detail == f"{wrong}; left at zero containers"
    assert [line[9:] for line in outcome["chat"].lines] == [
        "engine   WARNING chat template not found",
        *(f"engine   INFO    loading {n}" for n in range(5, 9)),
    ]
    kept = remembered(stage).apps["chat"].condemned
    assert kept is not None
    assert kept.why == wrong


def test_what_an_old_container_says_condemns_no_new_version() -> None:
    stage = Stage(
        said={"chat": f"{BOOT_FAILED}: no memory"},
        rows=[frozenset({"ta-stage"})] * 2 + [frozenset({"ta-new"})],
        live=lives(),
    )
    outcome = carried_out([desired(gate="health")], [redeploy()], stage)["chat"]
    assert outcome.result is Result.DONE


def test_what_an_earlier_version_said_condemns_no_new_one() -> None:
    long_ago = datetime(2026, 11, 1, tzinfo=UTC)
    stage = Stage(said={"chat": f"{BOOT_FAILED}: no memory"}, said_at=long_ago)
    assert carried_out([desired(gate="health")], [create()], stage)["chat"].result is Result.DONE


def test_what_an_old_container_says_is_not_among_the_lines_that_matter() -> None:
    said = {"chat": "engine ERROR a client left"}
    stage = Stage(said=said, rows=[frozenset({"ta-stage"})], live=lives())
    outcome = carried_out([desired(gate="health")], [redeploy()], stage)["chat"]
    assert (outcome.failure, outcome.lines) == (Failure.PLACE, ())


def test_without_a_proxy_token_health_is_skipped_aloud() -> None:
    gate = replace(Answers().gate(), headers=None)
    outcome = carried_out([desired(gate="health")], [create()], Stage(), gate=gate)["chat"]
    assert outcome.result is Result.DONE
    assert outcome.detail == (
        "health not checked: MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET are not set"
    )


# -- interrupts, and the end of a process


def test_an_interrupt_finishes_what_is_under_way_and_begins_nothing_more() -> None:
    stage, stop = Stage(), Stop()

    def tell(step: Step) -> None:
        if step.phase == "deploying":
            stop.asked()

    names = ("a", "b", "c")
    outcomes = carried_out(
        [desired(n) for n in names],
        [create(n) for n in names],
        stage,
        width=1,
        stop=stop,
        tell=tell,
    )
    assert outcomes["a"].result is Result.DONE
    for name in ("b", "c"):
        assert outcomes[name].result is Result.SKIPPED
        assert outcomes[name].detail == "not begun: interrupted"
    assert set(remembered(stage).apps) == {"a"}


def test_a_second_interrupt_stops_at_once_and_says_how_far_each_app_came() -> None:
    stage, stop = Stage(), Stop()

    def tell(step: Step) -> None:
        if step.phase == "starting":
            stop.asked()
            stop.asked()

    outcomes = carried_out(
        [desired("a", gate="health"), desired("b")],
        [create("a"), create("b")],
        stage,
        gate=Answers(None).gate(),
        width=1,
        stop=stop,
        tell=tell,
    )
    assert outcomes["a"].detail == ("interrupted before v1 was seen to work: the next apply looks")
    assert outcomes["b"].detail == "interrupted: the next apply finds out how far it came"
    assert remembered(stage).apps["a"].unproven == "its gate was not seen to the end"


def test_a_cancelled_apply_leaves_nothing_behind_and_remembers_what_was_deployed() -> None:
    stage = Stage()

    async def cancelled() -> None:
        task = asyncio.create_task(
            applied(
                [desired("a"), desired("b", gate="health")],
                [create("a"), create("b")],
                stage,
                gate=Answers(None).gate(),
            )
        )
        while len(stage.done) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1  # this one: nothing goes on behind our back

    asyncio.run(cancelled())
    assert set(remembered(stage).apps) == {"a", "b"}
    assert remembered(stage).apps["b"].condemned is None


def test_what_lives_is_remembered_before_its_gate() -> None:
    stage, answers, known = Stage(), Answers(), []

    async def ask(url: str, headers: Mapping[str, str]) -> int:
        index = await read_index(stage, "team")
        known.append(dict(index.apps["chat"].weights or ()) if index else {})
        return 200

    gate = replace(answers.gate(), ask=ask)
    carried_out([desired(gate="health")], [create()], stage, gate=gate)
    assert known == [{1: ()}]


# -- the lease


def test_once_the_lease_is_lost_nothing_is_changed_any_more() -> None:
    stage = Stage()
    lost = LeaseLost("another apply (github/7) took over")

    async def check() -> None:
        if stage.done:
            raise lost

    names = ("a", "b")
    outcomes = carried_out(
        [desired(n) for n in names], [create(n) for n in names], stage, width=1, check=check
    )
    assert stage.done == ["deploy a"]
    assert outcomes["b"].again
    assert outcomes["b"].detail == (
        "another apply (github/7) took over; what was under way may have taken effect"
    )
    assert stage.files == {}  # the record is the other's now


def test_somebody_else_s_change_during_an_apply_is_noticed_and_said() -> None:
    class Shared(Stage):
        async def observe(self) -> object:  # type: ignore[override]
            self._next("a")
            return await super().observe()

    stage = Shared()
    outcome = carried_out([desired("a")], [create("a")], stage)["a"]
    assert outcome.result is Result.FAILED
    assert outcome.again
    assert outcome.detail == ("v2 lives, this apply left v1: somebody else changed it meanwhile")


@pytest.mark.parametrize(
    ("stopped", "why"),
    [
        (False, "v2 lives: somebody else changed it meanwhile"),
        (True, "v1 was stopped past modelctl"),
    ],
)
def test_what_somebody_does_during_the_gate_is_theirs(
    stopped: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is undone, nothing condemned, and nobody waits for a version that is gone."""
    monkeypatch.setattr("modelctl.apply.watching._LOOK", 0.01)
    stage = Stage()

    def tell(step: Step) -> None:
        if step.phase == "starting":
            if stopped:
                del stage.live["chat"]
            else:
                stage._next("chat")

    outcome = carried_out(
        [desired(gate="health")], [create()], stage, gate=Answers(None).gate(), tell=tell
    )["chat"]
    assert (outcome.result, outcome.detail, outcome.again) == (Result.FAILED, why, True)
    assert stage.done == ["deploy chat"]
    assert remembered(stage).apps["chat"].condemned is None


# -- several apps


@dataclass
class Slow(Stage):
    """Its writes take a while, and it counts them."""

    writes: int = 0

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        self.writes += 1
        await asyncio.sleep(0.01)
        await super().write(volume, files)


def test_apps_that_are_deployed_at_once_do_not_undo_what_is_remembered_of_each_other() -> None:
    stage, names = Slow(), [f"app-{n}" for n in range(9)]

    async def killed() -> None:
        """Looks at what is there while all wait for their gates: the end never comes."""
        task = asyncio.create_task(
            applied(
                [desired(name, gate="health") for name in names],
                [create(name) for name in names],
                stage,
                gate=Answers(None).gate(),
                index=Index({"other": entry()}),
                width=9,
            )
        )
        await asyncio.sleep(0.2)
        index = await read_index(stage, "team")
        assert index is not None
        assert set(index.apps) == {"other", *names}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(killed())


def in_wave(name: str, wave: str, **more: object) -> Desired:
    """An app whose label puts it into a wave."""
    wanted = desired(name, **more)  # type: ignore[arg-type]
    resolved = replace(wanted.rendered.resolved, labels={"tier": wave})
    return replace(wanted, rendered=replace(wanted.rendered, resolved=resolved))


WAVES = ("tier=canary", "tier=main")


def test_a_wave_begins_when_the_one_before_is_healthy() -> None:
    stage, told = Stage(), []
    wanted = [in_wave("a-main", "main"), in_wave("b-canary", "canary"), desired("c-rest")]
    carried_out(
        wanted,
        [create(d.name) for d in wanted],
        stage,
        waves=WAVES,
        tell=lambda step: told.append(step) if not step.name else None,
    )
    assert stage.done == ["deploy b-canary", "deploy a-main", "deploy c-rest"]
    assert [f"{step.phase} {step.detail}" for step in told] == [
        "wave 1 of 3: tier=canary",
        "wave 2 of 3: tier=main",
        "wave 3 of 3: the rest",
    ]


def test_the_first_failure_of_a_wave_stops_what_follows_and_all_deletions() -> None:
    stage = Stage(said=condemned("canary"), live=lives("old"))
    wanted = [in_wave("canary", "canary", gate="health"), in_wave("main", "main")]
    outcomes = carried_out(
        wanted,
        [create("canary"), create("main"), leaver(asked_for=True)],
        stage,
        gate=Answers(None).gate(),
        waves=WAVES,
    )
    assert stage.done == ["deploy canary"]
    assert outcomes["main"].result is Result.SKIPPED
    assert outcomes["main"].detail == "wave 2 was not begun: canary failed"
    assert outcomes["old"].detail == "not deleted, because something failed before"


def test_a_spec_can_name_its_wave_itself() -> None:
    first = desired("z")
    rollout = replace(first.rendered.resolved.rollout, wave="early")
    resolved = replace(first.rendered.resolved, rollout=rollout)
    first = replace(first, rendered=replace(first.rendered, resolved=resolved))
    stage = Stage()
    carried_out([desired("a"), first], [create("a"), create("z")], stage, waves=("early",))
    assert stage.done == ["deploy z", "deploy a"]


def test_an_unchanged_app_is_remembered_where_it_is_not_and_only_there() -> None:
    same = Change("chat", Action.UNCHANGED, version=3, url="http://c")
    live = {"chat": live_app(version=3)}
    known = replace(entry(version=3), weights=((3, ()),))
    for index in (
        None,
        Index({"chat": replace(known, weights=None)}),
        Index({"chat": entry(app_id="ap-0")}),
    ):
        stage = Stage(live=dict(live))
        carried_out([desired()], [same], stage, index=index)
        kept = remembered(stage).apps["chat"]
        assert (kept.app_id, kept.version, kept.url) == ("ap-1", 3, "http://c")
        assert kept.weights == ((3, ()),)
    idle = Slow(live=dict(live))
    carried_out([desired()], [same], idle, index=Index({"chat": known}))
    assert idle.writes == 0


def test_one_upload_serves_every_app_of_the_same_model() -> None:
    upload = Upload("/m", (), "modelctl-weights", "/abc/")
    stage = Stage()
    wanted = [desired(n, upload=upload) for n in ("a", "b", "c")]
    carried_out(wanted, [create(n) for n in ("a", "b", "c")], stage)
    assert stage.done.count("upload /abc/") == 1
    assert stage.done[0] == "upload /abc/"


# -- deletions


def leaver(**more: object) -> Change:
    return Change("old", Action.DELETE, version=1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked_for", "protected", "detail"),
    [
        (False, False, "needs --prune"),
        (True, True, "protected: put its spec back, take protect out, and apply"),
        (False, True, "protected: put its spec back, take protect out, and apply"),
    ],
)
def test_what_may_not_be_deleted_stays(asked_for: bool, protected: bool, detail: str) -> None:
    stage = Stage(live=lives("old"))
    change = leaver(protected=protected, asked_for=asked_for)
    outcomes = carried_out([], [change], stage)
    assert (outcomes["old"].result, outcomes["old"].detail) == (Result.SKIPPED, detail)
    assert stage.done == []


def test_a_deleted_app_is_forgotten_but_not_what_became_of_it() -> None:
    stage, index = Stage(live=lives("old")), Index({"old": entry(), "stays": entry()})
    carried_out([], [leaver(asked_for=True)], stage, index=index)
    assert stage.done == ["stop old"]
    assert set(remembered(stage).apps) == {"stays"}
    kept = decode_app(stage.files["modelctl-team/apps/old.json"])
    assert kept is not None
    assert kept.events[0].did == "deleted"


def test_an_app_that_comes_back_keeps_its_history() -> None:
    stage, index = Stage(live=lives("old")), Index({"old": entry()})
    carried_out([], [leaver(asked_for=True)], stage, index=index)
    carried_out([desired("old")], [create("old")], stage, index=remembered(stage))
    kept = decode_app(stage.files["modelctl-team/apps/old.json"])
    assert kept is not None
    assert [event.did for event in kept.events] == ["deployed", "deleted"]


def test_without_a_record_nobody_is_deleted_for_want_of_a_spec() -> None:
    """Whether it was protected or held was lost with the record: that outlasts the next apply."""
    live = seen(live_app("old"), details={"old": details()})
    why = (
        "not in specs; whether it was protected or held was lost with the record: modelctl "
        "destroy takes it away"
    )

    def planned(found: Seen) -> Plan:
        return plan(
            [],
            found,
            project="team",
            where="stage",
            whole_project=True,
            capabilities=EVERYTHING,
            prune=True,
        )

    lost = planned(live)
    assert lost.lost
    (change,) = lost.changes
    assert (change.reasons, change.asked_for) == ((why,), False)
    stage = Stage(live=lives("old"))
    for name, (known, _) in forgotten(lost, [], live).items():
        asyncio.run(remember(stage, "team", None, {name: AppRecord(known)}))
    later = planned(seen(live_app("old"), index=dict(remembered(stage).apps)))
    assert not later.lost
    (change,) = later.changes
    assert (change.reasons, change.asked_for) == ((why,), False)


def test_a_renamed_app_goes_once_the_new_one_serves() -> None:
    stage = Stage(live=lives("old"))
    gone = leaver(asked_for=True, after="chat")
    carried_out([desired()], [create(), gone], stage, index=Index({"old": entry()}))
    assert stage.done == ["deploy chat", "stop old"]


def test_a_renamed_app_stays_while_the_new_one_does_not_serve() -> None:
    stage = Stage(said=condemned(), live=lives("old"))
    outcomes: Mapping[str, Outcome] = carried_out(
        [desired(gate="health")],
        [create(), leaver(asked_for=True, after="chat")],
        stage,
        gate=Answers(None).gate(),
    )
    assert stage.done == ["deploy chat"]
    assert outcomes["old"].detail == "not deleted, because chat does not serve"


def test_protect_outlives_its_spec() -> None:
    index = {"old": replace(entry(), protect=True)}
    (change,) = plan(
        [],
        seen(live_app("old"), index=index),
        project="team",
        where="stage",
        whole_project=True,
        capabilities=EVERYTHING,
    ).changes
    assert change.protected
    assert change.reasons == ("not in specs, and protected",)


def test_a_new_protect_is_remembered_without_a_new_version() -> None:
    wanted = desired()
    resolved = replace(wanted.rendered.resolved, protect=True)
    wanted = replace(wanted, rendered=replace(wanted.rendered, resolved=resolved))
    found = seen(live_app(), index={"chat": entry()}, records={"chat": record()})
    (change,) = plan(
        [wanted], found, project="team", where="stage", whole_project=True, capabilities=EVERYTHING
    ).changes
    assert change.action is Action.IN_PLACE
    stage = Stage(live=lives())
    carried_out([wanted], [change], stage, index=found.index)
    assert remembered(stage).apps["chat"].protect


# -- what a person did


def test_a_redeploy_keeps_the_scaling_that_a_person_holds() -> None:
    hold = Hold("scaling", "ana", "a launch", "2026-11-20T22:00:00Z", None, "scaled to 5 warm")
    held = replace(good(keep_warm=5), hold=hold)
    stage = Stage(live=lives(), rows=[frozenset()])
    change = redeploy(scaling=scaling(5), hold=hold)
    carried_out([desired(digest="d2", keep_warm=1)], [change], stage, index=Index({"chat": held}))
    assert stage.scaled["chat"] == scaling(5)
    kept = remembered(stage).apps["chat"]
    assert (kept.digest, kept.scaling, kept.hold) == ("d2", scaling(5), hold)


def test_a_hold_that_is_overridden_ends_and_the_history_says_by_whom() -> None:
    hold = Hold("version", "ana", "latency", "2026-11-20T22:00:00Z", None, "rolled back to v6")
    stage = Stage(live=lives(), rows=[frozenset()])
    index = Index({"chat": replace(good(), hold=hold)})
    carried_out([desired(digest="d2")], [redeploy()], stage, index=index)
    assert remembered(stage).apps["chat"].hold is None
    told = asyncio.run(read_app(stage, "team", "chat"))
    assert told is not None
    assert [(event.did, event.why) for event in told.events] == [
        ("deployed", ""),
        (
            "released",
            'overridden by this apply: rolled back to v6 by ana, "latency", until released',
        ),
    ]


def test_a_held_app_is_left_and_reported() -> None:
    stage = Stage(live=lives())
    change = Change("chat", Action.HELD, ('rolled back to v6 by ana, "latency"',), version=1)
    outcome = carried_out([desired(digest="d2")], [change], stage, index=Index({"chat": good()}))
    assert stage.done == []
    assert outcome["chat"].result is Result.HELD
    assert outcome["chat"].detail == 'rolled back to v6 by ana, "latency"'


def test_a_target_that_is_taken_away_needs_a_deploy() -> None:
    """The autoscaler takes None for: never scale again."""
    before = replace(entry(), scaling=replace(entry().scaling, target_concurrency=8.0))
    found = seen(live_app(), index={"chat": before}, records={"chat": record()})
    (change,) = plan(
        [desired()],
        found,
        project="team",
        where="stage",
        whole_project=True,
        capabilities=EVERYTHING,
    ).changes
    assert change.action is Action.REDEPLOY
