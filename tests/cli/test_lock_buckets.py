"""Is a model in a bucket known by its headers? From a real S3 server, through s3fs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_lock import lock_of, locking, refused
from tests.conftest import Project
from tests.hub.buckets import Buckets, serving
from tests.hub.models import make_adapter, make_llama
from tests.hub.sparse import QWEN3_8B, make_checkpoint, tensors
from tests.weights.test_gguf import file as gguf

pytestmark = pytest.mark.full

__all__ = ["locking"]

VLLM = "backend: vllm\ngpu: L4\ncontext: 256\n"
SMALL = {
    **QWEN3_8B,
    "num_hidden_layers": 2,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "vocab_size": 4096,
}


@pytest.fixture(scope="module")
def shelf() -> Iterator[Buckets]:
    with serving() as found:
        yield found


def test_headers_are_read_by_ranges_and_the_lock_knows_what_a_folder_would_say(
    locking: Project, shelf: Buckets, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "made", SMALL, tensors(SMALL), shards=3)
    shelf.put("shelf", "qwen/base", folder)
    locking.spec("a", "model: {source: s3://shelf/qwen/base, secret: aws}\n" + VLLM)
    ran = locking.run("lock", env=shelf.variables)
    assert ran.code == 0, ran.err
    found = lock_of(locking)["s3://shelf/qwen/base"]
    rows, size = found["tensors"], sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    assert isinstance(rows, list)
    assert ["model.layers.*.self_attn.k_proj.weight", "BF16", [1024, 512], 2] in rows
    assert sum(row[3] for row in rows) == len(list(tensors(SMALL)))
    assert found["config"]["num_hidden_layers"] == 2  # type: ignore[index]
    assert shelf.sent(".safetensors") < 3 * 2**17 + 2**16 < size

    before = (locking.root / "modelctl.lock").read_text()
    assert locking.run("lock", "--check").code == 0
    assert locking.run("lock", "--upgrade", env=shelf.variables).code == 0
    assert (locking.root / "modelctl.lock").read_text() == before
    fit = locking.run("fit", "a", "--output", "json").json["rows"][0]
    assert fit["verdict"] == "fits"
    assert fit["weights_gib"]["value"] == pytest.approx(size / 2**30, rel=0.01)


def test_of_gguf_files_the_header_of_the_one_that_is_meant_is_read(
    locking: Project, shelf: Buckets
) -> None:
    files = {"m-Q4_K_M.gguf": gguf(), "m-Q8_0.gguf": gguf(), "notes.txt": b"x"}
    shelf.put("shelf", "tiny", files)
    locking.spec(
        "a", "model: {source: s3://shelf/tiny, file: '*Q4*'}\nbackend: llama.cpp\ngpu: L4\n"
    )
    assert locking.run("lock", env=shelf.variables).code == 0
    models = lock_of(locking)["s3://shelf/tiny"]["gguf"]
    assert isinstance(models, dict)
    assert list(models) == ["m-Q4_K_M.gguf"]
    assert models["m-Q4_K_M.gguf"]["header"]["llama.context_length"] == 8192
    assert models["m-Q4_K_M.gguf"]["tensors"] == [
        ["blk.*.attn_norm.weight", "F32", [8], 2],
        ["token_embd.weight", "Q4_K", [64, 3], 1],
    ]
    assert shelf.sent("Q8_0.gguf") == 0
    assert ' "/models/m-Q4_K_M.gguf"\n' in rendered(locking, "a")
    locking.spec(
        "a",
        "model: {source: s3://shelf/tiny, file: '*Q4*'}\nbackend: llama.cpp\ngpu: L4\n"
        "context: 16384\n",
    )
    assert "error model/context a context of 16,384 is more than the model's own 8,192" in refused(
        locking.run("validate")
    )


def rendered(project: Project, name: str) -> str:
    ran = project.run("render", name, "-o", "out")
    assert ran.code == 0, ran.err
    return (project.root / f"out/serve_{name}.py").read_text(encoding="utf-8")


def test_one_gguf_file_of_a_bucket_may_be_a_source_itself(locking: Project, shelf: Buckets) -> None:
    parts = {f"big-0000{n}-of-00002.gguf": gguf() for n in (1, 2)}
    shelf.put("shelf", "alone", {"m.gguf": gguf(), "other.gguf": b"x", **parts})
    shelf.put("loras", "all", {"sql.gguf": gguf(), "sum.gguf": gguf()})
    adapters = "adapters: {sql: {source: s3://loras/all/sql.gguf}}"
    rest = "backend: llama.cpp\ngpu: L4\ncontext: 256\n"
    locking.spec("a", f"model: {{source: s3://shelf/alone/m.gguf, {adapters}}}\n{rest}")
    split = "s3://shelf/alone/big-00001-of-00002.gguf"
    locking.spec("b", f"model: {{source: {split}, copy: true}}\n{rest}")
    ran = locking.run("lock", env=shelf.variables)
    assert ran.code == 0, ran.err
    files = {source: [f[0] for f in found["files"]] for source, found in lock_of(locking).items()}
    assert files == {
        "s3://loras/all/sql.gguf": ["sql.gguf"],
        "s3://shelf/alone/m.gguf": ["m.gguf"],
        split: ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"],
    }
    app = rendered(locking, "a")
    assert ' "/models/m.gguf"\n' in app
    assert '("--lora-scaled", MOUNT_ROOT + "/buckets/loras/all/sql.gguf" + ":0")' in app
    assert 'CloudBucketMount("shelf", key_prefix="alone/", read_only=True)' in app
    assert 'modal.CloudBucketMount("loras", key_prefix="all/", read_only=True)' in app
    commit = lock_of(locking)[split]["commit"]
    inside = f"/s3/{split.removeprefix('s3://')}/{commit}/big-00001-of-00002.gguf"
    assert inside in re.sub(r'"\s+\+ "', "", rendered(locking, "b"))


@pytest.mark.parametrize("copied", ["", ", copy: true"])
def test_which_file_a_glob_means_is_known_after_a_lock(
    locking: Project, shelf: Buckets, copied: str
) -> None:
    shelf.put("shelf", "globbed", {"m-Q4_K_M.gguf": gguf(), "m-Q8_0.gguf": gguf()})
    model = "model: {source: s3://shelf/globbed, file: '*Q4*'" + copied + "}\n"
    locking.spec("a", model + "backend: llama.cpp\ngpu: L4\ncontext: 256\n")
    assert (
        "error model/unlocked s3://shelf/globbed is not in modelctl.lock: which of its files is "
        "served is not known help: run modelctl lock, or name one file in full, without *"
    ) in refused(locking.run("validate"))
    assert "model/unlocked" in refused(locking.run("render", "-o", "out"))
    assert locking.run("lock", env=shelf.variables).code == 0
    assert 'm-Q4_K_M.gguf"\n' in rendered(locking, "a")


def test_a_bucket_that_nothing_pins_is_said(locking: Project) -> None:
    locking.spec("a", "model: s3://shelf/qwen/base\n" + VLLM)
    (found,) = locking.run("validate", "--output", "json").json["diagnostics"]
    assert (found["severity"], found["code"], found["message"], found["hint"]) == (
        "warning",
        "model/unlocked",
        "s3://shelf/qwen/base is not in modelctl.lock: what lies there may change by itself",
        "run modelctl lock",
    )


def test_an_adapter_in_a_bucket_says_its_rank(
    locking: Project, shelf: Buckets, tmp_path: Path
) -> None:
    shelf.put("shelf", "base", make_llama(tmp_path / "base"))
    shelf.put("loras", "sql", make_adapter(tmp_path / "sql", rank=64))
    adapters = "adapters: {sql: {source: s3://loras/sql, rank: 16}}"
    locking.spec("a", f"model: {{source: s3://shelf/base, {adapters}}}\n{VLLM}")
    assert locking.run("lock", env=shelf.variables).code == 0
    assert "the adapter sql has rank 64, which is more than 16" in refused(locking.run("validate"))


def test_a_bucket_of_another_service_is_found_at_its_address(
    locking: Project, shelf: Buckets, tmp_path: Path
) -> None:
    shelf.put("models", "base", make_llama(tmp_path / "base"))
    model = f"model: {{source: r2://models/base, endpoint: '{shelf.url}'}}\n"
    locking.spec("a", model + VLLM)
    keys = {**shelf.variables, "AWS_ENDPOINT_URL_S3": ""}
    ran = locking.run("lock", env=keys)
    assert ran.code == 0, ran.err
    assert "tensors" in lock_of(locking)["r2://models/base"]


def test_what_stands_in_the_way_is_a_sentence(
    locking: Project, shelf: Buckets, tmp_path: Path
) -> None:
    cut = (make_llama(tmp_path / "whole") / "model.safetensors").read_bytes()[:800_000]
    shelf.put("shelf", "cut", {"config.json": b"{}", "model.safetensors": cut})
    for source, sentence in {
        "s3://nowhere/x": "s3://nowhere/x cannot be listed: The specified bucket does not exist",
        "s3://shelf/empty": "nothing lies in s3://shelf/empty help: is its prefix right?",
        "s3://shelf/cut": "s3://shelf/cut: model.safetensors is cut: its header speaks of 855,440 "
        "bytes and it has 800,000",
    }.items():
        locking.spec("a", f"model: {source}\n{VLLM}")
        assert sentence in refused(locking.run("lock", env=shelf.variables))
        assert not (locking.root / "modelctl.lock").exists()


def test_without_credentials_the_way_out_is_said(locking: Project, shelf: Buckets) -> None:
    locking.spec("a", "model: s3://shelf/base\n" + VLLM)
    nobody = {"AWS_ENDPOINT_URL_S3": shelf.url, "AWS_EC2_METADATA_DISABLED": "true", **NO_KEYS}
    said = refused(locking.run("lock", env=nobody), 6)
    assert "s3://shelf/base cannot be listed: NoCredentialsError: Unable to locate credentials" in (
        said
    )
    assert "set the credentials as for the bucket's own command line, and try again" in said


NO_KEYS = {
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_DEFAULT_REGION": "us-east-1",
}
