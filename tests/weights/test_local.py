"""Is a local model known by its content, and read only once?"""

from __future__ import annotations

import hashlib
import os
from contextlib import chdir
from pathlib import Path

import pytest

from modelctl.cli.options import Selection
from modelctl.cli.pipeline import check_all
from modelctl.resolved import LocalFile, Unknown
from modelctl.spec.project_models import Project
from modelctl.spec.wanted import ProjectFile
from modelctl.weights import local
from modelctl.weights.local import HashCache, default_cache_folder, examine
from modelctl.weights.read import gguf_file, model_facts
from modelctl.weights.remembered import Remembered
from modelctl.weights.sources import parse
from modelctl.weights.tensors import Read
from tests.weights.test_gguf import file as gguf


@pytest.fixture
def cache(tmp_path: Path) -> HashCache:
    return HashCache(tmp_path / "cache")


def test_a_file(tmp_path: Path, cache: HashCache) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    model = examine(path, cache)
    sha = hashlib.sha256(b"abc").hexdigest()
    assert model.files == (LocalFile("m.gguf", 3, sha),)
    assert model.digest == sha
    assert model.root == tmp_path
    assert model.size == 3


def test_a_folder_is_known_by_paths_and_content(tmp_path: Path, cache: HashCache) -> None:
    def folder(name: str, files: dict[str, bytes]) -> str:
        for path, content in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return examine(tmp_path / name, cache).digest

    one = folder("one", {"a.json": b"1", "b/c.bin": b"2"})
    assert folder("two", {"b/c.bin": b"2", "a.json": b"1", ".git/config": b"x"}) == one
    assert folder("three", {"a.json": b"2", "b/c.bin": b"1"}) != one
    assert folder("four", {"a.json": b"1", "c.bin": b"2"}) != one


def test_a_second_look_reads_nothing(
    tmp_path: Path, cache: HashCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    first = examine(path, cache)
    reads: list[Path] = []
    monkeypatch.setattr(local, "_hash", lambda real: reads.append(real) or "00" * 32)
    assert examine(path, cache) == first
    assert reads == []
    os.utime(path, ns=(1, 1))
    assert examine(path, cache).digest == "00" * 32


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"sha256": "zz", "stamp": 1}', "\x00"])
def test_a_broken_cache_is_only_slow(tmp_path: Path, cache: HashCache, content: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    first = examine(path, cache)
    for entry in (tmp_path / "cache/sha256").iterdir():
        entry.write_text(content)
    assert examine(path, cache) == first


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    assert examine(path, HashCache(tmp_path / "file")).size == 3


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_folder() == Path("/somewhere/modelctl")


def test_the_facts_of_a_gguf_file(tmp_path: Path, cache: HashCache) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf())
    facts = model_facts("./m.gguf", tmp_path, tmp_path, hashed=False, cache=cache)
    assert (facts.kind, facts.format, facts.problem) == ("local", "gguf", "")
    assert (facts.architecture, facts.context_length, facts.layers) == ("llama", 8192, 30)
    assert facts.digest == Unknown("not hashed")
    hashed = model_facts("./m.gguf", tmp_path, tmp_path, hashed=True, cache=cache)
    assert hashed.digest == hashlib.sha256(gguf()).hexdigest()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose headers were read, by name."""
    names: list[str] = []

    def reader(file: Path) -> Read:
        names.append(file.name)
        return local_reader(file)

    local_reader = local.reader
    monkeypatch.setattr(local, "reader", reader)
    return names


def test_a_file_that_ten_specs_name_is_read_once(tmp_path: Path, opened: list[str]) -> None:
    project = ProjectFile(tmp_path, None, Project())
    (tmp_path / "specs" / "team").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.gguf").write_bytes(gguf())
    (tmp_path / "same").symlink_to("models")
    models = ["../../models/m.gguf", "../../same/m.gguf"]
    for number in range(10):
        text = f"name: a{number}\nmodel: {models[number % 2]}\nbackend: llama.cpp\n"
        (tmp_path / "specs" / "team" / f"a{number}.yaml").write_text(text)
    with chdir(tmp_path):
        first = check_all(Selection(), project, hashed=False)
        assert opened == ["m.gguf"]
        check_all(Selection(), project, hashed=False)  # as another command does
    assert opened == ["m.gguf"] * 2
    assert {assessed.resolved.name for _, assessed in first.specs} == {f"a{n}" for n in range(10)}


def test_what_was_put_in_its_place_is_read(tmp_path: Path, opened: list[str]) -> None:
    remembered = Remembered(most=2)

    def length(name: str) -> object:
        facts = model_facts(name, tmp_path, tmp_path, hashed=False, remembered=remembered)
        assert facts.root == tmp_path / name
        return facts.context_length

    for name in ("a.gguf", "b.gguf", "c.gguf"):
        (tmp_path / name).write_bytes(gguf())
    assert [length("a.gguf"), length("a.gguf")] == [8192, 8192]
    assert opened == ["a.gguf"]
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert length("a.gguf") != 8192
    assert [length("b.gguf"), length("c.gguf")] == [8192, 8192]
    opened.clear()
    assert length("c.gguf") == 8192
    assert opened == []
    length("a.gguf")  # no more than two are remembered
    assert opened == ["a.gguf"]


def test_the_facts_of_the_hub_are_not_known() -> None:
    facts = model_facts("hf://a/b", Path(), Path(), hashed=True)
    assert facts.kind == "hub"
    assert facts.context_length == facts.digest == Unknown("not in modelctl.lock")


def test_a_link_out_of_the_project_is_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.gguf").write_bytes(gguf())
    root = tmp_path / "project"
    root.mkdir()
    (root / "m.gguf").symlink_to(tmp_path / "secret.gguf")
    assert model_facts("m.gguf", root, root, hashed=True).problem == "outside"


def test_a_link_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").symlink_to(tmp_path / "m.gguf")
    assert model_facts("m.gguf", tmp_path, tmp_path, hashed=True).problem in {
        "missing",
        "unreadable",
    }


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{{ messages }}", "{{ messages }}"),
        (b"\xff", Unknown("not UTF-8")),
        (b"x" * 300_000, Unknown("larger than 256 KiB")),
        (None, Unknown("No such file or directory")),
    ],
    ids=["text", "no UTF-8", "large", "missing"],
)
def test_chat_templates(tmp_path: Path, content: bytes | None, text: str | Unknown) -> None:
    if content is not None:
        (tmp_path / "t.jinja").write_bytes(content)
    facts = model_facts("hf://a/b", tmp_path, tmp_path, hashed=False, chat_template="t.jinja")
    assert facts.chat_template == text


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["m.gguf"], "m.gguf"),
        (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "README.md"], "m-00001-of-00002.gguf"),
        (["a.gguf", "b.gguf"], None),
        (["config.json"], None),
    ],
)
def test_which_file_llama_cpp_gets(files: list[str], chosen: str | None) -> None:
    assert gguf_file(files) == chosen


@pytest.mark.parametrize(
    ("text", "kind", "where", "path"),
    [
        ("hf://Qwen/Qwen3-8B", "hub", "Qwen/Qwen3-8B", ""),
        ("volume://models/a/b.gguf", "volume", "models", "a/b.gguf"),
        ("s3://bucket/a/", "bucket", "bucket", "a"),
        ("./m.gguf", "local", "", "./m.gguf"),
        ("models/m.gguf", "local", "", "models/m.gguf"),
        ("http://x/y", "none", "", ""),
        (None, "none", "", ""),
    ],
)
def test_sources(text: str | None, kind: str, where: str, path: str) -> None:
    source = parse(text)
    assert (source.kind, source.where, source.path) == (kind, where, path)
