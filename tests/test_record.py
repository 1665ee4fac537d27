"""Is what was remembered read back the same, and is what was torn forgotten instead of believed?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from modelctl.record import (
    INDEX,
    Index,
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
    asyncio.run(remember(shelf, "team", index, {"b": record(digest="d2")}, frozenset({"c"})))
    kept = asyncio.run(read_index(shelf, "team"))
    assert kept == Index({"a": entry(), "b": entry(digest="d2")})


def test_two_projects_do_not_share_a_memory() -> None:
    assert volume_of("one") != volume_of("two")
    assert volume_of(None) == "modelctl.default"


def test_the_same_record_gives_the_same_bytes() -> None:
    kept = record({"b": 1, "a": 2})
    assert encode_app(kept) == encode_app(record({"a": 2, "b": 1}))
    assert json.loads(encode_app(kept))["format"] == 1
