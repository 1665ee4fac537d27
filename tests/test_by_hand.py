"""Which version is gone back to, until when is it held, and what is left where it goes wrong?"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.apply.job import Job, Memory
from modelctl.apply.types import Stop, always
from modelctl.apply.watching import Within
from modelctl.byhand import doing
from modelctl.byhand.holding import joined
from modelctl.byhand.looking import look, refuse_without_weights
from modelctl.byhand.scaling import Wish, did, differences, held, scaled
from modelctl.byhand.types import Found, Refusal
from modelctl.byhand.until import until
from modelctl.byhand.versions import Back, chosen, number
from modelctl.cli.history import _looked
from modelctl.platform.types import (
    Deployment,
    Details,
    LiveApp,
    NotThere,
    StoredWeights,
    Unreachable,
)
from modelctl.record import AppRecord, Condemned, Entry, Event, Hold, Index, Spoken, remember
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT
from modelctl.stock import Stock
from tests.making import NOW, live_app, scaling
from tests.stage import BY, Answers, Stage, remembered

BORN = datetime(2026, 11, 1, 8, tzinfo=UTC)
WITHIN = Within(60, 60)


def digest(number: int) -> str:
    return f"{number:032x}"


def deployment(version: int, tag: int | None = None, rollback_of: int | None = None) -> Deployment:
    at = BORN + timedelta(hours=version)
    tagged = "" if rollback_of else digest(tag or version)
    return Deployment(version, at, "ana", tagged, rollback_of, "8f3ab1e", dirty=False)


def event(did: str, version: int, result: str = "done", why: str = "", commit: str = "") -> Event:
    at = f"{BORN + timedelta(hours=version):%Y-%m-%dT%H:%M:%SZ}"
    return Event(at, "ana@laptop", commit, did, version, result, why)


def found(
    *history: Deployment,
    events: tuple[Event, ...] = (),
    containers: tuple[str, ...] = (),
    **entry: object,
) -> Found:
    """An app whose newest version lives and is what was recorded last."""
    newest = max(history, key=lambda one: one.version)
    lives = Entry("ap-1", newest.version, digest(newest.version), scaling(1), "http://chat")
    recorded = replace(lives, **entry)
    tags = {TAG_PROJECT: "team", TAG_DIGEST: recorded.digest}
    app = live_app(version=newest.version)
    past = tuple(sorted(history, key=lambda one: -one.version))
    details = Details(tags, "http://chat", scaling(3), containers=containers)
    return Found(app, details, recorded, AppRecord(recorded, (), events), past, None)


FOUR = tuple(map(deployment, (1, 2, 3, 4)))


def hold(did: str = "rolled back to v3", **changes: object) -> Hold:
    return replace(Hold("version", "ana", "latency", NOW, None, did), **changes)


# -- which version


def test_without_a_version_it_is_the_one_before() -> None:
    assert chosen(found(*FOUR), None) == Back(3, digest(3), "8f3ab1e")


def test_what_a_roll_back_left_is_gone_back_to_only_by_its_number() -> None:
    twice = (*FOUR[:2], deployment(3, 9), deployment(4, rollback_of=2))
    assert chosen(found(*twice, digest=digest(2)), None).version == 1
    once = (*FOUR[:2], deployment(3, rollback_of=1))
    at = found(*once, digest=digest(1))
    with pytest.raises(Refusal) as refusal:
        chosen(at, None)
    assert refusal.value.message == "each good version of chat before v3 was left by a roll-back"
    assert refusal.value.hint == "say which one: v2"
    assert chosen(at, 2).version == 2


def test_what_a_roll_back_left_and_an_apply_brought_back_is_good_again() -> None:
    past = (*FOUR[:2], deployment(3, rollback_of=1), deployment(4, 2), deployment(5))
    assert chosen(found(*past), None).version == 4


def test_what_failed_is_passed_over() -> None:
    failed = (event("tried", 3, "failed", "could not boot: no such file"),)
    assert chosen(found(*FOUR, events=failed), None).version == 2


def test_what_was_condemned_is_passed_over_in_all_its_versions() -> None:
    condemned = Condemned(digest(3), 3, "answered wrong: Rome")
    past = (*FOUR[:3], deployment(4, 3), deployment(5))
    assert chosen(found(*past, condemned=condemned), None).version == 2


def test_what_failed_once_and_passed_later_is_good() -> None:
    failed = (event("tried", 4, "failed", "could not place: no H100 was free within 600 s"),)
    past = (*FOUR, deployment(5))
    assert chosen(found(*past, events=failed, good=(4, digest(4))), None).version == 4


def test_a_version_that_came_back_is_called_by_its_first_number() -> None:
    past = (*FOUR[:2], deployment(3, rollback_of=1), deployment(4))
    assert chosen(found(*past), None) == Back(1, digest(1), "8f3ab1e")


def test_a_restarted_version_is_the_one_that_it_was() -> None:
    past = (*FOUR[:2], replace(deployment(3), tag=""), deployment(4))
    assert chosen(found(*past, events=(event("restarted", 3),)), None).version == 2


def test_the_same_text_again_is_no_way_back() -> None:
    past = (deployment(1), deployment(2, 9), replace(deployment(3), tag=""))
    at = found(*past, digest=digest(9), events=(event("restarted", 3),))
    assert chosen(at, None).version == 1


def test_what_somebody_deployed_without_modelctl_is_gone_back_to_only_by_its_number() -> None:
    past = (FOUR[0], replace(FOUR[1], tag="hotfix"), FOUR[2])
    assert chosen(found(*past), None).version == 1
    assert chosen(found(*past), 2) == Back(2, None, "8f3ab1e")


def test_the_commit_is_that_of_the_specs_where_it_was_written_down() -> None:
    events = (event("deployed", 3, commit="77c0d92+"),)
    assert chosen(found(*FOUR, events=events), 3).commit == "77c0d92+"


def test_an_earlier_app_of_the_name_had_versions_of_its_own() -> None:
    failed = event("tried", 3, "failed", "could not boot: no such file")
    assert chosen(found(*FOUR, events=(event("destroyed", 9), failed)), None).version == 3
    old = replace(failed, at="2026-10-01T00:00:00Z")
    assert chosen(found(*FOUR, events=(old,)), None).version == 3


@pytest.mark.parametrize(
    ("wanted", "sentence", "way_out"),
    [
        (9, "chat has no version v9", "it has v4, v3, v2, v1"),
        (4, "v4 of chat lives already", ""),
        (2, "v2 of chat failed: could not boot: no such file", "say --force to go back to it"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(wanted: int, sentence: str, way_out: str) -> None:
    at = found(*FOUR, events=(event("tried", 2, "failed", "could not boot: no such file"),))
    with pytest.raises(Refusal) as refusal:
        chosen(at, wanted)
    assert (refusal.value.message, refusal.value.hint) == (sentence, way_out)


def test_force_goes_back_to_what_failed() -> None:
    at = found(*FOUR, events=(event("tried", 2, "failed", "could not boot: no such file"),))
    assert chosen(at, 2, force=True).version == 2


def test_what_lives_already_under_another_number_is_said() -> None:
    with pytest.raises(Refusal, match=r"^v1 of chat lives already, as v3$"):
        chosen(found(*FOUR[:2], deployment(3, rollback_of=1)), 1)


def test_a_first_version_has_nothing_before_it() -> None:
    with pytest.raises(Refusal) as refusal:
        chosen(found(FOUR[0]), None)
    assert refusal.value.message == "no good version of chat is known before v1"
    assert refusal.value.hint == "modelctl history chat shows what there is; say which one"


def test_a_version_is_written_with_or_without_its_v() -> None:
    assert (number("v6"), number("6"), number(None)) == (6, 6, None)
    with pytest.raises(Refusal, match=r"^latest is no version$"):
        number("latest")


Step = tuple[str, int, bool]
"""What happens next: `deploy` a text, which fails or not; go `back` to a version; `restart`."""

STEPS = st.tuples(st.sampled_from(["deploy", "back", "restart"]), st.integers(1, 4), st.booleans())


@given(st.lists(STEPS, max_size=12))
def test_the_default_is_the_newest_other_text_that_neither_failed_nor_was_left(
    steps: list[Step],
) -> None:
    texts, origin, past, events = {1: 1}, {1: 1}, [deployment(1, 1)], []
    bad: set[int] = set()
    for kind, which, fails in steps:
        new, last = len(past) + 1, len(past)
        if kind == "deploy":
            texts[new], origin[new] = which, new
            past.append(deployment(new, which))
            if fails:
                bad.add(new)
                events.append(event("tried", new, "failed", "could not boot: no such file"))
        elif kind == "back":
            to = 1 + (which - 1) % last
            texts[new], origin[new] = texts[to], origin[to]
            past.append(deployment(new, rollback_of=to))
        else:
            texts[new], origin[new] = texts[last], origin[last]
            past.append(replace(deployment(new), tag=""))
            events.append(event("restarted", new))
    live = len(past)
    left: set[int] = set()
    for one in past[1:]:
        if one.rollback_of is not None:
            left.add(texts[one.version - 1])
        if one.tag or one.rollback_of is not None:
            left.discard(texts[one.version])
    good = [
        v
        for v in range(live - 1, 0, -1)
        if texts[v] not in {texts[live], *left} and origin[v] not in bad
    ]
    at = found(*past, events=tuple(reversed(events)), digest=digest(texts[live]))
    if good:
        back = chosen(at, None)
        assert (back.version, back.digest) == (origin[good[0]], digest(texts[good[0]]))
    else:
        with pytest.raises(Refusal):
            chosen(at, None)


# -- until when


@pytest.fixture
def vienna() -> Iterator[None]:
    """One hour before UTC in November."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Vienna"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


SATURDAY = datetime(2026, 11, 21, 23, 30)


@pytest.mark.usefixtures("vienna")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("9:00", "2026-11-22T08:00:00Z"),
        ("23:45", "2026-11-21T22:45:00Z"),
        ("2h", "2026-11-22T00:30:00Z"),
        ("90m", "2026-11-22T00:00:00Z"),
        ("3d", "2026-11-24T22:30:00Z"),
        ("mon", "2026-11-22T23:00:00Z"),
        ("Monday", "2026-11-22T23:00:00Z"),
        ("sat", "2026-11-27T23:00:00Z"),
        ("2026-11-24", "2026-11-23T23:00:00Z"),
        ("2026-11-24T09:00", "2026-11-24T08:00:00Z"),
        ("2026-11-24 09:00", "2026-11-24T08:00:00Z"),
        ("2026-11-24T09:00Z", "2026-11-24T09:00:00Z"),
        ("2026-07-01", "over"),
        ("2027-07-01", "2027-06-30T22:00:00Z"),
    ],
)
def test_a_time_is_what_a_person_here_means(text: str, meant: str) -> None:
    if meant == "over":
        with pytest.raises(ValueError, match="is over"):
            until(text, SATURDAY)
    else:
        assert until(text, SATURDAY) == meant


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "9:60", "2026-13-01", "-2h", "1e9d", "9" * 30 + "d"]
)
def test_what_is_no_time_is_said_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError) as wrong:
        until(text, SATURDAY)
    assert str(wrong.value) == (
        f"--until {text} is no time: say 9:00, 2h, 3d, mon, 2026-11-24 or 2026-11-24T09:00"
    )


def test_what_is_past_is_said() -> None:
    with pytest.raises(ValueError, match=r"^--until 2026-11-01 is over: say 9:00, 2h, "):
        until("2026-11-01", SATURDAY)


# -- holds


def test_the_stricter_of_two_holds_keeps_both() -> None:
    scaled = hold("scaled to max 8", keeps="scaling", until="2026-11-22T00:00:00Z")
    both = joined(scaled, hold(until="2026-11-23T00:00:00Z"))
    assert both == hold("scaled to max 8, then rolled back to v3", until="2026-11-23T00:00:00Z")
    assert joined(hold(), replace(scaled, why="")).keeps == "version"
    assert joined(hold(), replace(scaled, why="")).why == ""
    assert joined(hold(until="2026-11-23T00:00:00Z"), hold()).until is None


def test_only_where_it_was_rolled_back_to_last_counts() -> None:
    assert joined(hold("rolled back to v6"), hold("rolled back to v4")).did == "rolled back to v4"


# -- scaling


def test_what_is_not_said_stays_as_it_lives() -> None:
    now = scaling(1, max_containers=4, scaleup_window=20)
    after = scaled(now, Wish(keep_warm=3, idle=90))
    assert after == scaling(3, max_containers=4, scaleup_window=20, scaledown_window=90)
    assert did(differences(now, after)) == "scaled to keep_warm 3, idle_timeout 90s"


def test_a_target_is_said_as_it_was_typed() -> None:
    now = scaling(1)
    assert did(differences(now, scaled(now, Wish(target=999.0)))) == "scaled to target 999"
    assert did(differences(now, scaled(now, Wish(target=1.5)))) == "scaled to target 1.5"


def test_a_hold_speaks_of_what_somebody_set_past_it_too() -> None:
    recorded, now = scaling(1, max_containers=8), scaling(1, max_containers=12)
    after = scaled(now, Wish(keep_warm=2))
    assert after == scaling(2, max_containers=12)
    assert did(held(recorded, now, after)) == "scaled to keep_warm 2, max 12"
    assert did(held(recorded, now, scaled(now, Wish(most=8)))) == "scaled to max 8"
    before = hold("scaled to max 8, idle_timeout 1m", keeps="scaling")
    both = joined(before, hold("scaled to keep_warm 2, max 12", keeps="scaling"))
    assert both.did == "scaled to max 12, idle_timeout 1m, keep_warm 2"


def test_two_hosts_serve_one_copy() -> None:
    assert scaled(scaling(2), Wish(keep_warm=2, most=3), nodes=2) == scaling(4, max_containers=6)


@pytest.mark.parametrize(
    ("wish", "sentence", "way_out"),
    [
        (Wish(keep_warm=5), "keep_warm 5 is more than max 4", "say --max 5 too"),
        (Wish(most=1), "keep_warm 2 is more than max 1", "say a larger --max"),
        (Wish(idle=7200), "an idle time of 7200 s: Modal takes 2 s to 1 h", ""),
    ],
)
def test_what_modal_would_not_take_is_refused(wish: Wish, sentence: str, way_out: str) -> None:
    with pytest.raises(Refusal) as refusal:
        scaled(scaling(2, max_containers=4), wish)
    assert (refusal.value.message, refusal.value.hint) == (sentence, way_out)


# -- what is done, and in which order


def job(stage: Stage, *, status: int | None = 200, headers: dict[str, str] | None = None) -> Job:
    index = Index({"chat": found(*FOUR).entry})
    memory = Memory(stage, "team", always, index)
    gate = replace(Answers(status).gate(), headers=headers)
    made: Job = Job(
        stage,
        None,
        gate,
        lambda step: None,
        Stock(),
        memory,
        BY,
        always,
        Stop(),  # type: ignore[arg-type]
    )
    return made


def rolled_back(stage: Stage, at: Found, made: Job, back: Back | None = None) -> doing.Done:
    stage.live["chat"] = at.app
    return asyncio.run(doing.roll_back(at, back or chosen(at, None), hold(), WITHIN, made))


def entry_of(stage: Stage) -> Entry:
    return remembered(stage).apps["chat"]


def test_the_version_that_comes_back_has_today_s_scaling_its_own_tags_and_is_held() -> None:
    stage = Stage()
    at = found(*FOUR, weights=((3, ("/org/old/c/",)), (4, ("/org/new/c/",))))
    done = rolled_back(stage, at, job(stage, headers={"Modal-Key": "k"}))
    assert stage.done == ["roll back chat to v3"]
    assert stage.tagged["chat"] == {TAG_PROJECT: "team", TAG_DIGEST: digest(3)}
    assert stage.scaled["chat"] == scaling(3)
    assert done.seeing.failure is None
    entry = entry_of(stage)
    assert (entry.version, entry.digest, entry.again) == (5, digest(3), 3)
    assert entry.scaling == scaling(3)
    assert entry.good == (5, digest(3))
    assert entry.hold == hold()
    assert dict(entry.weights or ())[5] == ("/org/old/c/",)


def test_a_roll_back_is_in_the_app_s_history_with_its_reason() -> None:
    stage = Stage()
    made = job(stage, headers={})
    rolled_back(stage, found(*FOUR), made)
    (said,) = made.memory.records["chat"].events
    assert (said.did, said.version, said.why, said.who) == (
        "rolled back",
        5,
        "latency",
        "ana@laptop",
    )


def test_a_kill_in_the_middle_leaves_the_hold_so_that_no_apply_undoes_it() -> None:
    class Killed(BaseException):
        pass

    stage = Stage()

    async def killed(app: LiveApp, version: int, tags: object) -> LiveApp:
        stage._next(app.name)
        raise Killed

    stage.roll_back = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        rolled_back(stage, found(*FOUR), job(stage))
    assert (entry_of(stage).version, entry_of(stage).hold) == (4, hold())


def test_a_roll_back_that_is_refused_leaves_no_hold() -> None:
    stage = Stage(fails={"roll back chat": Unreachable("nobody answers")})
    with pytest.raises(Unreachable):
        rolled_back(stage, found(*FOUR), job(stage))
    assert entry_of(stage).hold is None


def test_a_roll_back_whose_answer_was_lost_goes_on() -> None:
    stage = Stage()

    async def lost(app: LiveApp, version: int, tags: object) -> LiveApp:
        stage._next(app.name)
        raise Unreachable("nobody answers")

    stage.roll_back = lost  # type: ignore[method-assign]
    rolled_back(stage, found(*FOUR), job(stage, headers={}))
    assert (entry_of(stage).version, entry_of(stage).hold) == (5, hold())
    assert stage.tagged["chat"][TAG_DIGEST] == digest(3)


def test_a_version_that_does_not_come_up_is_said_and_not_taken_for_good() -> None:
    stage = Stage(said={"chat": "modelctl: could not boot: no such file"})
    done = rolled_back(stage, found(*FOUR), job(stage, status=None, headers={}))
    assert str(done.seeing.failure) == "could not boot"
    entry = entry_of(stage)
    assert entry.unproven == "could not boot: no such file"
    assert entry.good is None
    assert entry.hold == hold()


def test_without_a_proxy_token_health_is_not_asked_for_and_that_is_said() -> None:
    stage = Stage()
    done = rolled_back(stage, found(*FOUR), job(stage))
    assert done.seeing.note == (
        "health not checked: MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET are not set"
    )


def test_a_version_whose_spec_says_gate_none_is_not_waited_for() -> None:
    stage, at = Stage(), found(*FOUR)
    spoken = Spoken(digest(3), {"rollout.gate": "none"}, "# app", {"team": "search"})
    at = replace(at, record=replace(at.record, spoken=(spoken,)))
    assert rolled_back(stage, at, job(stage, status=None, headers={})).seeing.failure is None
    assert stage.tagged["chat"] == {"team": "search", TAG_DIGEST: digest(3)}


def test_a_restart_is_the_same_version_again_with_today_s_scaling_and_no_hold() -> None:
    stage, at = (
        Stage(),
        found(*FOUR, good=(4, digest(4)), commit="8f3ab1e", weights=((4, ("/a/",)),)),
    )
    stage.live["chat"] = at.app
    asyncio.run(doing.restart(at, WITHIN, job(stage, headers={})))
    entry = entry_of(stage)
    assert stage.done == ["roll over chat"]
    assert (entry.version, entry.digest, entry.good) == (5, digest(4), (5, digest(4)))
    assert (entry.hold, entry.scaling, stage.scaled["chat"]) == (None, scaling(3), scaling(3))
    assert (entry.commit, dict(entry.weights or ())[5]) == ("8f3ab1e", ("/a/",))


def test_what_sleeps_is_not_woken_by_a_restart() -> None:
    stage, answers = Stage(), Answers()
    at = found(*FOUR)
    at = replace(at, details=replace(at.details, scaling=scaling(0)))
    stage.live["chat"] = at.app
    made = replace(job(stage), gate=answers.gate())
    asyncio.run(doing.restart(at, WITHIN, made))
    assert answers.asked == 0


def test_scaling_that_is_refused_leaves_no_hold() -> None:
    stage = Stage(fails={"scale chat": Unreachable("nobody answers")})
    at, after = found(*FOUR), scaling(5)
    kept = hold("scaled to keep_warm 5", keeps="scaling")
    with pytest.raises(Unreachable):
        asyncio.run(doing.scale(at, after, (), kept, None, job(stage)))
    assert (entry_of(stage).hold, entry_of(stage).scaling) == (None, scaling(1))


def test_a_hold_is_remembered_and_ends_when_it_is_released() -> None:
    stage, at = Stage(), found(*FOUR)
    asyncio.run(doing.hold(at, hold("held"), job(stage)))
    assert entry_of(stage).hold == hold("held")
    asyncio.run(doing.release(at, job(stage)))
    assert entry_of(stage).hold is None


# -- what is known of the app


def test_weights_that_are_gone_are_said_before_anything_is_changed() -> None:
    class Emptied(Stage):
        async def stored(self, volume: str) -> tuple[StoredWeights, ...]:
            half = StoredWeights("/half/", "hf://o/m", "c", 1, 1, complete=False, newest=BORN)
            return (half, replace(half, prefix="/there/", complete=True))

    at = found(*FOUR, weights=((2, ("/there/",)), (3, ("/there/", "/half/", "/gone/"))))
    asyncio.run(refuse_without_weights(Emptied(), at, Back(2, digest(2), ""), "shelf"))
    with pytest.raises(Refusal) as refusal:
        asyncio.run(refuse_without_weights(Emptied(), at, Back(3, digest(3), ""), "shelf"))
    assert refusal.value.message == (
        "v3 of chat reads /half/, /gone/, which the Volume shelf does not have any more"
    )


def looked(stage: Stage) -> Found:
    return asyncio.run(look(stage, "team", "chat", NOW))[0]


class Told(Stage):
    """Its one app has these tags and this history."""

    tags: dict[str, str] = {TAG_PROJECT: "team", TAG_DIGEST: digest(4)}  # noqa: RUF012

    async def details(self, app: LiveApp) -> Details:
        return Details(self.tags, "http://chat", scaling(2))

    async def history(self, app: LiveApp) -> tuple[Deployment, ...]:
        return FOUR


def test_an_app_of_ours_that_the_index_forgot_is_known_by_its_mark() -> None:
    stage = Told(live={"chat": live_app(version=4)})
    at = looked(stage)
    assert (at.entry.version, at.entry.digest, at.entry.scaling) == (4, digest(4), scaling(2))


def test_an_app_of_others_is_left_alone() -> None:
    stage = Told(live={"chat": live_app(version=4)})
    stage.tags = {TAG_PROJECT: "others", TAG_DIGEST: digest(4)}
    with pytest.raises(Refusal) as refusal:
        looked(stage)
    assert refusal.value.message == (
        "chat is left alone: the project others has an app of this name"
    )


def test_the_history_of_an_app_of_others_is_not_shown() -> None:
    stage = Told(live={"chat": live_app(version=4)})
    stage.tags = {TAG_PROJECT: "others", TAG_DIGEST: digest(4)}
    with pytest.raises(Refusal) as refusal:
        asyncio.run(_looked(stage, "team", "chat", ""))  # type: ignore[arg-type]
    assert refusal.value.message == (
        "the history of chat is not this project's: the project others has an app of this name"
    )


def test_a_hold_that_is_over_holds_no_more() -> None:
    stage = Told(live={"chat": live_app(version=4)})
    kept = replace(found(*FOUR).entry, hold=hold(until="2026-11-21T11:59:59Z"))
    asyncio.run(remember(stage, "team", None, {"chat": AppRecord(kept)}))
    assert looked(stage).hold is None
    assert looked(stage).entry.hold is not None


def test_an_app_that_was_stopped_can_be_released_all_the_same() -> None:
    stage = Told()
    kept = replace(found(*FOUR).entry, hold=hold())
    asyncio.run(remember(stage, "team", None, {"chat": AppRecord(kept)}))
    with pytest.raises(NotThere, match=r"^no app chat lives in the stage$"):
        looked(stage)
    with pytest.raises(NotThere) as lacks:
        asyncio.run(look(stage, "team", "chat", NOW, options="--env prod --local"))
    assert lacks.value.hint == "see modelctl status --env prod --local"
    at, seen = asyncio.run(look(stage, "team", "chat", NOW, gone=True))
    assert (at.hold, at.app.state) == (hold(), "stopped")
    memory = Memory(stage, "team", always, seen.index, dict(seen.records))
    asyncio.run(doing.release(at, replace(job(stage), memory=memory)))
    assert entry_of(stage).hold is None
