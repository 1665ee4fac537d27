"""What is measured on? Projects that are made up: as many specs as asked for, all valid."""

from __future__ import annotations

import subprocess
from pathlib import Path

WEIGHTS = "bench-weights"
"""The Volume that the specs to deploy name; it has to be there before a deploy."""

_COMMIT = "0123456789abcdef" * 2 + "01234567"  # pins a model of the Hub; nothing here asks for it

_PROJECT = """\
project: bench
defaults:
  labels: {team: bench}
environments:
  staging:
    defaults: {scaling: {max: 2}}
  production:
    defaults: {scaling: {max: 8}}
"""

# A team's fleet: both engines, one GPU and fallbacks, what differs from place to place.
_SHAPES = (
    """\
name: {name}
model: {{source: hf://Qwen/Qwen3-8B, revision: {commit}}}
backend: vllm
context: 32768
gpu: [H100, A100-80GB, L40S:2]
keep_warm: 0
concurrency: {{target: 32, max: 64}}
environments:
  production:
    keep_warm: 1
""",
    """\
name: {name}
model: {{source: "volume://bench-weights/{name}/model.gguf", served_as: helper}}
backend: llama.cpp
context: 4096
gpu: [L4, T4]
concurrency: {{target: 4, max: 16}}
labels: {{tier: helper}}
""",
    """\
name: {name}
model: {{source: hf://meta-llama/Llama-3.1-70B-Instruct, revision: {commit}}}
backend: {{name: vllm, args: {{seed: 7}}}}
context: 16384
gpu:
  - {{type: H100, count: 4}}
  - {{type: A100-80GB, count: 8, context: 16384, max_sequences: 64}}
prefix_caching: true
endpoint: {{region: us-east, startup_timeout: 20m, drain: 1m}}
secrets: [hugging-face]
checks:
  says-paris: {{prompt: What is the capital of France?, expect: Paris, within: 30s}}
""",
    """\
name: {name}
model: volume://bench-weights/{name}.gguf
backend: llama.cpp
context: 2048
gpu: none
cpu: 8
memory: 16GiB
scaling: {{max: 3, idle_timeout: 10m}}
rollout: {{gate: health, timeouts: {{boot: 5m}}}}
environments:
  staging:
    scaling: {{max: 1}}
""",
)

_DEPLOYED = """\
name: {name}
model: volume://bench-weights/{name}.gguf
backend: llama.cpp
context: 4096
gpu: [L4, T4]
rollout: {{gate: none}}
"""


def varied(folder: Path, specs: int) -> Path:
    """A project with two environments, whose specs are of every shape in turn."""
    texts = {_name(n): _SHAPES[n % len(_SHAPES)] for n in range(specs)}
    return _write(folder, _PROJECT, texts)


def fleet(folder: Path, specs: int) -> Path:
    """A project to deploy: no containers, no gate, and a commit, as a team's has one."""
    _write(folder, "project: bench\n", {_name(n): _DEPLOYED for n in range(specs)})
    (folder / ".gitignore").write_text("apps/\n", encoding="utf-8")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false",
         "commit", "--quiet", "--no-verify", "-m", "Fleet"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def _name(number: int) -> str:
    return f"app-{number + 1:03}"


def _write(folder: Path, project: str, specs: dict[str, str]) -> Path:
    (folder / "specs").mkdir(parents=True)
    (folder / "modelctl.yaml").write_text(project, encoding="utf-8")
    for name, text in specs.items():
        (folder / "specs" / f"{name}.yaml").write_text(
            text.format(name=name, commit=_COMMIT), encoding="utf-8"
        )
    return folder
