"""Is what was remembered read back the same, and is what was torn forgotten instead of believed?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from modelctl.record import (
    EVENTS,
    INDEX,
    SPOKEN,
    AppRecord,
    Condemned,
    Event,
    Index,
    Spoken,
    decode_app,
    decode_index,
    encode_app,
    encode_index,
    path_of,
    read_app,
    read_index,
    remember,
    volume_of,
)
from tests.making import entry, record


class Shelf:
    """Files in memory: the record asks for nothing else."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.commits = 0

    async def read(self, volume: str, path: str) -> bytes | None:
        return self.files.get((volume, path))

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        self.commits += 1
        self.files.update({(volume, path): content for path, content in files.items()})

    async def listed(self, volume: str, folder: str) -> Mapping[str, int]:
        found = {p: len(c) for (v, p), c in self.files.items() if v == volume}
        if not found:
            raise LookupError(volume)
        base = f"{folder}/"
        return {p.removeprefix(base): size for p, size in found.items() if p.startswith(base)}


def test_an_index_comes_back_as_it_was() -> None:
    index = Index({"chat": entry(keep_warm=2), "embed": entry(digest="d9")})
    assert decode_index(encode_index(index)) == index


def test_a_record_comes_back_as_it_was() -> None:
    kept = record({"name": "chat", "gpu[0].type": "H100", "endpoint.auth": "none"})
    assert decode_app(encode_app(kept)) == kept


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 2, "apps": {}}',
        b'{"format": 1}',
        b'{"format": 1, "apps": {"chat": {}}}',
        b'{"format": 1, "apps": {"chat": {"app_id": "a", "version": 1, "digest": "d",'
        b' "scaling": {"x": 1}}}}',
        b'{"format": 1, "apps": []}',
    ],
)
def test_what_cannot_be_understood_is_no_index(content: bytes | None) -> None:
    assert decode_index(content) is None


@pytest.mark.parametrize("content", [None, b"{}", b'{"format": 1, "entry": {}}', b"nonsense"])
def test_what_cannot_be_understood_is_no_record(content: bytes | None) -> None:
    assert decode_app(content) is None


def test_remembering_writes_the_records_and_the_index_in_one_commit() -> None:
    shelf = Shelf()
    asyncio.run(remember(shelf, "team", None, {"chat": record(), "embed": record()}))
    assert shelf.commits == 1
    assert set(shelf.files) == {
        ("modelctl-team", INDEX),
        ("modelctl-team", path_of("chat")),
        ("modelctl-team", path_of("embed")),
    }
    assert asyncio.run(read_app(shelf, "team", "chat")) == record()


def test_remembering_keeps_the_others_and_forgets_what_is_gone() -> None:
    shelf = Shelf()
    index = Index({"a": entry(), "b": entry(), "c": entry()})
    gone = {"c": record()}
    asyncio.run(remember(shelf, "team", index, {"b": record(digest="d2")}, gone))
    kept = asyncio.run(read_index(shelf, "team"))
    assert kept == Index({"a": entry(), "b": entry(digest="d2")})


def test_a_lost_index_is_made_again_from_what_is_recorded_of_each_app() -> None:
    shelf = Shelf()
    gone = {"c": record()}
    asyncio.run(remember(shelf, "team", None, {"a": record(), "b": record()}, gone))
    for content in (None, b'{"format": 1, "apps'):
        shelf.files.pop(("modelctl-team", INDEX), None)
        if content is not None:
            shelf.files["modelctl-team", INDEX] = content
        kept = asyncio.run(read_index(shelf, "team"))
        assert kept == Index({"a": entry(), "b": entry()}, rebuilt=True)


def test_without_anything_recorded_there_is_no_index() -> None:
    assert asyncio.run(read_index(Shelf(), "team")) is None


def test_what_lives_and_what_was_good_outlast_everything_that_was_tried_since() -> None:
    lives = replace(entry(digest="good"), good=(1, "good"))
    kept = AppRecord(lives, (Spoken("good", {"context": 1}, "# good", {}),))
    for number in range(2 * SPOKEN):
        kept = kept.after(lives, Spoken(f"bad{number}", {}, "# bad", {}))
    assert [one.digest for one in kept.spoken] == ["bad9", "bad8", "bad7", "bad6", "good"]
    assert kept.fields == {"context": 1}


def test_the_latest_events_come_first_and_old_ones_go() -> None:
    kept = record()
    for number in range(EVENTS + 5):
        kept = kept.after(entry(), None, Event(f"t{number}", "ana", "", "scaled"))
    assert len(kept.events) == EVENTS
    assert kept.events[0].at == f"t{EVENTS + 4}"


def test_a_record_as_it_was_first_written_is_read() -> None:
    first = (
        b'{"format": 1, "entry": {"app_id": "ap-1", "version": 3, "digest": "d1", "scaling": '
        b'{"min_containers": 0, "max_containers": null, "buffer_containers": 0, '
        b'"scaledown_window": 300, "scaleup_window": null, "target_concurrency": null}, '
        b'"condemned": "answered wrong"}, "fields": {"name": "chat"}, "text": "# app"}'
    )
    kept = decode_app(first)
    assert kept is not None
    assert kept.entry.condemned == Condemned("d1", 3, "answered wrong")
    assert kept.fields == {"name": "chat"}


def test_two_projects_do_not_share_a_memory() -> None:
    assert volume_of("one") != volume_of("two")
    assert volume_of(None) == "modelctl.default"


def test_the_same_record_gives_the_same_bytes() -> None:
    kept = record({"b": 1, "a": 2})
    assert encode_app(kept) == encode_app(record({"a": 2, "b": 1}))
    assert json.loads(encode_app(kept))["format"] == 1
