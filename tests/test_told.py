"""What does an app's history say, from Modal's own and from what was written down?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelctl.byhand.told import between, told
from modelctl.byhand.types import Refusal
from modelctl.plan import FieldChange
from modelctl.platform.types import Deployment
from modelctl.record import AppRecord, Event, Spoken
from modelctl.views.human import history
from modelctl.views.paint import Paint
from tests.making import entry

BORN = datetime(2026, 11, 20, 8, tzinfo=UTC)


def digest(number: int) -> str:
    return f"{number:032x}"


def deployment(version: int, tag: str | None = None, rollback_of: int | None = None) -> Deployment:
    at = BORN + timedelta(hours=version)
    said = "" if rollback_of else digest(version) if tag is None else tag
    return Deployment(version, at, "ana", said, rollback_of, "77c0d92", dirty=True)


def event(did: str, version: int, hours: float, **more: object) -> Event:
    at = f"{BORN + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
    return Event(at, "github/1842", "8f3ab1e", did, version, **more)  # type: ignore[arg-type]


PAST = (
    deployment(4, rollback_of=2),
    deployment(3),
    deployment(2),
    deployment(1),
)
EVENTS = (
    event("scaled", 4, 4.5, why="a demo", fields=(("keep_warm", 1, 5),)),
    event("rolled back", 4, 4.01, why="v2 serves, as it did all along"),
    event("tried", 3, 4.0, result="failed", why="could not boot: no such file"),
    event("deployed", 3, 3.01, fields=(("context", 2048, 4096), ("backend.version", "a", "b"))),
    event("deployed", 2, 2.01),
    event("deployed", 1, 1.01),
)


def recorded(*events: Event, spoken: tuple[int, ...] = ()) -> AppRecord:
    texts = tuple(Spoken(digest(n), {"context": n * 1024}, "# app", {}) for n in spoken)
    return AppRecord(entry(), texts, events)


def lines(*events: Event, past: tuple[Deployment, ...] = PAST, held: str = "") -> list[str]:
    rows = told(past, recorded(*events), 4)
    text = history.history(rows, "chat", "Modal environment prod", held, paint=Paint(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    return text.splitlines()


def test_history_reads_at_80_columns() -> None:
    assert lines(*EVENTS, held='rolled back to v2 by ana, "latency", until released') == [
        "chat · Modal environment prod",
        '  held: rolled back to v2 by ana, "latency", until released',
        "",
        "            when (UTC)        by           commit",
        "  v4        2026-11-20 12:30  github/1842  8f3ab1e",
        '            scaled: "a demo"; keep_warm 1 → 5',
        "  v4 lives  2026-11-20 12:00  github/1842  8f3ab1e",
        '            rolled back to v2: "v2 serves, as it did all along"',
        "  v3        2026-11-20 12:00  github/1842  8f3ab1e",
        "            failed: could not boot: no such file",
        "  v3        2026-11-20 11:00  github/1842  8f3ab1e",
        "            deployed: context 2048 → 4096, backend.version a → b",
        "  v2        2026-11-20 10:00  github/1842  8f3ab1e",
        "            deployed",
        "  v1        2026-11-20 09:00  github/1842  8f3ab1e",
        "            deployed",
    ]


def test_what_modal_alone_knows_is_said_too() -> None:
    past = (deployment(4, rollback_of=1), deployment(3, "hotfix"), deployment(2), deployment(1))
    assert [(row.version, row.did, row.who, row.commit) for row in told(past, None, 4)] == [
        (4, "rolled back to v1 past modelctl", "ana", "77c0d92+"),
        (3, "deployed without modelctl", "ana", "77c0d92+"),
        (2, "deployed", "ana", "77c0d92+"),
        (1, "deployed", "ana", "77c0d92+"),
    ]


def test_each_thing_is_said_once_the_newest_first() -> None:
    rows = told(PAST, recorded(*EVENTS), 4)
    assert [(row.version, row.did, row.result) for row in rows] == [
        (4, "scaled", "done"),
        (4, "rolled back to v2", "done"),
        (3, "tried", "failed"),
        (3, "deployed", "done"),
        (2, "deployed", "done"),
        (1, "deployed", "done"),
    ]
    assert [row.version for row in rows if row.lives] == [4]
    assert [row.is_ for row in rows if row.is_] == [2]


def test_an_earlier_app_of_the_name_is_told_of_and_not_taken_for_this_one() -> None:
    earlier = (event("destroyed", 1, -9), event("deployed", 1, -10, why="the old one"))
    rows = told((deployment(1),), recorded(*earlier), 1)
    assert [(row.did, row.who, row.lives) for row in rows] == [
        ("deployed", "ana", True),
        ("destroyed", "github/1842", False),
        ("deployed", "github/1842", False),
    ]


def test_what_was_stopped_past_modelctl_is_said_where_that_must_have_been() -> None:
    stopped = "stopped past modelctl after this"
    earlier = (event("scaled", 2, -8), event("deployed", 2, -9), event("deployed", 1, -10))
    here = event("deployed", 1, 1.01)
    rows = told((deployment(1),), recorded(here, *earlier), 1)
    assert [row.did for row in rows] == ["deployed", stopped, "scaled", "deployed", "deployed"]
    rows = told((), recorded(*earlier), None)
    assert [row.did for row in rows] == [stopped, "scaled", "deployed", "deployed"]
    ended = (here, event("deleted", 2, -7), *earlier)
    assert stopped not in [row.did for row in told((deployment(1),), recorded(*ended), 1)]


def test_an_earlier_name_is_said_above() -> None:
    was = "it was old-chat: modelctl history old-chat says what came before"
    text = history.history((), "chat", "prod", "", paint=Paint(), width=80, was=was)
    assert text.splitlines()[1] == f"  {was}"


def test_an_app_that_is_gone_keeps_what_was_written_down() -> None:
    assert [row.did for row in told((), recorded(event("destroyed", 3, 9)), None)] == ["destroyed"]


def test_the_specs_of_two_versions_are_compared_as_far_as_they_are_recorded() -> None:
    record = recorded(*EVENTS, spoken=(3, 2))
    assert between("chat", PAST, record, 4, 3) == (FieldChange("context", 2048, 3072),)
    with pytest.raises(Refusal) as refusal:
        between("chat", PAST, record, 1, 3)
    assert refusal.value.message == "the spec of v1 of chat is not recorded any more"
    assert refusal.value.hint == "those of v4, v3, v2 are"
    with pytest.raises(Refusal, match=r"^chat has no version v9$"):
        between("chat", PAST, record, 9, 3)


def test_the_same_spec_is_said_to_be_the_same() -> None:
    text = history.difference("chat", 2, 4, (), paint=Paint(), width=80)
    assert text == "chat · v2 → v4\n  the same spec"
