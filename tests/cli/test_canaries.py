"""Does any value that is a secret get anywhere that somebody reads, whatever command is run?

Each secret is unlike any other text. Every command is run with every way of writing its result,
and what it said, what it wrote, what it started and what was stored are searched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from modelctl.cli import COMMANDS, cli
from modelctl.local import lifecycle
from tests.conftest import Project, Ran, place_model

BULK = "Zq7Canary0f4Secret"


def canary(name: str) -> str:
    return f"{name}{BULK}{len(name):02}"


AROUND = {
    "MODAL_TOKEN_ID": f"ak-{canary('id')}",
    "MODAL_TOKEN_SECRET": f"as-{canary('token')}",
    "MODELCTL_PROXY_TOKEN_ID": f"wk-{canary('wk')}",
    "MODELCTL_PROXY_TOKEN_SECRET": f"ws-{canary('ws')}",
    "HF_TOKEN": f"hf_{canary('hub')}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{canary('old')}",
    "AWS_ACCESS_KEY_ID": f"AKIA{canary('aws').upper()}",
    "AWS_SECRET_ACCESS_KEY": canary("awsSecret"),
    "SOMETHING_OF_MINE": canary("mine"),
}
"""What stands in the environment of who runs modelctl."""
IN_MODAL_SECRET, IN_GIT, IN_FILE = canary("engine"), canary("git"), canary("toml")

GOOD = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 512
max_sequences: 2
gpu: none
endpoint: {auth: api-key, api_key: {secret: partner, key: API_KEY}}
secrets: {partner: [API_KEY]}
"""
TOKEN = f"hf_{canary('spec')}"
PLAIN = canary("plain")
BAD = {
    "in-env": f"env: {{API_TOKEN: {PLAIN}, HOME_URL: 'https://me:{PLAIN}@example.com/x'}}\n",
    "in-env-2": f"env:\n  DB_PASSWORD: {PLAIN}\n  oops here\n",
    "in-args": f"backend: {{name: vllm, args: {{api-key: {PLAIN}, otlp-token: {PLAIN}}}}}\n",
    "in-line": f"tools: [a, b  # HF_TOKEN={PLAIN}\n",
    "in-field": f"hf_tokn: {TOKEN}\npassword: {PLAIN}\nmy_token: {PLAIN}\n",
    "in-type": f"context: {TOKEN}\nkeep_warm: {TOKEN}\ncompile: {TOKEN}\n",
    "in-endpoint": f"endpoint: {{api_key: {PLAIN}, region: {TOKEN}}}\n",
    "in-image": f"image: {{base: 'https://me:{PLAIN}@registry.example.com/x'}}\n",
    "in-run": f"image: {{run: ['login {TOKEN}']}}\n",
    "in-key": f"env: {{{TOKEN}: x, {TOKEN}: y}}\nlabels: {{{TOKEN}: {TOKEN}}}\n",
    "in-name": f"renamed_from: {TOKEN}\nonly: {TOKEN}\n",
    "in-template": f"tools: '{{{{ {TOKEN} }}}}'\n",
    "in-tag": f"tools: !{TOKEN} x\n",
}
SECRETS = (*AROUND.values(), IN_MODAL_SECRET, IN_GIT, IN_FILE, TOKEN, PLAIN)


def leaks(text: str) -> list[str]:
    """The secrets in a text, however their letters are cased, and pieces of them."""
    lower = text.lower()
    bulks = {name: BULK.lower() for name in ("bulk",) if BULK.lower() in lower}
    return [*bulks, *(secret for secret in SECRETS if secret.lower() in lower)]


@dataclass
class Started:
    """The command lines of all processes of this machine, and the environments of containers."""

    seen: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes().decode("utf-8", "replace")
                except OSError:
                    continue
                if BULK in words and not words.startswith("git\0remote\0add"):  # ours
                    self.seen.append(words)


@pytest.fixture
def started() -> Iterator[Started]:
    watched = Started()
    watching = threading.Thread(target=watched.watch)
    watching.start()
    try:
        yield watched
    finally:
        watched.over.set()
        watching.join()


def settle(project: Project) -> None:
    """A checkout whose remote and whose Modal profile hold a secret too."""
    project.write(".gitignore", ".modelctl\nmodels\n")
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://me:{IN_GIT}@git.example.com/x.git"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *words], cwd=project.root, check=True)
    profile = (
        f'[default]\ntoken_id = "ak-{IN_FILE}"\ntoken_secret = "as-{IN_FILE}"\nactive = true\n'
    )
    (project.root.parent / "modal.toml").write_text(profile)


def around(project: Project, more: Mapping[str, str] | None = None) -> dict[str, str]:
    home = project.root.parent / "home"
    home.mkdir(exist_ok=True)
    return {
        **AROUND,
        "MODAL_CONFIG_PATH": str(project.root.parent / "modal.toml"),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "HF_HUB_OFFLINE": "1",
        **(more or {}),
    }


def outputs(command: str) -> tuple[tuple[str, ...], ...]:
    """Each `--output` that a command has, and a `--report` of each kind, as its own help says."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    options = {name: o for o in found.params for name in o.opts}
    formats: tuple[tuple[str, ...], ...] = ((),)
    if "--output" in options:
        kind = options["--output"].type
        assert isinstance(kind, click.Choice)
        formats = tuple(("--output", str(word)) for word in kind.choices)
    if "--report" in options:
        suffixes = {"validate": ("sarif",), "plan": ("html",)}.get(command, ())
        for suffix in ("json", "md", "xml", *suffixes):
            formats += (("--report", f"out/{command}.{suffix}"),)
    return formats


def searched(project: Project, ran: Ran, words: tuple[str, ...], *, but: frozenset[Path]) -> None:
    """Nothing in what was said and in what now lies in the project, its home and its plane."""
    for line in (ran.out + ran.err).splitlines():
        assert leaks(line) == [], f"{words}: {line}"
    for folder in (project.root, project.root.parent / "home"):
        for file in folder.rglob("*"):
            inside = but & {file, *file.parents}
            if not inside and file.is_file() and file.stat().st_size < 5_000_000:
                text = file.read_bytes().decode("utf-8", "replace")
                assert leaks(text) == [], f"{words} wrote {file}"


OFFLINE: dict[str, tuple[tuple[str, ...], ...]] = {
    "init": (("../new",),),
    "validate": ((), ("nothing-here",), ("-l", f"a={TOKEN}")),
    "fit": (("specs/in-args.yaml",), ("specs/good.yaml",)),
    "lock": ((),),
    "render": (("good", "-o", "out/rendered"), ()),
    "plan": (("good",), ("--base", "HEAD"), ()),
    "apply": (("good", "--yes"), ("--yes",)),
    "rollback": (("good", "--yes"),),
    "scale": (("good", "--keep-warm", "1"),),
    "hold": (("good", "--reason", "x"),),
    "release": (("good",),),
    "restart": (("good",),),
    "promote": (("good", "--from", "a", "--to", "b"),),
    "status": ((),),
    "cost": ((), ("good",)),
    "history": (("good",),),
    "logs": (("good",),),
    "weights": (("ls",), ("gc",)),
    "destroy": (("good", "--yes"),),
    "show": (("good",), ("specs/in-env.yaml",)),
    "explain": (("env/looks-like-a-secret",),),
    "completion": (("bash",),),
    "doctor": ((),),
    "schema": ((),),
    "import": (("good",), ("specs/in-env.yaml",), ("app.py",)),
    "chat": (("good", "Hi"),),
    "local": (("status",), ("down",)),
}
"""How each command is called where Modal cannot be reached: what it says then is searched too."""

APP_BY_HAND = f"""\
import modal
app = modal.App("by-hand")
image = modal.Image.debian_slim().pip_install("vllm").env({{"HF_TOKEN": "{TOKEN}", "A": "b"}})
@app.function(image=image, gpu="H100", secrets=[modal.Secret.from_dict({{"API_KEY": "{PLAIN}"}})])
@modal.web_server(8000)
def serve():
    import subprocess
    subprocess.Popen("vllm serve Qwen/Qwen3-8B --api-key {PLAIN} --port 8000", shell=True)
"""


@pytest.fixture
def settled(project: Project) -> Project:
    for name, text in BAD.items():
        project.write(f"specs/{name}.yaml", f"name: {name}\nmodel: hf://o/r\ngpu: H100\n{text}")
    project.spec("good", f"model: {{source: hf://o/r, revision: {'a' * 40}}}\ngpu: H100\n")
    (project.root / "out").mkdir()
    project.write("app.py", APP_BY_HAND)
    settle(project)
    return project


def inputs(project: Project) -> frozenset[Path]:
    return frozenset({project.root / "specs", project.root / "app.py", project.root / ".git"})


def test_no_command_is_forgotten() -> None:
    assert set(OFFLINE) == set(COMMANDS)


def nothing_is_said(project: Project, *told: tuple[str, ...]) -> None:
    nowhere = {"MODAL_SERVER_URL": "http://127.0.0.1:1", "MODAL_MAX_RETRIES": "0"}
    for words in told:
        ran = project.run(*words, env=around(project, nowhere))
        searched(project, ran, words, but=inputs(project))


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_said_where_modal_cannot_be_reached(
    settled: Project, started: Started, command: str
) -> None:
    first, *others = OFFLINE[command]
    nothing_is_said(settled, *((command, *first, *how) for how in outputs(command)))
    nothing_is_said(settled, *((command, *words) for words in others))
    assert [seen for seen in started.seen if TOKEN not in seen] == []


def test_nothing_is_said_of_specs_that_hold_secrets(settled: Project) -> None:
    """What of the test above is worth a look each time."""
    report = ("--report", "out/a.json", "--report", "out/a.md", "--report", "out/a.sarif")
    nothing_is_said(settled, ("validate", *report), ("import", "app.py"), ("plan", "good"))


LIVE: tuple[tuple[str, ...], ...] = (
    ("plan",),
    ("plan", "-o", "out/saved.plan"),
    ("apply", "--yes"),
    ("plan",),
    ("status",),
    ("cost",),
    ("history", "good"),
    ("logs", "good"),
    ("chat", "good", "Hi"),
    ("hold", "good", "--reason", "x"),
    ("release", "good"),
    ("scale", "good", "--keep-warm", "1"),
    ("release", "good"),
    ("restart", "good"),
    ("rollback", "good", "--yes"),
    ("weights", "ls"),
    ("weights", "gc"),
    ("import", "good"),
    ("doctor",),
    ("destroy", "good", "--yes"),
)
"""What is asked of a live app, in this order."""


@pytest.mark.full
def test_nothing_is_said_or_stored_of_a_live_app(
    live: Project, gguf: Path, started: Started
) -> None:
    place_model(gguf, live)
    (live.root / "out").mkdir()
    live.spec("good", GOOD)
    settle(live)
    plane = lifecycle.environ(live.plane)
    subprocess.run(
        [sys.executable, "-m", "modal", "secret", "create", "partner",
         f"API_KEY={IN_MODAL_SECRET}"],
        env={**os.environ, **plane}, capture_output=True, check=True,
    )  # fmt: skip
    started.seen.clear()  # Modal's own command takes it as an argument
    own = {live.plane.token_secret, live.plane.proxy_token_secret}
    state = live.root / ".modelctl" / "local"
    answered = 0
    for words in LIVE:
        for how in outputs(words[0]) if words in (("plan",), ("status",)) else ((),):
            told = (*words, *how, "--local")
            ran = live.run(*told, env=around(live))
            assert not [secret for secret in own if secret in ran.out + ran.err], told
            answered += ran.code == 0
            searched(live, ran, told, but=frozenset({live.root / ".git", state}))
    assert answered >= 12
    for file in state.rglob("*"):
        stored = file.is_file() and file.stat().st_size < 5_000_000
        text = file.read_bytes().decode("utf-8", "replace") if stored else ""
        found = [secret for secret in leaks(text) if secret not in ("bulk", IN_MODAL_SECRET)]
        assert found == [], file
        if IN_MODAL_SECRET in text:  # the plane is who keeps Modal's Secrets
            others = [f for f in (file, *file.parents) if f.is_relative_to(state)]
            assert any(f.stat().st_mode & 0o077 == 0 for f in others), f"others may read {file}"
    assert started.seen == []


UNMASKED = """\
import sys, modelctl.masked
modelctl.masked.mask = lambda text: text
import modelctl.checks.secrets as secrets
secrets.hidden = lambda text: text
secrets.shows_a_secret = lambda path, line: False
from modelctl.cli import main
main(sys.argv[1:])
"""


def test_the_search_finds_what_is_not_masked(settled: Project) -> None:
    """Without masking the same search fails: it does see what is said."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", UNMASKED, "validate"],
        cwd=settled.root, env={**os.environ, **around(settled)}, capture_output=True, text=True,
    )  # fmt: skip
    assert {TOKEN, PLAIN} <= set(leaks(done.stdout))
