"""Does the hook hold a commit back? pre-commit itself runs it, in a repository of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ci.conftest import PROJECT, SPEC
from tests.ci.runner import ROOT
from tests.cli.test_new_since import commit, git
from tests.conftest import Project

BIN = Path(sys.executable).parent


def with_hooks(project: Project, repo: str, **more: object) -> Project:
    """A repository of specs that uses both hooks, as docs/ci.md says."""
    project.write("modelctl.yaml", PROJECT)
    project.spec("quiet", SPEC)
    git(project.root, "init", "-q", "-b", "main")
    hooks = [{"id": "modelctl-validate"}, {"id": "modelctl-lock"}]
    config = {"repos": [{"repo": repo, "hooks": hooks, **more}]}
    project.write(".pre-commit-config.yaml", yaml.safe_dump(config))
    commit(project)
    return project


def committed(project: Project, home: Path, **variables: str) -> tuple[int, str]:
    """What a person sees who runs the hooks on what is staged."""
    git(project.root, "add", "-A")
    done = subprocess.run(
        [BIN / "pre-commit", "run", "--color=never"],
        cwd=project.root,
        env={"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home),
             "PRE_COMMIT_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_wrong_spec_is_held_back_and_other_files_are_not_looked_at(
    project: Project, tmp_path: Path
) -> None:
    """The hooks of this checkout, with the modelctl that is here in place of one of their own."""
    home = tmp_path / "home"
    home.mkdir()
    with_hooks(project, "local")
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        hook |= {"language": "system", "entry": f"{sys.executable} -P -m {hook['entry']}"}
    config = {"repos": [{"repo": "local", "hooks": hooks}]}
    project.write(".pre-commit-config.yaml", yaml.safe_dump(config))
    commit(project)

    project.write("README.md", "hello")
    code, said = committed(project, home, PYTHONPATH=str(ROOT))
    assert code == 0 and said.count("(no files to check)Skipped") == 2, said
    project.spec("quiet", SPEC + "gpu: [H1000]\n")
    code, said = committed(project, home, PYTHONPATH=str(ROOT))
    assert code == 1
    assert "specs/quiet.yaml:5:7" in said and "H1000" in said, said
    project.spec("quiet", SPEC + "labels: {tier: gold}\n")
    code, said = committed(project, home, PYTHONPATH=str(ROOT))
    assert code == 0, said
    assert said.splitlines() == [
        "modelctl validate........................................................Passed",
        "modelctl lock --check....................................................Passed",
    ]


@pytest.mark.full
def test_pre_commit_installs_the_hook_from_this_repository(
    project: Project, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its own environment, built from what is committed here: what `repo:` and `rev:` do."""
    source = tmp_path_factory.mktemp("source")
    files = subprocess.run(
        ["git", "ls-files", "-z", "modelctl", "templates", "pyproject.toml", "README.md", "LICENSE",
         ".pre-commit-hooks.yaml"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for file in filter(None, files):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes((ROOT / file).read_bytes())
    git(source, "init", "-q", "-b", "main")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "a release")
    git(source, "tag", "v0")
    home = tmp_path / "home"
    home.mkdir()
    with_hooks(project, str(source), rev="v0")
    project.spec("quiet", SPEC + "gpu: [H1000]\n")
    code, said = committed(project, home)
    assert code == 1 and "specs/quiet.yaml:5:7" in said, said
    project.spec("quiet", SPEC + "labels: {tier: gold}\n")
    code, said = committed(project, home)
    assert code == 0, said
