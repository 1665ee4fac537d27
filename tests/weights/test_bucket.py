"""Is a bucket listed, locked and copied? Over a real file system of fsspec, in memory."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest

from modelctl.platform.weights import covers, decode_manifest, refusal
from modelctl.render_fetch import render_fetch
from modelctl.resolved import Bucket, Fetch, RemoteFile
from modelctl.weights import bucket
from modelctl.weights.hub import HubProblem
from tests.render.test_fetch_app import Outside

pytestmark = pytest.mark.filterwarnings("ignore:The fetch function is executing locally")

FILES = {
    "config.json": b'{"max_position_embeddings": 4096}',
    "model.safetensors": bytes(range(256)) * 100,
}


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.store.clear()
    for path, content in FILES.items():
        memory.pipe_file(f"/shelf/llama/{path}", content)

    class Bare:
        """As buckets name their files: without a slash in front."""

        def find(self, base: str, detail: bool) -> Mapping[str, object]:
            return {k[1:]: v for k, v in memory.find(f"/{base}", detail=detail).items()}

        def cat_file(self, path: str) -> bytes:
            content = memory.cat_file(f"/{path}")
            assert isinstance(content, bytes)
            return content

    monkeypatch.setattr(bucket, "_filesystem", lambda protocol, endpoint: Bare())
    yield memory
    memory.store.clear()


def test_files_sizes_and_facts_are_locked_under_a_digest_of_the_listing(
    shelf: fsspec.AbstractFileSystem,
) -> None:
    found = bucket.look_up("s3://shelf/llama", None).locked
    assert [(f.path, f.size) for f in found.files] == [
        ("config.json", 33),
        ("model.safetensors", 25600),
    ]
    assert found.config == {"max_position_embeddings": 4096}
    assert len(found.commit) == 40
    assert bucket.look_up("s3://shelf/llama", None).locked == found
    shelf.pipe_file("/shelf/llama/model.safetensors", b"another")
    assert bucket.look_up("s3://shelf/llama", None).locked.commit != found.commit


def test_what_would_leave_its_folder_is_left_out(shelf: fsspec.AbstractFileSystem) -> None:
    for path in ("a/../b.safetensors", ".modelctl.json", "x.part"):
        shelf.store[f"/shelf/llama/{path}"] = shelf.store["/shelf/llama/config.json"]
    found = bucket.look_up("s3://shelf/llama", None).locked
    assert [f.path for f in found.files] == ["config.json", "model.safetensors"]


def test_an_empty_prefix_and_a_missing_library_are_said(
    shelf: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubProblem, match="nothing lies in s3://shelf/nothing"):
        bucket.look_up("s3://shelf/nothing", None)
    monkeypatch.undo()

    def missing(protocol: str, **_: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(HubProblem) as problem:
        bucket.look_up("s3://shelf/llama", None)
    assert problem.value.message == (
        "this machine cannot list s3 buckets: Install s3fs to access S3"
    )
    assert problem.value.hint == "pip install 'modelctl[s3]'"


def copying(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, root: Path) -> Any:
    """The app's module; its Volume and the bucket are in `root`."""
    monkeypatch.setenv("MODELCTL_MOUNT_ROOT", str(root))
    text = render_fetch([fetch], variables={})
    assert 'modal.CloudBucketMount(\n            "shelf",' in text
    module = types.ModuleType("copying")
    exec(compile(text, "copying", "exec"), vars(module))
    module.PAUSE_SECONDS, module.volume = 0.0, Outside()
    return module


def copy(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, root: Path) -> Mapping[str, object]:
    answer = copying(fetch, monkeypatch, root).fetch.local(Outside())
    assert isinstance(answer, dict)
    return answer


def test_one_file_that_is_missing_is_said_before_the_others_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = tuple(RemoteFile(path, 1) for path in ("a", "b", "c"))
    mounted = Bucket("/bucket", "shelf", True, "m/", "keys", "https://a.example")
    fetch = Fetch("s3://shelf", "1" * 40, "modelctl-weights", "/s3/1/", files, bucket=mounted)
    module = copying(fetch, monkeypatch, tmp_path)
    (tmp_path / "bucket").mkdir()
    for path in ("b", "c"):
        (tmp_path / "bucket" / path).write_bytes(b"x")
    whole = module.one

    def one(folder: Path, path: str, *rest: object) -> None:
        if path != "a":
            assert module.over.wait(30.0)
        whole(folder, path, *rest)

    module.one = one
    assert module.fetch.local(Outside()) == {"problem": "missing", "file": "a"}
    assert [f.name for f in (tmp_path / "weights" / "s3" / "1").iterdir() if f.suffix == ""] == []


def test_what_is_copied_goes_on_where_it_ended_and_is_not_copied_again(
    shelf: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    locked = bucket.look_up("s3://shelf/llama", None).locked
    prefix = f"/s3/shelf/llama/{locked.commit}/"
    mounted = Bucket("/bucket", "shelf", True, "llama/", "keys", "https://a.example")
    fetch = Fetch(
        "s3://shelf/llama", locked.commit, "modelctl-weights", prefix, locked.files, bucket=mounted
    )
    for path, content in FILES.items():
        (tmp_path / "bucket" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bucket" / path).write_bytes(content)
    folder = tmp_path / "weights" / prefix.strip("/")
    folder.mkdir(parents=True)
    (folder / "model.safetensors.part").write_bytes(FILES["model.safetensors"][:10_000])
    assert copy(fetch, monkeypatch, tmp_path) == {"fetched": 33 + 25600}
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content
    manifest = decode_manifest((folder / ".modelctl.json").read_bytes())
    assert covers(manifest, {p: len(c) for p, c in FILES.items()}, fetch)
    assert json.loads((folder / ".modelctl.json").read_text())["source"] == "s3://shelf/llama"

    (tmp_path / "bucket" / "model.safetensors").write_bytes(b"another")
    assert copy(fetch, monkeypatch, tmp_path) == {"fetched": 0}
    (folder / "model.safetensors").unlink()
    problem = refusal(fetch, copy(fetch, monkeypatch, tmp_path))
    assert problem is not None
    assert problem.message == (
        "could not fetch s3://shelf/llama: model.safetensors is not what was locked: it should "
        "have 25600 bytes and has 7"
    )
