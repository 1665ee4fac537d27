"""What does doctor say of a machine, a project and an account, without a word of a token?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import modelctl
from modelctl import cli
from modelctl.cli.doctor_here import packages
from modelctl.local import lifecycle
from tests.conftest import Project, Ran
from tests.hub.server import Hub

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\ngpu: L4\n"
TOKEN, SECRET = "ak-Xq7canary1token2of3this", "as-Zr9canary4secret5of6this"


def variables(project: Project, workspace: str = "local") -> dict[str, str]:
    """The variables that point any Modal program at a workspace of the plane, as if at Modal."""
    ran = project.run("local", "env", "--workspace", workspace)
    assert ran.code == 0, ran.err
    exports = [line.removeprefix("export ") for line in ran.out.splitlines() if "=" in line]
    return dict(shlex.split(line)[0].split("=", 1) for line in exports)


def told(ran: Ran, area: str | None = None) -> list[tuple[str, str, str]]:
    """(state, sentence, way out) of each finding."""
    assert ran.err == ""
    return [
        (one["state"], one["message"], one["hint"])
        for one in ran.json["findings"]
        if area is None or one["area"] == area
    ]


@pytest.fixture(scope="module")
def account(live: Project) -> Iterator[dict[str, str]]:
    live.write("modelctl.yaml", "project: team\nenvironments: {main: {}}\n")
    live.spec("quiet", QUIET)
    yield variables(live)


def test_all_is_well(live: Project, account: dict[str, str]) -> None:
    ran = live.run("doctor", env=account)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "this machine"
    assert f"  ✔ modelctl {modelctl.__version__} with modal {metadata.version('modal')}" in lines
    assert "  ✔ text is UTF-8" in lines
    assert f"  ✔ the local control plane runs at {live.plane.url}" in lines
    begin = lines.index("project")
    end = next(i for i, line in enumerate(lines) if line.startswith("nothing is missing"))
    assert lines[begin:end] == [
        "project",
        f"  ✔ project team in {live.root}",
        "  ✔ 1 spec without an error or a warning",
        "",
        "Modal",
        f"  ✔ the token works, for the workspace {live.plane.workspace}",
        "  ✔ environment main",
        "  ! this shell points at the local control plane (MODAL_SERVER_URL), not Modal",
        "      open a new shell, or unset MODAL_SERVER_URL",
        "  ✔ a proxy token, to look at endpoints through their URLs",
        "",
    ]


def test_no_value_of_a_token_is_shown_not_even_in_part(
    live: Project, account: dict[str, str]
) -> None:
    secrets = [v for k, v in account.items() if "TOKEN" in k and v]
    assert len(secrets) == 4
    hub = {"HF_TOKEN": "hf_canaryCANARYcanary"}
    for words in (["doctor"], ["doctor", "--output", "json"], ["doctor", "--local"]):
        ran = live.run(*words, env={**account, **hub})
        for secret in [*secrets, *hub.values()]:
            assert secret[3:11] not in ran.out + ran.err


def test_a_revoked_token(live: Project, account: dict[str, str]) -> None:
    fault = lifecycle.add_fault(live.plane, "revoke")
    try:
        ran = live.run("doctor", "--output", "json", env=account)
    finally:
        lifecycle.clear_faults(live.plane, fault)
    assert (ran.code, ran.json["ready"]) == (1, False)
    (state, said, hint), *_ = told(ran, "Modal")
    assert (state, hint) == (
        "missing",
        "run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET",
    )
    assert said.startswith("Modal refused the credentials: ")


def test_no_token_and_no_proxy_token(live: Project, account: dict[str, str]) -> None:
    ran = live.run("doctor", "--output", "json")
    assert ran.code == 1
    assert told(ran, "Modal") == [
        (
            "missing",
            "there are no Modal credentials",
            "run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET; or use --local, which "
            "needs none",
        ),
        (
            "attention",
            "no proxy token (MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET not set): "
            "after an apply, nobody looks at health, auth and latency through the URL",
            "make one in the settings of the Modal workspace, under Proxy Auth Tokens",
        ),
    ]
    assert live.run("doctor", "--local").code == 0  # which needs neither


def test_nobody_at_the_other_end_is_said_once_and_soon(live: Project) -> None:
    live.write("modelctl.yaml", "project: team\nenvironments: {main: {}, prod: {}}\n")
    dead = {
        "MODAL_SERVER_URL": "http://127.0.0.1:9",
        "MODAL_TOKEN_ID": TOKEN,
        "MODAL_TOKEN_SECRET": SECRET,
    }
    ran = live.run("doctor", "--output", "json", env=dead, timeout=30)
    missing = [one for one in told(ran, "Modal") if one[0] == "missing"]
    assert [(said, hint) for _, said, hint in missing] == [
        (
            "nobody answers at http://127.0.0.1:9",
            "this shell points at the local control plane (MODAL_SERVER_URL): open a new one, or "
            "unset it",
        )
    ]
    assert TOKEN not in ran.out
    assert SECRET not in ran.out


@pytest.mark.full
def test_environments_that_are_not_there_and_those_of_others(
    live: Project, account: dict[str, str]
) -> None:
    live.write(
        "modelctl.yaml",
        "project: team\nenvironments:\n  main: {}\n  staging: {modal_environment: stage}\n"
        "  prod: {modal_environment: main, workspace: acme}\n",
    )
    here = live.plane.workspace
    ran = live.run("doctor", "--output", "json", env=account)
    assert ran.code == 1
    assert told(ran, "Modal")[:4] == [
        ("ok", f"the token works, for the workspace {here}", ""),
        ("ok", "environment main", ""),
        (
            "missing",
            f"the workspace {here} has no environment stage",
            "modal environment create stage",
        ),
        (
            "missing",
            f"the credentials are of the workspace {here}, and prod is in acme",
            "use a token of acme, or change workspace in modelctl.yaml",
        ),
    ]
    ran = live.run("doctor", "--env", "main", "--output", "json", env=account)
    assert ran.code == 0
    ran = live.run("doctor", "--env", "pord", "--output", "json", env=account)
    assert ("missing", "modelctl.yaml declares no environment pord",
            "there are main, staging, prod") in told(ran, "project")  # fmt: skip


def project_says(project: Project) -> list[tuple[str, str, str]]:
    return told(project.run("doctor", "--local", "--output", "json"), "project")


@pytest.mark.full
def test_an_empty_folder(tmp_path: Path) -> None:
    empty = Project(tmp_path)
    assert project_says(empty) == [
        (
            "attention",
            "there is no modelctl.yaml here or above",
            "modelctl init begins a project; without one, nothing is ever deleted",
        ),
        ("attention", "there are no specs", "modelctl init writes the first one"),
    ]


def test_what_is_wrong_with_a_project(project: Project) -> None:
    project.write("modelctl.yaml", "project: [\n")
    ran = project.run("doctor", "--local", "--output", "json")
    assert ran.code == 1
    assert told(ran, "project") == [
        ("missing", "modelctl.yaml has 1 error", "modelctl validate shows them")
    ]
    project.write("modelctl.yaml", "project: team\n")
    project.write("modelctl.schema.json", "[" * 100_000)
    project.spec("a", "model: hf://Qwen/Qwen3-8B\nbackend: vlm\n")
    project.spec("b", "model: hf://Qwen/Qwen3-8B\nbackend: vllm\ngpu: L40S\ncontext: 8192\n")
    assert project_says(project)[1:] == [
        ("missing", "2 specs with 2 errors", "modelctl validate shows them"),
        (
            "attention",
            "1 model not in modelctl.lock",
            "modelctl lock writes down which commit is meant",
        ),
        (
            "attention",
            "modelctl.schema.json is of another version of modelctl",
            "modelctl schema spec > modelctl.schema.json",
        ),
    ]


@pytest.mark.full
def test_models_of_the_hub_that_cannot_be_read(project: Project, hub: Hub) -> None:
    hub.add("org/open", {"config.json": '{"architectures": ["A"]}', "m.bin": b"1"})
    project.spec("a", "model: hf://org/open\nbackend: vllm\ngpu: L4\ncontext: 1024\n")
    project.spec("b", "model: hf://org/gone\nbackend: vllm\ngpu: L4\ncontext: 1024\n")
    nobody = {**hub.variables, "HF_TOKEN": "", "HF_TOKEN_PATH": "/nonexistent"}
    ran = project.run("doctor", "--local", "--output", "json", env=nobody)
    assert ran.code == 1
    (gone, _), readable = (one[:2] for one in told(ran, "Hugging Face"))
    assert gone == "missing"
    assert readable == ("ok", "hf://org/open can be read")


@pytest.mark.full
def test_a_terminal_that_lacks_characters(project: Project) -> None:
    ran = project.run("doctor", "--local", env={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 0
    assert ran.out.isascii()
    assert "  ! text is ascii here: what it lacks is shown as ?\n" in ran.out
    assert "  + Python 3." in ran.out
    assert project.run("plan", "--help", env={"PYTHONIOENCODING": "ascii"}).code == 0


def test_a_modal_that_does_not_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "1.7.2")
    monkeypatch.setattr(metadata, "requires", lambda _: ["click>=8.2", "modal<1.7,>=1.6.4"])
    (found,) = packages()
    assert (found.state, found.said, found.hint) == (
        "missing",
        f"modelctl {modelctl.__version__} does not go with modal 1.7.2",
        "pip install 'modal<1.7,>=1.6.4'",
    )
    monkeypatch.setattr(metadata, "version", lambda _: "1.6.5")
    assert packages()[0].state == "ok"
    monkeypatch.setattr(metadata, "version", lambda _: "1.6.3")
    assert packages()[0].state == "missing"


def test_no_engine_is_missing_only_where_it_is_needed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelctl.local import engines

    def nothing(_: Path) -> list[Any]:
        return [engines.Engine(k.name, None, "missing", install=k.install) for k in engines.KNOWN]

    monkeypatch.setattr(engines, "listed", nothing)
    monkeypatch.chdir(project.root)
    assert cli.run(["doctor", "--local"]) == 1
    assert (
        "  ✘ there is no engine for --local\n      pip install 'modelctl[local]'\n"
        in capsys.readouterr().out
    )
