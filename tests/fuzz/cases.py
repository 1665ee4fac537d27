"""Which project is the n-th of a seed? Its spec, and now and then its other files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.texts import as_bytes, damaged, exploding, written
from tests.fuzz.values import document

ROOT = Path(__file__).parents[2]
SPEC, PROJECT, LOCK = "specs/case.yaml", "modelctl.yaml", "modelctl.lock"
TEMPLATE, DOCKERFILE = "chat.jinja", "Dockerfile"
ORDINARY: dict[str, bytes] = {
    SPEC: b"name: case\nmodel: hf://Qwen/Qwen3-8B\ngpu: H100\n",
    PROJECT: b"project: team\nenvironments: {prod: {}, staging: {}}\n",
    TEMPLATE: b"{% for m in messages %}{{ m.content }}{% endfor %}\n",
    DOCKERFILE: b"FROM registry.example.com/x:1\n",
}
"""What a project has where a case says nothing else; a file that is not here is not there."""


@dataclass(frozen=True)
class Case:
    """Files that stand in place of the ordinary ones, and how the command is called."""

    number: int
    kind: str
    files: dict[str, bytes]
    arguments: tuple[str, ...] = ()


def case(seed: int, number: int) -> Case:
    """The same on every machine."""
    dice = Random(f"{seed}/{number}")
    kind, files = _files(dice)
    arguments = dice.choice((("--env", "prod"), ("--env", "staging"), ("--local",), ()))
    return Case(number, kind, files, arguments)


def _files(dice: Random) -> tuple[str, dict[str, bytes]]:
    chance = dice.random()
    if chance < 0.42:
        return "made", {SPEC: as_bytes(written(document(dice, "spec"), dice).lstrip("\n"), dice)}
    if chance < 0.72:
        text = damaged(dice.choice(real()), real(), dice)
        return "damaged", {SPEC: as_bytes(text, dice)}
    if chance < 0.80:
        made = written(document(dice, "project"), dice).lstrip("\n")
        return "project", {PROJECT: as_bytes(made, dice), SPEC: dice.choice(real()).encode()}
    if chance < 0.84:
        return "lock", {LOCK: as_bytes(_lock(dice), dice), SPEC: dice.choice(real()).encode()}
    if chance < 0.88:
        name = dice.choice((TEMPLATE, DOCKERFILE))
        field = {
            TEMPLATE: "chat_template: ../chat.jinja",
            DOCKERFILE: "image: {dockerfile: ../Dockerfile}",
        }
        spec = f"name: case\nmodel: hf://Qwen/Qwen3-8B\ngpu: H100\n{field[name]}\n"
        text = damaged(ORDINARY[name].decode() * 3, real(), dice)
        return "beside", {name: as_bytes(text, dice), SPEC: spec.encode()}
    if chance < 0.91:
        return "bytes", {SPEC: dice.randbytes(dice.choice((1, 4, 30, 500)))}
    if chance < 0.95:
        text = "".join(dice.choice(real()[0] + real()[-1]) for _ in range(dice.randint(1, 200)))
        return "letters", {SPEC: as_bytes(text, dice)}
    return "exploding", {SPEC: as_bytes(exploding(dice), dice)}


def _lock(dice: Random) -> str:
    files = [["model.safetensors", 1000, "0" * 64], ["config.json", 10, "1" * 64]]
    lock = {
        "format": 1,
        "sources": {"hf://Qwen/Qwen3-8B": {"commit": "a" * 40, "files": files, "config": {}}},
        "engines": {"vllm": {"version": "0.32.0", "image": "vllm/vllm-openai:v0.32.0"}},
    }
    return damaged(json.dumps(lock, indent=dice.choice((None, 1))), real(), dice)


@cache
def real() -> list[str]:
    """Every spec of `specs/`, and every piece of YAML that the documentation shows."""
    texts = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "specs").glob("*.yaml"))]
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        texts += re.findall(r"```yaml[^\n]*\n(.*?)```", text, re.DOTALL)
    return texts
