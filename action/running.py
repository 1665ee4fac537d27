"""How is modelctl run for each environment, and what does the step hand on?"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from github import Failed, asked, escaped, given, outputs, summary

REPORTS = {
    "validate": (".json", ".md", ".xml", ".sarif"),
    "plan": (".json", ".md", ".xml", ".html"),
    "apply": (".json", ".md", ".xml"),
    "status": (".json", ".md", ".xml"),
}
CHANGES = 2
GRAVEST = (5, 4, 6, 3, 1)
"""Which code wins where several hold; one that is none of these, as 64 and 130, wins over all."""


@dataclass(frozen=True)
class Asked:
    """What the inputs say."""

    command: str
    environments: tuple[str, ...]
    what: tuple[str, ...]
    folder: Path
    base: str
    plans: Path | None
    policy: Path | None
    confirm: bool
    more: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """One run of modelctl; `environment` is "" where none was named."""

    environment: str
    code: int
    reports: Path  # without the suffix


def read() -> Asked:
    command = asked("COMMAND")
    if command not in REPORTS:
        raise Failed(f"command {command!r}: one of {', '.join(REPORTS)}")
    workspace = Path(given("GITHUB_WORKSPACE"))
    folder = workspace / asked("FOLDER", ".")
    if not folder.is_dir():
        raise Failed(f"working-directory {asked('FOLDER')!r}: there is no such folder")
    if asked("BASE") and command != "plan":
        raise Failed(f"base is for plan, not for {command}")
    if asked("PLANS") and command != "apply":
        raise Failed(f"plans is for apply, not for {command}")
    try:
        more = tuple(shlex.split(asked("MORE")))
    except ValueError as error:
        raise Failed(f"args: {error}") from None
    return Asked(
        command=command,
        environments=tuple(filter(None, re.split(r"[\s,]+", asked("ENVIRONMENTS")))) or ("",),
        what=tuple(line.strip() for line in asked("WHAT").splitlines() if line.strip()),
        folder=folder,
        base=asked("BASE"),
        plans=workspace / asked("PLANS") if asked("PLANS") else None,
        policy=workspace / asked("POLICY") if asked("POLICY") else None,
        confirm=asked("CONFIRM") == "true",
        more=more,
    )


def named(*parts: str) -> str:
    """The parts as a name of a file or an artifact."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(part for part in parts if part))


def words(wanted: Asked, environment: str, reports: Path) -> list[str]:
    """The command line after `modelctl`; values stand behind `=` or `--`, so none is an option."""
    found = [wanted.command, "--output=github"]
    found += [f"--report={reports}{suffix}" for suffix in REPORTS[wanted.command]]
    if wanted.policy is not None:
        found.append(f"--policy={wanted.policy}")
    if wanted.command == "apply":
        found.append("--yes")
        if wanted.confirm and environment:
            found.append(f"--confirm={environment}")
        if wanted.plans is not None:
            saved = wanted.plans / named("saved", environment)
            if not saved.is_file():
                raise Failed(f"plans: {saved} is missing; plan saves it into its artifact")
            return [*found, f"--plan={saved}", *wanted.more]
    if environment:
        found.append(f"--env={environment}")
    if wanted.command == "plan":
        found.append("--detailed-exitcode")
        if wanted.base:
            found.append(f"--base={wanted.base}")
        else:
            found += ["-o", str(reports.with_name(named("saved", environment)))]
    return [*found, *wanted.more, "--", *wanted.what]


def gravest(codes: Sequence[int]) -> int:
    """The one code that says most; that something is to do is no failure."""
    bad = [code for code in codes if code not in (0, CHANGES)]
    other = [code for code in bad if code not in GRAVEST]
    return next((code for code in (*other, *GRAVEST) if code in bad), 0)


def run(wanted: Asked, environment: str, reports: Path) -> Ran:
    arguments = words(wanted, environment, reports)
    print("::group::" + escaped(f"modelctl {shlex.join(arguments)}"))
    # What modelctl says for people may quote a spec, which is nobody's command to the runner; what
    # it says to the runner is on standard output, written after that.
    quiet = secrets.token_hex(16)
    print(f"::stop-commands::{quiet}", flush=True)
    with tempfile.TemporaryFile() as said:
        try:
            code = _ended([given("MODELCTL"), *arguments], wanted.folder, said)
        finally:
            print(f"\n::{quiet}::\n::endgroup::", flush=True)
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    _explained(wanted, environment, code, reports.with_name(f"{reports.name}.md"))
    return Ran(environment, code, reports)


def _ended(command: list[str], folder: Path, said: IO[bytes]) -> int:
    """Its exit code. A run that is cancelled tells modelctl, which ends in good order by itself."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=sys.stdout.fileno(),
        start_new_session=True,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    code = process.wait()
    return code if code >= 0 else 128 - code


def _explained(wanted: Asked, environment: str, code: int, report: Path) -> None:
    """A comment needs words even where modelctl ended without any."""
    if report.exists():
        return
    where = f" {environment}" if environment else ""
    text = (
        f"<!-- modelctl: {wanted.command}{where} -->\n"
        f"### modelctl {wanted.command}{where}: ended with {code}\n\nThe run's log says why."
    )
    report.write_text(f"{text}\n", encoding="utf-8")
    summary(text)


def main() -> None:
    wanted = read()
    folder = Path(tempfile.mkdtemp(prefix="modelctl-", dir=given("RUNNER_TEMP")))
    ran: list[Ran] = []
    for environment in wanted.environments:
        one = run(wanted, environment, folder / named(wanted.command, environment))
        ran.append(one)
        if one.code and wanted.command == "apply":
            break  # the environments stand in their order: the next one waits
    _hand_on(wanted, ran, folder)


def _hand_on(wanted: Asked, ran: Sequence[Ran], folder: Path) -> None:
    texts = [one.reports.with_name(f"{one.reports.name}.md").read_text("utf-8") for one in ran]
    together = folder / "all.md"
    together.write_text("\n".join(texts), encoding="utf-8")
    pending = [one.environment for one in ran if one.code == CHANGES]

    def files(suffix: str) -> str:
        found = (one.reports.with_name(f"{one.reports.name}{suffix}") for one in ran)
        return "\n".join(str(file) for file in found if file.exists())

    artifact = asked("ARTIFACT", "auto")
    if artifact == "auto":
        job = os.environ.get("GITHUB_JOB", "")
        artifact = named("modelctl", job, wanted.command, *wanted.environments)
    outputs(
        {
            "exit-code": str(gravest([one.code for one in ran])),
            "changes": "true" if pending else "false",
            "pending": json.dumps(pending),
            "markdown": str(together),
            "json": files(".json"),
            "html": files(".html"),
            "sarif": files(".sarif"),
            "folder": str(folder),
            "artifact": artifact,
        }
    )
