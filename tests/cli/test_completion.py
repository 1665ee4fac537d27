"""What do bash, zsh and fish complete, in a project and where there is none?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelctl.checks.catalogue import CATALOGUE
from modelctl.cli import COMMANDS
from modelctl.facts.gpus import choices
from tests.cli.test_new_since import commit, git
from tests.conftest import ROOT, Project

SPEC = "model: hf://Qwen/Qwen3-8B\nbackend: vllm\nlabels: {{tier: {tier}, team: search}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of two specs and two environments, and modelctl on the PATH of shells."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "modelctl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m modelctl "$@"\n')
    command.chmod(0o755)
    (tmp_path / "modelctl.yaml").write_text("project: team\nenvironments: {staging: {}, prod: }\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/chat.yaml").write_text("name: chat-8b\n" + SPEC.format(tier="gold"))
    (tmp_path / "specs/other.yml").write_text("name: 'embed'\n" + SPEC.format(tier="free"))
    return tmp_path


def shell(folder: Path, *words: str) -> str:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    done = subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def bash(folder: Path, line: str) -> list[str]:
    """What bash would put where the last word is; its words are broken as bash breaks them."""
    script = """
    eval "$(modelctl completion bash)"
    [[ $(complete -p modelctl) == *"-F _modelctl_completion modelctl" ]] || exit 9
    compopt() { printf 'compopt %s\\n' "$*"; }
    COMP_LINE=$1 COMP_POINT=${#1}
    _modelctl_completion modelctl
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    return shell(folder, "bash", "--norc", "-c", script, "bash", line).split("\n")[:-1]


def fish(folder: Path, line: str) -> list[str]:
    script = f"modelctl completion fish | source; complete -C '{line}'"
    said = shell(folder, "fish", "--no-config", "-c", script)
    return [one.partition("\t")[0] for one in said.splitlines()]


def zsh(folder: Path, line: str) -> list[str]:
    """What the function of the script hands to zsh's own compadd and _describe."""
    script = """
    compdef() { [[ $* == "_modelctl_completion modelctl" ]] || exit 9 }
    compadd() { for key in $completions; do print -r -- $key; done }
    _describe() { for key in $completions_with_descriptions; do print -r -- ${key%%:*}; done }
    eval "$(modelctl completion zsh)"
    words=("${(@Q)${(z)1}}"); [[ $1 == *' ' ]] && words+=('')
    CURRENT=$#words
    _modelctl_completion
    """
    return shell(folder, "zsh", "-f", "-c", script, "zsh", line).splitlines()


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.mark.parametrize("name", SHELLS)
def test_each_shell_completes_what_a_project_has(folder: Path, name: str) -> None:
    asked = SHELLS[name]
    assert asked(folder, "modelctl val") == ["validate"]
    assert asked(folder, "modelctl plan ch") == ["chat-8b"]
    assert sorted(asked(folder, "modelctl apply --env ")) == ["prod", "staging"]
    assert asked(folder, "modelctl init --gpu H2") == ["H200"]
    assert asked(folder, "modelctl validate specs/o") == ["specs/other.yml"]
    assert asked(folder, "modelctl explain fit/too") == ["fit/too-large"]


def test_a_label_is_one_word_although_bash_breaks_it(folder: Path) -> None:
    assert bash(folder, "modelctl plan -l tier=") == ["gold", "free"]
    assert bash(folder, "modelctl plan -l te") == ["team=search"]
    assert sorted(fish(folder, "modelctl plan -l tier=")) == ["tier=free", "tier=gold"]


def test_a_commit_is_a_branch_or_a_tag(folder: Path) -> None:
    assert complete(folder, "modelctl plan --base ")[0] == []
    git(folder, "init", "-q", "-b", "main")
    assert complete(folder, "modelctl plan --base ")[0] == []
    commit(Project(folder))
    git(folder, "tag", "v1.0")
    git(folder, "branch", "feature/long=context")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    names = ["feature/long=context", "main", "origin/main", "v1.0"]
    assert complete(folder, "modelctl plan --base ")[0] == names
    assert complete(folder / "specs", "modelctl validate --new-since v")[0] == ["v1.0"]
    assert bash(folder, "modelctl plan --base feature/long=") == ["context"]


def complete(folder: Path, line: str) -> tuple[list[str], str]:
    """The words that are found, and what was imported for it."""
    words = {"COMP_WORDS": line, "_MODELCTL_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "modelctl"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **words},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line], done.stderr


def test_every_command_every_gpu_and_every_code(folder: Path) -> None:
    assert complete(folder, "modelctl ")[0] == list(COMMANDS)
    assert complete(folder, "modelctl init --gpu ")[0] == [*choices(), "none"]
    assert sorted(complete(folder, "modelctl explain ")[0]) == sorted(CATALOGUE)
    assert set(complete(folder, "modelctl promote --from ")[0]) == {"prod", "staging"}
    assert complete(folder, "modelctl local stat")[0] == ["status"]


@pytest.mark.parametrize(
    "line",
    ["modelctl plan ", "modelctl plan -l ", "modelctl plan --base ", "modelctl explain "],
)
def test_nothing_slow_is_imported_at_a_tab(folder: Path, line: str) -> None:
    _, imported = complete(folder, line)
    slow = ("modal", "pydantic", "huggingface_hub", "aiohttp", "rich", "jinja2")
    names = {one.rpartition("|")[2].strip() for one in imported.splitlines()}
    assert [name for name in slow if name in names] == []


BROKEN = {
    "no project": None,
    "no YAML": "project: [\nenvironments: {",
    "no mapping": "- a\n",
    "nothing": "",
    "binary": "\x00\x01",
    "other kinds": "environments: [prod]\nlabels: 5\n",
}


@pytest.mark.full
@pytest.mark.parametrize("kind", BROKEN)
def test_a_tab_in_a_broken_project_is_silent(folder: Path, kind: str) -> None:
    text = BROKEN[kind]
    for file in ("modelctl.yaml", "specs/chat.yaml", "specs/other.yml"):
        if text is None:
            (folder / file).unlink()
        else:
            (folder / file).write_text(text)
    for asked in ("modelctl plan --env ", "modelctl plan -l "):
        assert complete(folder, asked)[0] == []
    found = complete(folder, "modelctl plan ")[0]
    assert found == ([] if text is None else found)
    assert bash(folder, "modelctl plan --env ") == [""]
