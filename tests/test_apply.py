"""What becomes of each app, whatever goes wrong? Against a platform in the domain's own words.

This one is not real: it is for the orders of events that no real platform gives on demand. The
whole way against the SDK is in tests/cli.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelctl.apply import Gate, Outcome, Result, apply
from modelctl.cli.apply import _apply
from modelctl.plan import Action, Change, Desired, Plan, plan
from modelctl.platform.types import (
    Capabilities,
    Deployed,
    Details,
    Live,
    LiveApp,
    LogLine,
    Progress,
    Unreachable,
)
from modelctl.record import Index, read_index
from modelctl.rendered import ANSWERED_WRONG, BOOT_FAILED, Rendered
from modelctl.resolved import Fetch, RemoteFile, Scaling, Upload
from modelctl.spec.project_models import Project
from modelctl.spec.wanted import ProjectFile
from modelctl.surplus import unaccounted
from tests.making import EVERYTHING, desired, details, entry, live_app, record, seen


@dataclass
class Stage:
    """A platform that does what the test says, and keeps what was asked of it."""

    environment: str = "main"
    where: str = "stage"
    fails: dict[str, Exception] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    said: dict[str, str] = field(default_factory=dict)
    rows: list[frozenset[str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    scaled: dict[str, Scaling] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)

    async def open(self) -> None: ...

    def capabilities(self) -> Capabilities:
        return EVERYTHING

    async def observe(self) -> Live:
        return Live(self.environment, {})

    async def details(self, app: LiveApp) -> Details:
        return Details({}, None, None)

    async def containers(self, app: LiveApp) -> frozenset[str]:
        if not self.rows:
            return frozenset()
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]

    async def deploy(self, rendered: Rendered, *, tag: str, strategy: str) -> Deployed:
        if rendered.name in self.fails:
            raise self.fails[rendered.name]
        await asyncio.sleep(0)
        self.done.append(f"deploy {rendered.name}")
        return Deployed(f"ap-{rendered.name}", 2, f"http://{rendered.name}")

    async def stop(self, app: LiveApp) -> None:
        self.done.append(f"stop {app.name}")

    async def scale(self, app: LiveApp, scaling: Scaling) -> None:
        self.scaled[app.name] = scaling

    async def upload(self, upload: Upload, progress: Progress) -> int:
        self.done.append(f"upload {upload.prefix}")
        return 1

    async def fetched(self, fetch: Fetch) -> bool:
        return fetch.prefix in self.there

    async def fetch(self, fetches: Sequence[Fetch], progress: Progress) -> int:
        sources = " ".join(fetch.source for fetch in fetches)
        self.done.append(f"fetch {sources}")
        if sources in self.fails:
            raise self.fails[sources]
        progress("fetching")
        return 1

    async def read(self, volume: str, path: str) -> bytes | None:
        return self.files.get(f"{volume}/{path}")

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        self.files.update({f"{volume}/{path}": content for path, content in files.items()})

    async def logs(self, app: LiveApp, *, tail: int, follow: bool) -> AsyncIterator[LogLine]:
        if text := self.said.get(app.name):
            yield LogLine(datetime.now(UTC), "stdout", text, "ta-stage")
        await asyncio.Event().wait()


class Answers:
    """An endpoint that answers from a table; `None` never answers."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.now = 0.0
        self.asked = 0

    async def ask(self, url: str, headers: Mapping[str, str]) -> int | None:
        self.asked += 1
        if self.status is None:
            await asyncio.Event().wait()
        return self.status

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def gate(self, headers: Mapping[str, str] | None = None) -> Gate:
        return Gate(headers or {}, self.ask, self.clock, self.sleep)


async def listed(fetch: Fetch) -> Fetch:
    """The Hub's answer to which files a commit has."""
    return replace(fetch, files=(RemoteFile("model.safetensors", 7, sha256="a" * 64),))


def carried_out(
    wanted: list[Desired],
    changes: list[Change],
    stage: Stage,
    *,
    gate: Gate | None = None,
    live: Mapping[str, LiveApp] | None = None,
    index: Index | None = None,
    prune: bool = False,
) -> dict[str, Outcome]:
    outcomes = asyncio.run(
        apply(
            Plan("main", "stage", tuple(changes)),
            wanted,
            platform=stage,
            live=live or {},
            index=index,
            project="team",
            gate=gate or Answers().gate(),
            list_files=listed,
            prune=prune,
            width=4,
            tell=lambda step: None,
        )
    )
    return {o.name: o for o in outcomes}


def remembered(stage: Stage) -> Index:
    index = asyncio.run(read_index(stage, "team"))
    assert index is not None
    return index


def create(name: str = "chat") -> Change:
    return Change(name, Action.CREATE)


def test_an_app_that_deploys_is_done_and_remembered() -> None:
    stage = Stage()
    outcome = carried_out([desired()], [create()], stage)["chat"]
    assert (outcome.result, outcome.version, outcome.url) == (Result.DONE, 2, "http://chat")
    kept = remembered(stage).apps["chat"]
    assert (kept.app_id, kept.version, kept.digest, kept.condemned) == ("ap-chat", 2, "d1", "")


def test_a_platform_that_says_no_fails_its_app_alone_with_the_way_out() -> None:
    stage = Stage(fails={"a": Unreachable("Modal did not answer", "try again")})
    outcomes = carried_out([desired("a"), desired("b")], [create("a"), create("b")], stage)
    assert outcomes["a"].result is Result.FAILED
    assert outcomes["a"].detail == "Modal did not answer; try again"
    assert outcomes["b"].result is Result.DONE
    assert set(remembered(stage).apps) == {"b"}


def test_a_surprise_fails_its_app_alone_and_wants_a_person() -> None:
    stage = Stage(fails={"a": ValueError("what?")})
    outcomes = carried_out([desired("a"), desired("b")], [create("a"), create("b")], stage)
    assert outcomes["a"].needs_person
    assert outcomes["a"].detail == "modelctl itself failed (ValueError: what?)"
    assert outcomes["b"].result is Result.DONE
    assert set(remembered(stage).apps) == {"b"}


def test_a_first_version_that_cannot_boot_is_left_at_zero_and_condemned() -> None:
    stage = Stage(said={"chat": f"loading\n{BOOT_FAILED}: exit code 1\n"})
    wanted = desired(keep_warm=2, gate="health")
    outcome = carried_out([wanted], [create()], stage, gate=Answers(None).gate())["chat"]
    assert outcome.result is Result.FAILED
    assert outcome.needs_person
    assert outcome.detail == "could not boot: exit code 1; left at zero containers"
    assert [line[9:] for line in outcome.lines] == ["app              loading"]
    assert stage.scaled["chat"].min_containers == 0
    kept = remembered(stage).apps["chat"]
    assert kept.condemned == "could not boot: exit code 1; left at zero containers"
    assert kept.scaling.min_containers == 0


def test_a_condemned_version_is_blocked_until_it_changes_or_retry() -> None:
    index = {"chat": replace(entry(), condemned="could not boot: exit code 1")}
    found = seen(live_app(), index=index)

    def action(wanted: Desired, *, retry: bool = False) -> Change:
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

    assert action(desired()).action is Action.BLOCKED
    assert action(desired()).reasons == (
        "v1 failed: could not boot: exit code 1; change the spec, or --retry",
    )
    assert action(desired(), retry=True).action is Action.REDEPLOY
    assert action(desired(digest="d2")).action is Action.REDEPLOY


def test_a_later_version_that_fails_keeps_the_scaling_that_it_has() -> None:
    stage = Stage(said={"chat": f"{BOOT_FAILED}: exit code 1"}, rows=[frozenset({"old"})])
    change = Change("chat", Action.REDEPLOY, version=1)
    wanted = desired(digest="d2", keep_warm=1, gate="health")
    outcome = carried_out(
        [wanted], [change], stage, gate=Answers(None).gate(), live={"chat": live_app()}
    )["chat"]
    assert outcome.detail == "could not boot: exit code 1"
    assert stage.scaled == {}
    assert remembered(stage).apps["chat"].condemned == "could not boot: exit code 1"


def test_while_a_version_rolls_the_old_container_s_health_is_not_taken_for_its_own() -> None:
    rows = [frozenset({"old"})] * 4 + [frozenset({"old", "new"})]
    stage, answers = Stage(rows=rows), Answers()
    change = Change("chat", Action.REDEPLOY, version=1)
    carried_out(
        [desired(gate="health")], [change], stage, gate=answers.gate(), live={"chat": live_app()}
    )
    assert answers.now >= 0.25 * 3
    assert answers.asked == 1


def test_where_no_container_is_left_asking_is_what_starts_one() -> None:
    stage, answers = Stage(rows=[frozenset({"old"}), frozenset()]), Answers()
    change = Change("chat", Action.RECREATE, version=1)
    outcome = carried_out(
        [desired(gate="health")], [change], stage, gate=answers.gate(), live={"chat": live_app()}
    )["chat"]
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
    assert (outcome["chat"].result, outcome["chat"].detail) == (Result.FAILED, wrong)
    assert [line[9:] for line in outcome["chat"].lines] == [
        "engine   WARNING chat template not found",
        *(f"engine   INFO    loading {n}" for n in range(5, 9)),
    ]
    assert remembered(stage).apps["chat"].condemned == wrong


def test_what_an_old_container_says_condemns_no_new_version() -> None:
    stage = Stage(said={"chat": f"{BOOT_FAILED}: no memory"}, rows=[frozenset({"ta-stage"})] * 2)
    stage.rows.append(frozenset({"ta-new"}))
    change = Change("chat", Action.REDEPLOY, version=1)
    outcome = carried_out(
        [desired(gate="health")],
        [change],
        stage,
        gate=Answers().gate(),
        live={"chat": live_app()},
    )["chat"]
    assert outcome.result is Result.DONE


def test_without_a_proxy_token_health_is_skipped_aloud() -> None:
    gate = replace(Answers().gate(), headers=None)
    outcome = carried_out([desired(gate="health")], [create()], Stage(), gate=gate)["chat"]
    assert outcome.result is Result.DONE
    assert outcome.detail == (
        "health not checked: MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET are not set"
    )


def test_an_interrupt_stops_what_is_under_way_and_remembers_what_was_deployed() -> None:
    stage = Stage()

    async def interrupted() -> None:
        task = asyncio.create_task(
            apply(
                Plan("main", "stage", (create("a"), create("b"))),
                [desired("a"), desired("b", gate="health")],
                platform=stage,
                live={},
                index=None,
                project="team",
                gate=Answers(None).gate(),
                list_files=listed,
                prune=False,
                width=4,
                tell=lambda step: None,
            )
        )
        while len(stage.done) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1  # this one: nothing goes on behind our back

    asyncio.run(interrupted())
    assert set(remembered(stage).apps) == {"a", "b"}
    assert remembered(stage).apps["b"].condemned == ""


def test_what_lives_is_remembered_before_its_gate() -> None:
    stage, answers, known = Stage(), Answers(), []

    async def ask(url: str, headers: Mapping[str, str]) -> int:
        index = await read_index(stage, "team")
        known.append(dict(index.apps["chat"].weights or ()) if index else {})
        return 200

    gate = replace(answers.gate(), ask=ask)
    carried_out([desired(gate="health")], [create()], stage, gate=gate)
    assert known == [{2: ()}]


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
    hung = [desired(name, gate="health") for name in names]

    async def killed() -> None:
        """Looks at what is there while all wait for their gates: the end never comes."""
        task = asyncio.create_task(
            apply(
                Plan("main", "stage", tuple(create(name) for name in names)),
                hung,
                platform=stage,
                live={},
                index=Index({"other": entry()}),
                project="team",
                gate=Answers(None).gate(),
                list_files=listed,
                prune=False,
                width=9,
                tell=lambda step: None,
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


def test_an_unchanged_app_is_remembered_where_it_is_not_and_only_there() -> None:
    same, live = Change("chat", Action.UNCHANGED, version=3, url="http://c"), {}
    live["chat"] = live_app(version=3)
    known = replace(entry(version=3), weights=((3, ()),))
    for index in (
        None,
        Index({"chat": replace(known, weights=None)}),
        Index({"chat": entry(app_id="ap-0")}),
    ):
        stage = Stage()
        carried_out([desired()], [same], stage, live=live, index=index)
        kept = remembered(stage).apps["chat"]
        assert (kept.app_id, kept.version, kept.url) == ("ap-1", 3, "http://c")
        assert kept.weights == ((3, ()),)
    idle = Slow()
    carried_out([desired()], [same], idle, live=live, index=Index({"chat": known}))
    assert idle.writes == 0


@dataclass
class Running(Slow):
    """One app lives there as its spec wants it, and bears its marks."""

    async def observe(self) -> Live:
        return Live(self.environment, {"chat": live_app(version=3)})

    async def details(self, app: LiveApp) -> Details:
        return details()


def test_one_apply_after_the_index_was_lost_says_what_an_unchanged_app_reads() -> None:
    """What `weights gc` asks for: it changes nothing, and asks nobody."""
    stage = Running()
    once = functools.partial(
        _apply,
        stage,
        [desired()],
        ProjectFile(Path("/"), None, Project(project="team")),
        token=None,
        whole_project=True,
        output="json",
        yes=False,
        prune=False,
        width=1,
        allow_unlocked=False,
        retry=False,
        options="",
    )
    assert asyncio.run(once()) == 0
    assert unaccounted(asyncio.run(stage.observe()), [remembered(stage)]) == []
    assert (asyncio.run(once()), stage.writes, stage.done) == (0, 1, [])


def test_one_upload_serves_every_app_of_the_same_model() -> None:
    upload = Upload("/m", (), "modelctl-weights", "/abc/")
    stage = Stage()
    wanted = [desired(n, upload=upload) for n in ("a", "b", "c")]
    carried_out(wanted, [create(n) for n in ("a", "b", "c")], stage)
    assert stage.done.count("upload /abc/") == 1
    assert stage.done[0] == "upload /abc/"


def leaver(*, protected: bool = False) -> Change:
    return Change("old", Action.DELETE, version=1, protected=protected)


@pytest.mark.parametrize(
    ("prune", "protected", "detail"),
    [
        (False, False, "needs --prune"),
        (True, True, "protected: put its spec back, take protect out, and apply"),
        (False, True, "protected: put its spec back, take protect out, and apply"),
    ],
)
def test_what_may_not_be_deleted_stays(prune: bool, protected: bool, detail: str) -> None:
    stage = Stage()
    outcomes = carried_out(
        [], [leaver(protected=protected)], stage, live={"old": live_app("old")}, prune=prune
    )
    assert (outcomes["old"].result, outcomes["old"].detail) == (Result.SKIPPED, detail)
    assert stage.done == []


def test_a_deleted_app_is_forgotten() -> None:
    stage, index = Stage(), Index({"old": entry(), "stays": entry()})
    carried_out([], [leaver()], stage, live={"old": live_app("old")}, index=index, prune=True)
    assert stage.done == ["stop old"]
    assert set(remembered(stage).apps) == {"stays"}


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
    stage = Stage()
    carried_out([wanted], [change], stage, live={"chat": live_app()}, index=found.index)
    assert remembered(stage).apps["chat"].protect


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
