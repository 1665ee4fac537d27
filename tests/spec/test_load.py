"""Which specs are loaded, in which environment, and what is said when they cannot be?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelctl.spec.load import load_all
from modelctl.spec.models import plain
from modelctl.spec.project import find_project
from tests.spec.folder import Folder, lines

PROJECT = "project: acme\nenvironments: {staging: , prod: }\n"


def spec(name: str, more: str = "") -> str:
    return f"name: {name}\nmodel: hf://o/r\n{more}"


def names(folder: Folder, *what: str, **how: tuple[str, ...]) -> list[str]:
    return [wanted.name for wanted in folder.load(*what, **how).wanted]


def test_five_mistakes_are_five_diagnostics_in_one_run(folder: Folder) -> None:
    folder.write(
        "specs/chat.yaml",
        "name: Chat_8B\n"
        "model: hf://o/r\n"
        "contxt: 8192\n"
        "backend: vlm\n"
        "scaling: {max: many, idle_timeout: 300}\n",
    )
    assert folder.says() == [
        "specs/chat.yaml:1:7 error spec/name: a name has lower-case letters, digits and dashes; "
        "C is none of these | write chat-8b",
        "specs/chat.yaml:3:1 error spec/unknown-field: no such field; did you mean context?",
        "specs/chat.yaml:4:10 error spec/value: backend.name is one of vllm, llama.cpp; "
        "did you mean vllm?",
        "specs/chat.yaml:5:16 error spec/type: scaling.max wants a whole number; this is text",
        "specs/chat.yaml:5:36 error spec/value: scaling.idle_timeout wants a duration with its "
        "unit; this is the number 300 | write 300s for seconds, or 300m for minutes",
    ]


def test_a_misspelled_model_is_said_once(folder: Folder) -> None:
    folder.write("x.yaml", "name: a\nmodl: hf://o/r\n")
    assert folder.says("x.yaml") == [
        "x.yaml:2:1 error spec/unknown-field: no such field; did you mean model?"
    ]


def test_name_and_model_are_needed(folder: Folder) -> None:
    folder.write("My Chat.yaml", "context: 5\n")
    folder.write("null.yaml", "name:\nmodel: {revision: main}\n")
    assert folder.says("My Chat.yaml", "null.yaml") == [
        "My Chat.yaml:1:1 error spec/missing: model is missing "
        "| write model: hf://org/repo, or ./path",
        "My Chat.yaml:1:1 error spec/missing: name is missing | write name: my-chat",
        'null.yaml:1:1 error spec/missing: name has no value | write name: "null"',
        "null.yaml:2:1 error spec/missing: model.source is missing "
        "| write source: hf://org/repo, or ./path",
    ]


def test_a_model_that_an_environment_takes_back_is_said_at_its_null(folder: Folder) -> None:
    folder.write("modelctl.yaml", "environments: {prod: {}, dev: {}}\n")
    text = "name: {0}\nmodel: hf://a/b\nenvironments:\n  prod:\n    model: {1}\n"
    folder.write("a.yaml", text.format("a", "null"))
    folder.write("b.yaml", text.format("b", "{source: null}"))
    assert folder.says("a.yaml", "b.yaml", overlays=("prod",)) == [
        "a.yaml:5:5 error spec/missing: null takes model back, which has no default (spec, "
        "environment prod) | leave the line out, or write model: hf://org/repo, or ./path",
        "b.yaml:5:13 error spec/missing: null takes model.source back, which has no default "
        "(spec, environment prod) | leave the line out, or write source: hf://org/repo, or ./path",
    ]
    assert folder.says("a.yaml", overlays=("dev",)) == []


@pytest.mark.parametrize(
    ("only", "place"),
    [("''", "3:7"), ("[local, '']", "3:15"), ("[]", "3:7"), ("\n  []", "4:3")],
)
def test_only_that_names_nothing_is_said_instead_of_leaving_the_spec_out(
    folder: Folder, only: str, place: str
) -> None:
    folder.write("specs/x.yaml", f"name: a\nmodel: hf://a/b\nonly: {only}\n")
    for overlays in ((), ("local",)):
        assert folder.says(overlays=overlays) == [
            f"specs/x.yaml:{place} error spec/value: only names no environment here "
            "| leave only out where every environment has the spec"
        ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("-rf", "a name does not begin with a dash: it would be read as an option | write rf"),
        ("../../etc/passwd", "a name is not a path | write etc-passwd"),
        ("~root", "a name is not a path | write root"),
        ("a" * 64, f"a name has at most 63 characters; this has 64 | write {'a' * 63}"),
        (
            "Chat",
            "a name has lower-case letters only, so that it can be part of a URL | write chat",
        ),
        (
            "a b",
            "a name has lower-case letters, digits and dashes; a space is none of these "
            "| write a-b",
        ),
        ("a-", "a name does not end with a dash | write a"),
        ("''", "a name is not empty | use lower-case letters, digits and dashes"),
        ('"a\\nb"', None),
        ('"\\e[31m"', None),
    ],
)
def test_names(folder: Folder, name: str, said: str | None) -> None:
    folder.write("x.yaml", spec(name))
    found = folder.says("x.yaml")
    assert len(found) == 1
    assert "\x1b" not in found[0] and "\n" not in found[0]
    if said is not None:
        assert found == [f"x.yaml:1:7 error spec/name: {said}"]


def test_files_come_in_order_and_once(folder: Folder) -> None:
    folder.write("specs/b.yaml", spec("b"))
    folder.write("specs/a.yml", spec("a"))
    folder.write("specs/team/c.yaml", spec("c"))
    folder.write("specs/.hidden.yaml", spec("hidden"))
    folder.write("specs/.git/d.yaml", spec("d"))
    folder.write("specs/README.md", "no spec")
    folder.write("specs/modelctl.yaml", "project: other\n")
    (folder.path / "specs/team/loop").symlink_to(folder.path / "specs", target_is_directory=True)
    assert names(folder) == ["a", "b", "c"]
    assert names(folder, "specs/b.yaml", "specs", "b", "./specs/b.yaml") == ["b", "a", "c"]
    assert [file.name for file in folder.load().files] == ["a.yml", "b.yaml", "c.yaml"]


def test_specs_are_called_by_name(folder: Folder) -> None:
    folder.write("specs/a.yaml", spec("chat"))
    folder.write("specs/b.yaml", "name: broken\nmodl: 1\n")
    folder.write("specs/c.yaml", "name: [\n")
    assert names(folder, "chat") == ["chat"]
    assert folder.says("chat") == []
    assert folder.says("chta") == [
        "error spec/not-found: no spec in specs has the name chta | did you mean chat?"
    ]
    assert folder.says("broken")[0].startswith("specs/b.yaml:2:1 error spec/unknown-field")
    assert folder.says("c")[0].startswith("specs/c.yaml:2:1 error yaml/syntax") or folder.says("c")


def test_what_is_not_there_is_said(folder: Folder) -> None:
    folder.write("specs/chat.yaml", spec("chat"))
    assert folder.says("spec/") == [
        "error spec/not-found: there is no file or folder spec/ | did you mean specs?"
    ]
    assert folder.says("specs/chta.yaml") == [
        "error spec/not-found: there is no file specs/chta.yaml | did you mean specs/chat.yaml?"
    ]
    assert folder.says("") == ["error spec/not-found: an empty word names no spec"]
    assert len(folder.says("a\0b")) == len(folder.says("a" * 5000)) == 1


def test_a_missing_specs_folder_is_said(folder: Folder) -> None:
    assert folder.says() == [
        "error spec/not-found: there is no folder specs | name files, or begin with modelctl init"
    ]
    assert folder.says("chat") == [
        "error spec/not-found: no spec in specs has the name chat | there is no folder specs"
    ]


def test_files_that_cannot_be_read_are_said(folder: Folder) -> None:
    (folder.path / "loop.yaml").symlink_to("loop.yaml")
    (folder.path / "gone.yaml").symlink_to("nowhere.yaml")
    os.mkfifo(folder.path / "pipe.yaml")
    folder.write("big.yaml", b"#" * 10_000_000)
    folder.write("specs/x.yaml", spec("x"))
    assert folder.says("loop.yaml", "gone.yaml", "pipe.yaml", "big.yaml") == [
        "big.yaml:1:1 error yaml/too-large: this file has 10.0 MB; a spec has at most 1 MB "
        "| is it a spec at all?",
        "gone.yaml:1:1 error yaml/unreadable: there is no such file",
        "loop.yaml:1:1 error yaml/unreadable: this link leads to itself",
        "pipe.yaml:1:1 error yaml/unreadable: this is a device or a pipe, not a file",
    ]
    assert folder.says("/dev/zero") == [
        "/dev/zero:1:1 error yaml/unreadable: this is a device or a pipe, not a file"
    ]
    assert folder.says("specs/x.yaml/y.yaml") == [
        "error spec/not-found: there is no file specs/x.yaml/y.yaml"
    ]


def test_two_specs_cannot_have_one_name(folder: Folder) -> None:
    folder.write("specs/a.yaml", spec("chat"))
    folder.write("specs/b.yaml", "# another\n" + spec("chat"))
    assert folder.says() == [
        "specs/b.yaml:2:7 error spec/duplicate-name: chat is the name of specs/a.yaml:1 too "
        "| give one of them another name"
    ]
    assert names(folder) == ["chat"]


def test_only_leaves_a_spec_out_of_other_environments(folder: Folder) -> None:
    folder.write("modelctl.yaml", PROJECT)
    folder.write("specs/a.yaml", spec("a"))
    folder.write("specs/b.yaml", spec("b", "only: prod\n"))
    folder.write("specs/c.yaml", spec("c", "only: [staging, local]\ncontxt: 5\n"))
    assert names(folder, overlays=("prod",)) == ["a", "b"]
    assert names(folder, overlays=("prod", "local")) == ["a", "b"]
    assert folder.says(overlays=("prod",)) == []
    assert len(folder.says(overlays=("staging",))) == 1
    assert names(folder, overlays=("local",)) == ["a", "b"]


def test_environments_must_be_declared(folder: Folder) -> None:
    folder.write("modelctl.yaml", PROJECT)
    folder.write(
        "specs/a.yaml",
        spec("a", "only: [prdo]\nenvironments:\n  stagin: {context: 5}\n  local: {context: 6}\n"),
    )
    assert folder.says() == [
        "specs/a.yaml:3:8 error spec/undeclared-environment: "
        "the project declares no environment prdo | did you mean prod?",
        "specs/a.yaml:5:3 error spec/undeclared-environment: "
        "the project declares no environment stagin | did you mean staging?",
    ]
    folder.write("specs/a.yaml", spec("a"))
    assert folder.says(overlays=("prdo",)) == [
        "error spec/undeclared-environment: there is no environment prdo | did you mean prod?"
    ]
    assert folder.says(overlays=("x",)) == [
        "error spec/undeclared-environment: there is no environment x | there are staging, prod"
    ]


def test_without_a_project_file_a_spec_names_its_environments(folder: Folder) -> None:
    folder.write("specs/a.yaml", spec("a", "environments: {prod: {context: 5}}\n"))
    assert folder.says(overlays=("prod",)) == []
    assert folder.says(overlays=("prd",)) == [
        "error spec/undeclared-environment: there is no environment prd | did you mean prod?"
    ]


def test_selectors_choose_by_merged_labels(folder: Folder) -> None:
    folder.write("modelctl.yaml", PROJECT + "defaults: {labels: {team: search}}\n")
    folder.write("specs/a.yaml", spec("a", "labels: {tier: canary}\n"))
    folder.write("specs/b.yaml", spec("b", "labels: {team: chat}\n"))
    folder.write("specs/c.yaml", spec("c", "labels: {team: chat}\ncontxt: 5\n"))
    assert names(folder, selectors=("team=search",)) == ["a"]
    assert names(folder, selectors=("team=search,tier=canary",)) == ["a"]
    assert names(folder, selectors=("team=search", "tier=stable")) == []
    assert lines(folder.load(selectors=("team=search",)).diagnostics) == []
    assert lines(folder.load("a", selectors=("team",)).diagnostics) == [
        "error spec/selector: team is no selector | write -l key=value"
    ]


def test_several_environments_read_each_file_once(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("modelctl.yaml", PROJECT)
    folder.write("specs/a.yaml", spec("a", "environments: {prod: {context: 5}}\n"))
    project = find_project(folder.path, folder.path)
    opened: list[Path] = []
    real = Path.open

    def counting(self: Path, *args: object, **kwargs: object) -> object:
        opened.append(self)
        return real(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", counting)
    staging, prod = load_all([], project, [("staging",), ("prod", "local")], cwd=folder.path)
    assert len(opened) == 1
    assert [w.environment for w in (*staging.wanted, *prod.wanted)] == ["staging", "prod+local"]
    assert (staging.wanted[0].spec.context, prod.wanted[0].spec.context) == (None, 5)


def test_secrets_are_masked_wherever_a_line_is_shown(folder: Folder) -> None:
    token = "hf_" + "a1B2" * 8
    folder.write("x.yaml", spec("a", f"env: {{HF_TOKEN: {token}, A: 5}}\ndtype: {token}\n"))
    for diagnostic in folder.load("x.yaml").diagnostics:
        assert token not in str(diagnostic)
        assert diagnostic.place is not None
        assert len(diagnostic.place.text) in (len(f"env: {{HF_TOKEN: {token}, A: 5}}"), 42)


def test_what_is_right_in_a_wrong_spec_can_still_be_checked(folder: Folder) -> None:
    folder.write(
        "x.yaml",
        "name: five\n"
        "model: hf://o/r\n"
        "backend: vlm\n"
        "contxt: 8192\n"
        "gpu: [H1000, A10:9]\n"
        "keep_warm: two\n"
        "image: {apt: [curl, 5]}\n"
        "scaling:\n  mx: 1\n  buffer: 2\n",
    )
    loaded = folder.load("x.yaml")
    assert loaded.wanted == ()
    assert len(loaded.diagnostics) == 5
    (partial,) = loaded.partial
    assert plain(partial.spec) == {
        "name": "five",
        "model": {"source": "hf://o/r"},
        "backend": {},
        "gpu": [{"type": "H1000"}, {"type": "A10", "count": 9}],
        "image": {"apt": ["curl"]},
        "scaling": {"buffer": 2},
    }
    assert partial.origins.place(("gpu", 1)).column == 14


def test_nothing_is_left_of_a_spec_without_a_model(folder: Folder) -> None:
    folder.write("x.yaml", "name: a\nmodel: '{{ model }}'\n")
    assert folder.load("x.yaml").partial == ()
    folder.write("y.yaml", spec("Bad/Name"))
    assert [wanted.name for wanted in folder.load("y.yaml").partial] == ["y"]


def test_what_local_would_have_is_read_too_where_a_chosen_spec_speaks_of_it(folder: Folder) -> None:
    folder.write("modelctl.yaml", PROJECT)
    folder.write("specs/a.yaml", spec("a", "labels: {team: x}\n# local:\n"))
    folder.write("specs/b.yaml", spec("b", "labels: {team: y}\nenvironments: {local: {gpu: L4}}\n"))
    project = find_project(folder.path)

    def stacks(*labels: str, and_local: bool = True) -> list[tuple[str, ...]]:
        loaded = load_all([], project, [("prod",)], labels, folder.path, and_local=and_local)
        return [result.overlays for result in loaded]

    assert stacks() == stacks("team=y") == [("prod",), ("local",)]
    assert stacks("team=x") == stacks(and_local=False) == [("prod",)]
