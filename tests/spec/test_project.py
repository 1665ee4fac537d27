"""Which modelctl.yaml counts, and what is said when it is wrong?"""

from __future__ import annotations

from pathlib import Path

import pytest

from modelctl.diagnostics import Rejected
from modelctl.engines.vllm import COMPILED_VOLUME
from modelctl.resolve.sources import WEIGHTS_VOLUME
from modelctl.spec.load import load
from modelctl.spec.models import Fields, Scaling
from modelctl.spec.project import find_project, read_policy
from modelctl.spec.project_models import Project
from modelctl.spec.wanted import ProjectFile
from tests.spec.folder import Folder, lines


def rejected(folder: Folder, text: str) -> list[str]:
    folder.write("modelctl.yaml", text)
    with pytest.raises(Rejected) as caught:
        find_project(folder.path, folder.path)
    return lines(caught.value.diagnostics)


def test_the_nearest_file_above_counts(folder: Folder) -> None:
    folder.write("modelctl.yaml", "project: acme\n")
    (folder.path / "specs/team").mkdir(parents=True)
    found = find_project(folder.path / "specs/team", folder.path)
    assert (found.root, found.name) == (folder.path, "acme")


def test_without_a_file_there_is_an_empty_project(tmp_path: Path) -> None:
    found = find_project(tmp_path)
    assert (found.root, found.file, found.name) == (tmp_path, None, None)


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_is_a_project_without_a_name(folder: Folder, text: str) -> None:
    folder.write("modelctl.yaml", text)
    found = find_project(folder.path)
    assert found.file == folder.path / "modelctl.yaml"
    assert found.name is None


def test_an_environment_may_be_declared_by_its_name_alone(folder: Folder) -> None:
    folder.write("modelctl.yaml", "environments:\n  staging:\n  prod: {confirm: true}\n")
    assert list(find_project(folder.path).project.environments or {}) == ["staging", "prod"]


def test_every_mistake_is_said_at_once(folder: Folder) -> None:
    text = (
        "project: Acme\n"
        "context: 5\n"
        "defaults: {contxt: 5, keep_warm: -1}\n"
        "backends: {vlm: {version: v1}, vllm: {version: 0.32}}\n"
        "environments: {prod: {keep_warm: 1, confirm: yes}}\n"
        "rules: {fit/too-large: loud}\n"
    )
    assert rejected(folder, text) == [
        "modelctl.yaml:1:10 error spec/name: a project name has lower-case letters only, "
        "so that it can be part of a URL | write acme",
        "modelctl.yaml:2:1 error spec/unknown-field: no such field; did you mean defaults.context?",
        "modelctl.yaml:3:12 error spec/unknown-field: no such field; did you mean context?",
        "modelctl.yaml:3:34 error spec/value: defaults.keep_warm is 0 or more; this is -1",
        "modelctl.yaml:4:12 error spec/value: vlm is no engine; there are vllm, llama.cpp "
        "| did you mean vllm?",
        "modelctl.yaml:4:48 error spec/type: backends.vllm.version wants text; "
        'this is the number 0.32 | write "0.32"',
        "modelctl.yaml:5:23 error spec/unknown-field: no such field; "
        "did you mean defaults.keep_warm?",
        "modelctl.yaml:5:46 error spec/type: environments.prod.confirm wants true or false; "
        "yes is text | write true",
        "modelctl.yaml:6:24 error spec/value: rules.fit/too-large is one of error, warning, off; "
        "this is loud",
    ]


def test_text_mistakes_are_said_as_in_a_spec(folder: Folder) -> None:
    assert rejected(folder, "- a\n") == [
        "modelctl.yaml:1:1 error yaml/not-a-mapping: this file is a list; modelctl.yaml is a "
        "mapping of fields | write key: value on each line"
    ]
    assert rejected(folder, "hello\n") == [
        "modelctl.yaml:1:1 error yaml/not-a-mapping: this file is only a text; "
        "modelctl.yaml is a mapping of fields | write key: value on each line"
    ]
    assert rejected(folder, "project: a\nproject: b\n") == [
        "modelctl.yaml:2:1 error yaml/duplicate-key: project is here twice; the first is on line 1 "
        "| keep one of them"
    ]
    assert rejected(folder, "project: a\n---\nproject: b\n") == [
        "modelctl.yaml:2:1 error yaml/several-documents: a second document begins here "
        "| modelctl.yaml is one document: take away the line --- and what is not meant"
    ]
    assert rejected(folder, "#" * 1_100_000) == [
        "modelctl.yaml:1:1 error yaml/too-large: this file has 1.1 MB; modelctl.yaml has at most "
        "1 MB | is it modelctl.yaml at all?"
    ]


def test_an_empty_policy_is_no_spec(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("# nothing\n")
    with pytest.raises(Rejected) as wrong:
        read_policy(tmp_path / "policy.yaml", tmp_path)
    assert lines(wrong.value.diagnostics) == [
        "policy.yaml:1:1 error yaml/empty: this file is empty "
        "| a policy has gpus, regions, images, auth or budget"
    ]


def test_warnings_of_the_project_come_with_the_specs(folder: Folder) -> None:
    folder.write("modelctl.yaml", "defaults: {env: {A: no}}\n")
    folder.write("specs/a.yaml", "name: a\nmodel: hf://o/r\n")
    assert folder.says() == [
        "modelctl.yaml:1:21 warning yaml/ambiguous: no is text here, and false to readers of "
        'YAML 1.1 | write "no" for the text, or false'
    ]


def test_a_project_made_in_code_has_defaults_too(folder: Folder) -> None:
    folder.write("specs/a.yaml", "name: a\nmodel: hf://o/r\n")
    made = Project(
        defaults=Fields(keep_warm=2, scaling=Scaling.model_validate({"idle_timeout": "5m"}))
    )
    wanted = load([], ProjectFile(folder.path, None, made), cwd=folder.path).wanted
    assert wanted[0].spec.keep_warm == 2
    assert wanted[0].spec.scaling is not None
    assert wanted[0].spec.scaling.idle_timeout == 300.0


@pytest.mark.parametrize("volume", [WEIGHTS_VOLUME, COMPILED_VOLUME])
def test_no_project_keeps_its_records_in_a_volume_of_all_projects(
    folder: Folder, volume: str
) -> None:
    name = volume.removeprefix("modelctl-")
    assert rejected(folder, f"# ours\nproject: {name}\n") == [
        f"modelctl.yaml:2:10 error spec/name: a project cannot be called {name}: its records "
        f"would lie in {volume}, a Volume of all projects | write {name}-team, or any other name"
    ]
