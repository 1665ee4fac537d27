"""modelctl completion: what does a shell need to complete words of this command line?"""

from __future__ import annotations

import click

from modelctl.cli.exits import Exit


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that completes words in a shell.

    In ~/.bashrc, or in ~/.zshrc after compinit: eval "$(modelctl completion bash)", or zsh. For
    fish: modelctl completion fish > ~/.config/fish/completions/modelctl.fish
    """
    from modelctl.cli import cli
    from modelctl.cli.completing import VARIABLE, shells

    click.echo(shells()[shell](cli, {}, "modelctl", VARIABLE).source(), nl=False)
    return Exit.DONE
