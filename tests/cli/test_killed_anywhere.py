"""Killed at any call, or left without its answer: does the next apply find the truth and finish?

Each round changes three apps: it creates `c<k>`, deploys `u` anew, and deletes `c<k-1>`, which the
round before created: so the end of one round is the beginning of the next.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.platform.guard import CHANGES
from modelctl.record import decode_app, decode_index
from tests.cli.commands import Command, Commands, commands
from tests.cli.rounds import KILLS, STEP
from tests.conftest import Project, place_model
from tests.local.conftest import until

pytestmark = pytest.mark.full

QUIET = """\
model: volume://shelf/m.gguf
backend: llama.cpp
context: {context}
rollout: {{gate: none}}
"""
APPLY = ("apply", "--local", "--yes", "--prune")
NARROW, WIDE = ("--width", "1"), ("--width", "16")
SEED = int(os.environ.get("MODELCTL_TEST_SEED", "6"))
"""Of the calls that are drawn by lot."""

BY_HAND = """
modal.Volume.objects.create('shelf')
for name in ('theirs', 'other-by-hand'):
    modal.App(name).deploy(name=name)
"""
READ = """
def text(path):
    return b''.join(modal.Volume.from_name('modelctl-team').read_file(path)).decode()
result = [text('index.json'), {name: text(f'apps/{name}.json') for name in NAMES}]
"""


@dataclass
class Fleet:
    """The three apps of a round, and those of others beside them."""

    commands: Commands
    round: int = 0
    versions: int = 0
    """How often `u` was to be deployed."""
    strangers: dict[str, tuple[str, int]] = field(default_factory=dict)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The calls that were under way when a command was killed: their method, and before or after
    their effect."""

    @property
    def project(self) -> Project:
        return self.commands.project

    @property
    def wanted(self) -> set[str]:
        return {"u", f"c{self.round}"}

    def begin(self) -> None:
        """The specs of the next round."""
        self.round += 1
        self.versions += 1
        self.project.spec("u", QUIET.format(context=2048 + self.round))
        self.project.spec(f"c{self.round}", QUIET.format(context=2048))
        (self.project.root / "specs" / f"c{self.round - 1}.yaml").unlink(missing_ok=True)

    def stopped_at(
        self, number: int, when: str, *width: str, method: str
    ) -> tuple[Command, str] | tuple[None, str]:
        """An apply that was killed at this call; None where it ended before it came to it."""
        since = self.project.last_call()
        fault = self.commands.fault("latency", method=method, skip=number, times=1, seconds=3600,
                                    when=when)  # fmt: skip
        command = self.commands.start(*APPLY, *width)
        until(lambda: command.over or self._waiting(), 60)
        if command.over:
            self.commands.clear()
            assert command.end().code == 0
            return None, ""
        command.signal(signal.SIGKILL)
        until(lambda: command.over)
        # Whoever lost its caller is not carried out after all.
        until(lambda: not self._waiting())
        self.commands.clear()
        cut = [c["method"] for c in self.project.calls(since=since) if c["status"] == "CANCELLED"]
        assert cut, fault
        self.met.update((name, when) for name in cut)
        return command, cut[0]

    def _waiting(self) -> bool:
        return any(fault.get("waiting") for fault in self.commands.faults())

    def killed_at(self, number: int, when: str, *width: str, method: str = "*") -> bool:
        """One round, killed at this call (of this method) and finished by the next apply; False
        past the last."""
        self.begin()
        command, met = self.stopped_at(number, when, *width, method=method)
        if command is not None:
            again = self.commands.run(*APPLY)
            assert again.code == 0, (number, when, met, again)
        self.is_as_wanted((number, when, met))
        return command is not None

    def is_as_wanted(self, case: Any = None) -> None:
        """What lives is what the specs say, once each, and the record agrees."""
        plan = self.commands.run("plan", "--local", "--output", "json").json
        actions = {change["name"]: change["action"] for change in plan["changes"]}
        assert actions == dict.fromkeys(self.wanted, "unchanged"), (case, plan["changes"])
        apps = self.apps()
        assert {name for name, *_ in apps} == self.wanted | set(self.strangers), case
        assert len(apps) == len(self.wanted) + len(self.strangers), case  # no name twice
        ids = {name: app_id for name, app_id, _ in apps}
        versions = {name: version for name, _, version in apps}
        assert {n: (ids[n], versions[n]) for n in self.strangers} == self.strangers, case
        assert (versions["u"], versions[f"c{self.round}"]) == (self.versions, 1), case
        index, records = self.commands.client.sdk(f"NAMES = {sorted(self.wanted)!r}" + READ)
        found = decode_index(index.encode())
        assert found is not None, case
        assert set(found.apps) == self.wanted, case
        for name, entry in found.apps.items():
            record = decode_app(records[name].encode())
            assert record is not None and record.entry == entry, case
            assert (entry.app_id, entry.version) == (ids[name], versions[name]), case
            assert self.history(entry.app_id)[0] == entry.digest, case

    def apps(self) -> list[tuple[str, str, int]]:
        """Name, id and version of all apps that are deployed."""
        return [
            (app.name, app.app_id, len(self.history(app.app_id)))
            for app in self._listed()
            if app.state == api_pb2.APP_STATE_DEPLOYED
        ]

    def _listed(self) -> Iterable[Any]:
        asked = api_pb2.AppListRequest(environment_name="main")
        return iter(self.commands.client.rpc("AppList", asked).apps)

    def nothing_is_half_made(self) -> None:
        """An app whose client was killed before it published it goes when no heartbeat comes."""
        ended = {api_pb2.APP_STATE_STOPPED, api_pb2.APP_STATE_DEPLOYED}
        lifecycle.advance(self.project.plane, 61)
        until(lambda: all(app.state in ended for app in self._listed()))

    def history(self, app_id: str) -> list[str]:
        """The tags of an app's deployments, the newest first."""
        asked = api_pb2.AppDeploymentHistoryRequest(app_id=app_id)
        found = self.commands.client.rpc("AppDeploymentHistory", asked).app_deployment_histories
        return [one.tag for one in sorted(found, key=lambda one: -one.version)]


@pytest.fixture(scope="module")
def fleet(live: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("commands")
    with commands(live, folder, MODELCTL_LEASE_SECONDS="0.5") as started:
        started.client.sdk(BY_HAND)
        other = Project(tmp_path_factory.mktemp("other"))
        other.write("modelctl.yaml", "project: others\n")
        other.spec("c-others", QUIET.format(context=2048))
        there = {"MODELCTL_LOCAL_DIR": str(live.root / ".modelctl" / "local")}
        assert started.run("apply", "--local", "--yes", folder=other.root, **there).code == 0
        made = Fleet(started)
        made.begin()
        assert started.run(*APPLY).code == 0
        made.strangers = {n: (i, v) for n, i, v in made.apps() if n not in made.wanted}
        assert set(made.strangers) == {"theirs", "other-by-hand", "c-others"}
        made.is_as_wanted()
        yield made


def counted(fleet: Fleet) -> list[dict[str, Any]]:
    """The calls of one apply that nobody disturbs."""
    fleet.begin()
    since = fleet.project.last_call()
    assert fleet.commands.run(*APPLY, *NARROW).code == 0
    return fleet.project.calls(since=since)


def test_what_was_killed_is_finished_by_the_next_apply(fleet: Fleet) -> None:
    """Three calls of many: while looking, while an app is published, and at the end."""
    methods = [call["method"] for call in counted(fleet)]
    published = methods.index("AppPublish")
    for number, when in ((3, "before"), (published, "after"), (len(methods) - 12, "before")):
        assert fleet.killed_at(number, when, *NARROW)
    fleet.nothing_is_half_made()


@pytest.mark.full
def test_killed_before_every_call(fleet: Fleet) -> None:
    """After one that only reads, all is as it is before the next."""
    number = 0
    while fleet.killed_at(number, "before", *NARROW):
        number += STEP
    assert number > 60
    fleet.nothing_is_half_made()


@pytest.mark.full
def test_killed_before_and_after_each_call_that_changes_something(fleet: Fleet) -> None:
    fleet.met.clear()
    changing = Counter(call["method"] for call in counted(fleet) if call["method"] in CHANGES)
    assert (changing["AppPublish"], changing["AppStop"]) == (2, 1)
    for method, times in changing.items():
        for number in range(times):
            for when in ("before", "after"):
                assert fleet.killed_at(number, when, *NARROW, method=method), (method, number)
                assert fleet.met[method, when] > number, (method, number)
    fleet.nothing_is_half_made()


@pytest.mark.full
def test_killed_many_times_at_any_call_while_all_apps_are_under_way(fleet: Fleet) -> None:
    lot = random.Random(SEED)
    calls = len(counted(fleet))
    for _ in range(KILLS):
        when = lot.choice(["before", "after"])
        fleet.killed_at(lot.randrange(calls), when, *WIDE)
    fleet.nothing_is_half_made()


@pytest.mark.full
def test_each_call_s_answer_lost_after_it_took_effect(fleet: Fleet) -> None:
    """The apply goes on, or ends with a sentence; the next one completes what is left."""
    codes: Counter[int] = Counter()
    for number in range(0, len(counted(fleet)), STEP):
        fleet.begin()
        fleet.commands.fault("lose-answer", method="*", skip=number, times=1)
        ran = fleet.commands.run(*APPLY, *NARROW)
        fleet.commands.clear()
        codes[ran.code] += 1
        assert ran.code in {0, 4, 6}, (number, ran)
        if ran.code:
            assert ran.err.startswith("error: ") or "✘" in ran.out, (number, ran)
            assert fleet.commands.run(*APPLY).code == 0, number
        fleet.is_as_wanted((number, ran))
    assert codes[0] > 60 // STEP, codes


def test_a_record_that_a_kill_tore_is_read_from_modal(fleet: Fleet, tmp_path: Path) -> None:
    """Not that a kill does: all is put in one commit. But if it were so."""
    torn = tmp_path / "torn.json"
    torn.write_text(json.dumps({"format": 1})[:7])
    fleet.commands.client.sdk(
        "with modal.Volume.from_name('modelctl-team').batch_upload(force=True) as batch:\n"
        f"    batch.put_file({str(torn)!r}, 'index.json')"
    )
    assert fleet.commands.run(*APPLY).code == 0
    fleet.is_as_wanted()


# -- what serves


SERVES = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: {context}
keep_warm: 1
rollout: {{gate: health}}
"""


class Requests:
    """Somebody who asks an endpoint all the time, and keeps what did not answer."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self._request = urllib.request.Request(f"{url}/v1/models", headers=headers)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            try:
                with urllib.request.urlopen(self._request, timeout=20) as response:
                    whole = json.loads(response.read())["data"]
                self.answered += bool(whole)
            except (OSError, ValueError) as problem:
                self.wrong.append(f"{type(problem).__name__}: {problem}")


@pytest.mark.full
def test_what_serves_goes_on_serving_wherever_its_apply_is_killed(
    fleet: Fleet, gguf: Path, tmp_path: Path
) -> None:
    """With a real engine: while it deploys, when it has, while it waits for the new containers."""
    serving = Project(tmp_path)
    serving.write("modelctl.yaml", "project: serving\n")
    place_model(gguf, serving)
    there = {"MODELCTL_LOCAL_DIR": str(fleet.project.root / ".modelctl" / "local")}

    def apply() -> Command:
        return fleet.commands.start("apply", "--local", "--yes", folder=tmp_path, **there)

    serving.spec("served", SERVES.format(context=512))
    assert apply().end().code == 0
    plane = fleet.project.plane
    headers = {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}
    url = fleet.commands.client.sdk("result = modal.Server.from_name('served', 'Server').get_url()")
    places = [
        ("FunctionCreate", "before"),
        ("AppPublish", "before"),
        ("AppPublish", "after"),
        ("VolumePutFiles", "before"),
        ("VolumePutFiles", "after"),
        ("AppGetLogs", "before"),
        ("FlashContainerList", "after"),
    ]
    versions = 1
    with Requests(url, headers) as requests:
        for method, when in places:
            for _ in range(5):  # an apply that is done at once asks for no logs
                serving.spec("served", SERVES.format(context=512 + 64 * versions))
                fleet.commands.fault(
                    "latency",
                    method=method,
                    times=1,
                    seconds=3600,
                    when=when,
                    skip=SKIPS.get(method, 0),
                )
                command = apply()
                until(lambda command=command: command.over or fleet._waiting(), 60)  # type: ignore[misc]
                versions += 1
                if not command.over:
                    break
                fleet.commands.clear()
            assert not command.over, (method, command.end())
            command.kill()
            until(lambda: not fleet._waiting())
            fleet.commands.clear()
            ran = apply().end(90)
            assert ran.code == 0, (method, when, ran)
            assert requests.wrong == [], (method, when)
            app_id = next(i for name, i, _ in fleet.apps() if name == "served")
            assert len(fleet.history(app_id)) == versions, (method, when)
        answered = requests.answered
        until(lambda: requests.answered > answered)
    assert requests.wrong == []


SKIPS = {"FlashContainerList": 1}
"""How often an apply makes this call before the place that is meant."""
