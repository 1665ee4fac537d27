"""modelctl schema: what may be written, for an editor?"""

from __future__ import annotations

import json
from typing import Literal

import click

from modelctl.cli.exits import Exit


@click.command("schema")
@click.argument("kind", type=click.Choice(["spec", "project"]), default="spec")
def command(kind: Literal["spec", "project"]) -> int:
    """Print the JSON Schema of a spec, or of modelctl.yaml."""
    from modelctl.spec.schema import schema_json

    click.echo(json.dumps(schema_json(kind), indent=2))
    return Exit.DONE
