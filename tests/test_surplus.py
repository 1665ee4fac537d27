"""Which weights may go? Never what a live app, a roll-back, a spec or a lock may need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from modelctl.platform.types import Live, StoredWeights
from modelctl.record import Index, read_index, remember
from modelctl.surplus import shelves, unaccounted
from tests.making import entry, live_app, record
from tests.test_apply import Stage

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def stored(commit: str, *, days: int = 2) -> StoredWeights:
    return StoredWeights(
        f"/org/m/{commit}/", "hf://org/m", commit, 1, 10, True, NOW - timedelta(days=days)
    )


def surplus(*found: StoredWeights, live: Live, index: Index, named: set[str] | None = None) -> str:
    return " ".join(
        shelf.weights.commit
        for shelf in shelves(found, live, [index], named or set())
        if shelf.is_surplus(NOW, DAY)
    )


CHAT = Live("main", {"chat": live_app(version=2)})
INDEX = Index(
    {"chat": replace(entry(version=2), weights=((1, ("/org/m/a/",)), (2, ("/org/m/b/",))))}
)


def test_what_any_version_of_a_live_app_read_stays() -> None:
    assert surplus(stored("a"), stored("b"), stored("c"), live=CHAT, index=INDEX) == "c"


def test_what_a_stopped_app_read_goes_and_so_does_that_of_one_that_came_back() -> None:
    assert surplus(stored("a"), live=Live("main", {}), index=INDEX) == "a"
    again = Live("main", {"chat": live_app(app_id="ap-2")})
    assert surplus(stored("a"), live=again, index=INDEX) == "a"


def test_what_a_spec_or_lock_names_stays_and_so_does_what_is_young() -> None:
    nobody = Live("main", {})
    assert surplus(stored("a"), stored("b"), live=nobody, index=INDEX, named={"a"}) == "b"
    assert surplus(stored("a", days=0), live=nobody, index=INDEX) == ""


def test_an_app_of_which_nobody_wrote_down_what_it_reads_is_told() -> None:
    assert unaccounted(CHAT, [INDEX]) == []
    assert unaccounted(CHAT, [Index({"chat": entry(version=2)})]) == ["chat"]
    assert unaccounted(CHAT, []) == ["chat"]


def test_an_app_is_told_that_lives_at_a_version_of_which_nobody_wrote_down_what_it_reads() -> None:
    """An apply that was killed, or one of another checkout: its weights are in use."""
    behind = Index({"chat": replace(entry(version=1), weights=((1, ("/org/m/a/",)),))})
    assert unaccounted(CHAT, [behind]) == ["chat"]
    assert unaccounted(CHAT, [behind, INDEX]) == []


async def remembered(versions: range, app_id: str = "ap-1") -> Index:
    stage, index = Stage(), None
    for version in versions:
        last = record(version=version, app_id=app_id)
        last = replace(last, entry=replace(last.entry, weights=((version, (f"/{version}/",)),)))
        await remember(stage, "team", index, {"chat": last})
        index = await read_index(stage, "team")
    assert index is not None
    return index


def test_the_last_twenty_versions_are_remembered_with_what_they_read() -> None:
    import asyncio

    index = asyncio.run(remembered(range(1, 31)))
    assert index.apps["chat"].weights == tuple((n, (f"/{n}/",)) for n in range(11, 31))


def test_a_new_app_of_the_same_name_begins_anew() -> None:
    import asyncio

    async def both() -> Index:
        stage = Stage()
        first = replace(record(), entry=replace(entry(), weights=((1, ("/a/",)),)))
        await remember(stage, "team", None, {"chat": first})
        other = replace(record(), entry=replace(entry(app_id="ap-2"), weights=((1, ("/b/",)),)))
        await remember(stage, "team", await read_index(stage, "team"), {"chat": other})
        index = await read_index(stage, "team")
        assert index is not None
        return index

    assert asyncio.run(both()).apps["chat"].weights == ((1, ("/b/",)),)
