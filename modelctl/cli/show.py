"""modelctl show: what does a spec mean, and where does each value come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, output, selection

if TYPE_CHECKING:
    from modelctl.spec.wanted import Wanted


@click.command("show")
@selection
@output("human", "json")
def command(
    what: tuple[str, ...], env: str | None, local: bool, labels: tuple[str, ...], output: str
) -> int:
    """Print a spec in full, and where each value comes from."""
    from modelctl.cli.pipeline import check_all, one_environment, project_here, some_chosen
    from modelctl.diagnostics import Rejected, has_errors
    from modelctl.spoken import spoken

    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    checked = check_all(chosen, project, hashed=False)
    some_chosen(checked)
    if has_errors(checked.diagnostics):
        raise Rejected(checked.diagnostics)
    if output == "json":
        from modelctl.views import machine

        specs = [spoken(wanted, assessed.resolved) for wanted, assessed in checked.specs]
        click.echo(machine.dump({"specs": specs}))
        return Exit.DONE
    from modelctl.cli.said import say
    from modelctl.views.human import shown
    from modelctl.views.paint import for_stream

    paint, _ = for_stream()
    blocks = []
    for wanted, assessed in checked.specs:

        def origin(path: tuple[str | int, ...], wanted: Wanted = wanted) -> str:
            if not wanted.origins.said(path):
                return "default"
            place = wanted.origins.place(path)
            return f"{place.file}:{place.line}"

        blocks.append(shown.spec(spoken(wanted, assessed.resolved), origin, paint=paint))
    say("\n\n---\n".join(blocks))
    return Exit.DONE
