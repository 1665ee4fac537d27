"""modelctl fit: what fills each GPU of the list, how fast is it, and what does it cost?"""

from __future__ import annotations

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, output, prices_option, selection


@click.command("fit")
@selection
@output("human", "json")
@prices_option
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    prices: str,
) -> int:
    """Show a row for each GPU: memory, tokens, speed, price, verdict.

    WHAT is the path or the name of one spec. Nothing is fetched: what its model is like stands in
    modelctl.lock, or in a local model's own files. Only --prices workspace asks Modal.
    """
    from modelctl.assess.report import report_of
    from modelctl.cli.pipeline import check_all, one_environment, project_here, some_chosen
    from modelctl.cli.world import asked_prices
    from modelctl.diagnostics import Rejected, error

    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    checked = check_all(chosen, project, hashed=False, prices=asked_prices(prices)(chosen, project))
    some_chosen(checked)
    if len(checked.specs) != 1:
        raise Rejected([error("spec/none-chosen", _SEVERAL.format(len(checked.specs)))])
    ((_, assessed),) = checked.specs
    report = report_of(assessed)
    # What does not fit is in the rows; what else is wrong with it makes them beside the point.
    refused = [d for d in checked.diagnostics if d.is_error and not d.code.startswith("fit/")]
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.fit(report))
    else:
        from modelctl.cli.said import say
        from modelctl.views.human import fits, problems
        from modelctl.views.paint import for_stream

        paint, width = for_stream()
        say(fits.report(report, paint=paint, width=width))
        if refused:
            say("\nvalidate refuses it:\n")
            say(problems.diagnostics(refused, paint=paint, width=width))
    return Exit.REJECTED if report.refused or refused else Exit.DONE


_SEVERAL = "fit looks at one spec, and {} are chosen: modelctl fit NAME"
