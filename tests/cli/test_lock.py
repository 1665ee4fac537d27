"""Does modelctl lock write down what the Hub has, and say what stands in the way?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelctl import cli
from tests.conftest import Project, Ran
from tests.hub import server
from tests.hub.models import make_adapter, make_llama
from tests.hub.server import Hub

LLAMA = "model: hf://org/m\nbackend: vllm\ngpu: L4\ncontext: 1024\n"
SMALL = {"config.json": '{"architectures": ["A"], "max_position_embeddings": 4096}', "m.bin": b"1"}


@dataclass(frozen=True)
class InProcess(Project):
    """The same command line without a process for each: there is no plane that has to be told."""

    said: pytest.CaptureFixture[str] | None = None

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **_: object) -> Ran:
        assert self.said is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            for name, value in {**self.variables, **(env or {})}.items():
                patch.setenv(name, value)
            code = cli.run(list(arguments))
        out, err = self.said.readouterr()
        return Ran(code, out, err)


@pytest.fixture
def locking(
    project: Project,
    hub: Hub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """A project that knows the loopback Hub and no other, and no token."""
    monkeypatch.setattr("modelctl.weights.hub.PAUSE", 0.01)
    nobody = {"HF_TOKEN": "", "HF_TOKEN_PATH": "/nonexistent"}
    return InProcess(project.root, {**hub.variables, **nobody}, said=capsys)


def lock_of(project: Project) -> dict[str, dict[str, object]]:
    found = json.loads((project.root / "modelctl.lock").read_text())["sources"]
    assert isinstance(found, dict)
    return found


def refused(ran: Ran, code: int = 1) -> str:
    """What a person reads, as one line."""
    assert ran.code == code, ran.out + ran.err
    return " ".join(re.sub(r"^ *\d* \|.*?(\^+ ?|$)", "", ran.out + ran.err, flags=re.M).split())


def test_every_source_is_locked_once_with_commit_files_and_config(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    model = hub.add("org/m", make_llama(tmp_path / "made" / "m"))
    adapter = hub.add("org/lora", make_adapter(tmp_path / "made" / "a"))
    locking.spec(
        "a",
        "model: {source: hf://org/m, adapters: {pirate: hf://org/lora}}\n"
        "backend: vllm\ngpu: L4\ncontext: 1024\n",
    )
    locking.spec("b", LLAMA)
    ran = locking.run("lock")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "  + vllm  0.32.0, where a spec names no version\n"
        f"  + hf://org/lora  {adapter[:7]}, 2 files, 0.0 MB\n"
        f"  + hf://org/m     {model[:7]}, 6 files, 0.9 MB\n"
        "modelctl.lock written: 2 sources.\n"
    )
    found = lock_of(locking)["hf://org/m"]
    assert found["commit"] == model
    files = found["files"]
    assert isinstance(files, list)
    assert [path for path, _, _ in files] == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    config = found["config"]
    assert isinstance(config, dict)
    assert config["num_key_value_heads"] == 2
    assert len(hub.asked("/api/models/org/m*")) == 1


def test_with_a_lock_nothing_is_asked_and_the_model_s_own_limit_is_checked(
    locking: Project, hub: Hub, tmp_path: Path
) -> None:
    hub.add("org/m", make_llama(tmp_path / "made"))
    locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    hub.down()
    assert locking.run("lock").out == "modelctl.lock is up to date: 1 source.\n"
    assert locking.run("lock", "--check").out == "modelctl.lock has all of 1 source.\n"
    ran = locking.run("validate", "--output", "json")
    assert (ran.code, ran.json["diagnostics"]) == (0, [])
    locking.spec("a", LLAMA.replace("1024", "4096"))
    assert "a context of 4,096 is more than the model's own 2,048" in refused(
        locking.run("validate")
    )


def test_a_locked_commit_stays_until_upgrade(locking: Project, hub: Hub) -> None:
    first = hub.add("org/m", SMALL)
    locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    second = hub.add("org/m", {**SMALL, "m.bin": b"22"})
    assert locking.run("lock").code == 0
    assert lock_of(locking)["hf://org/m"]["commit"] == first
    ran = locking.run("lock", "--upgrade", "--check")
    assert ran.code == 1
    line = f"  ~ hf://org/m  {first[:7]} → {second[:7]}, 1 file changed\n"
    assert ran.out == line + "modelctl.lock is not what the specs need: run modelctl lock\n"
    assert lock_of(locking)["hf://org/m"]["commit"] == first
    ran = locking.run("lock", "--upgrade")
    assert ran.out == line + "modelctl.lock written: 1 source.\n"
    assert lock_of(locking)["hf://org/m"]["commit"] == second


def test_a_measurement_stays_with_its_commit_and_goes_with_it(locking: Project, hub: Hub) -> None:
    first = hub.add("org/m", SMALL)
    locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    lock = json.loads((locking.root / "modelctl.lock").read_text())
    row = {"engine": "vllm", "version": "0.32.0", "gpu": "L4", "inputs": "ab", "model": "cd"}
    row |= {"at": "2026-11-20", "app": "a", "commit": first}
    lock["measured"] = {"hf://org/m": [{**row, "app_version": 3, "weights": 7}]}
    locking.write("modelctl.lock", json.dumps(lock))
    assert locking.run("lock", "--check").code == 0
    assert locking.run("lock").out == "modelctl.lock is up to date: 1 source.\n"
    hub.add("org/m", {**SMALL, "m.bin": b"22"})
    ran = locking.run("lock", "--upgrade")
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == [
        "  - hf://org/m  1 measurement of what it was",
        "modelctl.lock written: 1 source.",
    ]
    assert "measured" not in json.loads((locking.root / "modelctl.lock").read_text())


def test_check_says_what_is_missing_and_what_nobody_names(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL)
    file = locking.spec("a", LLAMA)
    assert locking.run("lock").code == 0
    file.unlink()
    locking.spec("b", LLAMA.replace("org/m", "org/other"))
    hub.down()
    ran = locking.run("lock", "--check")
    assert ran.code == 1
    assert ran.out == (
        "  + hf://org/other  not in modelctl.lock\n"
        "  - hf://org/m  no spec names it any more\n"
        "modelctl.lock is not what the specs need: run modelctl lock\n"
    )
    hub.up()
    hub.add("org/other", SMALL)
    assert locking.run("lock").code == 0
    assert list(lock_of(locking)) == ["hf://org/other"]


def test_a_part_of_the_specs_takes_nothing_away(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL)
    hub.add("org/n", SMALL)
    locking.spec("a", LLAMA)
    locking.spec("b", LLAMA.replace("org/m", "org/n"))
    assert locking.run("lock", "a").code == 0
    assert locking.run("lock", "b").code == 0
    assert list(lock_of(locking)) == ["hf://org/m", "hf://org/n"]


def test_revisions_and_the_sources_of_every_environment_are_locked(
    locking: Project, hub: Hub
) -> None:
    first = hub.add("org/m", SMALL)
    hub.add("org/m", {**SMALL, "m.bin": b"2"}, revision="v2")
    locking.write("modelctl.yaml", "project: team\nenvironments: {prod: {}, staging: {}}\n")
    locking.spec(
        "a",
        LLAMA + "environments:\n  staging: {model: {revision: v2}}\n"
        f"  local: {{model: {{revision: {first}}}}}\n",
    )
    assert locking.run("lock").code == 0
    assert list(lock_of(locking)) == ["hf://org/m", f"hf://org/m@{first}", "hf://org/m@v2"]


def test_one_file_of_a_gguf_repository_is_found_by_its_glob(locking: Project, hub: Hub) -> None:
    hub.add("org/m", {"m-Q4_K_M.gguf": b"GGUF", "m-Q8_0.gguf": b"GGUF"})
    text = "model: {source: hf://org/m, file: '*Q*.gguf'}\nbackend: llama.cpp\ngpu: L4\n"
    locking.spec("a", text)
    assert (
        "error model/unlocked hf://org/m is not in modelctl.lock: which of its files is served is "
        "not known help: run modelctl lock, or name one file in full, without *"
    ) in refused(locking.run("validate"))
    assert locking.run("lock").code == 0
    assert (
        "error model/which-file hf://org/m: 2 GGUF files match *Q*.gguf: m-Q4_K_M.gguf, "
        "m-Q8_0.gguf help: model: {file: a glob that only one of them matches}"
    ) in refused(locking.run("validate"))
    locking.spec("a", text.replace("*Q*", "*Q4_K_M*"))
    assert locking.run("validate").code == 0


def test_what_does_not_exist_is_said_where_it_is_named(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL)
    locking.spec("a", LLAMA.replace("org/m", "org/nowhere"))
    locking.spec("b", "model: {source: hf://org/m, revision: v9}\nbackend: vllm\ngpu: L4\n")
    said = refused(locking.run("lock"))
    assert (
        "specs/a.yaml:2:8 error hub/not-found there is no repository org/nowhere on the Hub, or it "
        f"is private help: see {hub.url}/org/nowhere; for a private one set HF_TOKEN; for the "
        "deployment: modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    ) in said
    assert "specs/b.yaml:2:17 error hub/not-found org/m has no revision v9 help: its" in said
    assert not (locking.root / "modelctl.lock").exists()


def test_a_gated_repository_needs_its_terms_accepted_and_a_secret(
    locking: Project, hub: Hub
) -> None:
    hub.add("org/m", SMALL, gated="auto", members=("hf_member",))
    locking.spec("a", LLAMA)
    said = refused(locking.run("lock"))
    assert (
        "error hub/no-access org/m is gated: its files are for those who accepted its terms help: "
        f"accept them at {hub.url}/org/m, then set HF_TOKEN; for the deployment: modal secret "
        "create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    ) in said
    ran = locking.run("lock", env={"HF_TOKEN": "hf_member"})
    assert ran.code == 0
    assert lock_of(locking)["hf://org/m"]["access"] == "gated"
    assert "hf_member" not in (locking.root / "modelctl.lock").read_text() + ran.out + ran.err
    assert (
        "warning model/no-secret hf://org/m is gated, and the spec names no secret that opens it "
        "help: modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    ) in refused(locking.run("validate"), 0)
    locking.spec("a", LLAMA.replace("hf://org/m", "{source: hf://org/m, secret: huggingface}"))
    assert "model/no-secret" not in locking.run("validate").err


def test_private_repositories_and_wrong_tokens(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL, private=True, members=("hf_member",))
    hub.tokens.add("hf_other")
    locking.spec("a", LLAMA)
    assert "or it is private" in refused(locking.run("lock"))
    said = refused(locking.run("lock", env={"HF_TOKEN": "hf_other"}))
    assert "there is no repository org/m on the Hub that this HF_TOKEN may see" in said
    said = refused(locking.run("lock", env={"HF_TOKEN": "hf_nobody"}))
    assert "the Hub does not take this HF_TOKEN" in said
    assert locking.run("lock", env={"HF_TOKEN": "hf_member"}).code == 0


def test_a_renamed_repository_is_locked_and_said(locking: Project, hub: Hub) -> None:
    commit = hub.add("org/m", SMALL)
    hub.rename("org/m", "team/new")
    locking.spec("a", LLAMA)
    ran = locking.run("lock")
    assert ran.code == 0
    assert lock_of(locking)["hf://org/m"]["commit"] == commit
    assert '["m.bin", 1, "' in (locking.root / "modelctl.lock").read_text()
    assert ran.err == (
        "warning: org/m is called team/new now\n"
        "help: write hf://team/new: an old name may be given to another repository\n"
    )


def test_a_repository_without_a_file_of_a_model_is_not_locked(locking: Project, hub: Hub) -> None:
    hub.add("acme/none", {"README.md": b"# none", "picture.png": b"1"})
    locking.spec("a", LLAMA.replace("org/m", "acme/none"))
    said = refused(locking.run("lock"))
    assert "acme/none holds no file that an engine could read" in said
    assert not (locking.root / "modelctl.lock").exists()


def test_a_listing_without_sizes_and_hashes_is_not_locked(
    locking: Project, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/m", SMALL)
    locking.spec("a", LLAMA)
    listing = server._listing
    monkeypatch.setattr(
        server, "_listing", lambda name, repo, commit, **_: listing(name, repo, commit, blobs=False)
    )
    assert refused(locking.run("lock"), 6) == (
        f"error: {hub.url} lists the files of org/m without their sizes and hashes help: a Hub "
        "gives them where ?blobs=true asks: does a mirror or a redirect drop that?"
    )
    assert not (locking.root / "modelctl.lock").exists()


def test_a_hub_that_is_not_well_is_asked_again_and_then_left(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL)
    locking.spec("a", LLAMA)
    hub.fault("/api/models/*", status=503, times=2)
    assert locking.run("lock").code == 0
    (locking.root / "modelctl.lock").unlink()
    hub.clear()
    hub.fault("/api/models/*", status=500)
    said = refused(locking.run("lock"), 6)
    assert said.startswith(f"error: {hub.url} answered 500 help: try again; ")
    assert len([a for a in hub.asked("/api/models/*") if a.status == 500]) == 3
    hub.down()
    said = refused(locking.run("lock"), 6)
    assert said.startswith(f"error: {hub.url} cannot be reached: ")


def test_something_that_is_no_hub_is_said_to_be_none(locking: Project, hub: Hub) -> None:
    locking.spec("a", LLAMA)
    ran = locking.run("lock", env={"HF_ENDPOINT": f"{hub.url}/large"})
    assert "error hub/not-found there is no repository org/m on the Hub" in refused(ran)


def test_a_broken_lock_is_said_at_its_line_by_every_command(locking: Project, hub: Hub) -> None:
    hub.add("org/m", SMALL)
    locking.spec("a", LLAMA)
    locking.write("modelctl.lock", '{\n "format": 1,\n "sources": {,}\n}\n')
    for command in (("validate",), ("render", "-o", "out"), ("lock",)):
        said = refused(locking.run(*command))
        assert "modelctl.lock:3:14 error lock/unreadable modelctl.lock cannot be understood" in said
        assert "is not in modelctl.lock" not in said  # nobody knows
    (locking.root / "modelctl.lock").unlink()
    assert locking.run("lock").code == 0
    assert "lock/unreadable" not in locking.run("validate").err
