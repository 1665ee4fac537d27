"""Runs workflows and composite actions as GitHub's runner does, on this machine.

Steps run for real: their shell, environment, outputs, summary, `if` and exit codes. What only
GitHub has stands here as something small: the checkout is the folder itself, artifacts lie in a
folder, and `gh` is the stub of tests/ci/gh_stub.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.ci.expressions import evaluate, filled, text, truth

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = "modelctl/modelctl"
_SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")


class Refused(Exception):
    """What GitHub would refuse to run."""


def read(file: Path) -> dict[str, Any]:
    """A workflow or action; YAML 1.1 takes the key `on` for a truth."""
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    if True in found:
        found["on"] = found.pop(True)
    return found


@dataclass
class Ended:
    """One step, job or workflow that ended."""

    outputs: dict[str, str]
    ok: bool = True


@dataclass
class GitHub:
    """One repository on GitHub, with one event that happened to it."""

    workspace: Path
    scratch: Path
    event_name: str = "push"
    event: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    repository: str = "acme/models"
    log: str = ""
    summary: str = ""
    exit_code: int = 0
    used: list[str] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    """Inputs of the action that no workflow gives: what here is not as it is on GitHub."""
    seen: set[str] = field(default_factory=set)
    """Names of the variables that any script had."""
    _steps: int = 0

    def __post_init__(self) -> None:
        for name in ("temp", "artifacts", "files", "bin"):
            (self.scratch / name).mkdir(parents=True, exist_ok=True)
        (self.scratch / "event.json").write_text(json.dumps(self.event))
        stub = self.scratch / "bin" / "gh"
        stub.write_text(f'#!/bin/sh\nexec {sys.executable} -I {ROOT}/tests/ci/gh_stub.py "$@"\n')
        stub.chmod(0o755)

    # -- what expressions see

    def _github(self) -> dict[str, Any]:
        return {
            "event_name": self.event_name,
            "event": self.event,
            "repository": self.repository,
            "token": "token-of-the-run",
            "workspace": str(self.workspace),
        }

    def _contexts(self, **more: Any) -> dict[str, Any]:
        runner = {"temp": str(self.scratch / "temp"), "os": "Linux"}
        return {"github": self._github(), "runner": runner, "env": self.variables, **more}

    def _environ(self, job: str) -> dict[str, str]:
        """What a step finds; nothing of this machine's own accounts."""
        path = os.pathsep.join(
            (str(self.scratch / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])
        )
        return {
            "PATH": path,
            "HOME": str(self.scratch),
            "LANG": "C.UTF-8",
            "CI": "true",
            "MODAL_CONFIG_PATH": "/nonexistent",
            "GH_STUB": str(self.scratch / "gh"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_JOB": job,
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_EVENT_NAME": self.event_name,
            "GITHUB_EVENT_PATH": str(self.scratch / "event.json"),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.scratch / "temp"),
            **self.variables,
        }

    # -- workflows

    def workflow(
        self, file: Path, inputs: Mapping[str, Any] = {}, secrets: Mapping[str, str] = {}
    ) -> bool:
        """Run the jobs in the order of their needs; whether all that ran went well."""
        found = read(file)
        ended: dict[str, Ended] = {}
        given = self._inputs(found["on"].get("workflow_call") or {}, inputs)
        for name, job in found["jobs"].items():
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            contexts = self._contexts(
                inputs=given,
                secrets=secrets,
                needs={one: {"outputs": ended[one].outputs} for one in needs if one in ended},
            )
            ready = all(one in ended and ended[one].ok for one in needs)
            if not ready or not truth(evaluate(job.get("if", "true"), contexts)):
                continue
            ended[name] = self._job(name, job, contexts)
        return all(one.ok for one in ended.values())

    def _job(self, name: str, job: dict[str, Any], contexts: dict[str, Any]) -> Ended:
        matrix = job.get("strategy", {}).get("matrix", {})
        choices: list[dict[str, Any]] = [{}]
        for key, values in matrix.items():
            choices = [{**one, key: v} for one in choices for v in filled(values, contexts)]
        last = Ended({})
        for choice in choices:
            inside = {**contexts, "matrix": choice}
            said = filled(job.get("name", name), inside)
            last = self._called(job, inside) if "uses" in job else self._steps_of(job, inside, name)
            self.jobs[said] = "success" if last.ok else "failure"
            if not last.ok:
                break
        return last

    def _called(self, job: dict[str, Any], contexts: dict[str, Any]) -> Ended:
        """A reusable workflow, which may be allowed no more than its caller."""
        where, _, _ = job["uses"].partition("@")
        if not where.startswith(f"{OWN}/"):
            raise Refused(f"no workflow of others here: {where}")
        inputs = {k: filled(v, contexts) for k, v in job.get("with", {}).items()}
        secrets = {k: text(filled(v, contexts)) for k, v in job.get("secrets", {}).items()}
        file = ROOT / where.removeprefix(f"{OWN}/")
        for inner in read(file)["jobs"].values():
            for what, may in (inner.get("permissions") or {}).items():
                allowed = job["permissions"].get(what, "none")
                if may != allowed and allowed != "write":
                    raise Refused(f"{what}: {may} is more than the caller's {allowed}")
        return Ended({}, self.workflow(file, inputs, secrets))

    def _steps_of(self, job: dict[str, Any], contexts: dict[str, Any], name: str) -> Ended:
        steps, ok = self.steps(job["steps"], contexts, self._environ(name))
        outside = {**contexts, "steps": steps}
        outputs = {k: text(filled(v, outside)) for k, v in job.get("outputs", {}).items()}
        return Ended(outputs, ok)

    # -- actions

    def action(
        self, folder: Path, inputs: Mapping[str, Any], environ: dict[str, str] | None = None
    ) -> Ended:
        """Run a composite action."""
        found = read(folder / "action.yml")
        given = {k: text(v) for k, v in self._inputs(found, inputs).items()}
        contexts = self._contexts(inputs=given)
        contexts["github"]["action_path"] = str(folder)
        for name, default in given.items():
            given[name] = text(filled(default, contexts)) if name not in inputs else default
        environ = {**(environ or self._environ("job")), "GITHUB_ACTION_PATH": str(folder)}
        steps, ok = self.steps(found["runs"]["steps"], contexts, environ)
        contexts["steps"] = steps
        outputs = found.get("outputs", {})
        return Ended({k: text(filled(v["value"], contexts)) for k, v in outputs.items()}, ok)

    @staticmethod
    def _inputs(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        known = found.get("inputs", {})
        if unknown := set(given) - set(known):
            raise Refused(f"unknown inputs {unknown}")
        if lacking := {k for k, v in known.items() if v.get("required")} - set(given):
            raise Refused(f"inputs {lacking} are required")
        return {k: given.get(k, v.get("default", "")) for k, v in known.items()}

    def steps(
        self, steps: list[dict[str, Any]], contexts: dict[str, Any], environ: dict[str, str]
    ) -> tuple[dict[str, Any], bool]:
        ok, results = True, {}
        for step in steps:
            inside = {**contexts, "steps": results}
            states = {
                "always": lambda: True,
                "success": lambda ok=ok: ok,
                "failure": lambda ok=ok: not ok,
                "cancelled": lambda: False,
            }
            condition = step.get("if", "true")
            if not re.search(r"\b(always|success|failure|cancelled)\(", condition):
                condition = f"success() && ({condition})"
            if not truth(evaluate(condition, inside, **states)):
                continue
            own = {k: text(filled(v, inside)) for k, v in step.get("env", {}).items()}
            ended = self._step(step, inside, {**environ, **own})
            if "id" in step:
                results[step["id"]] = {"outputs": ended.outputs}
            ok = ok and (ended.ok or bool(step.get("continue-on-error")))
        return results, ok

    def _step(self, step: dict[str, Any], inside: dict[str, Any], environ: dict[str, str]) -> Ended:
        if "run" in step:
            return self._run(step["run"], environ)
        where, _, _ = step["uses"].partition("@")
        self.used.append(step["uses"])
        given = {k: filled(v, inside) for k, v in step.get("with", {}).items()}
        if where == OWN or where.startswith(f"{OWN}/"):
            inner = {k: v for k, v in environ.items() if not k.startswith("GITHUB_ACTION_PATH")}
            folder = ROOT / where.removeprefix(OWN).lstrip("/")
            return self.action(folder, {**(self.defaults if where == OWN else {}), **given}, inner)
        if where == "actions/checkout":
            return Ended({})
        if where == "actions/upload-artifact":
            target = self.artifact(given["name"])
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(given["path"], target)
            return Ended({})
        if where == "actions/download-artifact":
            source = self.artifact(given["name"])
            if not source.is_dir():
                return Ended({}, ok=False)
            shutil.copytree(source, self.workspace / given["path"], dirs_exist_ok=True)
            return Ended({})
        raise Refused(f"no action of others here: {where}")

    def artifact(self, name: str) -> Path:
        """Where an artifact lies; GitHub refuses names that are paths."""
        if not name or re.search(r'[\\/:<>|*?"\r\n]', name):
            raise Refused(f"{name!r} is no name of an artifact")
        return self.scratch / "artifacts" / name

    def _run(self, script: str, environ: dict[str, str]) -> Ended:
        if "${{" in script:
            raise Refused("an expression inside of a script: its value would be code")
        self._steps += 1
        self.seen |= {name for name, value in environ.items() if value}
        files = self.scratch / "files"
        file, output, page = (files / f"{self._steps}.{end}" for end in ("sh", "out", "md"))
        file.write_text(script)
        output.touch()
        page.touch()
        done = subprocess.run(
            [*_SHELL, str(file)],
            cwd=self.workspace,
            env={**environ, "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(page)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        self.log += done.stdout.decode()
        self.summary += page.read_text()
        self.exit_code = self.exit_code or done.returncode
        return Ended(_outputs(output.read_text()), done.returncode == 0)

    # -- what the stub of gh was asked

    def posted(self, *path: str) -> list[dict[str, Any]]:
        """What stands on GitHub now: `comments` of a number, or `issues`."""
        place = (self.scratch / "gh").joinpath(*path).with_suffix(".json")
        found: list[dict[str, Any]] = json.loads(place.read_text()) if place.exists() else []
        return found

    def calls(self) -> list[dict[str, Any]]:
        file = self.scratch / "gh" / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _outputs(written: str) -> dict[str, str]:
    """`name=value`, or `name<<END` and lines up to END."""
    found: dict[str, str] = {}
    lines = iter(written.splitlines())
    for line in lines:
        name, sign, rest = re.match(r"([^=<]+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr]
        if sign == "=":
            found[name] = rest
            continue
        value = []
        for inner in lines:
            if inner == rest:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found


def commands(log: str) -> list[str]:
    """The workflow commands that GitHub would obey in a log: none between stop and go."""
    found: list[str] = []
    until = None
    for line in log.splitlines():
        word = line.strip()
        if until is not None:
            until = None if word == until else until
        elif stop := re.fullmatch(r"::stop-commands::(\w+)", word):
            until = f"::{stop[1]}::"
        elif re.match(r"::[\w-]+( [^:]*)?::", word):
            found.append(word)
    return found
