"""Do the paths that a spec says stay in the project, whatever way they lead out?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelctl.cli.putting import put
from tests.cli.test_new_since import commit, git
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


NETRC = "machine example.org login someone password Canary-9431\n"


@pytest.mark.parametrize("where", ["specs/leak.yaml", "modelctl.yaml", "modelctl.lock"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_out_of_the_project_is_not_read(
    project: Project, where: str, absolute: bool
) -> None:
    secret = project.root.parent / f"{project.root.name}-netrc"
    secret.write_text(NETRC)
    project.spec("a", "model: hf://o/r\ngpu: H100\n")
    (project.root / where).unlink(missing_ok=True)
    above = "../" * (where.count("/") + 1)
    (project.root / where).symlink_to(secret if absolute else f"{above}{secret.name}")
    for what in ((), ("specs/leak.yaml",) if where == "specs/leak.yaml" else ("a",)):
        ran = project.run("validate", *what)
        assert ran.code == 1
        said = " ".join((ran.out + ran.err).split())
        assert f"{where} is a link that leads out of the project: it is not read" in said
        assert "Canary" not in ran.out + ran.err and "example.org" not in ran.out + ran.err


def test_a_linked_folder_out_of_the_project_is_not_entered(project: Project) -> None:
    outside = project.root.parent / f"{project.root.name}-outside"
    outside.mkdir()
    (outside / "canary.yaml").write_text("name: canary\nmodel: hf://o/canary\n")
    project.spec("a", "model: hf://o/r\ngpu: H100\n")
    (project.root / "specs" / "team").symlink_to(outside)
    for what in ((), ("specs/team",), ("canary",)):
        ran = project.run("validate", *what)
        assert ran.code == 1
        said = " ".join((ran.out + ran.err).split())
        assert "specs/team is a link that leads out of the project: it is not read" in said
        assert "o/canary" not in ran.out + ran.err and "canary.yaml" not in ran.out + ran.err
    through = project.run("validate", "specs/team/canary.yaml")
    assert "specs/team/canary.yaml is a link that leads out of the project" in through.out


def test_links_in_the_project_and_to_it_are_fine(project: Project) -> None:
    """What is typed is its writer's choice: a file elsewhere that was named is read."""
    spec = "model: hf://o/r\ngpu: H100\nendpoint: {auth: none}\n"
    project.write("shared/team/b.yaml", f"name: b\n{spec}")
    project.write("shared/c.yaml", f"name: c\n{spec}")
    (project.root / "specs").mkdir()
    (project.root / "specs" / "team").symlink_to("../shared/team")
    (project.root / "specs" / "c.yaml").symlink_to(project.root / "shared" / "c.yaml")
    elsewhere = project.root.parent / f"{project.root.name}-elsewhere.yaml"
    elsewhere.write_text(f"name: d\n{spec}")
    linked = project.root.parent / f"{project.root.name}-linked"
    linked.symlink_to(project.root)
    for what, count in (
        ((), 2),
        (("b", "c"), 2),
        ((str(elsewhere),), 1),
        ((f"../{elsewhere.name}",), 1),
        ((str(linked / "specs"),), 2),
    ):
        ran = project.run("validate", "--output", "json", *what)
        said = ran.json["diagnostics"]
        assert "leads out" not in ran.out
        assert len([d for d in said if d["code"] == "model/unlocked"]) == count, ran.out
    (linked / "specs" / "leak.yaml").symlink_to(elsewhere)
    ran = project.run("validate", str(linked / "specs" / "leak.yaml"))
    said = " ".join(ran.out.split())
    assert ran.code == 1 and "leak.yaml is a link that leads out of the project" in said


def test_a_file_that_is_no_mapping_is_not_quoted(project: Project) -> None:
    project.write("specs/a.yaml", NETRC)
    said = project.run("validate", "--output", "json").json["diagnostics"]
    assert [d["message"] for d in said] == [
        "this file is only a text; a spec is a mapping of fields"
    ]


def test_what_is_written_replaces_a_link_and_leaves_its_target(project: Project) -> None:
    """A branch can hold links under the names that a job writes."""
    project.spec("a", f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n")
    kept = project.write("kept", "another file's")
    (project.root / "out").mkdir()
    for name, words in {
        "v.md": ("validate", "--report", "v.md"),
        "v.json": ("validate", "--report", "v.json"),
        "out/serve_a.py": ("render", "a", "-o", "out"),
    }.items():
        (project.root / name).symlink_to(kept)
        ran = project.run(*words)
        assert "could not be written" not in ran.err, ran.err
        written = project.root / name
        assert not written.is_symlink() and written.stat().st_size > 20
        assert kept.read_text() == "another file's"
    assert not [file for file in project.root.rglob(".*") if file.is_file()]


NOT_WRITTEN = "is a link that leads out of the project: nothing is written there"
PINNED_HUB = f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n"


@pytest.fixture
def outside(project: Project) -> Path:
    """A folder beside the project, to which its link `out` leads."""
    project.spec("a", PINNED_HUB)
    folder = project.root.parent / f"{project.root.name}-elsewhere"
    folder.mkdir()
    (project.root / "out").symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "render a -o out",
        "render a -o out/deep/er",
        "render a -o ./specs/../out",
        "validate --report out/v.json",
        "plan --base HEAD --report out/v.md",
        "plan --base HEAD --report out/v.html",
        "import app.py -o out/new/",
        "import app.py -o out/chat.yaml",
    ],
)
def test_nothing_is_written_through_a_folder_that_leads_out(
    project: Project, outside: Path, line: str
) -> None:
    """A branch can hold a link in place of a folder that a job writes to."""
    server = (Path(__file__).parents[1] / "docs" / "server.py").read_text(encoding="utf-8")
    project.write("app.py", server)
    git(project.root, "init", "-q")
    commit(project)
    ran = project.run(*line.split())
    assert (ran.code, ran.err) == (
        1,
        f"error: out {NOT_WRITTEN}\nhelp: put a folder itself there, or delete the link\n",
    )
    assert list(outside.iterdir()) == []


def test_a_folder_elsewhere_that_was_named_is_written_to(project: Project, outside: Path) -> None:
    for named in (str(project.root / "out"), f"../{outside.name}", str(outside)):
        assert project.run("render", "a", "-o", named).code == 0
        (outside / "serve_a.py").unlink()
    (project.root / "kept").mkdir()
    (project.root / "here").symlink_to("kept")
    assert project.run("render", "a", "-o", "here").code == 0
    assert (project.root / "kept" / "serve_a.py").is_file()


@pytest.mark.parametrize("link", ["specs", ".github", "models", ".gitignore"])
def test_init_writes_nothing_where_a_link_leads_out(tmp_path: Path, link: str) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    file = link == ".gitignore"
    if file:
        (kept / "file").write_text("another file's")
    folder = Project(tmp_path / "team")
    folder.root.mkdir()
    (folder.root / link).symlink_to(kept / "file" if file else kept)
    model = () if link == "models" else ("--model", "o/r", "--gpu", "H100", "--ci", "github")
    ran = folder.run("init", "--yes", *model)
    what = "file" if file else "folder"
    assert (ran.code, ran.err) == (
        1,
        f"error: {link} {NOT_WRITTEN}\nhelp: put a {what} itself there, or delete the link\n",
    )
    assert [one.name for one in folder.root.iterdir()] == [link]
    assert [one.read_text() for one in kept.iterdir()] == (["another file's"] if file else [])


def test_what_is_no_regular_file_is_written_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"before")
    plain.chmod(0o640)
    (tmp_path / "null").symlink_to(os.devnull)
    put(tmp_path / "null", b"x")
    assert (tmp_path / "null").is_symlink()
    # As /dev/stdout is where a shell sends the output into a file.
    monkeypatch.setattr("modelctl.cli.putting._DEVICES", (tmp_path / "dev",))
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "stdout").symlink_to(plain)
    put(tmp_path / "dev" / "stdout", b"through")
    assert (tmp_path / "dev" / "stdout").is_symlink() and plain.read_bytes() == b"through"
    put(plain, b"after")
    assert (plain.read_bytes(), plain.stat().st_mode & 0o777) == (b"after", 0o640)
