"""modelctl init: what does a new project begin with, and what is to be typed next?"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from modelctl.cli.exits import Exit

if TYPE_CHECKING:
    from modelctl.starter import Answers


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option("--yes", is_flag=True, help="Ask nothing: take the default of what is not said.")
@click.option("--project", metavar="NAME", help="The project's name; the folder's if left out.")
@click.option(
    "--model",
    metavar="MODEL",
    help="The first model: smollm2 (98 MB, to try), org/name of the Hub, or a path.",
)
@click.option(
    "--backend", type=click.Choice(("vllm", "llama.cpp")), help="The engine that serves it."
)
@click.option(
    "--gpu", metavar="GPU", multiple=True, help="A GPU, as H100 or L40S:2; several are fallbacks."
)
@click.option("--env", metavar="NAME", multiple=True, help="An environment of Modal; several.")
@click.option(
    "--ci", type=click.Choice(("github", "none")), help="A workflow that checks pull requests."
)
def command(
    directory: str,
    yes: bool,
    project: str | None,
    model: str | None,
    backend: str | None,
    gpu: tuple[str, ...],
    env: tuple[str, ...],
    ci: str | None,
) -> int:
    """Begin a project: a spec, the project file, an editor's schemas.

    Asks on a terminal for what no option says. What is there already stays as it is: modelctl init
    can be run again, and fetches the model to try where it is missing.
    """
    folder = Path(directory).absolute()
    _refuse_inside_another(folder)
    asking = not yes and sys.stdin.isatty()
    said = _Said(project, model, backend, _words(gpu), _words(env) if env else None, ci)
    answers = _answers(said, folder, asking)
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        return _begin(answers, directory)


class _Said(Struct, frozen=True):
    """What options say; None and () for what they leave open."""

    project: str | None
    model: str | None
    backend: str | None
    gpus: tuple[str, ...]
    environments: tuple[str, ...] | None
    ci: str | None


def _words(said: tuple[str, ...]) -> tuple[str, ...]:
    """Each once: options may be given several times, and have commas."""
    words = (word.strip() for one in said for word in one.split(","))
    return tuple(dict.fromkeys(word for word in words if word))


def _refuse_inside_another(folder: Path) -> None:
    for above in folder.parents:
        if (above / "modelctl.yaml").is_file():
            raise click.UsageError(
                f"this folder belongs to the project of {above / 'modelctl.yaml'}: "
                f"run modelctl init {above}, or choose a folder outside of it"
            )


def _answers(said: _Said, folder: Path, asking: bool) -> Answers:
    """What was said, then what is there already, then what is answered, then defaults."""
    from modelctl.spec.names import slug
    from modelctl.starter import TRIAL, Answers, engine_for, gpus_for

    def judged(text: str) -> str:
        return _model(text, folder)

    ask = _ask if asking else _default
    there = _there(folder)
    name, environments = there or (None, None)
    project = said.project or name
    if project is None:
        project = ask(
            "Name of the project", slug(folder.name)[:40].strip("-") or "models", _project
        )
    model = said.model if said.model is not None else _first_model(folder)
    if model is None:
        model = ask(
            "First model: smollm2 (98 MB, to try on this machine), org/name of the Hub, or a path",
            TRIAL,
            judged,
        )
    backend, gpus = said.backend, said.gpus
    if model == TRIAL and backend == "vllm":
        raise click.UsageError("smollm2 is a GGUF file: its backend is llama.cpp")
    if model not in ("", TRIAL):
        backend = backend or ask("Engine: vllm or llama.cpp", engine_for(model), _backend)
        default = ", ".join(gpus_for(model))
        gpus = gpus or _words((ask("GPU, or several in order", default, _gpus),))
    environments = said.environments if said.environments is not None else environments
    if environments is None:
        words = ask("Environments of the Modal workspace", "main", _environments)
        environments = _words((words,))
    ci = said.ci
    if ci is None:
        # The model to try would have to be committed.
        default = "none" if model == TRIAL else "github"
        ci = ask("Workflow for pull requests: github or none", default, _ci)
    _project(project)
    if model or said.model is not None:
        _model(model, folder)
    _gpus(", ".join(gpus))
    _environments(", ".join(environments))
    return Answers(
        project, model, backend or "", gpus, environments, ci == "github", _below_git(folder)
    )


def _below_git(folder: Path) -> str:
    """The folder's path in the git repository around it; "" at its top, and where there is none."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            return "" if above == folder else folder.relative_to(above).as_posix()
    return ""


def _first_model(folder: Path) -> str | None:
    """What is there stands for the answer: "" where there are specs, and none is to be added."""
    from modelctl.starter import TRIAL

    specs = folder / "specs"
    if (specs / f"{TRIAL}.yaml").exists():
        return TRIAL
    return "" if any(specs.glob("**/*.y*ml")) else None


def _there(folder: Path) -> tuple[str | None, tuple[str, ...]] | None:
    """The name and the environments of a project that has begun already."""
    from modelctl.spec.project import FILE, read_project

    if not (folder / FILE).is_file():
        return None
    project = read_project(folder / FILE)
    return project.name, tuple(project.project.environments or ())


Judge = Callable[[str], str]
"""The answer, or a UsageError that says why it is none."""


def _ask(question: str, default: str, judge: Judge) -> str:
    return str(click.prompt(question, default=default, value_proc=judge, err=True))


def _default(question: str, default: str, judge: Judge) -> str:  # noqa: ARG001
    return default


def _project(text: str) -> str:
    from modelctl.spec.names import project_problem

    return _named(text, project_problem(text))


def _environments(text: str) -> str:
    from modelctl.spec.names import name_problem

    for name in _words((text,)):
        _named(name, name_problem(name, "environment name"))
        if name == "local":
            raise click.UsageError("local is no environment: --local is always there")
    return text


def _named(text: str, wrong: tuple[str, str] | None) -> str:
    if wrong is not None:
        raise click.UsageError("; ".join(filter(None, wrong)))
    return text


def _model(text: str, folder: Path) -> str:
    from modelctl.starter import TRIAL

    if not text.strip() or not text.isprintable():
        raise click.UsageError("a model is smollm2, org/name of the Hub, or a path")
    if text.startswith(("/", "~", "../")):
        raise click.UsageError(
            f"{text} is outside of the project: a model's path starts at the project's folder"
        )
    named = text == TRIAL or "/" in text or text.endswith(".gguf")
    if not named and not (folder / text).exists():
        raise click.UsageError(
            f"{text} is no model: write smollm2, org/name of the Hub, or a path that is there"
        )
    return text


def _backend(text: str) -> str:
    if text not in ("vllm", "llama.cpp"):
        raise click.UsageError("an engine is vllm or llama.cpp")
    return text


def _ci(text: str) -> str:
    if text not in ("github", "none"):
        raise click.UsageError("write github or none")
    return text


def _gpus(text: str) -> str:
    from difflib import get_close_matches

    from modelctl.facts import gpus

    for word in _words((text,)):
        name, _, count = word.partition(":")
        if name != "none" and gpus.choice(name) is None:
            near = get_close_matches(name.upper(), sorted(gpus.choices()), n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]}?" if near else f": {', '.join(gpus.choices())}"
            raise click.UsageError(f"Modal has no GPU {name}{meant}")
        if count and not count.isdecimal():
            raise click.UsageError(f"{word} has no count of GPUs after the colon, as in L40S:2")
    return text


def _begin(answers: Answers, directory: str) -> int:
    """Write what is missing, fetch or lock the model, check all of it; in the project's folder."""
    from modelctl.cli.said import say
    from modelctl.starter import TRIAL_PATH, files

    texts = files(answers, _schemas())
    _refuse_links([*texts, *((TRIAL_PATH,) if answers.trial else ())])
    for path, text in texts.items():
        say(_written(path, text))
    fetched = _trial() if answers.trial else _locked(answers)
    code = _validated()
    _about_workflows(answers)
    if code and fetched:
        return code  # what is wrong stands above, and comes first
    say("\nnext:")
    go = [] if directory == "." else [f"cd {directory}"]
    for line in [*go, *_next(answers, fetched)]:
        say(f"  {line}")
    return code or (Exit.DONE if fetched else Exit.TRY_AGAIN)


def _about_workflows(answers: Answers) -> None:
    """What nobody would see of the workflow that was asked for."""
    from modelctl.starter import TRIAL_PATH

    if not answers.github:
        return
    if len(answers.environments) > 1:
        _say_wrapped(
            f"main is applied in this order: {', '.join(answers.environments)}; "
            "to change it: environments in .github/workflows/models.yml"
        )
    if answers.trial:
        _say_wrapped(
            f"a runner checks what git has: commit {TRIAL_PATH} too (98 MB; GitHub takes up to "
            "100 MiB), and leave models/ out of .gitignore"
        )


def _say_wrapped(sentence: str) -> None:
    from modelctl.cli.said import say
    from modelctl.views.paint import for_stream

    lines = textwrap.wrap(sentence, for_stream()[1], break_long_words=False, break_on_hyphens=False)
    say("\n" + "\n".join(lines))


def _schemas() -> dict[str, str]:
    from modelctl.spec.schema import schema_json

    found = {
        "modelctl.schema.json": schema_json("spec"),
        "modelctl.project.schema.json": schema_json("project"),
    }
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in found.items()}


def _refuse_links(names: list[str]) -> None:
    """Raise LedOut where a link leads out what would be written, before anything is."""
    from modelctl.cli.putting import keep_inside

    for name in names:
        keep_inside(Path(name).parent)
    keep_inside(Path(".gitignore"), "file")  # the only one that is written to when it is there


def _written(name: str, text: str) -> str:
    """Write a file that is not there; the line that says what was done."""
    path = Path(name)
    if os.path.lexists(path):
        return _left(path, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return f"  + {name}"


def _left(path: Path, text: str) -> str:
    """What is there stays; only .gitignore gets the lines that it lacks."""
    there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if there == text:
        return f"  = {path}  as it was"
    if path.name == ".gitignore":
        lines = there.splitlines()
        more = [
            line for line in text.splitlines() if line not in lines and line.strip("/") not in lines
        ]
        if not more:
            return f"  = {path}  as it was"
        with path.open("a", encoding="utf-8") as file:
            file.write(("" if not there or there.endswith("\n") else "\n") + "\n".join(more) + "\n")
        return f"  ~ {path}  added: {', '.join(more)}"
    if path.name.endswith(".schema.json"):
        kind = "project " if "project" in path.name else ""
        again = f"modelctl schema {kind}> {path}"
        return f"  = {path}  left as it is; of this version: {again}"
    would = "\n".join(f"      {line}".rstrip() for line in text.splitlines())
    return f"  = {path}  left as it is; it would have been:\n{would}"


def _trial() -> bool:
    """Whether the model to try is there now."""
    from modelctl.cli.said import aside, say
    from modelctl.cli.trial_model import CouldNotFetchTrial, fetch_trial
    from modelctl.starter import TRIAL_FILE, TRIAL_SIZE

    path = Path("models") / TRIAL_FILE
    if path.is_file() and path.stat().st_size == TRIAL_SIZE:
        say(f"  = {path}  as it was")
        return True
    if path.exists():
        aside(f"error: {path} is there, and is not the model to try")
        aside("help: move it away, and run modelctl init again")
        return False
    aside(f"fetching {TRIAL_FILE}, {TRIAL_SIZE / 1e6:.0f} MB")
    try:
        fetch_trial(path.parent)
    except CouldNotFetchTrial as why:
        aside(f"error: {why}")
        aside("help: run modelctl init again; what is there stays as it is")
        return False
    say(f"  + {path}")
    return True


def _locked(answers: Answers) -> bool:
    """Whether nothing stands open about the commit of a model of the Hub."""
    from modelctl.cli import cli
    from modelctl.cli.failures import explain

    if (
        not answers.model
        or not answers.source.startswith("hf://")
        or Path("modelctl.lock").exists()
    ):
        return True
    try:
        cli.main(args=["lock"], prog_name="modelctl", standalone_mode=False)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is said, and the files are there
        explain(problem, changes=False)
        return False
    return True


def _validated() -> int:
    from modelctl.cli import cli

    code = cli.main(args=["validate"], prog_name="modelctl", standalone_mode=False)
    return int(code or 0)


def _next(answers: Answers, fetched: bool) -> list[str]:
    """The lines to type; of several environments they are for the first."""
    several = len(answers.environments) > 1
    env = f" --env {answers.environments[0]}" if several else ""
    if not answers.model:
        return [f"modelctl plan{env}"]
    if not answers.trial:
        lines = [] if fetched else ["modelctl lock"]
        fit, plan, apply = f"fit {answers.name}", "plan", "apply"
        return [*lines, *(f"modelctl {words}{env}" for words in (fit, plan, apply))]
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import local_state
    from modelctl.local import engines

    again = [] if fetched else ["modelctl init"]
    found = {engine.name: engine for engine in engines.listed(local_state(project_here()))}
    engine = found["llama-server"]
    install = [engine.install] if engine.where is None else []
    question = '"What is gravity?"'
    return [
        *again,
        *install,
        "modelctl local up",
        "modelctl apply --local --yes",
        f"modelctl chat {answers.name} --local {question}",
    ]
