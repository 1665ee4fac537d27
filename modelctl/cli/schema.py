"""modelctl schema: what may be written, for an editor, and what is printed, for a program?"""

from __future__ import annotations

import json
from typing import Literal, cast

import click

from modelctl.cli.exits import Exit

KINDS = ("spec", "project")
OUTPUTS = ("validate", "fit", "plan", "apply", "status", "history", "weights", "cost", "doctor")


@click.command("schema")
@click.argument("kind", type=click.Choice([*KINDS, *OUTPUTS]), default="spec")
def command(kind: str) -> int:
    """Print the JSON Schema of a spec, of modelctl.yaml, or of what a command prints.

    The last is of --output json of that command.
    """
    if kind in OUTPUTS:
        from modelctl.views.schemas import schema_of

        found = schema_of(kind)
    else:
        from modelctl.spec.schema import schema_json

        found = schema_json(cast(Literal["spec", "project"], kind))
    click.echo(json.dumps(found, indent=2))
    return Exit.DONE
