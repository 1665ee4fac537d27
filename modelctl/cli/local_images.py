"""modelctl local images: what is each image made of, and where do two of them differ?"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, to_builtins

from modelctl.cli.exits import Exit
from modelctl.cli.options import output

if TYPE_CHECKING:
    from modelctl.local.lifecycle import Plane


@click.group("images", invoke_without_command=True)
@output("human", "json")
@click.pass_context
def command(ctx: click.Context, output: str) -> int:
    """Show the recipes of images, layer by layer. IMAGE is an id, its beginning, or an app."""
    return _list(output) if ctx.invoked_subcommand is None else Exit.DONE


@command.command("ls")
@output("human", "json")
def ls(output: str) -> int:
    """Show every image, with the apps that use it and its last step."""
    return _list(output)


@command.command("show")
@click.argument("image")
@output("human", "json")
def show(image: str, output: str) -> int:
    """Show one image's recipe, the lowest layer first."""
    from modelctl.cli.said import say
    from modelctl.local import lifecycle
    from modelctl.views import machine
    from modelctl.views.human.words import counted
    from modelctl.views.paint import for_stream

    plane = _plane()
    found = lifecycle.image(plane, _id(plane, image))
    if output == "json":
        say(machine.dump(found))
        return Exit.DONE
    paint, _ = for_stream()
    words = [found["id"], found["state"], counted(found["layer_count"], "layer")]
    lines = [paint("  ".join(words), "bold")]
    if found["failure"]:
        lines.append(paint(found["failure"], "red"))
    for number, layer in enumerate(found["layers"], 1):
        lines += ["", paint(f"layer {number}  {layer['id']}", "cyan")]
        lines += [f"  {line}" for line in layer["lines"]]
    say("\n".join(lines))
    return Exit.DONE


@command.command("diff")
@click.argument("a", metavar="IMAGE")
@click.argument("b", metavar="IMAGE")
@output("human", "json")
def diff(a: str, b: str, output: str) -> int:
    """Show in which layers two images differ, as git shows two versions of a file."""
    from modelctl.cli.said import say
    from modelctl.local import lifecycle
    from modelctl.views import machine
    from modelctl.views.paint import for_stream

    plane = _plane()
    left, right = (lifecycle.image(plane, _id(plane, name)) for name in (a, b))
    pairs = compared(left["layers"], right["layers"])
    if output == "json":
        data = [{**to_builtins(pair), "same": pair.same} for pair in pairs]
        say(machine.dump({"a": left["id"], "b": right["id"], "layers": data}))
        return Exit.DONE
    paint, _ = for_stream()
    lines = [paint(f"--- {left['id']}", "bold"), paint(f"+++ {right['id']}", "bold")]
    colours = {"-": "red", "+": "green", " ": "dim"}
    for number, pair in enumerate(pairs, 1):
        word = "same" if pair.same else "the same steps" if pair.steps_same else "differs"
        lines.append(paint(f"@@ layer {number} · {word} @@", "cyan"))
        if not pair.steps_same:
            lines += [paint(line, colours[line[0]]) for line in pair.lines]
    say("\n".join(lines))
    return Exit.DONE


class Pair(Struct, frozen=True):
    """Two layers that stand for each other, or one that has no counterpart; lines as in a diff."""

    a: str | None
    b: str | None
    lines: list[str]

    @property
    def same(self) -> bool:
        return self.a == self.b

    @property
    def steps_same(self) -> bool:
        """The same steps; built anew all the same where a layer below differs."""
        return all(line.startswith(" ") for line in self.lines) and None not in (self.a, self.b)


def compared(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> list[Pair]:
    """The layers of two images side by side, the lowest first."""
    pairs = []
    steps_a = [tuple(layer["lines"]) for layer in a]
    steps_b = [tuple(layer["lines"]) for layer in b]
    matcher = SequenceMatcher(None, steps_a, steps_b, autojunk=False)
    for _, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        for offset in range(max(a_to - a_from, b_to - b_from)):
            left = a[a_from + offset] if a_from + offset < a_to else None
            right = b[b_from + offset] if b_from + offset < b_to else None
            pairs.append(
                Pair(
                    left["id"] if left else None,
                    right["id"] if right else None,
                    _lines(left["lines"] if left else [], right["lines"] if right else []),
                )
            )
    return pairs


def _lines(a: Sequence[str], b: Sequence[str]) -> list[str]:
    found: list[str] = []
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    for kind, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if kind == "equal":
            found += [f" {line}" for line in a[a_from:a_to]]
        else:
            found += [f"-{line}" for line in a[a_from:a_to]]
            found += [f"+{line}" for line in b[b_from:b_to]]
    return found


def _plane() -> Plane:
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import running_plane

    return running_plane(project_here())


def _id(plane: Plane, said: str) -> str:
    """The image that somebody means by an id, by its beginning, or by an app that uses it."""
    from modelctl.local import lifecycle

    images = lifecycle.images(plane)
    meant = {image["id"] for image in images if said == image["id"] or said in image["apps"]}
    meant = meant or {image["id"] for image in images if image["id"].startswith(said)}
    if not meant:
        raise click.UsageError(
            f"there is no image {said}, and no app of that name; modelctl local images shows them"
        )
    if len(meant) > 1:
        raise click.UsageError(f"{said} could be any of {', '.join(sorted(meant))}")
    return str(meant.pop())


def _list(output: str) -> int:
    from modelctl.cli.said import say
    from modelctl.local import lifecycle
    from modelctl.views import machine
    from modelctl.views.human.tables import table
    from modelctl.views.paint import for_stream

    found = lifecycle.images(_plane())
    if output == "json":
        say(machine.dump({"images": found}))
    elif not found:
        say("no images yet")
    else:
        paint, width = for_stream()
        rows = [
            [
                image["id"],
                image["state"],
                str(image["layer_count"]),
                ", ".join(image["apps"]) or "-",
                image["ends"],
            ]
            for image in found
        ]
        heads = ["id", "state", "layers", "apps", "last step"]
        say(table(heads, rows, paint=paint, width=width, right=["layers"]))
    return Exit.DONE
