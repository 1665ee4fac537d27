"""What has been found by fuzzing, and is it still a sentence?"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from modelctl.checks.secrets import looks_secret, shows_a_secret
from modelctl.masked import mask
from modelctl.spec.load import load
from modelctl.spec.project_models import Project as ProjectModel
from modelctl.spec.wanted import ProjectFile
from tests.conftest import Project, place_model

MODEL = "hf://o/r\ngpu: H100"
FOUND = {
    "home-of-nobody": ("~nobody-here/x", "there is no file ~nobody-here/x"),
    "zero-byte": ('"a\\0b"', "a\\x00b cannot be read: no path holds a zero byte"),
    "unprintable": ('"./x\\u2028\\u202e"', "there is no file ./x\\u2028\\u202e"),
    "long-path": ("./" + "a/" * 40_000, "a path has at most 4,096 characters"),
    "nothing-to-open": ("{source: 'f://', secret: e}", "f:// is no source of models"),
    "template-zero": (f'{MODEL}\nchat_template: "a\\0b"', "a\\x00b: no path holds a zero byte"),
    "template-pipe": (
        f"{MODEL}\nchat_template: ../pipe",
        "../pipe: a folder, a device or a pipe, not a file",
    ),
    "dockerfile-home": (
        f"{MODEL}\nimage: {{dockerfile: ~nobody-here/x}}",
        "~nobody-here/x: No such file or directory",
    ),
    "unprintable-key": (f'{MODEL}\nallow: {{"\\u2066": x}}', "there is no code \\u2066"),
    "link-out": (
        "../models/linked",
        "../models/linked: model.gguf is a link that leads outside the project's folder",
    ),
}


def test_each_has_its_sentence(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "m.gguf"
    outside.write_text("somebody else's")
    linked = project.root / "models" / "linked"
    linked.mkdir(parents=True)
    (linked / "model.gguf").symlink_to(outside)
    os.mkfifo(project.root / "pipe")
    for name, (model, _) in FOUND.items():
        project.spec(name, f"model: {model}\n")
    ran = project.run("validate", "--output", "json", timeout=60)
    assert ran.code == 1
    assert ran.out.replace("\n", "").isprintable()
    said: dict[str, list[str]] = {}
    for d in ran.json["diagnostics"]:
        said.setdefault(Path(d["file"]).stem, []).append(d["message"])
    for name, (_, sentence) in FOUND.items():
        assert any(sentence in message for message in said[name]), (name, said[name])


def test_a_number_of_thousands_of_digits_in_the_lock(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: H100\n")
    project.write("modelctl.lock", '{"format": 1, "sources": {"a": ' + "1" * 5_000 + "}}")
    assert "it holds a number of thousands of digits" in project.run("validate").out


def test_a_count_of_gpus_that_nobody_has_takes_no_memory(project: Project, gguf: Path) -> None:
    place_model(gguf, project)
    project.spec("a", f"model: ../models/{gguf.name}\ngpu: [{{type: H100, count: {2**53}}}]\n")
    ran = project.run("validate", "a", timeout=60)
    assert ran.code == 1 and "modelctl itself failed" not in ran.err


def test_nothing_that_others_wrote_turns_a_line_around(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: H100\n")
    entry = '{"commit": "' + "a" * 40 + '", "files": [["mod\\u202eel.safetensors", 1, "x"]]}'
    project.write("modelctl.lock", f'{{"format": 1, "sources": {{"hf://o/r": {entry}}}}}')
    ran = project.run("validate")
    assert "model.safetensors has no hash" in " ".join(ran.out.split())


def test_a_number_of_thousands_of_digits_in_a_template(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: H100\nchat_template: ../a.jinja\n")
    project.write("a.jinja", "{{ " + "1" * 5_000 + " }}")
    assert "it holds a number of thousands of digits" in project.run("validate").out


def test_show_writes_mappings_that_say_nothing(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: H100\nchecks: {a: {messages: [{}, {role: user}]}}\n")
    ran = project.run("show", "a")
    assert ran.code == 0 and 'messages: [{}, {"role": "user"}]' in ran.out


def test_a_pipe_in_place_of_a_spec_does_not_hold_anybody_up(project: Project) -> None:
    os.mkfifo(project.root / "pipe.yaml")
    ran = project.run("validate", "pipe.yaml", timeout=60)
    assert ran.code == 1
    assert "this is a device or a pipe, not a file" in ran.out


@pytest.mark.parametrize(
    "piece",
    [
        "-eyJ",
        "://",
        "A_KEY",
        "sk-",
        "KEY=",
        "\t",
        "'",
        "PASS:",
        "password ",
        "login a ",
        "Bearer a",
    ],
)
def test_a_line_of_a_million_characters_is_masked_in_time(piece: str) -> None:
    started = time.monotonic()
    assert len(mask(piece * (1_000_000 // len(piece)))) == 1_000_000 // len(piece) * len(piece)
    assert time.monotonic() - started < 20  # it was hours


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password: hunter2hunter2", "password: ••••••••••••••"),
        ("api-key: 0123456789", "api-key: ••••••••••"),
        ("  my_token: 'abcdefghij'", "  my_token: '••••••••••'"),
        ("api_key: {secret: partner, key: API_KEY}", ""),
        ("secret: huggingface", ""),
        ("tokenizer: hf://org/tokenizer", ""),
        ("max_tokens: 1234567890", ""),
        ("secrets: {huggingface: [HF_TOKEN]}", ""),
        ("password CANARY", "password ••••••"),
        ("machine e.org login x password canary", "machine e.org login x password ••••••"),
        ("login x password y", "login x password •"),
        ("with the password canary1234, say", "with the password ••••••••••, say"),
        ("PASS: canary1234", "PASS: ••••••••••"),
        ("  DB_PW=canary1", "  DB_PW=•••••••"),
        ("-H 'Authorization: Bearer canarycanary' x", "-H 'Authorization: Bearer ••••••••••••' x"),
        ("Bearer canary123456", "Bearer ••••••••••••"),
        ("sk_live_abcdefghijklmnop", "sk_•••••••••••••••••••••"),
        ("hooks.slack.com/services/T0/B0/abcdef", "hoo" + "•" * 34),
        ("# the password is asked for at the start", ""),
        ("a password manager, or login with password authentication", ""),
        ("password required", ""),
        ("change the password every 90 days", ""),
        ("-H 'Authorization: Bearer $TOKEN'", ""),
        ("Bearer tokens expire; bearer authentication", ""),
        ("PASS: every test", ""),
        ("COMPASS: north12345", ""),
        ("PASS=/run/secrets/pass1", ""),
    ],
)
def test_what_stands_after_a_word_for_a_secret_is_masked(text: str, shown: str) -> None:
    """The name of a Modal Secret is none, and stays."""
    assert mask(text) == (shown or text)


def test_a_token_is_masked_whole() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
    assert mask(f"x {token} y") == "x eyJ" + "•" * (len(token) - 3) + " y"


def test_thousands_of_unknown_fields_are_said_in_time(tmp_path: Path) -> None:
    """Which field was meant is asked of the first hundred; each costs a look at all there are."""
    text = "name: a\nmodel: hf://o/r\n" + "".join(f"contxt{n}: 1\n" for n in range(9_000))
    (tmp_path / "x.yaml").write_text(text)
    found = load(["x.yaml"], ProjectFile(tmp_path, None, ProjectModel()), cwd=tmp_path).diagnostics
    assert [d.message for d in found[:1]] == ["no such field; did you mean context?"]
    assert [d.message for d in found[-1:]] == ["no such field"]
    assert len(found) == 9_000


@pytest.mark.parametrize("text", ["eyJaaaaaaaa" * 8_000, "-eyJ" * 30_000, "eyJaaaaaaaa." * 8_000])
def test_a_long_word_is_searched_for_secrets_in_time(text: str) -> None:
    """Not once more for each of its letters: that took minutes."""
    assert not looks_secret("NAME", text.replace(".", ""))
    assert not shows_a_secret(("env", "NAME"), text.replace(".", " "))


def test_fit_shows_a_model_of_control_characters_as_text(project: Project) -> None:
    project.spec("a", 'model: "\\e[31m"\n')
    ran = project.run("fit", "specs/a.yaml")
    assert ran.out.startswith("a · �[31m · context unknown")


def test_json_and_show_hold_no_control_that_json_leaves_as_it_is(project: Project) -> None:
    """U+007F and its kin, and what turns text round, are escaped: they read back the same."""
    odd = "a\x7fb\x9bc\u202ed"
    project.spec("a", f"model: hf://o/r\ngpu: H100\nenv: {{A: {json.dumps(odd)}}}\n")
    ran = project.run("show", "specs/a.yaml")
    shown = ran.out + project.run("validate", "--output", "json").out
    assert not re.search("[\x7f-\x9f\u202e]", shown)
    assert r"a\u007fb\u009bc\u202ed" in ran.out


@pytest.mark.full
def test_thousands_of_problems_on_one_line_are_shown_in_time(project: Project) -> None:
    """The screen has the first thousand; JSON has all."""
    items = ", ".join(["yes"] * 3_000)
    project.spec("a", f"model: hf://o/r\nonly: [{items}]\n")
    ran = project.run("validate", timeout=60)
    assert "more; validate --output json has them all" in ran.out
    assert len(project.run("validate", "--output", "json").json["diagnostics"]) > 3_000
