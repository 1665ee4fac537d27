"""Is a model in a Volume known by what lies there, and is a Volume that is not there no failure?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fleet import by_hand
from tests.conftest import Project
from tests.hub.models import make_adapter, make_llama
from tests.weights.test_gguf import file as gguf

FOLDER = (
    "model: {source: volume://shelf/llama, adapters: {x: volume://shelf/lora}}\nbackend: vllm\n"
    "gpu: L4\ncontext: 1024\n"
)
FILE = "model: volume://shelf/q/m-Q4.gguf\nbackend: llama.cpp\ngpu: L4\n"


@pytest.fixture(scope="module")
def shelf(live: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made: Path = tmp_path_factory.mktemp("shelf")
    make_llama(made / "llama", weights_in=2)
    make_adapter(made / "lora")
    (made / "q").mkdir()
    (made / "q" / "m-Q4.gguf").write_bytes(gguf())
    (made / "q" / "m-Q8.gguf").write_bytes(b"half of a file")
    put_folder(live, made)
    return live


@pytest.fixture(autouse=True)
def alone(shelf: Project) -> Iterator[None]:
    yield
    (shelf.root / "modelctl.lock").unlink(missing_ok=True)
    for file in (shelf.root / "specs").glob("*.yaml"):
        file.unlink()


def put_folder(project: Project, folder: Path) -> None:
    by_hand(
        project,
        "import modal\n"
        "v = modal.Volume.from_name('shelf', create_if_missing=True)\n"
        "with v.batch_upload(force=True) as batch:\n"
        f"    batch.put_directory({str(folder)!r}, '/')\n",
    )


def sources(project: Project) -> dict[str, Any]:
    found = json.loads((project.root / "modelctl.lock").read_text())["sources"]
    assert isinstance(found, dict)
    return found


def test_a_folder_a_file_and_an_adapter_are_known_by_their_headers(shelf: Project) -> None:
    shelf.spec("folder", FOLDER)
    shelf.spec("file", FILE)
    ran = shelf.run("lock", "--local")
    assert (ran.code, ran.err) == (0, "")
    found = sources(shelf)
    assert found["volume://shelf/lora"]["config"] == {"r": 8}
    llama = found["volume://shelf/llama"]
    assert llama["config"]["num_key_value_heads"] == 2
    assert ["model.layers.*.mlp.up_proj.weight", "BF16", [256, 128], 2] in llama["tensors"]
    assert "README.md" not in [path for path, _, _ in llama["files"]]
    assert list(found["volume://shelf/q/m-Q4.gguf"]["gguf"]) == ["m-Q4.gguf"]

    assert shelf.run("lock", "--check").code == 0
    assert shelf.run("lock").out == "modelctl.lock is up to date: 3 sources.\n"
    shelf.spec("folder", FOLDER.replace("1024", "4096"))
    said = shelf.run("validate", "folder").out
    assert "a context of 4,096 is more than the model's own 2,048" in said


@pytest.mark.full
def test_what_cannot_be_read_is_said_and_the_rest_is_locked(shelf: Project) -> None:
    shelf.spec("folder", FOLDER.replace("shelf/lora", "nowhere/lora"))
    ran = shelf.run("lock", "--local")
    assert ran.code == 0
    assert list(sources(shelf)) == ["volume://shelf/llama"]
    assert ran.err.startswith(
        "warning: volume://nowhere/lora is not read: reading the Volume nowhere: "
    )
    assert "help: nothing needs it to deploy; without it fit and context are not checked" in ran.err
    assert shelf.run("lock", "--check").code == 0
    ran = shelf.run("lock")
    assert (ran.code, ran.out) == (0, "modelctl.lock is up to date: 1 source.\n")
    assert ran.err.startswith(
        "warning: volume://nowhere/lora is not read: there are no Modal credentials\n"
    )


@pytest.mark.full
def test_a_folder_without_the_file_that_is_meant_and_a_file_that_is_cut(shelf: Project) -> None:
    shelf.spec("file", FILE.replace("q/m-Q4.gguf", "q"))
    ran = shelf.run("lock", "--local")
    assert ran.err.startswith(
        "warning: volume://shelf/q is not read: it is not clear which file is meant: 2 GGUF "
        "files match *.gguf: m-Q4.gguf, m-Q8.gguf\n"
    )
    shelf.spec("file", FILE.replace("Q4", "Q8"))
    ran = shelf.run("lock", "--local")
    assert ran.err.startswith(
        "warning: volume://shelf/q/m-Q8.gguf is not read: m-Q8.gguf is no GGUF "
        "file: it does not begin with the letters GGUF\n"
    )
