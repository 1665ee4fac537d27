"""Which commands, exit codes and variables are there? Their reference pages, from click itself.

`UPDATE_GOLDEN=1 pytest tests/docs/test_reference.py` writes docs/reference/commands.md,
exit-codes.md and environment.md.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from modelctl.cli import COMMANDS, cli
from modelctl.cli.exits import Exit

COMMANDS_OPENING = """\
# Commands

Every command with all of its arguments and options, as `modelctl COMMAND --help` prints them. This
page is written from the command line itself.

`WHAT` is paths or names of specs; all of `specs/` if left out. Results go to standard output, all
else to standard error. The codes that a command exits with are on [their page](exit-codes.md).
"""

EXITS_OPENING = """\
# Exit codes

What a script or a CI job learns from how `modelctl` ended. Where several hold, the command exits
with the first of 5, 4, 6, 3, 1.

| code | says |
| --- | --- |
"""

EXITS: dict[Exit, str] = {
    Exit.DONE: "done, or nothing to do",
    Exit.REJECTED: "specs, project or lock are wrong; nothing was changed",
    Exit.CHANGES: "changes are pending: `plan --detailed-exitcode`",
    Exit.DENIED: "denied by a policy or a budget; nothing was changed",
    Exit.FAILED: "a deploy failed; what ran before still runs",
    Exit.PERSON_NEEDED: "a deploy failed and a person is needed: what should serve does not",
    Exit.TRY_AGAIN: "nothing was changed, and trying again may help: the lease is held, Modal is "
    "not reachable, credentials were refused, a saved plan is stale",
    Exit.USAGE: "the command line is wrong",
    Exit.INTERRUPTED: "interrupted",
}

EXITS_END = """
Where modelctl itself fails it says so, with 5 from a command that may have begun to change what is
live and 1 from any other.

In CI, 1 and 3 are for whoever wrote the change, 4 and 5 for whoever is on call, and 6 is worth a
second try. `modelctl plan --detailed-exitcode` in a scheduled job finds drift: 2 means that
something lives otherwise than it is written. A deletion that still needs `--prune`, or is
protected, is said in the plan and is not a 2.
"""

VARIABLES_OPENING = """\
# Environment variables

What modelctl reads from its environment. A value of a spec is never among them: what is deployed
depends on the files of the project alone.

| variable | says |
| --- | --- |
"""

VARIABLES: dict[str, str] = {
    "MODAL_TOKEN_ID, MODAL_TOKEN_SECRET": "the credentials of Modal, before those that "
    "`modal setup` wrote down; for CI",
    "MODAL_PROFILE": "which profile of Modal's own configuration",
    "MODAL_CONFIG_PATH": "where that configuration lies",
    "MODAL_ENVIRONMENT": "the Modal environment where a project declares none",
    "MODAL_SERVER_URL": "another server than Modal's; `modelctl local env` prints the local one's",
    "MODELCTL_PROXY_TOKEN_ID, MODELCTL_PROXY_TOKEN_SECRET": "the proxy token with which `apply`, "
    "`status` and `chat` call endpoints with `auth: proxy`; without it what they would see is "
    "skipped, and said",
    "HF_TOKEN": "the Hub's token, for `lock` of gated and private models; "
    "what is deployed takes its own from a Modal Secret",
    "HF_ENDPOINT": "another Hub than huggingface.co",
    "HF_HOME": "where the Hub's client keeps its token",
    "NO_COLOR": "no colours",
    "FORCE_COLOR": "colours although nobody looks at a terminal",
    "COLUMNS": "the width of what is printed; else the terminal's, and 100 in a pipe",
    "MODELCTL_LEASE_SECONDS": "0.5 to 3600, 15 if not set: how long after its holder died another "
    "`apply` may begin",
    "MODELCTL_LOCAL_DIR": "the folder of the local control plane, instead of `.modelctl/local`",
    "XDG_CACHE_HOME": "where hashes of local models are remembered, in `modelctl/`; `~/.cache`",
    "XDG_STATE_HOME": "where the local control plane of a folder without a project file "
    "lies, in `modelctl/local`; `~/.local/state`",
    "MODELCTL_DEBUG": "`1`: a failure of modelctl itself is shown with its traceback",
    "GITHUB_RUN_ID, CI_JOB_ID, CIRCLE_BUILD_NUM": "who holds the lease and who deployed, in the "
    "words of others: the job of a CI system",
    "GITHUB_ACTIONS, GITHUB_STEP_SUMMARY, GITHUB_WORKSPACE": "that this is a job of "
    "GitHub's, where `--output github` appends a summary, and the folder that annotations name "
    "files from; GitHub sets them",
}

VARIABLES_END = """
A rendered app reads these in its container. On Modal none of them is set:

| variable | says | on Modal |
| --- | --- | --- |
| `MODELCTL_HOST` | the address to listen on | `0.0.0.0` |
| `MODELCTL_PORT` | the port | 8000 |
| `MODELCTL_MOUNT_ROOT` | what stands before every mount path | nothing |
| `MODELCTL_GPU` | the GPU that the container got | asked of `nvidia-smi` |
"""


def commands_page() -> str:
    """docs/reference/commands.md."""
    blocks = [COMMANDS_OPENING]
    for name in COMMANDS:
        blocks += [_section(path, command) for path, command in leaves(name)]
    return "\n".join(blocks)


def exits_page() -> str:
    """docs/reference/exit-codes.md."""
    rows = (f"| {int(code)} | {EXITS[code]} |\n" for code in Exit)
    return EXITS_OPENING + "".join(rows) + EXITS_END


def variables_page() -> str:
    """docs/reference/environment.md."""
    rows = []
    for names, says in VARIABLES.items():
        quoted = ", ".join(f"`{name}`" for name in names.split(", "))
        rows.append(f"| {quoted} | {says} |\n")
    return VARIABLES_OPENING + "".join(rows) + VARIABLES_END


def leaves(name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words: `local fault add`."""

    def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield path, command
            return
        if command.invoke_without_command:
            yield path, command
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from below(f"{path} {inner}", found)

    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    yield from below(name, command)


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(["modelctl", path, *command.collect_usage_pieces(context)])
    text = f"## {path}\n\n```text\n{usage}\n```\n\n{_plain(command.help or '')}\n"
    rows = [row for option in command.params if (row := _row(option, context))]
    if rows:
        text += "\n| option | says |\n| --- | --- |\n" + "".join(rows)
    return text


def _row(option: click.Parameter, context: click.Context) -> str | None:
    if not isinstance(option, click.Option) or option.hidden:
        return None
    names = ", ".join((*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    says = _plain(option.help or "")
    default = option.to_info_dict()["default"]
    if not option.is_flag and isinstance(default, str | int | float) and default:
        written = f"{default:g}" if isinstance(default, float) else default
        says += f" `{written}` if left out."
    if option.multiple:
        says += " May be given several times."
    cells = (f"`{names}{value}`", says)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _plain(text: str) -> str:
    """click's help as Markdown: each paragraph on a line, what is set out in columns as it is."""
    blocks = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            blocks.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            blocks.append(re.sub(r"\s*\n\s*", " ", paragraph))
    return "\n\n".join(blocks)


PAGES = {
    "commands.md": commands_page,
    "exit-codes.md": exits_page,
    "environment.md": variables_page,
}
