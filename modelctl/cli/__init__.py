"""What does a person type? The table of commands, each loaded only when it is called."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from modelctl import __version__
from modelctl.cli.exits import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Begin a project: a spec, the project file, an editor's schemas."),
    "validate": ("validate", "Find every problem of every spec, offline."),
    "fit": ("fit", "Show a row for each GPU: memory, tokens, speed, price, verdict."),
    "lock": ("lock", "Write down each model's commit, files and hashes."),
    "render": ("render", "Write the Modal apps as files."),
    "plan": ("plan", "Show what apply would do, and why."),
    "apply": ("apply", "Deploy what changed, wait until it answers, and report."),
    "rollback": ("rollback", "Have an earlier version serve again, and hold it."),
    "scale": ("scale", "Scale an app in place, past its spec, and hold that."),
    "hold": ("hold", "Keep an app as it is until it is released."),
    "release": ("release", "Let the next apply do as the spec says again."),
    "restart": ("restart", "Replace an app's containers by fresh ones of the same version."),
    "promote": ("promote", "Apply to one environment what is proven in another."),
    "status": ("status", "Is it in sync, is it healthy, what runs where?"),
    "cost": ("cost", "Show what apps did cost, by Modal's own bill, against what plan said."),
    "history": ("history", "Show who did what to an app, when, from which commit, and why."),
    "logs": (
        "logs",
        "Show what an app wrote: its engine's output, its own words, and Modal's lines.",
    ),
    "weights": ("weights", "Show or tidy the Volume that models are fetched into."),
    "destroy": ("destroy", "Stop the apps of the chosen specs."),
    "show": ("show", "Print a spec in full, and where each value comes from."),
    "explain": ("explain", "Say what a diagnostic's code means, and what to do."),
    "completion": ("completion", "Print the script that completes words in a shell."),
    "doctor": ("doctor", "Say what is missing on this machine or account, and how to get it."),
    "schema": (
        "schema",
        "Print the JSON Schema of a spec, of modelctl.yaml, or of what a command prints.",
    ),
    "import": ("import_", "Turn a live app, or a Modal file written by hand, into a spec."),
    "chat": ("chat", "Ask an endpoint one question, or talk to it line by line."),
    "local": ("local", "Run the local control plane: Modal's own protocol on this machine."),
}
"""Command → its module in this package, and the line that help shows for it."""

_COMPLETES = "_MODELCTL_COMPLETE" in os.environ
"""Whether a shell asks what can stand where its cursor is."""

_YOUNG = 100_000
"""Objects made before Python looks for garbage among them. Little here is, and at its own 700,
looking takes a fifth of a check of many specs."""

_CHANGES = frozenset(
    {"apply", "destroy", "weights", "rollback", "scale", "hold", "release", "restart", "promote"}
)
"""The commands that change what is live: where one breaks off, a person has to look."""


class _Lazy(click.Group):
    """Imports a command's module when the command is used: `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"modelctl.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        if _COMPLETES and not isinstance(command, click.Group):
            from modelctl.cli.completing import teach

            teach(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by the table, so that none is imported for its name."""
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        found = [(n, line) for n, (_, line) in COMMANDS.items() if n.startswith(incomplete)]
        return [*(CompletionItem(name, help=line) for name, line in found), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, n=1, cutoff=0.7)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"there is no command {name}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="modelctl %(version)s")
def cli() -> None:
    """Model endpoints on Modal, declared in YAML."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; whatever goes wrong is a sentence and a code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where a locale lacks a character: ?
            stream.reconfigure(errors="replace")
    code = run(arguments)
    gc.freeze()  # or Python looks for garbage a last time, which takes a tenth of a check
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    gc.set_threshold(_YOUNG)
    try:
        if _COMPLETES:
            from modelctl.cli.completing import shells

            shells()
        code = cli.main(args=arguments, prog_name="modelctl", standalone_mode=False)
        return int(code) if isinstance(code, int) else Exit.DONE
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return Exit.USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "modelctl"
        from modelctl.cli.failures import say_error

        say_error(error.format_message(), f"{command} --help")
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output went away; there is nobody to tell
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - the last line of defence: a sentence, never a traceback
        from modelctl.cli.failures import explain

        words = sys.argv[1:] if arguments is None else arguments
        return explain(error, changes=not _CHANGES.isdisjoint(words[:1]))
