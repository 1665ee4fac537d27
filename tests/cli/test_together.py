"""Do two applies of one project ever change things in turns? Some are killed, some are stopped."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelctl.platform.guard import CHANGES
from tests.cli.commands import Command, Commands, commands
from tests.cli.rounds import MANY, ROUNDS
from tests.cli.test_killed_anywhere import QUIET
from tests.conftest import Project, Ran
from tests.local.conftest import until

SECONDS = 1.0  # a lease's time to live
SEED = int(os.environ.get("MODELCTL_TEST_SEED", "2"))
HELD = re.compile(
    r"error: \S+@\S+ is applying to local control plane since \d\d:\d\d; its lease was renewed "
    r"\d+ s ago\nhelp: try again when it is done, or let --wait do that\n"
)
TAKEN = re.compile(
    r"another apply \(\S+@\S+, since \d\d:\d\d\) took over while this one was stopped; "
    r"this one changes nothing more"
)


@dataclass
class Contender:
    """One apply, and what is done to it."""

    command: Command
    fate: str
    after: float
    began: float | None = None
    connection: str = ""
    ran: Ran | None = None

    def meet(self) -> None:
        """Its fate, `after` so many seconds since it began to change something."""
        now = time.monotonic()
        if self.fate in ("stopped", "killed") and self.began is None:
            self.began = now if "deploying" in self.command.said() else None
        if self.began is None or now - self.began < self.after or self.command.over:
            return
        match self.fate:
            case "killed":
                self.command.signal(signal.SIGKILL)
                self.fate = "dead"
            case "stopped":
                self.connection = connection(self.command.pid)
                self.command.signal(signal.SIGSTOP)
                self.fate, self.began, self.after = "paused", now, 2 * SECONDS
            case "paused":
                self.command.signal(signal.SIGCONT)
                self.fate = "went on"


@dataclass
class Many:
    """Folders with the same project, each with specs of its own, so that each has work to do."""

    commands: Commands
    folders: list[Project]
    lot: random.Random
    context: Iterator[int] = field(default_factory=lambda: itertools.count(2048))
    seen: Counter[str] = field(default_factory=Counter)

    def round(self, fates: list[str], waits: list[bool]) -> None:
        """Applies that are started together, met by their fates, and then a plain one."""
        since = self.commands.project.last_call()
        all_of_them = []
        for folder, fate, waits_for_it in zip(self.folders, fates, waits, strict=False):
            for name in ("one", "two", "three"):
                folder.spec(name, QUIET.format(context=next(self.context)))
            wait = ("--wait", "40") if waits_for_it else ()
            command = self.commands.start("apply", "--local", "--yes", *wait, folder=folder.root)
            all_of_them.append(Contender(command, fate, self.lot.uniform(0, 0.5)))
        began = time.monotonic()
        while not all(one.command.over for one in all_of_them):
            assert time.monotonic() < began + 60
            for one in all_of_them:
                one.meet()
            time.sleep(0.01)
        for one in all_of_them:
            if one.fate != "dead":
                self.ended(one)
        self.nobody_interleaved(all_of_them, since)
        again = self.commands.run("apply", "--local", "--yes", folder=self.folders[0].root)
        assert again.code == 0, again
        plan = self.commands.run("plan", "--local", folder=self.folders[0].root)
        assert (plan.code, plan.out.splitlines()[-1]) == (0, "Nothing to do."), plan

    def ended(self, one: Contender) -> None:
        """Done; or not begun, with the sentence; or lost on the way, and said so."""
        one.ran = ran = one.command.end()
        if ran.code == 0:
            self.seen["done"] += 1
        elif TAKEN.search(" ".join((ran.out + ran.err).split())):
            assert (ran.code, one.fate) == (6, "went on"), ran
            self.seen["taken over"] += 1
        else:
            assert ran.code == 6, ran
            assert HELD.search(ran.err), ran
            self.seen["held"] += 1

    def has_seen_everything(self) -> None:
        """How often is chance, and a few rounds may be without."""
        if ROUNDS >= MANY:
            assert self.seen["held"] >= 1, self.seen
            assert self.seen["taken over"] >= 1, self.seen

    def nobody_interleaved(self, all_of_them: list[Contender], since: int) -> None:
        """Who changed something once somebody else did changes nothing any more, but for the one
        call that it was in when it was stopped."""
        stopped = {one.connection for one in all_of_them if one.fate == "went on"}
        changes = sorted(
            (call["at"] - call["ms"] / 1000, call["connection"], call["method"])
            for call in self.commands.project.calls(since=since)
            if call["method"] in CHANGES and call["status"] == "OK"
        )
        turns = [(who, len(list(calls))) for who, calls in itertools.groupby(c[1] for c in changes)]
        late: Counter[str] = Counter()
        before: set[str] = set()
        for who, count in turns:
            if who in before:
                late[who] += count
            before.add(who)
        self.seen["owners"] += len(before)
        self.seen["late calls"] += late.total()
        assert set(late) <= stopped, (turns, changes)
        assert max(late.values(), default=0) <= 1, (turns, changes)
        for one in all_of_them:
            if late[one.connection]:
                assert one.ran is not None and one.ran.code == 6, one.ran


def connection(pid: int) -> str:
    """The port at a process's end of its one connection to the plane; "" before it has one."""
    inodes = set()
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            inodes.update(re.findall(r"socket:\[(\d+)\]", str(file.readlink())))
    except OSError:
        return ""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes and words[3] == "01":
            return str(int(words[1].rpartition(":")[2], 16))
    return ""


@pytest.fixture(scope="module")
def many(live: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    folder = tmp_path_factory.mktemp("commands")
    there = {"MODELCTL_LOCAL_DIR": str(live.root / ".modelctl" / "local")}
    folders = [Project(tmp_path_factory.mktemp("team")) for _ in range(5)]
    for one in folders:
        one.write("modelctl.yaml", "project: team\n")
    with commands(live, folder, MODELCTL_LEASE_SECONDS=f"{SECONDS:g}", **there) as started:
        started.client.sdk("modal.Volume.objects.create('shelf')")
        started.fault("latency", method="*", seconds=0.005)  # as over a network
        yield Many(started, folders, random.Random(SEED))


@pytest.mark.full
def test_one_of_two_applies_and_who_was_stopped_past_its_lease_is_told(many: Many) -> None:
    many.seen.clear()
    many.round(["left alone", "left alone", "stopped"], [False, False, True])
    assert many.seen["done"] >= 1


def test_a_plan_beside_an_apply_says_who_is_at_work(many: Many) -> None:
    folder = many.folders[0]
    folder.spec("one", QUIET.format(context=next(many.context)))
    apply = many.commands.start("apply", "--local", "--yes", folder=folder.root)
    until(lambda: "deploying" in apply.said())
    apply.signal(signal.SIGSTOP)
    plan = many.commands.run("plan", "--local", folder=folder.root)
    apply.signal(signal.SIGCONT)
    assert apply.end().code in (0, 6)
    assert plan.code == 0, plan
    assert re.search(AT_WORK, " ".join(plan.err.split())), plan
    assert "note:" not in many.commands.run("plan", "--local", folder=folder.root).err


AT_WORK = (
    r"note: \S+@\S+ took the lease at \d\d:\d\d and has not given it back; what its apply is still "
    r"at may look unfinished here"
)


@pytest.mark.full
def test_two_applies_started_together(many: Many) -> None:
    """Of each two, one in three is killed and one in three is stopped past its lease's end."""
    many.seen.clear()
    for _ in range(ROUNDS):
        fates = many.lot.choices(["left alone", "killed", "stopped"], k=2)
        many.round(fates, [many.lot.random() < 0.6 for _ in fates])
    many.has_seen_everything()


@pytest.mark.full
def test_five_applies_started_together(many: Many) -> None:
    many.seen.clear()
    for _ in range(ROUNDS // 3):
        fates = many.lot.choices(["left alone", "killed", "stopped"], k=5)
        many.round(fates, [many.lot.random() < 0.6 for _ in fates])
    many.has_seen_everything()
