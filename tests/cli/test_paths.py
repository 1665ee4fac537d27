"""Do the paths that a spec says stay in the project, whatever way they lead out?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Project

HUB = "hf://o/r\ngpu: H100"
OUTSIDE = "outside the project's folder"
LED_OUT = {
    "absolute": ("/etc/passwd", OUTSIDE),
    "above": ("../../outside.gguf", OUTSIDE),
    "home": ("~/outside.gguf", OUTSIDE),
    "linked": ("../models/link.gguf", OUTSIDE),
    "linked-folder": ("../models/folder-link", OUTSIDE),
    "link-in-folder": ("../models/folder", "is a link that leads outside the project's folder"),
    "tokenizer": ("{source: hf://o/r, tokenizer: ../../outside}\ngpu: H100", OUTSIDE),
    "adapter": ("{source: hf://o/r, adapters: {a: ../../outside}}\ngpu: H100", OUTSIDE),
    "draft": (f"{HUB}\nspeculative: {{method: draft_model, model: /etc, tokens: 2}}", OUTSIDE),
    "template": (f"{HUB}\nchat_template: ../../outside.jinja", OUTSIDE),
    "template-link": (f"{HUB}\nchat_template: ../link.jinja", OUTSIDE),
    "dockerfile": (f"{HUB}\nimage: {{dockerfile: /etc/passwd}}", OUTSIDE),
    "volume": ("volume://v/../../x.gguf\nbackend: llama.cpp\ngpu: L4", "leaves its volume"),
    "bucket": ("s3://b/../c\nbackend: vllm\ngpu: H100", "leaves its bucket"),
    "repository": ("hf://../../etc\ngpu: H100", "names no repository"),
    "revision": ("{source: hf://o/r, revision: ../../x}\ngpu: H100", "is no branch, tag or commit"),
}
"""Spec → what it says after `model:`, and what is said of it."""


@pytest.fixture
def led_out(project: Project) -> Project:
    above = project.root.parent
    outside = above / "outside.gguf"
    outside.write_text("somebody else's")
    (above / "outside.jinja").write_text("somebody else's")
    (above / "outside").mkdir()
    (above / "outside" / "config.json").write_text('{"somebody": "else\'s"}')
    folder = project.root / "models" / "folder"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").symlink_to(outside)
    (project.root / "models" / "link.gguf").symlink_to(outside)
    (project.root / "models" / "folder-link").symlink_to(above / "outside")
    (project.root / "link.jinja").symlink_to(above / "outside.jinja")
    return project


def test_what_leads_out_has_its_sentence_and_is_not_read(led_out: Project) -> None:
    for name, (model, _) in LED_OUT.items():
        led_out.spec(name, f"model: {model}\n")
    ran = led_out.run("validate", "--output", "json")
    said: dict[str, str] = {}
    for d in ran.json["diagnostics"]:
        said[Path(d["file"]).stem] = said.get(Path(d["file"]).stem, "") + d["message"] + "\n"
    for name, (_, sentence) in LED_OUT.items():
        assert sentence in said[name], (name, said[name])
    assert "somebody else" not in ran.out


def test_templates_beside_the_project_are_nobody_s(project: Project) -> None:
    """Only --templates names others; where a folder of that name lies, nothing is different."""
    project.spec("a", f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n")
    before = project.run("render", "a")
    for name in ("templates", "modelctl/_templates", "specs/templates"):
        for engine in ("vllm", "shared", "llama_cpp"):
            project.write(f"{name}/{engine}/app.py.j2", "import os; os.system('id')\n")
    after = project.run("render", "a")
    assert before.code == 0 and after.out == before.out
    named = project.run("render", "a", "--templates", "templates")
    assert named.out == "import os; os.system('id')\n"


def test_a_value_that_no_template_knows_is_an_error(project: Project) -> None:
    project.spec("a", f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n")
    project.write("mine/vllm/app.py.j2", "x = {{ nothing | py }}\n")
    ran = project.run("render", "a", "--templates", "mine")
    assert ran.code == 1
    assert "'nothing' is undefined" in ran.err
    project.write("mine/vllm/app.py.j2", "x = {{ (1 / 0) | py }}\n")
    ran = project.run("render", "a", "--templates", "mine")
    assert ran.code == 1
    assert "error: mine/vllm/app.py.j2: ZeroDivisionError: division by zero" in ran.err


def test_rendered_files_lie_in_the_folder_that_was_named(project: Project) -> None:
    """A file is called after the spec, whose name can hold no path."""
    project.spec("a", f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n")
    project.write("specs/b.yaml", "name: ../../b\nmodel: hf://o/r\ngpu: H100\n")
    assert project.run("render", "a", "-o", "out").code == 0
    assert [file.name for file in (project.root / "out").iterdir()] == ["serve_a.py"]
    ran = project.run("render", "-o", "out")
    assert ran.code == 1 and "a name is not a path" in ran.err


def test_a_lock_s_paths_stay_below_its_folder() -> None:
    """What a Hub, a bucket or a lock lists is fetched only where it stays below one folder."""
    from modelctl.resolved import RemoteFile, Selection
    from modelctl.weights.needed import needed

    names = ("model.safetensors", "../model-2.safetensors", "/etc/config.json", "a/../../x.json")
    listed = [RemoteFile(name, 1, sha256="0" * 64) for name in names]
    found = needed(listed, Selection("model")).files
    assert [file.path for file in found] == ["model.safetensors"]
