"""Does a lock know what is in the weights, from their headers alone, whatever the Hub does?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelctl.facts import tables
from modelctl.weights import hub_ranges
from tests.cli.test_lock import LLAMA, lock_of, locking, refused
from tests.conftest import Project
from tests.hub.models import make_adapter, make_llama
from tests.hub.server import Hub
from tests.hub.sparse import QWEN3_8B, make_checkpoint, tensors
from tests.weights.test_gguf import file as gguf

__all__ = ["locking"]

CONFIG = '{"architectures": ["A"], "max_position_embeddings": 4096}'
GGUF = "model: {source: hf://org/m, file: '*Q4*'}\nbackend: llama.cpp\ngpu: L4\n"


def weights_of(folder: Path) -> bytes:
    return (make_llama(folder) / "model.safetensors").read_bytes()


def whole_lock(project: Project) -> dict[str, Any]:
    found = json.loads((project.root / "modelctl.lock").read_text())
    assert isinstance(found, dict)
    return found


def test_16_gb_in_five_files_are_known_from_less_than_a_megabyte(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "made", QWEN3_8B, tensors(QWEN3_8B), shards=5)
    hub.add("org/m", folder, gated="auto", members=("hf_member",))
    locking.spec("a", LLAMA + "secrets: [x]\n")
    ran = locking.run("lock", env={"HF_TOKEN": "hf_member"})
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].endswith(", 7 files, 16.4 GB")
    rows = lock_of(locking)["hf://org/m"]["tensors"]
    assert isinstance(rows, list)
    assert len(rows) == 14
    assert ["model.layers.*.self_attn.k_proj.weight", "BF16", [1024, 4096], 36] in rows
    text = (locking.root / "modelctl.lock").read_text()
    assert '    ["lm_head.weight", "BF16", [151936, 4096], 1],\n' in text
    assert hub.sent("*.safetensors") < 2**20
    assert {asked.token for asked in hub.asked("/large/*")} == {""}


def test_what_is_not_needed_is_not_read(locking: Project, hub: Hub, tmp_path: Path) -> None:
    hub.add("org/m", {"m-Q4_K_M.gguf": gguf(), "m-Q8_0.gguf": gguf(), "other.gguf": b"junk"})
    hub.add("org/lora", make_adapter(tmp_path / "adapter"))
    hub.add("org/words", make_llama(tmp_path / "words"))
    hub.add("org/whole", make_llama(tmp_path / "whole"))
    locking.spec("a", GGUF)
    locking.spec(
        "b",
        "model: {source: hf://org/whole, tokenizer: hf://org/words, adapters: {x: hf://org/lora}}\n"
        "backend: vllm\ngpu: L4\n",
    )
    assert locking.run("lock").code == 0
    found = lock_of(locking)
    assert found["hf://org/lora"]["config"] == {"r": 8}
    assert [name for name, entry in found.items() if "tensors" in entry] == ["hf://org/whole"]
    assert found["hf://org/m"]["gguf"] == {
        "m-Q4_K_M.gguf": {
            "header": {
                "general.architecture": "llama",
                "general.file_type": 15,
                "general.name": "Tiny",
                "llama.attention.head_count_kv": [8, 8, 0],
                "llama.block_count": 30,
                "llama.context_length": 8192,
                "llama.rope": 1.5,
                "tokenizer.ggml.tokens": 3,
            },
            "tensors": [
                ["blk.*.attn_norm.weight", "F32", [8], 2],
                ["token_embd.weight", "Q4_K", [64, 3], 1],
            ],
        }
    }
    assert {a.path.rpartition("/")[2] for a in hub.asked("/large/*")} == {
        "m-Q4_K_M.gguf",
        "model.safetensors",
    }


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"config.json": CONFIG, "model.safetensors": b"<html>not found</html>"},
            "hf://org/m: model.safetensors is no safetensors file",
        ),
        (
            {"config.json": CONFIG, "model.safetensors": b"version https://git-lfs.github.com/spe"},
            "hf://org/m: model.safetensors is a pointer of Git LFS, and the weights are not there",
        ),
        (
            {"config.json": CONFIG, "model.safetensors": None},
            "hf://org/m: model.safetensors is cut: its header speaks of 855,440 bytes and it has "
            "800,000",
        ),
    ],
)
def test_weights_that_no_engine_could_load_are_not_locked(
    locking: Project,
    hub: Hub,
    tmp_path: Path,
    files: Mapping[str, bytes | str | None],
    sentence: str,
) -> None:
    cut = weights_of(tmp_path / "made")[:800_000]
    hub.add("org/m", {path: cut if file is None else file for path, file in files.items()})
    locking.spec("a", LLAMA)
    said = refused(locking.run("lock"))
    assert f"specs/a.yaml:2:8 error model/broken {sentence}" in said
    assert "help: it was put there so: put it there again, or name a revision where it is" in said
    assert not (locking.root / "modelctl.lock").exists()


def test_a_gguf_that_is_none_is_not_locked(locking: Project, hub: Hub) -> None:
    hub.add("org/m", {"m-Q4_0.gguf": b"<html>", "m-Q8_0.gguf": gguf()})
    locking.spec("a", GGUF)
    said = refused(locking.run("lock"))
    assert (
        "hf://org/m: m-Q4_0.gguf is no GGUF file: it does not begin with the letters GGUF" in said
    )


def test_headers_come_from_a_hub_that_breaks_off_or_ignores_ranges(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "made", QWEN3_8B, tensors(QWEN3_8B), shards=2)
    hub.add("org/m", folder)
    locking.spec("a", LLAMA)
    hub.fault("/large/*", cut=10_000, times=1)
    hub.fault("/large/*", status=503, times=1)
    hub.fault("/large/*", whole=True)
    assert locking.run("lock").code == 0
    rows = lock_of(locking)["hf://org/m"]["tensors"]
    assert isinstance(rows, list)
    assert len(rows) == 14
    assert hub.sent("/large/*") < 64 * 2**20


def test_a_hub_that_gives_headers_too_slowly_is_left(
    locking: Project, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_ranges, "SILENCE", 0.2)
    monkeypatch.setattr(hub_ranges, "SLOWEST", 2**30)
    hub.add("org/m", make_llama(tmp_path / "made"))
    locking.spec("a", LLAMA)
    hub.fault("/large/*", per_second=1000)
    said = refused(locking.run("lock"), 6)
    assert said == (
        f"error: {hub.url} gave too little of model.safetensors in 0.2 s help: try again; what "
        "modelctl.lock has needs no Hub, and neither does what was fetched"
    )


def test_a_renamed_repository_is_read_where_it_is_now(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    hub.add("org/m", make_llama(tmp_path / "made"))
    hub.rename("org/m", "team/new")
    locking.spec("a", LLAMA)
    ran = locking.run("lock")
    assert (ran.code, ran.err.splitlines()[0]) == (0, "warning: org/m is called team/new now")
    assert "tensors" in lock_of(locking)["hf://org/m"]


def test_a_lock_of_before_is_read_and_found_incomplete(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    commit = hub.add("org/m", make_llama(tmp_path / "made"))
    locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    now = (locking.root / "modelctl.lock").read_text()
    older = whole_lock(locking)
    del older["engines"], older["facts"], older["sources"]["hf://org/m"]["tensors"]
    locking.write("modelctl.lock", json.dumps(older))
    hub.add("org/m", {"config.json": CONFIG, "m.bin": b"2"})
    assert locking.run("validate").code == 0
    ran = locking.run("lock", "--check")
    assert (ran.code, ran.out) == (
        1,
        "  + vllm  not in modelctl.lock\n"
        "  ~ hf://org/m  its weights' headers are not in modelctl.lock\n"
        "modelctl.lock is not what the specs need: run modelctl lock\n",
    )
    ran = locking.run("lock")
    assert ran.out == (
        "  + vllm  0.32.0, where a spec names no version\n"
        f"  ~ hf://org/m  {commit[:7]}, read again: the same files, and more known of them\n"
        "modelctl.lock written: 1 source.\n"
    )
    assert (locking.root / "modelctl.lock").read_text() == now
    assert locking.run("lock", "--check").code == 0


def test_another_file_of_a_locked_repository_is_read_at_the_same_commit(
    locking: Project, hub: Hub
) -> None:
    files = {"m-Q4_0.gguf": gguf(), "m-Q8_0.gguf": gguf()}
    first = hub.add("org/m", files)
    locking.spec("a", GGUF)
    assert locking.run("lock").code == 0
    hub.add("org/m", {**files, "more.gguf": gguf()})
    locking.spec("b", GGUF.replace("Q4", "Q8"))
    assert "  ~ hf://org/m  its weights' headers" in locking.run("lock", "--check").out
    assert locking.run("lock", "b").code == 0
    entry = lock_of(locking)["hf://org/m"]
    assert entry["commit"] == first
    assert isinstance(entry["gguf"], dict)
    assert sorted(entry["gguf"]) == ["m-Q4_0.gguf", "m-Q8_0.gguf"]
    assert locking.run("lock", "--check").code == 0


def test_the_default_version_of_an_engine_stays_until_upgrade(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    hub.add("org/m", make_llama(tmp_path / "made"))
    locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    found = whole_lock(locking)
    assert found["facts"] == tables.version()
    assert found["engines"] == {"vllm": {"image": "vllm/vllm-openai:v0.32.0", "version": "0.32.0"}}
    ours = {"version": "0.31.5", "image": "mirror.example/vllm:31"}
    locking.write("modelctl.lock", json.dumps({**found, "engines": {"vllm": ours}}))
    shown = locking.run("render", "-o", "out")
    assert shown.code == 0, shown.err
    (app,) = (locking.root / "out").rglob("*.py")
    assert '"mirror.example/vllm:31"' in app.read_text()
    assert locking.run("lock", "--check").code == 0
    assert locking.run("lock").out == "modelctl.lock is up to date: 1 source.\n"
    ran = locking.run("lock", "--upgrade")
    assert ran.out == "  ~ vllm  0.31.5 → 0.32.0\nmodelctl.lock written: 1 source.\n"
    locking.spec("a", LLAMA.replace("vllm", "{name: vllm, version: 0.33.0}"))
    ran = locking.run("lock", "--check")
    assert ran.out.startswith("  - vllm  no spec needs its default version any more\n")
    assert locking.run("lock").code == 0
    assert "engines" not in whole_lock(locking)
