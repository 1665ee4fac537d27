"""Is there what specs name and people make? Plan asks, apply begins nothing without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project

BASE = "backend: llama.cpp\ncontext: 2048\nrollout: {gate: none}\n"
ON_SHELF = "model: volume://shelf/m.gguf\n" + BASE


def by_hand(project: Project, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import modal\n{program}"],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(project.plane)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def shelf(live: Project) -> Iterator[Project]:
    """A project without specs in an environment with one Volume and one Secret."""
    by_hand(
        live,
        "modal.Volume.objects.create('shelf', allow_existing=True)\n"
        "modal.Secret.objects.create('keys', {'ONE': '1'}, allow_existing=True)",
    )
    for file in (live.root / "specs").glob("*.yaml"):
        file.unlink()
    yield live


def test_a_missing_secret_is_said_at_its_line_with_the_command_that_makes_it(
    shelf: Project,
) -> None:
    shelf.spec("lacks", ON_SHELF + "secrets: {keys: [ONE], team: [TOKEN, OTHER]}\n")
    ran = shelf.run("plan", "lacks", "--local", env={"COLUMNS": "100"})
    assert ran.code == 1
    assert "  + lacks  create " in ran.out
    assert ran.err == (
        "\nspecs/lacks.yaml:6:30 error secrets/missing\n"
        "  |\n"
        "6 | secrets: {keys: [ONE], team: [TOKEN, OTHER]}\n"
        "  |                              ^^^^^^^^^^^^^^ there is no Secret team in the local "
        "control plane\n"
        "  |\n"
        '  help: eval "$(modelctl local env)", then modal secret create team TOKEN=… OTHER=…\n'
    )
    by_hand(shelf, "modal.Secret.objects.create('team', {'TOKEN': '1', 'OTHER': '2'})")
    assert shelf.run("plan", "lacks", "--local").code == 0


def test_every_place_that_names_a_secret_or_a_volume_is_looked_at(shelf: Project) -> None:
    shelf.spec(
        "all-of-it",
        "model: volume://empty-shelf/m.gguf\n" + BASE + "endpoint: {auth: api-key, api_key: "
        "{secret: of-clients, key: KEY}}\nvolumes: {/data: archive}\n"
        "buckets: {/logs: {bucket: s3://logs, secret: of-the-bucket}}\n",
    )
    ran = shelf.run("plan", "all-of-it", "--local", "--output", "json")
    assert ran.code == 1
    assert [(d["code"], d["path"], d["hint"].split("then ", 1)[1]) for d in
            ran.json["diagnostics"]] == [
        ("volumes/missing", "model.source",
         "modal volume create empty-shelf, then modal volume put empty-shelf FILE"),
        ("secrets/missing", "endpoint.api_key", "modal secret create of-clients KEY=…"),
        ("volumes/missing", "volumes./data", "modal volume create archive"),
        ("secrets/missing", "buckets./logs.secret",
         "modal secret create of-the-bucket AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…"),
    ]  # fmt: skip


def test_apply_begins_nothing_while_something_is_missing(shelf: Project) -> None:
    shelf.spec("whole", ON_SHELF)
    shelf.spec("lacking", ON_SHELF + "volumes: {/data: nowhere}\n")
    since = shelf.last_call()
    ran = shelf.run("apply", "--local", "--yes", "--output", "json")
    assert ran.code == 1
    assert ran.json["outcomes"] == []
    assert [d["message"] for d in ran.json["diagnostics"]] == [
        "there is no Volume nowhere in the local control plane"
    ]
    assert shelf.calls("AppCreate", since) == []
    (hint,) = [d["hint"] for d in ran.json["diagnostics"]]
    assert hint == 'eval "$(modelctl local env)", then modal volume create nowhere'
    by_hand(shelf, "modal.Volume.objects.create('nowhere')")
    assert shelf.run("plan", "--local", "--output", "json").json["diagnostics"] == []


@pytest.mark.full
def test_of_an_app_that_stays_as_it_is_it_is_a_warning(shelf: Project) -> None:
    by_hand(shelf, "modal.Secret.objects.create('fleeting', {'ONE': '1'})")
    shelf.spec("stays", ON_SHELF + "secrets: [fleeting]\n")
    assert shelf.run("apply", "stays", "--local", "--yes").code == 0
    by_hand(shelf, "modal.Secret.objects.delete('fleeting')")
    ran = shelf.run("plan", "stays", "--local", "--output", "json")
    assert ran.code == 0
    (found,) = ran.json["diagnostics"]
    assert (found["severity"], found["message"]) == (
        "warning",
        "there is no Secret fleeting in the local control plane: containers that start from now on "
        "fail",
    )


def test_a_secret_that_only_fetches_is_a_warning(shelf: Project) -> None:
    """Its weights may be in the Volume already, and nothing else reads it."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    shelf.spec(
        "gated",
        f"model: {{source: hf://org/m, revision: {commit}, secret: of-the-hub, file: m.gguf}}\n"
        f"{BASE}",
    )
    ran = shelf.run("plan", "gated", "--local", "--output", "json")
    assert ran.code == 0, ran.err
    (found,) = ran.json["diagnostics"]
    assert (found["severity"], found["message"]) == (
        "warning",
        "there is no Secret of-the-hub in the local control plane: what is not in its Volume yet "
        "cannot be fetched",
    )
    assert found["hint"].endswith("modal secret create of-the-hub HF_TOKEN=…")


def test_all_names_are_had_with_one_call_of_each_kind_and_only_where_one_is_named(
    shelf: Project,
) -> None:
    for name in ("many-a", "many-b", "many-c"):
        shelf.spec(name, ON_SHELF + "secrets: [keys, other]\nvolumes: {/data: data}\n")
    since = shelf.last_call()
    assert shelf.run("plan", "--local").code == 1
    assert len(shelf.calls("SecretList", since)) == 1
    assert len(shelf.calls("VolumeList", since)) == 1
    for name in ("many-a", "many-b", "many-c"):
        shelf.spec(name, ON_SHELF)
    since = shelf.last_call()
    assert shelf.run("plan", "--local").code == 0
    assert shelf.calls("SecretList", since) == []


def test_validate_asks_nobody(project: Project) -> None:
    project.spec("lacks", ON_SHELF + "secrets: [team]\n")
    assert project.run("validate").code == 0


def test_a_reason_accepts_what_is_missing(shelf: Project) -> None:
    """Somebody who may not list it knows that it comes with the deployment."""
    allow = "allow: {volumes/missing: made by the job before this one}\n"
    shelf.spec("known", ON_SHELF + "volumes: {/data: later}\n" + allow)
    assert shelf.run("plan", "known", "--local").code == 0
