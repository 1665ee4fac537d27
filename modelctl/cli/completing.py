"""What can stand where the cursor is? Names of specs, environments, labels, branches, GPUs, codes.

Asked at each press of Tab: quick, without Modal's SDK, and silent where a project is broken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete
from click.shell_completion import add_completion_class as add
from click.shell_completion import split_arg_string as split

if TYPE_CHECKING:
    from modelctl.spec.tree import Node

VARIABLE = "_MODELCTL_COMPLETE"
_LARGEST = 1_000_000
_NAME = re.compile(rb"^name:[ \t]*[\"']?([a-z0-9-]+)", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")


def teach(command: click.Command) -> None:
    """Have the parameters of a command complete what their names speak of."""
    for parameter in command.params:
        known = _KNOWN.get(parameter.name or "")
        if known is not None and isinstance(parameter.type, click.types.StringParamType):
            parameter.type = _Word(known)


class _Word(click.types.StringParamType):
    """A text that is one of a few, or any other."""

    def __init__(self, found: Callable[[str], Iterable[str]]) -> None:
        self._found = found

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        try:
            words = dict.fromkeys(w for w in self._found(incomplete) if w.startswith(incomplete))
        except Exception:  # noqa: BLE001 - whatever is broken there, a Tab is no place to say it
            return []
        return [CompletionItem(word) for word in words]


def specs(incomplete: str) -> Iterator[str]:
    """Names of specs; their paths where a path is begun."""
    root = _root()
    as_path = incomplete.startswith(".") or "/" in incomplete
    for file in _files(root):
        if not as_path:
            name = _NAME.search(_start(file))
            yield name[1].decode() if name else file.stem
        yield os.path.relpath(file)
        yield f"./{os.path.relpath(file)}"


def environments(incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """Those that modelctl.yaml declares."""
    yield from _keys(_tree(_root() / "modelctl.yaml"), "environments")


def labels(incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """key=value of each spec, and of the project's defaults."""
    from modelctl.spec.tree import Mapping as Node_
    from modelctl.spec.tree import Scalar, at

    root = _root()
    places = [(_tree(file), ("labels",)) for file in _files(root)]
    for tree, path in [*places, (_tree(root / "modelctl.yaml"), ("defaults", "labels"))]:
        said = at(tree, path) if tree is not None else None
        for key, entry in said.entries.items() if isinstance(said, Node_) else ():
            if isinstance(entry.node, Scalar):
                yield f"{key}={entry.node.raw}"


def commits(incomplete: str) -> list[str]:  # noqa: ARG001
    """Branches and tags of git."""
    from modelctl.cli.earlier import named

    return named(_root())


def gpus(incomplete: str) -> Iterator[str]:  # noqa: ARG001
    from modelctl.facts.gpus import choices

    yield from (*choices(), "none")


def codes(incomplete: str) -> Iterator[str]:  # noqa: ARG001
    """The codes of all diagnostics, read off the pages without the rules that emit them."""
    folder = Path(__file__).parents[1] / "checks"
    for file in sorted(folder.glob("pages_*.py")):
        yield from re.findall(r'^ {4}"([a-z]+/[a-z0-9-]+)":', file.read_text("utf-8"), re.MULTILINE)


_KNOWN: Mapping[str, Callable[[str], Iterable[str]]] = {
    **dict.fromkeys(("what", "name", "names"), specs),
    **dict.fromkeys(("env", "here", "there", "confirm"), environments),
    **dict.fromkeys(("base", "new_since"), commits),
    "labels": labels,
    "gpu": gpus,
    "code": codes,
}
"""The name of a parameter → what it may be."""


def _root() -> Path:
    from modelctl.inside import root_of

    return root_of(Path.cwd())


def _files(root: Path) -> list[Path]:
    from modelctl.inside import leads_out

    return sorted(
        path
        for path in (root / "specs").glob("**/*")
        if path.suffix in _SUFFIXES and path.is_file() and not leads_out(path, root)
    )


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(64_000)


def _tree(file: Path) -> Node | None:
    from modelctl.spec.source import read

    return read(file, file.name).tree if file.is_file() else None


def _keys(tree: Node | None, field: str) -> Iterable[str]:
    from modelctl.spec.tree import Mapping as Node_

    found = tree.get(field) if isinstance(tree, Node_) else None
    return found.entries if isinstance(found, Node_) else ()


_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' type value response line="${COMP_LINE:0:COMP_POINT}"
    # bash breaks words at = and :, and replaces only what stands after the last of them.
    local word="${line##*[[:space:]]}"
    local kept="${word%%"${word##*[=:]}"}"
    response=$(env COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case "$type" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Words with = and : in them are whole, as those of other shells."""

    source_template = _BASH

    def source(self) -> str:
        return self.source_template % self.source_vars()  # without asking a bash for its version

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_WORDS", "")
        words = split(line)
        ended = line[-1:].isspace() or len(words) < 2
        return words[1 : None if ended else -1], "" if ended else words[-1]


def shells() -> dict[str, Any]:
    """The shells that can complete, by name; click knows our bash from now on."""
    add(Bash)
    return {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}
