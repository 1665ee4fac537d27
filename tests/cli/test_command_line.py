"""What does a user read, and which code does the shell get, when something is not right?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modelctl.byhand.types import Refusal
from modelctl.cli import COMMANDS, cli, run
from modelctl.cli.exits import Exit, worst
from modelctl.cli.failures import explain
from tests.conftest import Project, obey_interrupts

GOOD = "model: hf://Qwen/Qwen3-8B\nbackend: vllm\ncontext: 8192\ngpu: H100\n"

FIVE_MISTAKES = """\
name: five
model: hf://Qwen/Qwen3-8B
backend: vlm
contxt: 8192
gpu: [H1000, A10:9]
keep_warm: two
"""


def test_a_long_error_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = Refusal("no good version of chat is known before v3", "modelctl history chat " * 2)
    monkeypatch.setenv("COLUMNS", "40")
    assert explain(long, changes=False) == Exit.REJECTED
    assert max(map(len, capsys.readouterr().err.splitlines())) > 40
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    explain(long, changes=False)
    assert capsys.readouterr().err == (
        "error: no good version of chat is known\n"
        "       before v3\n"
        "help: modelctl history chat modelctl\n"
        "      history chat\n"
    )


def test_five_mistakes_are_five_diagnostics_at_their_line_and_column(project: Project) -> None:
    project.write("specs/five.yaml", FIVE_MISTAKES)
    ran = project.run("validate", "--output", "json")
    assert ran.code == 1
    found = [
        (d["line"], d["column"], d["code"])
        for d in ran.json["diagnostics"]
        if d["severity"] == "error"
    ]
    assert found == [
        (3, 10, "spec/value"),
        (4, 1, "spec/unknown-field"),
        (5, 7, "gpu/unknown"),
        (5, 14, "gpu/count"),
        (6, 12, "spec/type"),
    ]


def test_one_wrong_entry_of_a_list_hides_no_other_and_indices_are_the_file_s(
    project: Project,
) -> None:
    project.write(
        "specs/x.yaml", "name: x\nmodel: hf://a/b\nbackend: vllm\ngpu: [L4:0, H101, A10:9]\n"
    )
    ran = project.run("validate", "--output", "json")
    errors = [d for d in ran.json["diagnostics"] if d["severity"] == "error"]
    assert [(d["column"], d["path"], d["code"]) for d in errors] == [
        (7, "gpu[0].count", "spec/value"),
        (13, "gpu[1].type", "gpu/unknown"),
        (19, "gpu[2]", "gpu/count"),
    ]


BAD = {
    "empty": (b"", "this file is empty"),
    "list": (b"- a\n- b\n", "this file is a list; a spec is a mapping of fields"),
    "binary": (b"\x7fELF" + bytes(range(256)) * 8, "this file is binary, not text"),
    "ten-megabytes": (
        b"name: a\nmodel: " + b"x" * 10_000_000,
        "this file has 10.0 MB; a spec has at most 1 MB",
    ),
    "alias-bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n".encode()
            for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "aliases in this file expand to more than 5,000 values",
    ),
    "template": (b'name: "{{ 7*7 }}"\nmodel: hf://a/b\n', "modelctl does not expand templates"),
    "injection": (
        b"name: \"x'); import os; os.system('id')#\"\nmodel: hf://a/b\n",
        "a name has lower-case letters, digits and dashes",
    ),
}


@pytest.mark.parametrize("command", ["validate", "render"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_a_sentence_and_runs_no_code(
    project: Project, kind: str, command: str
) -> None:
    content, sentence = BAD[kind]
    file = project.root / "specs" / "bad.yaml"
    file.parent.mkdir()
    file.write_bytes(content)
    ran = project.run(command)
    assert ran.code == 1
    said = " ".join((ran.out + ran.err).split())
    assert sentence in said
    assert "bad.yaml:1:" in said
    assert "uid=" not in said
    assert " 49" not in said


def test_a_missing_folder_is_a_sentence(project: Project) -> None:
    ran = project.run("validate", "nowhere/")
    assert ran.code == 1
    assert "there is no file or folder nowhere/" in ran.out


def test_a_project_without_specs_says_so(project: Project) -> None:
    ran = project.run("validate")
    assert ran.code == 1
    assert "there is no folder specs" in ran.out


def test_an_unreadable_file_is_a_sentence(project: Project) -> None:
    project.spec("secret", GOOD).chmod(0)
    ran = project.run("validate", without_privileges=True)
    assert ran.code == 1
    assert "specs/secret.yaml" in ran.out
    assert "permission" in ran.out.lower()


def test_a_file_that_leads_nowhere_is_a_sentence(project: Project) -> None:
    (project.root / "specs").mkdir()
    (project.root / "specs" / "loop.yaml").symlink_to("loop.yaml")
    ran = project.run("validate", "specs/loop.yaml")
    assert ran.code == 1
    assert "loop.yaml" in ran.out


@pytest.mark.parametrize(
    "command",
    [
        ["plan"],
        ["apply", "--yes"],
        ["status"],
        ["logs", "x"],
        ["chat", "x", "hi"],
        ["destroy", "good", "--yes"],
    ],
)
def test_no_control_plane_is_said_at_once_with_the_way_out(
    project: Project, command: list[str]
) -> None:
    project.spec("good", GOOD)
    ran = project.run(*command, "--local", timeout=20)
    assert ran.code == 6
    assert ran.err.splitlines()[-1] == (
        "error: no local control plane runs here; start one: modelctl local up"
    )


def test_a_server_that_does_not_answer_is_said_within_seconds(project: Project) -> None:
    project.spec("good", GOOD)
    variables = {
        "MODAL_SERVER_URL": "http://127.0.0.1:9",
        "MODAL_TOKEN_ID": "ak-x",
        "MODAL_TOKEN_SECRET": "as-x",
    }
    ran = project.run("plan", env=variables, timeout=20)
    assert ran.code == 6
    assert "error: nobody answers at http://127.0.0.1:9\n" in ran.err


def test_no_credentials_is_said_with_the_way_out(project: Project) -> None:
    project.spec("good", GOOD)
    ran = project.run("plan")
    assert ran.code == 6
    assert "error: there are no Modal credentials\n" in ran.err
    assert "help: run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET" in ran.err


def test_several_environments_have_no_default(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\nenvironments: {staging: {}, prod: {}}\n")
    project.spec("good", GOOD)
    ran = project.run("plan")
    assert ran.code == 64
    assert "say which environment: --env staging or --env prod" in ran.err


@pytest.mark.parametrize(
    "command",
    [
        ("logs", "good"),
        ("chat", "good", "hello"),
        ("history", "good"),
        ("hold", "good", "--why", "launch"),
        ("scale", "good", "--keep-warm", "1", "--why", "launch"),
        ("rollback", "good"),
        ("restart", "good"),
        ("cost",),
        ("weights", "ls"),
        ("import", "good"),
        ("destroy", "good", "--yes"),
        ("lock",),
        ("lock", "--check"),
    ],
    ids=" ".join,
)
def test_a_misspelt_environment_is_said_before_anybody_is_asked(
    project: Project, command: tuple[str, ...]
) -> None:
    project.write("modelctl.yaml", "project: team\nenvironments: {staging: {}, prod: {}}\n")
    project.spec("good", GOOD)
    ran = project.run(*command, "--env", "prdo")
    assert ran.code == 1
    assert ran.err + ran.out == (
        "error spec/undeclared-environment\n"
        "  there is no environment prdo\n"
        "  help: did you mean prod?\n"
    )


def test_an_environment_of_a_project_without_any_is_declared_first(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\n")
    project.spec("good", GOOD)
    ran = project.run("logs", "good", "--env", "prod")
    assert ran.code == 1
    assert ran.err == (
        "error spec/undeclared-environment\n"
        "  there is no environment prod\n"
        "  help: declare it in modelctl.yaml, under environments\n"
    )


def test_nothing_is_destroyed_where_the_specs_alone_name_environments(project: Project) -> None:
    (project.root / "modelctl.yaml").unlink()
    project.spec("good", f"{GOOD}environments: {{prod: {{}}}}\n")
    ran = project.run("destroy", "good", "--yes", "--env", "prdo")
    assert ran.code == 1
    assert ran.err == (
        "error spec/undeclared-environment\n"
        "  there is no environment prdo\n"
        "  help: did you mean prod?\n"
    )


def test_a_lock_is_complete_only_for_specs_that_there_are(project: Project) -> None:
    project.spec("good", GOOD)
    ran = project.run("lock", "--check", "good", "godo")
    assert (ran.code, ran.err) == (
        1,
        "error spec/not-found\n  no spec in specs has the name godo\n  help: did you mean good?\n",
    )


def test_the_project_file_is_no_spec(project: Project) -> None:
    project.write("modelctl.yaml", "project: y\n")
    project.spec("bad", "name: bad\n")
    ran = project.run("validate")
    assert " · 1 of 1 spec · " in ran.out


def test_wrong_use_is_64_with_a_suggestion(project: Project) -> None:
    ran = project.run("aply")
    assert ran.code == 64
    assert ran.err.splitlines()[0] == "error: there is no command aply; did you mean apply?"
    assert project.run("plan", "--no-such-option").code == 64


def test_a_valid_project_is_one_line_and_zero(project: Project) -> None:
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    ran = project.run("validate")
    assert ran.code == 0
    assert ran.out.startswith("1 spec is valid · ")
    assert ran.err == ""


def test_render_writes_one_file_an_app(project: Project) -> None:
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    assert project.run("render", "-o", "out").code == 0
    assert [f.name for f in (project.root / "out").iterdir()] == ["serve_quiet.py"]
    text = (project.root / "out" / "serve_quiet.py").read_text()
    assert project.run("render", "quiet").out == text


def test_show_says_where_each_value_comes_from(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\ndefaults:\n  keep_warm: 2\n")
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    lines = project.run("show", "quiet").out.splitlines()
    said = {line.split(":")[0].strip(): line.split("# ")[1] for line in lines if "# " in line}
    assert said["context"] == "specs/quiet.yaml:4"
    assert said["keep_warm"] == "modelctl.yaml:3"
    assert said["snapshot"] == "default"


def test_colour_never_reaches_a_pipe(project: Project) -> None:
    project.write("specs/five.yaml", FIVE_MISTAKES)
    assert "\x1b" not in project.run("validate").out
    assert "\x1b" in project.run("validate", env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in project.run("validate", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_schema_is_json(project: Project) -> None:
    assert project.run("schema").json["additionalProperties"] is False
    assert "environments" in project.run("schema", "project").json["properties"]


def test_an_interrupt_is_130_and_no_traceback(project: Project) -> None:
    """While a Hub is asked that takes the question and says nothing."""
    project.spec("good", GOOD)
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(30)
        locking = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelctl", "lock"],
            cwd=project.root,
            env={**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=obey_interrupts,
        )
        asked, _ = hub.accept()
        locking.send_signal(signal.SIGINT)
        out, err = locking.communicate(timeout=30)
        asked.close()
    assert (locking.returncode, out) == (130, b"")
    assert err.endswith(b"interrupted\n")
    assert b"Traceback" not in err


def test_local_up_status_env_and_down(project: Project) -> None:
    assert project.run("local", "status").code == 6
    up = project.run("local", "up")
    assert up.code == 0
    assert up.out.startswith("local control plane started at http://127.0.0.1:")
    try:
        again = project.run("local", "up")
        assert again.out.startswith("local control plane runs at http://127.0.0.1:")
        assert project.run("local", "status", "--output", "json").json["running"] is True
        lines = project.run("local", "env").out.splitlines()
        assert any(line.startswith("export MODAL_SERVER_URL=http://127.0.0.1:") for line in lines)
    finally:
        assert project.run("local", "down").out == "local control plane stopped\n"
    assert project.run("local", "down").out == "no local control plane runs here\n"


def test_help_lists_every_command_with_the_words_of_its_own_help() -> None:
    import click

    for name, (_, line) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert (command.help or "").replace("\n", " ").startswith(line.rstrip(".")), name


def test_every_command_is_in_the_readme() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`modelctl {name}" not in text] == []


def test_where_several_codes_hold_the_gravest_is_the_exit() -> None:
    assert worst([]) is Exit.DONE
    assert worst([Exit.REJECTED, Exit.FAILED]) is Exit.FAILED
    assert worst([Exit.FAILED, Exit.PERSON_NEEDED]) is Exit.PERSON_NEEDED
    assert worst([Exit.TRY_AGAIN, Exit.DENIED, Exit.REJECTED]) is Exit.TRY_AGAIN


def test_the_schemas_that_the_examples_name_are_the_parser_s() -> None:
    import json

    from modelctl.spec.schema import schema_json

    root = Path(__file__).parents[2]
    for kind, name in (
        ("spec", "modelctl.schema.json"),
        ("project", "modelctl.project.schema.json"),
    ):
        kept = json.loads((root / name).read_text(encoding="utf-8"))
        assert kept == schema_json(kind), f"modelctl schema {kind} > {name}"  # type: ignore[arg-type]


def test_labels_that_no_spec_has_are_said(project: Project) -> None:
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    ran = project.run("show", "-l", "team=nobody")
    assert ran.code == 1
    assert "no spec has these labels in this environment" in ran.err


def test_the_local_overlay_is_validated_too(project: Project) -> None:
    project.spec("good", GOOD + "environments: {local: {gpu: [H101]}}\n")
    ran = project.run("validate")
    assert ran.code == 1
    assert "Modal has no GPU H101" in ran.out
    assert "error gpu/unknown (local)" in ran.out


def test_a_file_that_takes_another_spec_s_name_is_found_when_it_is_named_alone(
    project: Project,
) -> None:
    project.write("specs/a.yaml", "name: chat\n" + GOOD)
    project.write("specs/b.yaml", "name: chat\n" + GOOD)
    ran = project.run("validate", "specs/b.yaml")
    assert ran.code == 1
    assert "chat is the name of specs/a.yaml:1 too" in ran.out


def test_an_empty_folder_of_specs_is_no_success(project: Project) -> None:
    (project.root / "specs").mkdir()
    ran = project.run("validate")
    assert (ran.code, ran.err) == (
        1,
        "error spec/none-chosen\n  there is no spec to validate here\n",
    )


def test_templates_that_are_no_templates_are_a_sentence(project: Project) -> None:
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    (project.root / "mine").mkdir()
    ran = project.run("render", "--templates", "mine")
    assert ran.code == 1
    assert "mine has no template llama_cpp/app.py.j2" in ran.err


def test_a_folder_that_cannot_be_written_is_a_sentence(project: Project) -> None:
    project.spec("quiet", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    ran = project.run("render", "-o", "/proc/nowhere")
    assert ran.code == 1
    assert ran.err.startswith("error: /proc/nowhere: ")


def test_a_policy_denies_with_a_code_of_its_own(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\npolicy: {gpus: [L4]}\n")
    project.spec("good", GOOD)
    assert project.run("validate").code == 3
    assert project.run("render").code == 3


def test_a_code_is_explained(project: Project) -> None:
    ran = project.run("explain", "gpu/count")
    assert (ran.code, ran.out) == (
        0,
        "gpu/count\n\n  A container gets GPUs of one host: up to 8, of an A10 up to 4.\n",
    )
    assert "gpu/kv-cache\n" in project.run("explain").out
    assert project.run("explain", "spec/missing", env={"COLUMNS": "100"}).out == (
        "spec/missing\n\n  Two things have no default: what the app is called and what it serves. "
        "The least spec is `name:\n  qwen3-8b` and `model: hf://Qwen/Qwen3-8B`.\n"
    )
    ran = project.run("explain", "gpu/coumt")
    assert (ran.code, "there is no code gpu/coumt; did you mean gpu/count?" in ran.err) == (
        64,
        True,
    )


def test_a_rule_for_a_code_that_does_not_exist(project: Project) -> None:
    project.spec("good", GOOD)
    project.write(
        "modelctl.yaml",
        "project: team\nenvironments: {a: {}, b: {}}\nrules:\n  fit/to-large: error\n  pep8: off\n",
    )
    ran = project.run("validate", "--output", "json")
    said = [d for d in ran.json["diagnostics"] if d["file"] == "modelctl.yaml"]
    assert [(d["line"], d["column"], d["code"], d["message"], d["hint"]) for d in said] == [
        (
            4,
            3,
            "rules/unknown-code",
            "there is no code fit/to-large, so that line does nothing",
            "did you mean fit/too-large?",
        ),
        (
            5,
            3,
            "rules/unknown-code",
            "there is no code pep8, so that line does nothing",
            "modelctl explain lists them all",
        ),
    ]
    assert (ran.code, [d["environments"] for d in said]) == (0, [[], []])
    project.write("modelctl.yaml", "project: team\nrules: {fit/too-large: error}\n")
    assert "there is no code" not in project.run("validate").out


@pytest.mark.parametrize(("command", "code"), [("validate", 1), ("plan", 1), ("apply", 5)])
def test_a_failure_of_modelctl_itself_is_said_as_its_own(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("what?")

    monkeypatch.setattr("modelctl.cli.pipeline.find_project", fails)
    monkeypatch.delenv("MODELCTL_DEBUG", raising=False)
    assert run([command]) == code
    assert capsys.readouterr().err == (
        "error: modelctl itself failed (ValueError: what?)\n"
        "help: this is a bug in modelctl and says nothing of your specs; please report it, with "
        "what MODELCTL_DEBUG=1 adds\n"
    )
    monkeypatch.setenv("MODELCTL_DEBUG", "1")
    assert run([command]) == code
    assert "Traceback (most recent call last)" in capsys.readouterr().err
