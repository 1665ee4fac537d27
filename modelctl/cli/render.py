"""modelctl render: what does the Modal app look like?"""

from __future__ import annotations

from pathlib import Path

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, selection, templates_option


@click.command("render")
@selection
@click.option("-o", "--out", type=click.Path(file_okay=False), help="A folder; one file an app.")
@templates_option
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    out: str | None,
    templates: str | None,
) -> int:
    """Write the Modal apps as files.

    With -o each app becomes a file of its own, ready for `modal deploy`; without it the text goes
    to standard output.
    """
    from modelctl.cli.pipeline import prepare
    from modelctl.cli.putting import make_folder, put

    ready = prepare(Selection(what, env, local, labels), templates)
    apps = [d.rendered for d in ready.desired]
    if out is None:
        click.echo("\n\n".join(app.text for app in apps), nl=False)
        return Exit.DONE
    folder = Path(out)
    make_folder(folder)
    for app in apps:
        file = folder / f"{app.module}.py"
        put(file, app.text.encode())
        click.echo(f"{file}", err=True)
    return Exit.DONE
