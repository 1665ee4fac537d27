"""How does a step of a workflow speak with GitHub? Outputs, the summary, annotations, its API."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WAIT = 60  # seconds for one call


class Failed(Exception):
    """Why the step ends, in a sentence for the log; `code` is what it exits with."""

    def __init__(self, sentence: str, code: int = 64) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code

    def line(self) -> str:
        return f"::error::{escaped(self.sentence)}"


def escaped(text: str) -> str:
    """Text as the value of a workflow command, which a new line would end."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def notice(sentence: str) -> None:
    print(f"::notice::{escaped(sentence)}", flush=True)


def asked(name: str, default: str = "") -> str:
    """What the step's environment says; action.yml fills it from the inputs."""
    return os.environ.get(name, "").strip() or default


def given(name: str) -> str:
    """What GitHub itself must have said."""
    if not (value := os.environ.get(name, "")):
        raise Failed(f"{name} is not set: this runs as a step of a GitHub workflow")
    return value


def outputs(values: Mapping[str, str]) -> None:
    """Write the step's outputs; a value cannot end itself, whatever its lines are."""
    with Path(given("GITHUB_OUTPUT")).open("a", encoding="utf-8") as file:
        for name, value in values.items():
            end = f"end-{secrets.token_hex(16)}"
            file.write(f"{name}<<{end}\n{value}\n{end}\n")


def summary(text: str) -> None:
    """Append to the page that the run shows."""
    if where := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def event() -> dict[str, Any]:
    """What began this run."""
    found: dict[str, Any] = json.loads(Path(given("GITHUB_EVENT_PATH")).read_text("utf-8"))
    return found


class Refused(Exception):
    """GitHub said no; `sentence` is its own, `status` the HTTP status or 0."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def api(path: str, method: str = "GET", body: Mapping[str, object] | None = None) -> Any:
    """One call through `gh api`, with the token in GH_TOKEN; the body never stands in argv."""
    words = ["gh", "api", "--method", method, path]
    if body is not None:
        words += ["--input", "-"]
    try:
        done = subprocess.run(
            words,
            input=None if body is None else json.dumps(body),
            stdin=subprocess.DEVNULL if body is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=WAIT,
            check=False,
            env={**os.environ, **_host()},
        )
    except FileNotFoundError:
        raise Failed("comments and issues need GitHub's command `gh` on the runner") from None
    except subprocess.TimeoutExpired:
        raise Refused(f"no answer within {WAIT} s", 0) from None
    if done.returncode:
        said = done.stderr.strip() or f"gh ended with {done.returncode}"
        raise Refused(said, next((int(s) for s in ("401", "403", "404") if s in said), 0))
    return json.loads(done.stdout) if done.stdout.strip() else None


def _host() -> dict[str, str]:
    """GitHub Enterprise: the server that began the run, not github.com."""
    host = os.environ.get("GITHUB_SERVER_URL", "").partition("://")[2]
    return {"GH_HOST": host} if host else {}


def graphql(query: str, **variables: object) -> Any:
    answer = api("graphql", "POST", {"query": query, "variables": variables})
    return answer["data"]
